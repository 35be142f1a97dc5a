//! From the bytes a target exposes a series as to the series, without reading them.
//!
//! Targets expose their series in the same order every time. So line *i* is first compared with
//! the entry after the last one found, then with the one after that, then looked up by hash.
//! Nothing of the text is kept but 96 bits of its hash. Two lines of a target with a million
//! series are taken for one with a probability of 10⁻¹⁷ or less, so that no entry is ever
//! verified by its labels, which would cost more than everything else here.

use std::collections::HashMap;

use ferula_storage::SeriesRef;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128;

/// Entries are put in the order of the body when more than one line in this many was not where
/// it was expected.
const MISPLACED_ONE_IN: usize = 8;

/// What is known about one line. 24 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The line's [`Identity`], in two fields so that no bytes are lost between.
    high: u64,
    low: u32,
    /// Flags above, and the last scrape whose body had the line below.
    flags_and_seen: u32,
    reference: u64,
}

const _: () = assert!(size_of::<Entry>() == 24);

/// The upper 96 bits of the hash of a line's text.
#[derive(Clone, Copy, Debug)]
struct Identity {
    high: u64,
    low: u32,
}

impl Identity {
    #[inline]
    fn of(raw: &[u8]) -> Self {
        let hash = xxh3_128(raw);
        Self {
            high: (hash >> 64) as u64,
            low: (hash >> 32) as u32,
        }
    }
}

/// Scrapes are counted in 28 bits: at one per second they repeat after eight years.
const SEEN_MASK: u32 = (1 << 28) - 1;
/// `reference` is good.
const KNOWN: u32 = 1 << 28;
/// Relabelling drops the series.
const DROPPED: u32 = 1 << 29;
/// The series was there in the last scrape stored, and gets a marker when it vanishes.
const TRACKED_BEFORE: u32 = 1 << 30;
/// The series is there in this scrape.
const TRACKED: u32 = 1 << 31;

impl Entry {
    #[inline]
    fn is(&self, identity: Identity) -> bool {
        self.high == identity.high && self.low == identity.low
    }

    fn has(&self, flag: u32) -> bool {
        self.flags_and_seen & flag != 0
    }

    fn seen(&self) -> u32 {
        self.flags_and_seen & SEEN_MASK
    }
}

/// What the cache knows about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The series; nothing else is needed.
    Known(SeriesRef),
    /// Relabelling drops it.
    Dropped,
    /// Its labels must be built: it is new, or the storage could not say which series it is.
    NeedsLabels {
        /// It was not there before.
        new: bool,
    },
}

/// One line of the body, found or just entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// The entry, good until the scrape ends.
    pub(crate) entry: u32,
    /// What is known.
    pub(crate) found: Found,
    /// The same text came earlier in this body.
    pub(crate) repeated: bool,
}

/// What one target exposed so far.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: Vec<Entry>,
    /// Positions in `entries` by hash.
    index: HashTable<u32>,
    /// The scrape in progress, counted from 1.
    scrape: u32,
    /// Where the next line is expected.
    cursor: usize,
    /// Entries that existed before this scrape.
    old_len: usize,
    /// Lines of this scrape that were not where they were expected.
    misplaced: usize,
    /// Different lines of this scrape.
    lines: usize,
    /// The entries in the order of this scrape's lines, recorded if the last scrape found many
    /// misplaced.
    order: Option<Vec<u32>>,
}

impl Cache {
    /// Starts a scrape.
    pub(crate) fn begin(&mut self) {
        // Never 0, which stands for no scrape.
        self.scrape = (self.scrape % SEEN_MASK) + 1;
        self.cursor = 0;
        self.old_len = self.entries.len();
        self.misplaced = 0;
        self.lines = 0;
    }

    /// How many lines are remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Finds a line by its text, or enters it.
    #[inline]
    pub(crate) fn line(&mut self, raw: &[u8]) -> Line {
        let identity = Identity::of(raw);
        let at = self.cursor;
        let position = match self.entries.get(at) {
            Some(e) if e.is(identity) => at,
            _ => self.find_elsewhere(identity),
        };
        self.cursor = position + 1;
        let entry = &mut self.entries[position];
        let repeated = entry.seen() == self.scrape;
        let new = position >= self.old_len;
        entry.flags_and_seen = entry.flags_and_seen & !SEEN_MASK | self.scrape;
        let found = if entry.has(KNOWN) {
            Found::Known(SeriesRef(entry.reference))
        } else if entry.has(DROPPED) {
            Found::Dropped
        } else {
            Found::NeedsLabels { new }
        };
        self.lines += usize::from(!repeated);
        if let Some(order) = &mut self.order
            && !repeated
        {
            order.push(position as u32);
        }
        Line {
            entry: position as u32,
            found,
            repeated,
        }
    }

