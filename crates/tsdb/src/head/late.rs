//! Samples that came out of order: older than their series' newest, within the window.
//!
//! They are few, or should be, and come in any order, which chunks cannot take. So they are kept
//! beside the chunks, sorted by time; readers get them merged in. A series has one sample at a
//! time, here or in its chunks. What lies below the floor goes when chunks do, into the same
//! block.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferula_model::{Histogram, Range, Timestamp, Value};
use ferula_storage::{Columns, HistogramPoint};

use super::sealed::ARC_BYTES;
use super::series::Freed;
use super::{Data, Head, HeadWriter};
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};
use crate::chunk::histogram;

/// What a series with late samples takes beside them: the entry of the table and the columns.
const SERIES_BYTES: u64 = 16 + ARC_BYTES + size_of::<LateSeries>() as u64;

/// What a late float takes, with the room behind it; and a histogram without its buckets.
const FLOAT_BYTES: u64 = 24;
const HISTOGRAM_BYTES: u64 = 256;

/// The late samples of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct LateSeries {
    timestamps: Vec<Timestamp>,
    values: Vec<u64>,
    histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// The late samples of all series, by number.
pub(crate) type Late = HashMap<u32, Arc<LateSeries>>;

impl Head {
    /// How far behind the newest sample a series may still get samples older than its own newest,
    /// in milliseconds; 0 for not at all. What is held stays.
    pub fn set_late_window(&self, ms: i64) {
        self.late_window.store(ms.max(0), Ordering::Relaxed);
    }

    /// The window, if there is one.
    pub(super) fn late_window(&self) -> Option<i64> {
        Some(self.late_window.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }
}

impl HeadWriter {
    /// Takes no late samples below `end` from here on, so that a block can be cut up to there. To
    /// be called between two commits, before the head is scanned.
    pub fn begin_cut(&mut self, end: Timestamp) {
        self.late_bound = self.late_bound.max(end);
    }
}

impl LateSeries {
    fn len(&self) -> u64 {
        (self.timestamps.len() + self.histograms.len()) as u64
    }

    fn bytes(&self) -> u64 {
        let histograms = self.histograms.len() as u64 * HISTOGRAM_BYTES;
        SERIES_BYTES + self.timestamps.len() as u64 * FLOAT_BYTES + histograms
    }

    /// The value at a time.
    pub(super) fn get(&self, timestamp: Timestamp) -> Option<Value> {
        if let Ok(at) = self.timestamps.binary_search(&timestamp) {
            return Some(Value::Float(f64::from_bits(self.values[at])));
        }
        let at = self.histograms.binary_search_by_key(&timestamp, |h| h.0);
        Some(Value::Histogram(self.histograms[at.ok()?].1.clone()))
    }

    /// Adds a sample, unless there is one at its time.
    fn insert(&mut self, timestamp: Timestamp, value: &Value) -> bool {
        if self.get(timestamp).is_some() {
            return false;
        }
        match value {
            Value::Float(value) => {
                let at = self.timestamps.partition_point(|t| *t < timestamp);
                self.timestamps.insert(at, timestamp);
                self.values.insert(at, value.to_bits());
            }
            Value::Histogram(histogram) => {
                let at = self.histograms.partition_point(|h| h.0 < timestamp);
                self.histograms.insert(at, (timestamp, histogram.clone()));
            }
        }
        true
    }

    /// Takes the samples out of which `gone` holds.
    fn remove(&mut self, gone: impl Fn(Timestamp) -> bool) {
        let kept = |t: &Timestamp| !gone(*t);
        let pairs = self.timestamps.iter().zip(&self.values);
        let rest: Vec<_> = pairs.filter(|(t, _)| kept(t)).collect();
        (self.timestamps, self.values) = rest.into_iter().unzip();
        self.histograms.retain(|(t, _)| kept(t));
    }

