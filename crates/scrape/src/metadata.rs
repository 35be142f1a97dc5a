//! What a target says about its metric families: kind, help, unit.

use ferula_model::MetricKind;
use hashbrown::HashMap;

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

/// The families of one target.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: HashMap<Box<str>, (FamilyMetadata, u32), foldhash::fast::RandomState>,
    scrape: u32,
}

impl MetadataCache {
    /// Starts a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
    }

    pub(crate) fn set_kind(&mut self, family: &str, kind: MetricKind) {
        if let Some(metadata) = self.family(family) {
            metadata.kind = kind;
        }
    }

    pub(crate) fn set_help(&mut self, family: &str, help: &str) {
        if let Some(metadata) = self.family(family)
            && *metadata.help != *help
        {
            metadata.help = help.into();
        }
    }

    pub(crate) fn set_unit(&mut self, family: &str, unit: &str) {
        if let Some(metadata) = self.family(family)
            && *metadata.unit != *unit
        {
            metadata.unit = unit.into();
        }
    }

    /// Ends a scrape that was read to its end: families gone for long are forgotten.
    pub(crate) fn commit(&mut self) {
        let oldest = self.scrape.saturating_sub(KEPT_SCRAPES);
        self.families.retain(|_, (_, seen)| *seen >= oldest);
    }

    /// The families with their names, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &FamilyMetadata)> {
        self.families
            .iter()
            .map(|(name, (metadata, _))| (&**name, metadata))
    }

    /// One family.
    pub(crate) fn get(&self, family: &str) -> Option<&FamilyMetadata> {
        self.families.get(family).map(|(metadata, _)| metadata)
    }

    /// How many families there are, and how many bytes their texts take.
    pub(crate) fn size(&self) -> (usize, usize) {
        let bytes = |(name, m): (&str, &FamilyMetadata)| name.len() + m.help.len() + m.unit.len();
        (self.families.len(), self.iter().map(bytes).sum())
    }

    fn family(&mut self, name: &str) -> Option<&mut FamilyMetadata> {
        let full = self.families.len() >= FAMILIES_MAX;
        if !self.families.contains_key(name) {
            if full {
                return None;
            }
            self.families.insert(name.into(), Default::default());
        }
        let (metadata, seen) = self.families.get_mut(name)?;
        *seen = self.scrape;
        Some(metadata)
    }
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
