//! The head: a shard's newest samples, in memory.
//!
//! One writer, many readers. Labels and samples have a lock each, always taken in this order:
//! series are created under the first, a commit becomes visible under the second, all at once.
//! Readers hold them only to look labels up and to take references to chunks.

mod delete;
mod image;
mod judge;
pub(crate) mod late;
mod order;
mod postings;
mod read;
mod rebase;
mod replay;
mod scan;
mod sealed;
mod select;
pub(crate) mod series;
mod snapshot;
pub(crate) mod stage;
mod stats;
mod symbols;
mod truncate;

pub(crate) mod index;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ferula_model::{Range, Timestamp};
use parking_lot::{Mutex, RwLock};

use index::Index;
use late::Late;
use order::Order;
use series::{Freed, Growth, Series};

pub use delete::ToDelete;
pub(crate) use image::Totals;
pub use judge::{Bounds, Verdict, judge, min_valid};
pub use rebase::{Rebase, Retired};
pub use replay::ReplayedRecords;
pub use stage::HeadWriter;
pub use stats::{Cardinality, HeadStats};

/// Series are kept in pages that never move: 4,096 × 64 B.
pub(crate) const PAGE_SERIES: usize = 4_096;

/// Samples are written in groups of this size, whose series' memory is asked for together:
/// about as many reads as a core keeps in flight.
const WARM_ROWS: usize = 16;

/// The setting that bounds a head's memory, as error messages name it.
const BYTES_MAX_SETTING: &str = "--storage.head-bytes-max";

/// How a head is to be.
#[derive(Clone, Debug)]
pub struct HeadSettings {
    /// Beyond this many bytes, appends are refused.
    pub bytes_max: u64,
    /// Seeds the hash tables; nobody who sends labels may know it.
    pub hash_seed: u64,
}

/// A shard's newest samples. Readers share it; [`HeadWriter`] is the one that changes it.
#[derive(Debug)]
pub struct Head {
    settings: HeadSettings,
    pub(crate) index: RwLock<Index>,
    pub(crate) data: RwLock<Data>,
    order: Mutex<Order>,
    /// Held for reading by whoever keeps series' numbers from one lock to the next.
    pub(crate) renumbering: RwLock<()>,
    /// Bytes held, as of the last commit.
    bytes: AtomicU64,
    /// How far behind the newest sample late ones are taken, in milliseconds.
    late_window: AtomicI64,
}

/// The samples: what a commit changes.
#[derive(Debug)]
pub(crate) struct Data {
    pages: Vec<Vec<Series>>,
    /// Series from here on are not published.
    len: u32,
    /// Samples that came out of order.
    pub(crate) late: Late,
    /// How many series have samples.
    live: u64,
    bytes: u64,
    chunks: u64,
    samples: u64,
    /// Oldest and newest timestamp, if there is a sample.
    span: Option<(Timestamp, Timestamp)>,
    /// Samples below are in blocks: those still here are not shown, and none are taken.
    floor: Timestamp,
    /// Whether samples may be held that all lie below the floor.
    untruncated: bool,
    /// Series that got their first sample since a renumbering was begun.
    born: Option<Vec<u32>>,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
            late: Late::new(),
            live: 0,
            bytes: 0,
            chunks: 0,
            samples: 0,
            span: None,
            floor: Timestamp::MIN,
            untruncated: false,
            born: None,
        }
    }
}

impl Head {
    /// An empty head, and the only writer it will have.
    pub fn new(settings: HeadSettings) -> (Arc<Self>, HeadWriter) {
        let head = Arc::new(Self {
            index: RwLock::new(Index::new(settings.hash_seed)),
            data: RwLock::new(Data::default()),
            order: Mutex::default(),
            renumbering: RwLock::default(),
            bytes: AtomicU64::new(0),
            late_window: AtomicI64::new(0),
            settings,
        });
        (head.clone(), HeadWriter::new(head))
    }

    /// Bytes of memory held.
    pub fn bytes_used(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How far behind the newest sample one may be, in milliseconds.
    pub fn behind_ms(&self) -> i64 {
        judge::BEHIND_MS_MAX
    }

    /// Bytes that may be held.
    pub fn bytes_max(&self) -> u64 {
        self.settings.bytes_max
    }
}

impl Data {
    #[inline]
    pub(crate) fn series(&self, sid: u32) -> Option<&Series> {
        (sid < self.len)
            .then(|| &self.pages[sid as usize / PAGE_SERIES][sid as usize % PAGE_SERIES])
    }