    #[cold]
    fn find_elsewhere(&mut self, identity: Identity) -> usize {
        let entries = &self.entries;
        let next = self.cursor + 1;
        if entries.get(next).is_some_and(|e| e.is(identity)) {
            return next;
        }
        let same = |i: &u32| entries[*i as usize].is(identity);
        if let Some(position) = self.index.find(identity.high, same) {
            self.misplaced += 1;
            return *position as usize;
        }
        let position = entries.len();
        self.entries.push(Entry {
            high: identity.high,
            low: identity.low,
            flags_and_seen: 0,
            reference: 0,
        });
        let hash = |i: &u32| self.entries[*i as usize].high;
        self.index
            .insert_unique(identity.high, position as u32, hash);
        self.misplaced += usize::from(position != self.cursor);
        position
    }

    /// Notes that relabelling drops the line.
    pub(crate) fn set_dropped(&mut self, entry: u32) {
        let entry = &mut self.entries[entry as usize];
        entry.flags_and_seen = (entry.flags_and_seen & !(KNOWN | TRACKED)) | DROPPED;
    }

    /// Notes which series the line is.
    pub(crate) fn set_known(&mut self, entry: u32, reference: SeriesRef) {
        let entry = &mut self.entries[entry as usize];
        entry.reference = reference.0;
        entry.flags_and_seen = (entry.flags_and_seen & !DROPPED) | KNOWN;
    }

    /// Forgets which series the line is.
    pub(crate) fn set_unknown(&mut self, entry: u32) {
        self.entries[entry as usize].flags_and_seen &= !(KNOWN | DROPPED);
    }

    /// Takes over references that the storage has changed.
    pub(crate) fn rename(&mut self, renamed: &HashMap<SeriesRef, SeriesRef>) {
        for entry in self.entries.iter_mut().filter(|e| e.has(KNOWN)) {
            if let Some(new) = renamed.get(&SeriesRef(entry.reference)) {
                entry.reference = new.0;
            }
        }
    }

    /// Forgets all references, keeping what is tracked: the storage no longer knows them.
    pub(crate) fn set_all_unknown(&mut self) {
        for entry in &mut self.entries {
            entry.flags_and_seen &= !KNOWN;
        }
    }

    /// Has the line's series marked stale when the line vanishes.
    #[inline]
    pub(crate) fn track(&mut self, entry: u32) {
        self.entries[entry as usize].flags_and_seen |= TRACKED;
    }

    /// Series that were there in the last scrape stored and are not in this one.
    pub(crate) fn vanished(&self) -> impl Iterator<Item = SeriesRef> {
        let gone = |e: &&Entry| e.has(TRACKED_BEFORE) && !e.has(TRACKED) && e.has(KNOWN);
        self.entries
            .iter()
            .filter(gone)
            .map(|e| SeriesRef(e.reference))
    }

    /// Series that were there in the last scrape stored.
    pub(crate) fn tracked(&self) -> impl Iterator<Item = SeriesRef> {
        let there = |e: &&Entry| e.has(TRACKED_BEFORE) && e.has(KNOWN);
        self.entries
            .iter()
            .filter(there)
            .map(|e| SeriesRef(e.reference))
    }

    /// Ends a scrape that was stored: lines it did not have are forgotten.
    pub(crate) fn commit(&mut self) {
        for entry in &mut self.entries {
            let tracked = entry.flags_and_seen & TRACKED;
            entry.flags_and_seen &= !(TRACKED | TRACKED_BEFORE);
            entry.flags_and_seen |= tracked / TRACKED * TRACKED_BEFORE;
        }
        let shuffled = self.misplaced > self.lines / MISPLACED_ONE_IN;
        match self.order.take() {
            Some(order) if shuffled => {
                self.entries = order.iter().map(|i| self.entries[*i as usize]).collect();
                self.reindex();
            }
            _ => {
                if self.lines < self.entries.len() {
                    let scrape = self.scrape;
                    self.entries.retain(|e| e.seen() == scrape);
                    self.reindex();
                }
                if shuffled {
                    self.order = Some(Vec::with_capacity(self.entries.len()));
                }
            }
        }
        self.old_len = self.entries.len();
    }

