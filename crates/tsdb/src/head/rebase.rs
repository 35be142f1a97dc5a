//! Removing series that have ended, by giving those that go on new numbers.
//!
//! A head only ever adds series. When many have no sample above the floor any more, a new index of
//! the others is built beside the old one, without holding the writer up; then, between two
//! commits, the writer takes it over. The list of who stays goes into the log, so that a replay
//! does the same at the same place. References to series that were given out before are translated
//! for as long as there is no further renumbering, then refused.

use std::sync::atomic::Ordering;

use ferula_storage::SeriesRef;
use parking_lot::RwLockReadGuard;

use super::index::Index;
use super::order::Order;
use super::series::{Freed, Kind, Series};
use super::{Data, Head, HeadWriter, PAGE_SERIES};
use crate::log::frame::FrameBuf;
use crate::log::record;
use crate::log::{Dictionary, Log, LogError};

/// Fewer dead series are not worth the work.
const DEAD_MIN: u64 = 1_000;

/// A part of one in so many must be dead.
const DEAD_ONE_IN: u64 = 5;

/// So many series are looked at under one lock.
const SLICE_SERIES: u32 = 512;

/// A reference has its series' number below, and above it this many bits of the generation.
const GENERATION_BITS: u32 = 20;
const SID_BITS: u32 = 32;

/// A new index, of the series that had samples when it was begun.
#[derive(Debug)]
pub struct Rebase {
    /// The numbers that these series have until then, in order of their new ones.
    ids: Vec<u32>,
    index: Index,
}

/// What a renumbering left over: memory that takes a while to be given back, so best not by the
/// writer's thread.
#[derive(Debug)]
pub struct Retired {
    _index: Index,
    _pages: Vec<Vec<Series>>,
    _freed: Freed,
}

impl Head {
    /// Whether so many series have ended that giving their memory back is worth the work. Looks
    /// at all of them if it may be: to be asked after a truncation.
    pub fn is_rebase_due(&self) -> bool {
        let is_due = |dead: u64, all: u32| dead > DEAD_MIN && dead * DEAD_ONE_IN > all.into();
        let mut data = self.data.read();
        let all = data.len;
        if !is_due(u64::from(all) - data.live, all) {
            return false;
        }
        // Some of those without samples may still have a bound.
        let mut dead = 0;
        for sid in 0..all {
            dead += u64::from(!data.is_needed(sid));
            if sid % SLICE_SERIES == 0 {
                RwLockReadGuard::bump(&mut data);
            }
        }
        is_due(dead, all)
    }

    /// Builds the index of the series that have samples; the writer is held up for moments only.
    /// To be handed to [`HeadWriter::rebase`].
    pub fn prepare_rebase(&self) -> Rebase {
        let len = {
            let mut data = self.data.write();
            data.born = Some(Vec::new());
            data.len
        };
        let mut rebase = {
            let index = self.index.read();
            Rebase {
                ids: Vec::new(),
                index: index.successor(),
            }
        };
        let mut labels = Vec::new();
        for from in (0..len).step_by(SLICE_SERIES as usize) {
            let index = self.index.read();
            let data = self.data.read();
            let slice = from..len.min(from + SLICE_SERIES);
            let live = slice.filter(|&sid| data.is_needed(sid) && index.is_known(sid));
            labels.extend(live.map(|sid| (sid, index.pairs_of(sid).0, index.labels(sid))));
            drop((data, index));
            for (sid, tenant, labels) in labels.drain(..) {
                let hash = rebase.index.hash(tenant, &labels);
                rebase.index.create(tenant, hash, &labels);
                rebase.ids.push(sid);
            }
        }
        rebase
    }
}

impl HeadWriter {
    /// Takes a prepared index over, with the series that got their first sample meanwhile. To be
    /// called between two commits; durable with the next one. `None` if this is not the moment:
    /// samples are staged, the head is being scanned, or it was renumbered since.
    pub fn rebase(
        &mut self,
        mut rebase: Rebase,
        log: &mut Log,
    ) -> Result<Option<Retired>, LogError> {
        let head = self.head.clone();
        let Some(_renumbering) = head.renumbering.try_write() else {
            return Ok(None);
        };
        {
            let index = head.index.read();
            let current = index.generation.wrapping_add(1) == rebase.index.generation;
            let Some(born) = head.data.write().born.take() else {
                return Ok(None);
            };
            if !current || !self.is_empty() {
                return Ok(None);
            }
            rebase.add(&index, born);
        }
        let mut frame = FrameBuf::default();
        record::put_generation(frame.body(), rebase.index.generation.wrapping_sub(1));
        record::put_rebase(frame.body(), &rebase.index, &rebase.ids);
        log.define(&mut frame)?;
        let ids: Vec<Option<u32>> = rebase.ids.iter().map(|&sid| Some(sid)).collect();
        Ok(Some(self.renumber(&ids, rebase.index)))
    }

