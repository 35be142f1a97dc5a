//! What a target says about its metric families: kind, help, unit.

use ferula_model::MetricKind;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// How many scrapes long a family is remembered that the target no longer exposes.
const KEPT_SCRAPES: u32 = 10;

/// Families remembered per target; a target that exposes more is described in part.
const FAMILIES_MAX: usize = 65_536;

/// What is known of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// The kind.
    pub kind: MetricKind,
    /// What it means, empty if not said.
    pub help: Box<str>,
    /// What it is measured in, empty if not said.
    pub unit: Box<str>,
}

/// The hashes stand for the texts, which are elsewhere in memory and would have to be fetched
/// to be compared.
#[derive(Debug)]
struct Family {
    name_hash: u64,
    help_hash: u64,
    name: Box<str>,
    metadata: FamilyMetadata,
    /// The last scrape that had it.
    seen: u32,
}

/// The families of one target, in the order in which it first exposed them: like its series,
/// they come in the same order every time, so most are found without a look into the index.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: Vec<Family>,
    /// Positions in `families` by the hash of the name.
    index: HashTable<u32>,
    scrape: u32,
    /// The family of the last line.
    cursor: usize,
}

impl MetadataCache {
    /// Starts a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
        self.cursor = 0;
    }

    pub(crate) fn set_kind(&mut self, family: &str, kind: MetricKind) {
        if let Some(family) = self.family(family) {
            family.metadata.kind = kind;
        }
    }

    pub(crate) fn set_help(&mut self, family: &str, help: &str) {
        let help_hash = hash(help);
        if let Some(family) = self.family(family)
            && family.help_hash != help_hash
        {
            family.help_hash = help_hash;
            family.metadata.help = help.into();
        }
    }

    pub(crate) fn set_unit(&mut self, family: &str, unit: &str) {
        if let Some(family) = self.family(family)
            && *family.metadata.unit != *unit
        {
            family.metadata.unit = unit.into();
        }
    }

    /// Ends a scrape that was read to its end: families gone for long are forgotten.
    pub(crate) fn commit(&mut self) {
        let oldest = self.scrape.saturating_sub(KEPT_SCRAPES);
        if self.families.iter().all(|f| f.seen >= oldest) {
            return;
        }
        self.families.retain(|f| f.seen >= oldest);
        self.index.clear();
        let families = &self.families;
        for (i, family) in families.iter().enumerate() {
            let hash_of = |i: &u32| families[*i as usize].name_hash;
            self.index
                .insert_unique(family.name_hash, i as u32, hash_of);
        }
    }

    /// The families with their names, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &FamilyMetadata)> {
        self.families.iter().map(|f| (&*f.name, &f.metadata))
    }

    /// One family.
    pub(crate) fn get(&self, family: &str) -> Option<&FamilyMetadata> {
        let position = self.position(hash(family))?;
        Some(&self.families[position].metadata)
    }

    /// How many families there are, and how many bytes their texts take.
    pub(crate) fn size(&self) -> (usize, usize) {
        let bytes = |(name, m): (&str, &FamilyMetadata)| name.len() + m.help.len() + m.unit.len();
        (self.families.len(), self.iter().map(bytes).sum())
    }

    fn family(&mut self, name: &str) -> Option<&mut Family> {
        let hash = hash(name);
        let is_at = |at: usize| self.families.get(at).is_some_and(|f| f.name_hash == hash);
        let near = [self.cursor, self.cursor + 1]
            .into_iter()
            .find(|at| is_at(*at));
        self.cursor = match near.or_else(|| self.position(hash)) {
            Some(position) => position,
            None => self.insert(name, hash)?,
        };
        let family = &mut self.families[self.cursor];
        family.seen = self.scrape;
        Some(family)
    }

    fn position(&self, hash: u64) -> Option<usize> {
        let same = |i: &u32| self.families[*i as usize].name_hash == hash;
        self.index.find(hash, same).map(|i| *i as usize)
    }

    fn insert(&mut self, name: &str, hash: u64) -> Option<usize> {
        let position = self.families.len();
        if position >= FAMILIES_MAX {
            return None;
        }
        self.families.push(Family {
            name_hash: hash,
            help_hash: self::hash(""),
            name: name.into(),
            metadata: FamilyMetadata::default(),
            seen: self.scrape,
        });
        let hash_of = |i: &u32| self.families[*i as usize].name_hash;
        self.index.insert_unique(hash, position as u32, hash_of);
        Some(position)
    }
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_ten_scrapes_long() {
        let mut cache = MetadataCache::default();
        cache.begin();
        cache.set_kind("a", MetricKind::Counter);
        cache.set_help("a", "what a is");
        cache.set_unit("b", "seconds");
        cache.commit();
        assert_eq!(cache.size(), (2, 18));
        for _ in 0..10 {
            cache.begin();
            cache.set_kind("b", MetricKind::Gauge);
            cache.commit();
            let a = cache.get("a").expect("still remembered");
            assert_eq!((a.kind, &*a.help), (MetricKind::Counter, "what a is"));
        }
        cache.begin();
        cache.commit();
        assert_eq!(cache.get("a"), None);
        assert_eq!(&*cache.get("b").expect("seen last time").unit, "seconds");
    }
}
