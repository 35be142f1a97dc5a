//! Every label name and value once, as a number.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Text is kept in pages that never move: nothing is copied when there is more of it.
const PAGE_BYTES: usize = 64 * 1024;

/// An entry of a table of numbers: what it is filed under, and the number. Half a hash is kept
/// so that growing a table, and most misses, need not look at what the number stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    hash: u32,
    pub(crate) id: u32,
}

impl Slot {
    pub(crate) fn new(hash: u64, id: u32) -> Self {
        Self {
            hash: hash as u32,
            id,
        }
    }

    /// The hash as tables use it: 32 bits spread over 64.
    pub(crate) fn spread(hash: u64) -> u64 {
        u64::from(hash as u32).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// As much of the hash as is kept.
    pub(crate) fn filed_under(&self) -> u64 {
        self.hash.into()
    }

    /// Whether this was filed under `hash`.
    #[inline]
    pub(crate) fn is(&self, hash: u64) -> bool {
        self.hash == hash as u32
    }

    /// Files `id` under `hash`.
    pub(crate) fn insert(table: &mut HashTable<Self>, hash: u64, id: u32) {
        let slot = Self::new(hash, id);
        table.insert_unique(Self::spread(hash), slot, |s| Self::spread(s.hash.into()));
    }
}

/// The symbols of a shard, numbered from 0 in order of appearance.
#[derive(Debug)]
pub(crate) struct Symbols {
    seed: u64,
    pages: Vec<String>,
    /// Page, and where in it the symbol lies.
    places: Vec<(u32, u32, u32)>,
    table: HashTable<Slot>,
    /// Numbers that stand for nothing: their record was lost.
    lost: Vec<u32>,
    bytes: u64,
}

impl Symbols {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            pages: Vec::new(),
            places: Vec::new(),
            table: HashTable::new(),
            lost: Vec::new(),
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> u64 {
        let tables = self.places.capacity() * 12 + self.table.allocation_size();
        self.bytes + tables as u64
    }

    pub(crate) fn hash(&self, text: &str) -> u64 {
        xxh3_64_with_seed(text.as_bytes(), self.seed)
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> &str {
        let (page, start, end) = self.places[id as usize];
        &self.pages[page as usize][start as usize..end as usize]
    }

    /// How many numbers stand for nothing.
    pub(crate) fn lost(&self) -> u32 {
        self.lost.len() as u32
    }

    /// Whether the number stands for a text.
    pub(crate) fn is_known(&self, id: u32) -> bool {
        id < self.len() && (self.lost.is_empty() || self.lost.binary_search(&id).is_err())
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.find_hashed(self.hash(text), text)
    }

    fn find_hashed(&self, hash: u64, text: &str) -> Option<u32> {
        let found = self
            .table
            .find(Slot::spread(hash), |s| s.is(hash) && self.get(s.id) == text);
        found.map(|s| s.id)
    }

    /// The symbol's number; it gets the next one if it is new.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hash(text);
        match self.find_hashed(hash, text) {
            Some(id) => id,
            None => self.push(hash, text),
        }
    }

    /// Gives `text` the next number, whether or not it has one.
    pub(crate) fn push_logged(&mut self, text: &str) {
        self.push(self.hash(text), text);
    }

    /// Skips numbers up to `id`: what they stood for is lost.
    pub(crate) fn lose_until(&mut self, id: u32) {
        while self.len() < id {
            self.lost.push(self.len());
            self.places.push((0, 0, 0));
            if self.pages.is_empty() {
                self.pages.push(String::new());
            }
        }
    }

    fn push(&mut self, hash: u64, text: &str) -> u32 {
        let room = self.pages.last().map_or(0, |p| p.capacity() - p.len());
        if text.len() > room {
            let capacity = PAGE_BYTES.max(text.len());
            self.pages.push(String::with_capacity(capacity));
            self.bytes += capacity as u64;
        }
        let page = self.pages.len().saturating_sub(1);
        if self.pages.is_empty() {
            self.pages.push(String::new());
        }
        let start = self.pages[page].len() as u32;
        self.pages[page].push_str(text);
        let id = self.len();
        self.places
            .push((page as u32, start, start + text.len() as u32));
        Slot::insert(&mut self.table, hash, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_numbers() {
        let mut symbols = Symbols::new(7);
        let long = "x".repeat(PAGE_BYTES + 1);
        for (id, text) in ["", "a", &long, "b"].into_iter().enumerate() {
            assert_eq!(symbols.intern(text), id as u32);
        }
        symbols.lose_until(9);
        assert_eq!(symbols.intern("c"), 9);
        for (id, text) in [(0, ""), (1, "a"), (2, long.as_str()), (3, "b"), (9, "c")] {
            assert_eq!((symbols.find(text), symbols.get(id)), (Some(id), text));
            assert!(symbols.is_known(id));
        }
        assert!(!symbols.is_known(5) && !symbols.is_known(10));
    }
}