    #[inline]
    fn series_mut(&mut self, sid: u32) -> &mut Series {
        &mut self.pages[sid as usize / PAGE_SERIES][sid as usize % PAGE_SERIES]
    }

    /// Asks for the memory of some series ahead of writing to them: the reads overlap, where
    /// each write would wait for its own.
    fn warm(&self, sids: impl Iterator<Item = u32>) {
        let touched = sids.filter_map(|sid| Some(self.series(sid)?.touch()));
        std::hint::black_box(touched.fold(0, usize::wrapping_add));
    }

    /// Publishes all series up to `len`.
    fn extend_to(&mut self, len: u32) {
        while self.len < len {
            if self.pages.last().is_none_or(|p| p.len() == PAGE_SERIES) {
                // The first page grows, so that a small head stays small.
                let capacity = if self.pages.is_empty() {
                    0
                } else {
                    PAGE_SERIES
                };
                self.pages.push(Vec::with_capacity(capacity));
            }
            let page = self.pages.len() - 1;
            self.pages[page].push(Series::new());
            self.bytes += size_of::<Series>() as u64;
            self.len += 1;
        }
    }

    /// Takes series that were loaded; there are none yet.
    pub(crate) fn fill(&mut self, pages: Vec<Vec<Series>>, totals: &Totals) {
        self.len = pages.iter().map(|page| page.len() as u32).sum();
        self.pages = pages;
        self.live = totals.series;
        self.bytes = totals.bytes + u64::from(self.len) * size_of::<Series>() as u64;
        self.chunks = totals.chunks;
        self.samples = totals.samples;
        let above = |(oldest, newest): (Timestamp, Timestamp)| (oldest.max(self.floor), newest);
        self.span = totals.span.map(above);
    }

    #[inline]
    fn note(&mut self, sid: u32, growth: Growth) {
        self.bytes = self.bytes.wrapping_add(growth.bytes);
        self.chunks += growth.chunks;
        self.samples += 1;
        if growth.series > 0 {
            self.live += growth.series;
            if let Some(born) = &mut self.born {
                born.push(sid);
            }
        }
    }

    /// Takes what series gave back off the accounts.
    fn give_back(&mut self, freed: &Freed) {
        self.bytes = self.bytes.wrapping_sub(freed.bytes);
        self.chunks -= freed.chunks;
        self.samples -= freed.samples;
        self.live -= freed.series;
    }

    /// Whether a series has samples at or above the floor.
    fn is_live(&self, sid: u32) -> bool {
        let newest = self.series(sid).and_then(Series::newest_held);
        newest.is_some_and(|newest| newest >= self.floor) || self.late(sid).is_some()
    }

    /// Whether a series may have samples in `range`, which is above the floor. Cheap, and wrong
    /// only towards yes.
    fn may_overlap(&self, sid: u32, range: Range) -> bool {
        self.series(sid).is_some_and(|s| s.may_overlap(range))
            || self.late(sid).is_some_and(|late| late.overlaps(range))
    }

    /// Whether a series has chunks, or late samples, in `range`.
    fn overlaps(&self, sid: u32, range: Range) -> bool {
        self.series(sid).is_some_and(|s| s.overlaps(range))
            || self.late(sid).is_some_and(|late| late.overlaps(range))
    }

    /// Whether all published series are known to.
    fn all_are_live(&self) -> bool {
        self.live == u64::from(self.len) && !self.untruncated
    }

    /// The part of `range` that is not below the floor, if there is one.
    fn above_floor(&self, range: Range) -> Option<Range> {
        let start = range.start.max(self.floor);
        Some(Range { start, ..range }).filter(|range| !range.is_empty())
    }

    fn widen(&mut self, oldest: Timestamp, newest: Timestamp) {
        self.span = Some(match self.span {
            Some((min, max)) => (min.min(oldest), max.max(newest)),
            None => (oldest, newest),
        });
    }

    fn newest(&self) -> Option<Timestamp> {
        self.span.map(|(_, newest)| newest)
    }
}