    /// Oldest and newest timestamp.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let floats = self.timestamps.first().zip(self.timestamps.last());
        let histograms = self.histograms.first().zip(self.histograms.last());
        let floats = floats.map(|(first, last)| (*first, *last));
        match (floats, histograms.map(|(first, last)| (first.0, last.0))) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        }
    }

    /// Whether a sample lies in `range`.
    pub(super) fn overlaps(&self, range: Range) -> bool {
        let float = self.timestamps.partition_point(|t| *t < range.start);
        let histogram = self.histograms.partition_point(|h| h.0 < range.start);
        let float = self.timestamps.get(float).copied();
        let histogram = self.histograms.get(histogram).map(|h| h.0);
        [float, histogram]
            .into_iter()
            .flatten()
            .any(|t| t < range.end)
    }

    /// Puts the samples of `range` between those of a series that stand in `columns` from these
    /// places on.
    pub(super) fn merge(&self, range: Range, from: (usize, usize), columns: &mut Columns) {
        let inside = |t: Timestamp| range.contains(t);
        let values = self.values.iter().map(|bits| f64::from_bits(*bits));
        let late = self.timestamps.iter().copied().zip(values);
        let late: Vec<_> = late.filter(|(t, _)| inside(*t)).collect();
        if !late.is_empty() {
            let values = columns.values.drain(from.0..);
            let held = columns.timestamps.drain(from.0..).zip(values);
            let all = merged(held.collect(), late, |(t, _)| *t);
            let (timestamps, values): (Vec<_>, Vec<_>) = all.into_iter().unzip();
            columns.timestamps.extend(timestamps);
            columns.values.extend(values);
        }
        let late = self.histograms.iter().filter(|(t, _)| inside(*t));
        let late: Vec<_> = late.map(|(t, h)| point(*t, h)).collect();
        if !late.is_empty() {
            let held = columns.histograms.drain(from.1..).collect();
            columns
                .histograms
                .extend(merged(held, late, |h| h.timestamp));
        }
    }

    /// Appends the samples of a checkpoint that are not below `floor`.
    pub(crate) fn put_image(&self, sid: u32, floor: Timestamp, out: &mut Vec<u8>) {
        put_uv(out, sid.into());
        let from = self.timestamps.partition_point(|t| *t < floor);
        put_uv(out, (self.timestamps.len() - from) as u64);
        let mut before = 0;
        for (timestamp, value) in self.timestamps.iter().zip(&self.values).skip(from) {
            put_zz(out, timestamp.wrapping_sub(before));
            out.extend_from_slice(&value.to_le_bytes());
            before = *timestamp;
        }
        let from = self.histograms.partition_point(|h| h.0 < floor);
        put_uv(out, (self.histograms.len() - from) as u64);
        let mut before = 0;
        for (timestamp, value) in &self.histograms[from..] {
            put_zz(out, timestamp.wrapping_sub(before));
            histogram::encode(out, None, value);
            before = *timestamp;
        }
    }

    /// Takes what [`Self::put_image`] put: the series' number and its samples.
    pub(crate) fn take_image(
        r: &mut Reader<'_>,
    ) -> Result<(u32, Vec<(Timestamp, Value)>), Damaged> {
        let sid = r.uv32()?;
        let mut samples = Vec::new();
        let mut timestamp = 0i64;
        for _ in 0..r.uv()? {
            timestamp = timestamp.wrapping_add(r.zz()?);
            samples.push((timestamp, Value::Float(r.f64()?)));
        }
        timestamp = 0;
        for _ in 0..r.uv()? {
            timestamp = timestamp.wrapping_add(r.zz()?);
            let value = Arc::new(histogram::decode(r, None)?);
            samples.push((timestamp, Value::Histogram(value)));
        }
        Ok((sid, samples))
    }
}

fn point(timestamp: Timestamp, histogram: &Arc<Histogram>) -> HistogramPoint {
    HistogramPoint {
        timestamp,
        start_timestamp: 0,
        histogram: histogram.clone(),
    }
}

/// Merges two lists that are in order of time.
fn merged<T>(left: Vec<T>, right: Vec<T>, time: impl Fn(&T) -> Timestamp) -> Vec<T> {
    let mut all = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if time(a) <= time(b) {
            left.next()
        } else {
            right.next()
        };
        all.extend(next);
    }
    all.extend(left.chain(right));
    all
}

impl Data {
    /// Adds a late sample; `false` if there is one at its time.
    pub(crate) fn insert_late(&mut self, sid: u32, timestamp: Timestamp, value: &Value) -> bool {
        let entry = self.late.entry(sid);
        let is_first = matches!(entry, std::collections::hash_map::Entry::Vacant(_));
        let series = entry.or_default();
        let before = if is_first { 0 } else { series.bytes() };
        // A reader may hold it as it was.
        if !Arc::make_mut(series).insert(timestamp, value) {
            return false;
        }
        self.bytes = self.bytes.wrapping_add(series.bytes() - before);
        self.samples += 1;
        if is_first && let Some(born) = &mut self.born {
            born.push(sid);
        }
        self.widen(timestamp, timestamp);
        true
    }

    /// Whether a series' chunks have a sample at a time.
    pub(super) fn has_in_order(&self, sid: u32, timestamp: Timestamp) -> bool {
        let mut columns = Columns::default();
        let series = self.series(sid);
        let decoded = series.map(|series| series.decode_around(timestamp, &mut columns));
        let histogram = |h: &HistogramPoint| h.timestamp == timestamp;
        decoded.is_some_and(|decoded| decoded.is_ok())
            && (columns.timestamps.contains(&timestamp) || columns.histograms.iter().any(histogram))
    }

    /// The late samples of a series, of which some are not below the floor.
    #[inline]
    pub(super) fn late(&self, sid: u32) -> Option<&Arc<LateSeries>> {
        if self.late.is_empty() {
            return None;
        }
        let late = self.late.get(&sid)?;
        let (_, newest) = late.span()?;
        (newest >= self.floor).then_some(late)
    }

    /// Takes late samples of some series out, those of which `gone` holds; returns how many.
    pub(super) fn remove_late(
        &mut self,
        sids: &[u32],
        gone: impl Fn(Timestamp) -> bool,
        freed: &mut Freed,
    ) -> u64 {
        let before = freed.samples;
        for sid in sids {
            let Some(late) = self.late.get_mut(sid) else {
                continue;
            };
            let (samples, bytes) = (late.len(), late.bytes());
            Arc::make_mut(late).remove(&gone);
            freed.samples += samples - late.len();
            if late.len() == 0 {
                self.late.remove(sid);
                freed.bytes += bytes;
            } else {
                freed.bytes += bytes - late.bytes();
            }
        }
        freed.samples - before
    }

    /// Gives late samples the new numbers of their series.
    pub(super) fn renumber_late(&mut self, ids: &[Option<u32>], freed: &mut Freed) {
        if self.late.is_empty() {
            return;
        }
        let mut old = std::mem::take(&mut self.late);
        for (new, id) in (0u32..).zip(ids) {
            if let Some(late) = id.and_then(|id| old.remove(&id)) {
                self.late.insert(new, late);
            }
        }
        for late in old.values() {
            freed.samples += late.len();
            freed.bytes += late.bytes();
        }
    }
}

#[cfg(test)]
mod tests;
