//! Pages of blocks in memory, ready for use. Bounded in bytes, shared by all blocks.
//!
//! Divided into parts with a lock each. A hit takes the lock, finds the page in a table and takes
//! a reference. Which page leaves is decided as a clock does: a hand goes round, passes over what
//! was used since it came by last, and takes the first page that was not.
//!
//! Threads of one query ask for the same page at the same time, since it holds neighbours. One of
//! them loads it, the others wait.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::BlockError;

/// A power of two.
const PARTS: usize = 16;

/// What a page takes beside its own bytes: slot, table, allocation.
const PAGE_OVERHEAD: usize = 96;

/// What kind of page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Samples,
    Times,
    TimesDirectory,
    Groups,
    Tenant,
    Strings,
    Postings,
    Series,
    Identities,
}

/// Which page: of which block, and which of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageKey {
    /// As [`BlockCache::number`] gave it.
    pub(super) block: u32,
    pub(super) kind: Kind,
    /// Kinds that every tenant has pages of use the byte the page begins at.
    pub(super) index: u64,
}

impl PageKey {
    #[inline]
    fn hash(self) -> u64 {
        let place = u64::from(self.block) << 8 | self.kind as u64;
        let mixed = u128::from(place ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(self.index ^ 0xd6e8_feb8_6659_fd93);
        (mixed as u64 ^ (mixed >> 64) as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

/// What can be cached.
pub(super) trait Page: Any + Send + Sync {
    /// Bytes on the heap.
    fn heap(&self) -> usize;
}

/// Pages of blocks that were used last. All blocks that are read should share one.
pub struct BlockCache {
    parts: Vec<Mutex<Part>>,
    blocks: AtomicU32,
}

/// What a cache holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes held.
    pub bytes: u64,
    /// Bytes that may be held.
    pub bytes_max: u64,
    /// Pages held.
    pub pages: u64,
    /// How often a page was there.
    pub hits: u64,
    /// How often a page was not, and was read.
    pub misses: u64,
}

/// Where a page is put once it is loaded.
type Turn = Arc<Mutex<Option<Arc<dyn Any + Send + Sync>>>>;

/// What to do for a page.
enum Next {
    Load(Turn),
    /// Another one has loaded it meanwhile.
    Ready(Arc<dyn Any + Send + Sync>),
}

struct Part {
    /// Pages that are being loaded.
    loading: Vec<(PageKey, Turn)>,
    table: HashTable<u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    bytes_max: usize,
    hits: u64,
    misses: u64,
}

struct Slot {
    key: PageKey,
    page: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: bool,
}

impl BlockCache {
    /// A cache of at most so many bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX) / PARTS;
        Arc::new(Self {
            parts: (0..PARTS)
                .map(|_| Mutex::new(Part::new(bytes_max)))
                .collect(),
            blocks: AtomicU32::new(0),
        })
    }

    /// What it holds and did so far.
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        for part in &self.parts {
            let part = part.lock();
            stats.bytes += part.bytes as u64;
            stats.bytes_max += part.bytes_max as u64;
            stats.pages += part.table.len() as u64;
            stats.hits += part.hits;
            stats.misses += part.misses;
        }
        stats
    }

    /// A number for a block that is opened; never given twice.
    pub(super) fn number(&self) -> u32 {
        self.blocks.fetch_add(1, Ordering::Relaxed)
    }

    /// The page, from memory or as `load` makes it.
    #[inline]
    pub(super) fn get<T: Page>(
        &self,
        key: PageKey,
        load: impl FnOnce() -> Result<T, BlockError>,
    ) -> Result<Arc<T>, BlockError> {
        let hash = key.hash();
        let part = &self.parts[(hash >> 60) as usize % PARTS];
        if let Some(page) = part.lock().find(hash, key)
            && let Ok(page) = page.downcast::<T>()
        {
            return Ok(page);
        }
        Self::load(part, hash, key, load)
    }

    #[cold]
    fn load<T: Page>(
        part: &Mutex<Part>,
        hash: u64,
        key: PageKey,
        load: impl FnOnce() -> Result<T, BlockError>,
    ) -> Result<Arc<T>, BlockError> {
        let turn = part.lock().turn(hash, key);
        let turn = match turn {
            Next::Load(turn) => turn,
            Next::Ready(page) => match page.downcast::<T>() {
                Ok(page) => return Ok(page),
                Err(_) => Turn::default(),
            },
        };
        // Held while loading; whoever comes behind finds the page here.
        let mut slot = turn.lock();
        if let Some(page) = slot.clone()
            && let Ok(page) = page.downcast::<T>()
        {
            return Ok(page);
        }
        let loaded = load().map(Arc::new);
        let mut part = part.lock();
        part.loading.retain(|(_, other)| !Arc::ptr_eq(other, &turn));
        let page = loaded?;
        let bytes = page.heap() + size_of::<T>() + PAGE_OVERHEAD;
        part.insert(hash, key, page.clone(), bytes);
        *slot = Some(page.clone());
        Ok(page)
    }
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlockCache").field(&self.stats()).finish()
    }
}

