//! Collects the labels of a tenant's series, and writes what they are found by.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use ferula_model::Labels;
use hashbrown::HashTable;

use super::SETS_OF_PAGE;
use super::postings::{PostingsPacker, PostingsWriter};
use super::sets::SetPacker;
use super::strings::StringPacker;
use super::tenant::{Name, PostingsEntry, StringEntry, TenantIndex};
use crate::block::BlockError;
use crate::block::directory::Place;
use crate::bytes::{Reader, put_uv};

/// The labels of a tenant's series, while they come in.
pub(in crate::block) struct TenantBuilder {
    names: Vec<NameBuild>,
    name_numbers: HashMap<Box<str>, u32>,
    pairs: Vec<Pair>,
    table: HashTable<u32>,
    hasher: RandomState,
    /// Values, one after another.
    texts: String,
    /// For each series how many pairs it has, and their numbers.
    sets: Vec<u8>,
    series: u32,
    /// The pairs of the series before: most are those of the next one too.
    previous: Vec<u32>,
}

struct NameBuild {
    text: Box<str>,
    having: PostingsWriter,
}

struct Pair {
    name: u32,
    /// Where its value ends, which begins where that of the pair before ends.
    end: usize,
    having: PostingsWriter,
}

impl TenantBuilder {
    pub(in crate::block) fn new() -> Self {
        Self {
            names: Vec::new(),
            name_numbers: HashMap::new(),
            pairs: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::new(),
            texts: String::new(),
            sets: Vec::new(),
            series: 0,
            previous: Vec::new(),
        }
    }

    /// How many series there are.
    pub(in crate::block) fn series(&self) -> u32 {
        self.series
    }

    /// Adds the next series.
    pub(in crate::block) fn add(&mut self, labels: &Labels) {
        let previous = std::mem::take(&mut self.previous);
        let mut pairs = Vec::with_capacity(previous.len() + 2);
        for (i, (name, value)) in labels.iter().enumerate() {
            let pair = self.pair(previous.get(i).copied(), name, value);
            let number = self.pairs[pair as usize].name;
            self.pairs[pair as usize].having.push(self.series);
            self.names[number as usize].having.push(self.series);
            pairs.push(pair);
        }
        put_uv(&mut self.sets, pairs.len() as u64);
        for &pair in &pairs {
            put_uv(&mut self.sets, pair.into());
        }
        self.previous = pairs;
        self.series += 1;
    }

    /// The number of a pair; `likely` is the one to look at first.
    fn pair(&mut self, likely: Option<u32>, name: &str, value: &str) -> u32 {
        let likely_name = likely.map(|pair| self.pairs[pair as usize].name);
        let likely_name = likely_name.filter(|&n| *self.names[n as usize].text == *name);
        if let (Some(pair), Some(_)) = (likely, likely_name)
            && self.value(pair) == value
        {
            return pair;
        }
        let name = match likely_name.or_else(|| self.name_numbers.get(name).copied()) {
            Some(number) => number,
            None => self.add_name(name),
        };
        let hash = self.hasher.hash_one((name, value));
        let same = |&p: &u32| self.pairs[p as usize].name == name && self.value(p) == value;
        if let Some(&pair) = self.table.find(hash, same) {
            return pair;
        }
        let pair = self.pairs.len() as u32;
        self.texts.push_str(value);
        self.pairs.push(Pair {
            name,
            end: self.texts.len(),
            having: PostingsWriter::default(),
        });
        let Self {
            table,
            hasher,
            pairs,
            texts,
            ..
        } = self;
        let rehash = |&p: &u32| hasher.hash_one((pairs[p as usize].name, text(pairs, texts, p)));
        table.insert_unique(hash, pair, rehash);
        pair
    }

    fn add_name(&mut self, name: &str) -> u32 {
        let number = self.names.len() as u32;
        self.names.push(NameBuild {
            text: name.into(),
            having: PostingsWriter::default(),
        });
        self.name_numbers.insert(name.into(), number);
        number
    }

    fn value(&self, pair: u32) -> &str {
        text(&self.pairs, &self.texts, pair)
    }