    /// Ends a scrape that was not stored, as if it had not been.
    pub(crate) fn roll_back(&mut self) {
        for (i, entry) in self.entries.iter().enumerate().skip(self.old_len) {
            if let Ok(slot) = self.index.find_entry(entry.high, |p| *p as usize == i) {
                slot.remove();
            }
        }
        self.entries.truncate(self.old_len);
        for entry in &mut self.entries {
            entry.flags_and_seen &= !TRACKED;
        }
        if let Some(order) = &mut self.order {
            order.clear();
        }
    }

    /// Notes that all tracked series got their markers.
    pub(crate) fn untrack_all(&mut self) {
        for entry in &mut self.entries {
            entry.flags_and_seen &= !(TRACKED | TRACKED_BEFORE);
        }
    }

    fn reindex(&mut self) {
        self.entries.shrink_to(self.entries.len() * 2);
        self.index.clear();
        let entries = &self.entries;
        let hash = |i: &u32| entries[*i as usize].high;
        self.index.shrink_to(entries.len(), hash);
        self.index.reserve(entries.len(), hash);
        for (i, entry) in entries.iter().enumerate() {
            self.index.insert_unique(entry.high, i as u32, hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn text(id: u8) -> String {
        format!("metric_{id}{{label=\"value\"}}")
    }

    /// Scrapes `body`, giving new series their id as reference. Returns who vanished.
    fn scrape(cache: &mut Cache, body: &[u8], stored: bool) -> BTreeSet<u64> {
        cache.begin();
        for id in body {
            let raw = text(*id);
            let line = cache.line(raw.as_bytes());
            match line.found {
                Found::Known(SeriesRef(reference)) => assert_eq!(reference, u64::from(*id)),
                Found::Dropped => assert!(*id % 7 == 0),
                Found::NeedsLabels { .. } if *id % 7 == 0 => cache.set_dropped(line.entry),
                Found::NeedsLabels { .. } => {
                    if stored {
                        cache.set_known(line.entry, SeriesRef(u64::from(*id)));
                    }
                }
            }
            if *id % 7 != 0 {
                cache.track(line.entry);
            }
        }
        let vanished = cache.vanished().map(|r| r.0).collect();
        if stored {
            cache.commit()
        } else {
            cache.roll_back()
        }
        vanished
    }

    #[test]
    fn a_series_seen_needs_no_labels() {
        let mut cache = Cache::default();
        scrape(&mut cache, &[1, 2, 3], true);
        cache.begin();
        for (id, at) in [(1, 0), (3, 2), (2, 1)] {
            let line = cache.line(text(id).as_bytes());
            let found = Found::Known(SeriesRef(u64::from(id)));
            assert_eq!((line.entry, line.found, line.repeated), (at, found, false));
        }
        assert!(cache.line(text(2).as_bytes()).repeated);
        let line = cache.line(text(4).as_bytes());
        assert_eq!(line.found, Found::NeedsLabels { new: true });
    }

    #[test]
    fn a_new_order_is_learned() {
        let mut cache = Cache::default();
        let body: Vec<u8> = (1..=100).collect();
        scrape(&mut cache, &body, true);
        let reversed: Vec<u8> = body.iter().rev().copied().collect();
        for _ in 0..3 {
            scrape(&mut cache, &reversed, true);
        }
        assert_eq!(cache.misplaced, 0);
    }

    proptest! {
        #[test]
        fn as_a_map_of_texts_would(
            scrapes in proptest::collection::vec(
                (proptest::collection::vec(1u8..40, 0..60), proptest::bool::weighted(0.8)),
                1..90,
            ),
        ) {
            let mut cache = Cache::default();
            let mut before = BTreeSet::new();
            let mut lines = 0;
            for (body, stored) in &scrapes {
                let series: BTreeSet<u64> =
                    body.iter().filter(|id| *id % 7 != 0).map(|id| u64::from(*id)).collect();
                let vanished = scrape(&mut cache, body, *stored);
                prop_assert_eq!(vanished, &before - &series);
                if *stored {
                    before = series;
                    lines = body.iter().collect::<BTreeSet<_>>().len();
                }
                prop_assert_eq!(cache.len(), lines);
                prop_assert_eq!(cache.index.len(), lines);
                let tracked: BTreeSet<u64> = cache.tracked().map(|r| r.0).collect();
                prop_assert_eq!(&tracked, &before);
            }
        }
    }
}