impl Part {
    fn new(bytes_max: usize) -> Self {
        Self {
            loading: Vec::new(),
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            bytes_max,
            hits: 0,
            misses: 0,
        }
    }

    #[inline]
    fn find(&mut self, hash: u64, key: PageKey) -> Option<Arc<dyn Any + Send + Sync>> {
        let slots = &mut self.slots;
        let same = |&i: &u32| slots[i as usize].as_ref().is_some_and(|s| s.key == key);
        let Some(&i) = self.table.find(hash, same) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        let slot = slots[i as usize].as_mut()?;
        slot.used = true;
        Some(slot.page.clone())
    }

    /// Whose turn it is to load a page: that of the first who locks what is returned.
    fn turn(&mut self, hash: u64, key: PageKey) -> Next {
        let slots = &self.slots;
        let found = |&i: &u32| slots[i as usize].as_ref().is_some_and(|s| s.key == key);
        let found = self.table.find(hash, found).map(|&i| i as usize);
        if let Some(slot) = found.and_then(|i| slots[i].as_ref()) {
            return Next::Ready(slot.page.clone());
        }
        let known = self.loading.iter().find(|(other, _)| *other == key);
        Next::Load(match known {
            Some((_, turn)) => turn.clone(),
            None => {
                let turn = Turn::default();
                self.loading.push((key, turn.clone()));
                turn
            }
        })
    }

    fn insert(&mut self, hash: u64, key: PageKey, page: Arc<dyn Any + Send + Sync>, bytes: usize) {
        let slots = &self.slots;
        let same = |&i: &u32| slots[i as usize].as_ref().is_some_and(|s| s.key == key);
        // Larger pages than this are used once and forgotten.
        if bytes > self.bytes_max || self.table.find(hash, same).is_some() {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            self.evict();
        }
        let slot = Slot {
            key,
            page,
            bytes,
            used: false,
        };
        let i = match self.free.pop() {
            Some(i) => i,
            None => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
        };
        self.slots[i as usize] = Some(slot);
        self.bytes += bytes;
        let slots = &self.slots;
        let rehash = |&i: &u32| slots[i as usize].as_ref().map_or(0, |s| s.key.hash());
        self.table.insert_unique(hash, i, rehash);
    }

    /// Lets one page go. There is one: bytes are held by pages alone.
    fn evict(&mut self) {
        loop {
            self.hand = (self.hand + 1) % self.slots.len();
            let i = self.hand as u32;
            let place = &mut self.slots[self.hand];
            match place {
                Some(slot) if slot.used => slot.used = false,
                Some(slot) => {
                    let (hash, bytes) = (slot.key.hash(), slot.bytes);
                    *place = None;
                    if let Ok(entry) = self.table.find_entry(hash, |&other| other == i) {
                        entry.remove();
                    }
                    self.bytes -= bytes;
                    self.free.push(i);
                    return;
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Page for Vec<u8> {
        fn heap(&self) -> usize {
            self.capacity()
        }
    }

    fn key(index: u64) -> PageKey {
        PageKey {
            block: 0,
            kind: Kind::Samples,
            index,
        }
    }

    #[test]
    fn what_is_used_stays_and_bytes_are_bounded() {
        let cache = BlockCache::new(PARTS as u64 * 10_000);
        let get = |index: u64| {
            cache
                .get(key(index), || Ok(vec![index as u8; 1000]))
                .unwrap()
        };
        for index in 0..2_000 {
            assert_eq!(*get(index), vec![index as u8; 1000]);
            get(7);
        }
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (2_000, 2_000));
        assert!(
            stats.bytes <= stats.bytes_max && stats.pages > 100,
            "{stats:?}"
        );
    }

    #[test]
    fn a_page_is_loaded_once() {
        let cache = BlockCache::new(1 << 20);
        let loads = AtomicU32::new(0);
        let both = std::sync::Barrier::new(2);
        for index in 0..200 {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        both.wait();
                        let load = || {
                            loads.fetch_add(1, Ordering::Relaxed);
                            match index % 2 {
                                0 => Ok(vec![7u8; 10]),
                                _ => Err(BlockError::Refused("a test")),
                            }
                        };
                        assert_eq!(cache.get(key(index), load).is_ok(), index % 2 == 0);
                    });
                }
            });
        }
        // A page that cannot be loaded is tried by each.
        assert_eq!(loads.into_inner(), 100 + 200);
        assert!(
            cache
                .parts
                .iter()
                .all(|part| part.lock().loading.is_empty())
        );
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let cache = BlockCache::new(PARTS as u64 * 1_000);
        for _ in 0..2 {
            cache.get(key(1), || Ok(vec![0u8; 2_000])).unwrap();
        }
        assert_eq!((cache.stats().hits, cache.stats().pages), (0, 0));
        let failed = cache.get::<Vec<u8>>(key(2), || Err(BlockError::Refused("a test")));
        assert!(failed.is_err());
    }
}