    /// Writes everything but what [`TenantIndex`] holds, which it returns the body of. `write`
    /// makes a frame of a body.
    pub(in crate::block) fn finish(
        mut self,
        mut write: impl FnMut(&[u8]) -> Result<Place, BlockError>,
    ) -> Result<Vec<u8>, BlockError> {
        let mut index = TenantIndex::default();
        let mut names: Vec<u32> = (0..self.names.len() as u32).collect();
        names.sort_unstable_by(|&a, &b| {
            let text = |n: u32| &self.names[n as usize].text;
            text(a).cmp(text(b))
        });
        let name_ranks = inverse(&names);
        let mut pairs: Vec<u32> = (0..self.pairs.len() as u32).collect();
        pairs.sort_unstable_by(|&a, &b| {
            let name = |p: u32| name_ranks[self.pairs[p as usize].name as usize];
            (name(a), self.value(a)).cmp(&(name(b), self.value(b)))
        });
        let pair_ranks = inverse(&pairs);
        self.write_strings(&pairs, &mut index, &mut write)?;
        let lists = pairs
            .iter()
            .map(|&p| std::mem::take(&mut self.pairs[p as usize].having));
        let names_lists = names
            .iter()
            .map(|&n| std::mem::take(&mut self.names[n as usize].having));
        write_postings(lists.chain(names_lists), &mut index, &mut write)?;
        let mut first = 0;
        for &number in &names {
            let text = std::mem::take(&mut self.names[number as usize].text);
            let rank = name_ranks[number as usize];
            let of_name = |p: &u32| name_ranks[self.pairs[*p as usize].name as usize] <= rank;
            let end = pairs.partition_point(of_name) as u32;
            index.names.push(Name {
                text,
                first,
                values: end - first,
            });
            first = end;
        }
        self.write_sets(&name_ranks, &pair_ranks, &mut index, &mut write)?;
        Ok(index.put())
    }

    fn write_strings(
        &self,
        pairs: &[u32],
        index: &mut TenantIndex,
        write: &mut impl FnMut(&[u8]) -> Result<Place, BlockError>,
    ) -> Result<(), BlockError> {
        let (mut packer, mut first) = (StringPacker::default(), 0);
        let mut finish = |packer: &mut StringPacker, first: u32| {
            let Some(body) = packer.finish() else {
                return Ok(());
            };
            let entry = StringEntry {
                first,
                value: self.value(pairs[first as usize]).into(),
                place: write(&body)?,
            };
            index.strings.push(entry);
            Ok::<_, BlockError>(())
        };
        for (rank, &pair) in pairs.iter().enumerate() {
            let value = self.value(pair);
            if packer.is_full(value.len()) {
                finish(&mut packer, first)?;
                first = rank as u32;
            }
            packer.add(value);
        }
        finish(&mut packer, first)
    }

    fn write_sets(
        &self,
        name_ranks: &[u32],
        pair_ranks: &[u32],
        index: &mut TenantIndex,
        write: &mut impl FnMut(&[u8]) -> Result<Place, BlockError>,
    ) -> Result<(), BlockError> {
        let mut packer = SetPacker::new(self.names.len());
        let mut sets = Reader::new(&self.sets);
        let mut labels = Vec::new();
        for _ in 0..self.series {
            labels.clear();
            // What `add` wrote reads back.
            for _ in 0..sets.uv().unwrap_or_default() {
                let pair = sets.uv32().unwrap_or_default();
                let name = name_ranks[self.pairs[pair as usize].name as usize];
                let first = index.names[name as usize].first;
                labels.push((name, pair_ranks[pair as usize] - first));
            }
            packer.add(labels.iter().copied());
            if packer.is_full() {
                index
                    .sets
                    .extend(packer.finish().map(|body| write(&body)).transpose()?);
            }
        }
        index
            .sets
            .extend(packer.finish().map(|body| write(&body)).transpose()?);
        debug_assert_eq!(
            index.sets.len(),
            (self.series as usize).div_ceil(SETS_OF_PAGE)
        );
        Ok(())
    }
}

fn write_postings(
    lists: impl Iterator<Item = PostingsWriter>,
    index: &mut TenantIndex,
    write: &mut impl FnMut(&[u8]) -> Result<Place, BlockError>,
) -> Result<(), BlockError> {
    let (mut packer, mut first) = (PostingsPacker::default(), 0);
    let mut add = |page: Option<(Vec<u8>, u32)>| {
        if let Some((body, lists)) = page {
            let place = write(&body)?;
            index.postings.push(PostingsEntry { first, place });
            first += lists;
        }
        Ok::<_, BlockError>(())
    };
    for list in lists {
        add(packer.add(list))?;
    }
    add(packer.finish())
}

fn text<'a>(pairs: &[Pair], texts: &'a str, pair: u32) -> &'a str {
    let pair = pair as usize;
    let from = pair.checked_sub(1).map_or(0, |before| pairs[before].end);
    &texts[from..pairs[pair].end]
}

/// Where each number is in a list that has all once.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut ranks = vec![0; order.len()];
    for (rank, &number) in order.iter().enumerate() {
        ranks[number as usize] = rank as u32;
    }
    ranks
}