    /// Swaps the index for one in which series `i` is what was series `ids[i]`, or one that was
    /// lost. Everything in it is in the log.
    pub(super) fn renumber(&mut self, ids: &[Option<u32>], new: Index) -> Retired {
        let head = self.head.clone();
        let mut freed = Freed::default();
        let mut index = head.index.write();
        let mut data = head.data.write();
        let pages = data.renumber(ids, &mut freed);
        *head.order.lock() = Order::default();
        let old = std::mem::replace(&mut *index, new);
        self.previous = Renumbering::new(old.generation, ids);
        self.logged = Dictionary::of(&index);
        self.lost_until = 0;
        self.tail_of.truncate(ids.len());
        self.tail_of.shrink_to_fit();
        let bytes = data.bytes + index.bytes() + self.bytes();
        head.bytes.store(bytes, Ordering::Relaxed);
        Retired {
            _index: old,
            _pages: pages,
            _freed: freed,
        }
    }

    /// The number that a reference stands for; and whether it is an old one.
    pub(super) fn number_of(&self, reference: SeriesRef, index: &Index) -> Option<(u32, bool)> {
        let sid = reference.0 as u32;
        let generation = reference.0 >> SID_BITS;
        if generation == low_bits(index.generation) {
            return (sid < index.len()).then_some((sid, false));
        }
        let previous = &self.previous;
        let is_previous = index.generation > 0 && generation == low_bits(previous.generation);
        let sid = previous.translate(sid).filter(|_| is_previous)?;
        Some((sid, true))
    }
}

/// The reference to a series.
pub(super) fn reference(sid: u32, generation: u32) -> SeriesRef {
    SeriesRef(u64::from(sid) | low_bits(generation) << SID_BITS)
}

fn low_bits(generation: u32) -> u64 {
    u64::from(generation & ((1 << GENERATION_BITS) - 1))
}

impl Rebase {
    /// Adds series that got their first sample since it was begun.
    fn add(&mut self, old: &Index, mut born: Vec<u32>) {
        self.index.follow_tenants(old);
        born.sort_unstable();
        born.dedup();
        let begun = self.ids.len();
        for sid in born {
            if self.ids[..begun].binary_search(&sid).is_ok() || !old.is_known(sid) {
                continue;
            }
            let (tenant, labels) = (old.pairs_of(sid).0, old.labels(sid));
            let hash = self.index.hash(tenant, &labels);
            self.index.create(tenant, hash, &labels);
            self.ids.push(sid);
        }
    }
}

impl Data {
    /// Whether a series has samples, or a bound for what may come.
    fn is_needed(&self, sid: u32) -> bool {
        self.series(sid).is_some_and(|s| s.kind() != Kind::None) || self.late(sid).is_some()
    }

    /// Makes what was series `ids[i]` series `i`. Whoever is not in the list is given up.
    fn renumber(&mut self, ids: &[Option<u32>], freed: &mut Freed) -> Vec<Vec<Series>> {
        let mut pages: Vec<Vec<Series>> = Vec::with_capacity(ids.len().div_ceil(PAGE_SERIES));
        for ids in ids.chunks(PAGE_SERIES) {
            let mut page = Vec::with_capacity(PAGE_SERIES);
            page.extend(ids.iter().map(|id| match id {
                Some(sid) if *sid < self.len => {
                    std::mem::replace(self.series_mut(*sid), Series::new())
                }
                _ => Series::new(),
            }));
            pages.push(page);
        }
        for series in self.pages.iter_mut().flatten() {
            series.truncate(i64::MAX, freed);
        }
        self.renumber_late(ids, freed);
        self.give_back(freed);
        let before = std::mem::replace(&mut self.len, ids.len() as u32);
        let each = size_of::<Series>() as u64;
        self.bytes = self.bytes.wrapping_sub(u64::from(before) * each);
        self.bytes = self.bytes.wrapping_add(u64::from(self.len) * each);
        self.born = None;
        std::mem::replace(&mut self.pages, pages)
    }
}

/// From the numbers of one generation to those of the next.
#[derive(Debug, Default)]
pub(super) struct Renumbering {
    generation: u32,
    /// Neighbours that stayed neighbours: first old number, first new one, how many.
    runs: Vec<(u32, u32, u32)>,
}

impl Renumbering {
    fn new(generation: u32, ids: &[Option<u32>]) -> Self {
        let mut runs: Vec<(u32, u32, u32)> = Vec::new();
        for (new, old) in ids.iter().enumerate() {
            let (new, Some(old)) = (new as u32, *old) else {
                continue;
            };
            match runs.last_mut() {
                Some((first, at, len)) if *first + *len == old && *at + *len == new => *len += 1,
                _ => runs.push((old, new, 1)),
            }
        }
        runs.sort_unstable();
        runs.shrink_to_fit();
        Self { generation, runs }
    }

    fn translate(&self, old: u32) -> Option<u32> {
        let after = self.runs.partition_point(|(first, ..)| *first <= old);
        let (first, new, len) = *self.runs.get(after.checked_sub(1)?)?;
        (old - first < len).then(|| new + (old - first))
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.runs.capacity() * 12) as u64
    }
}

#[cfg(test)]
mod tests;
