//! One series' samples: an open chunk, and finished ones behind it.

use std::sync::Arc;

use ferula_model::{Histogram, Range, Timestamp, Value};
use ferula_storage::Columns;

use super::sealed::{Sealed, chain, cut, decode_chunk, decode_sealed, first_timestamp};
use super::snapshot::Snapshot;
use crate::Damaged;
use crate::bytes::put_zz;
use crate::chunk::bits::BitTail;
use crate::chunk::column::Scratch;
use crate::chunk::xor::{self, HEADER_BITS, XorTail};
use crate::chunk::{self, histogram};

/// A chunk is finished at this many samples, as Prometheus's are.
pub(super) const CHUNK_SAMPLES_MAX: u8 = 120;

/// A chunk of histograms is finished at this many bytes, if it has a few samples by then.
const HISTOGRAM_CHUNK_BYTES: u32 = 1_024;
const HISTOGRAM_CHUNK_SAMPLES_MIN: u8 = 10;

/// What the samples of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No sample yet.
    None,
    /// Floats.
    Float,
    /// Native histograms.
    Histogram,
    /// The newest sample has been deleted. Its time still bounds what may come, and there is no
    /// open chunk.
    Deleted,
}

/// What a series changed in the head's accounts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Growth {
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    /// 1 if the series had no sample before.
    pub(crate) series: u64,
}

/// What a series gave back.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    pub(crate) samples: u64,
    /// Series that have no sample any more.
    pub(crate) series: u64,
    /// The memory itself, to be dropped when no lock is held.
    chains: Vec<Arc<Sealed>>,
    boxes: Vec<Box<[u8]>>,
}

/// A series as the head keeps it: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Series {
    pub(super) newest: Timestamp,
    pub(super) delta: i64,
    pub(super) value: u64,
    /// The open chunk, and room behind it. Whoever reads gets a copy.
    pub(super) open: Option<Box<[u8]>>,
    pub(super) sealed: Option<Arc<Sealed>>,
    pub(super) histogram: Option<Arc<Histogram>>,
    /// How many bits of `open` are taken.
    pub(super) bits: u32,
    pub(super) count: u8,
    pub(super) kind: Kind,
    pub(super) leading: u8,
    pub(super) trailing: u8,
}

impl Series {
    pub(crate) fn new() -> Self {
        let empty = XorTail::empty();
        Self {
            newest: 0,
            delta: 0,
            value: 0,
            open: None,
            sealed: None,
            histogram: None,
            bits: HEADER_BITS,
            count: 0,
            kind: Kind::None,
            leading: empty.leading,
            trailing: empty.trailing,
        }
    }

    /// What the newest sample is.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The timestamp of the newest sample there ever was: what comes must be newer.
    #[inline]
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        (self.kind != Kind::None).then_some(self.newest)
    }

    /// The timestamp of the newest sample there is.
    #[inline]
    pub(crate) fn newest_held(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Deleted => self.sealed.as_ref().map(|chunk| chunk.max),
            _ => self.newest(),
        }
    }

    /// Whether there is a sample.
    pub(crate) fn has_samples(&self) -> bool {
        self.open.is_some() || self.sealed.is_some()
    }

    /// Adds a float that has been judged. `scratch` is only for its memory.
    #[inline]
    pub(crate) fn push_float(
        &mut self,
        timestamp: Timestamp,
        value: u64,
        scratch: &mut Scratch,
    ) -> Growth {
        debug_assert!(self.newest().is_none_or(|newest| newest < timestamp));
        let mut growth = Growth::default();
        if self.kind != Kind::Float || self.count == CHUNK_SAMPLES_MAX {
            self.seal(Kind::Float, scratch, &mut growth);
        }
        let mut tail = XorTail {
            count: self.count,
            timestamp: self.newest,
            delta: self.delta,
            value: self.value,
            leading: self.leading,
            trailing: self.trailing,
        };
        let (at, used) = ((self.bits >> 3) as usize, self.bits & 7);
        let last = match &self.open {
            Some(open) if used > 0 => open[at],
            _ => 0,
        };
        let mut out = BitTail::after(last, used);
        tail.push(&mut out, timestamp, value);
        let (bytes, taken) = out.finish();
        write_open(&mut self.open, at, bytes, &mut growth);
        self.bits += taken - used;
        self.newest = tail.timestamp;
        self.delta = tail.delta;
        self.value = tail.value;
        (self.leading, self.trailing) = (tail.leading, tail.trailing);
        self.count = tail.count;
        growth
    }

    /// Adds a histogram that has been judged. `scratch` is only for its memory.
    pub(crate) fn push_histogram(
        &mut self,
        timestamp: Timestamp,
        value: &Arc<Histogram>,
        scratch: &mut Scratch,
    ) -> Growth {
        debug_assert!(self.newest().is_none_or(|newest| newest < timestamp));
        let mut growth = Growth::default();
        let full = self.count == CHUNK_SAMPLES_MAX
            || self.bits / 8 >= HISTOGRAM_CHUNK_BYTES && self.count >= HISTOGRAM_CHUNK_SAMPLES_MIN;
        if self.kind != Kind::Histogram || full {
            self.seal(Kind::Histogram, scratch, &mut growth);
        }
        let scratch = &mut scratch.bytes;
        scratch.clear();
        let before = if self.count == 0 { 0 } else { self.newest };
        put_zz(scratch, timestamp.wrapping_sub(before));
        let previous = self.histogram.as_deref().filter(|_| self.count > 0);
        histogram::encode(scratch, previous, value);
        write_open(
            &mut self.open,
            (self.bits / 8) as usize,
            scratch,
            &mut growth,
        );
        self.bits += scratch.len() as u32 * 8;
        self.newest = timestamp;
        self.histogram = Some(value.clone());
        self.count += 1;
        growth
    }

    /// Reads what a push is going to write to.
    #[inline]
    pub(crate) fn touch(&self) -> usize {
        let at = (self.bits >> 3) as usize;
        let end = self.open.as_ref().and_then(|open| open.get(at));
        end.copied().unwrap_or_default().into()
    }

    /// Finishes the open chunk, if it has samples, and starts one of `kind`.
    #[cold]
    #[inline(never)]
    pub(super) fn seal(&mut self, kind: Kind, scratch: &mut Scratch, growth: &mut Growth) {
        growth.series = (!self.has_samples()).into();
        if let Some(open) = self.open.take() {
            let used = &open[..self.bits.div_ceil(8) as usize];
            finish_chunk(self.kind, used, self.count, scratch);
            let sealed = Sealed {
                min: first_timestamp(self.kind, used),
                max: self.newest,
                bytes: Box::from(scratch.bytes.as_slice()),
                older: self.sealed.take(),
            };
            growth.bytes = growth
                .bytes
                .wrapping_add(sealed.held())
                .wrapping_sub(open.len() as u64);
            self.sealed = Some(Arc::new(sealed));
        }
        growth.chunks += 1;
        let empty = XorTail::empty();
        (self.leading, self.trailing) = (empty.leading, empty.trailing);
        self.bits = HEADER_BITS;
        self.count = 0;
        self.kind = kind;
        if kind != Kind::Histogram {
            self.histogram = None;
        }
    }

    /// The samples as they are, for reading without a lock. What is open is copied to `open`.
    pub(crate) fn snapshot(&self, open: &mut Vec<u8>) -> Snapshot {
        let from = open.len();
        open.extend_from_slice(self.open_bytes());
        self.snapshot_at(from..open.len())
    }

    /// The same for a reader who looks at `range` alone.
    pub(crate) fn snapshot_of(&self, range: Range, open: &mut Vec<u8>) -> Snapshot {
        match self.open_first() {
            Some(first) if first < range.end => self.snapshot(open),
            _ => self.snapshot_at(0..0),
        }
    }

    fn snapshot_at(&self, open: std::ops::Range<usize>) -> Snapshot {
        Snapshot {
            sealed: self.sealed.clone(),
            open,
            newest: self.newest,
            value: self.value,
            count: self.count,
            kind: self.kind,
        }
    }

    /// The bytes of the open chunk that are in use.
    pub(super) fn open_bytes(&self) -> &[u8] {
        let used = self.bits.div_ceil(8) as usize;
        self.open.as_ref().map_or(&[], |open| &open[..used])
    }

    /// Whether samples may lie in `range`. Cheap, and wrong only towards yes.
    pub(crate) fn may_overlap(&self, range: Range) -> bool {
        self.newest_held()
            .is_some_and(|newest| newest >= range.start)
            && (self.sealed.is_some() || self.open_first().is_none_or(|first| first < range.end))
    }

    /// Whether chunks reach into `range`: as sure as can be told without decoding.
    pub(crate) fn overlaps(&self, range: Range) -> bool {
        let in_open = self.newest().is_some_and(|newest| newest >= range.start)
            && self.open_first().is_some_and(|first| first < range.end);
        in_open || chain(self.sealed.as_deref()).any(|chunk| chunk.overlaps(range))
    }

    /// Gives back the chunks that end below `floor`; a series that ends there, everything.
    pub(crate) fn truncate(&mut self, floor: Timestamp, freed: &mut Freed) {
        let had_samples = self.has_samples();
        let is_dead = self.newest().is_some_and(|newest| newest < floor);
        let chain_cut = if is_dead {
            self.sealed.take()
        } else {
            cut(&mut self.sealed, floor)
        };
        if let Some(newest) = chain_cut {
            for chunk in chain(Some(&newest)) {
                freed.bytes += chunk.held();
                freed.chunks += 1;
                freed.samples += chunk.samples();
            }
            freed.chains.push(newest);
        }
        if is_dead {
            let dead = std::mem::replace(self, Self::new());
            freed.samples += u64::from(dead.count);
            if let Some(open) = dead.open {
                freed.chunks += 1;
                freed.bytes += open.len() as u64;
                freed.boxes.push(open);
            }
        }
        freed.series += u64::from(had_samples && !self.has_samples());
    }

    fn open_first(&self) -> Option<Timestamp> {
        Some(first_timestamp(self.kind, self.open.as_ref()?))
    }

    /// Decodes the chunk that could hold a sample at `timestamp`; returns its span.
    pub(crate) fn decode_around(
        &self,
        timestamp: Timestamp,
        columns: &mut Columns,
    ) -> Result<Option<Range>, Damaged> {
        if let Some(first) = self.open_first().filter(|first| *first <= timestamp) {
            decode_chunk(self.kind, self.count.into(), self.open_bytes(), columns)?;
            return Ok(Some(Range::closed(first, self.newest)));
        }
        let mut reached = chain(self.sealed.as_deref()).take_while(|chunk| chunk.max >= timestamp);
        let Some(chunk) = reached.find(|chunk| chunk.min <= timestamp) else {
            return Ok(None);
        };
        decode_sealed(&chunk.bytes, columns)?;
        Ok(Some(Range::closed(chunk.min, chunk.max)))
    }

    /// The newest sample's value.
    pub(crate) fn newest_value(&self) -> Option<Value> {
        match (self.kind, &self.histogram) {
            (Kind::Float, _) => Some(Value::Float(f64::from_bits(self.value))),
            (Kind::Histogram, Some(h)) => Some(Value::Histogram(h.clone())),
            _ => None,
        }
    }
}

/// Writes what a finished chunk is to hold to `scratch`: floats as columns, unless their bits
/// are smaller as they are.
fn finish_chunk(kind: Kind, open: &[u8], count: u8, scratch: &mut Scratch) {
    scratch.bytes.clear();
    if kind == Kind::Float {
        scratch.timestamps.clear();
        scratch.values.clear();
        let (timestamps, values) = (&mut scratch.timestamps, &mut scratch.values);
        let whole = xor::decode(open, count.into(), timestamps, values);
        scratch.bytes.push(chunk::COLUMNS);
        if whole.is_ok() && scratch.encode(open.len()) {
            return;
        }
        scratch.bytes.clear();
    }
    scratch.bytes.push(match kind {
        Kind::Histogram => chunk::HISTOGRAMS,
        _ => chunk::XOR,
    });
    scratch
        .bytes
        .extend_from_slice(&u16::from(count).to_be_bytes());
    scratch.bytes.extend_from_slice(&open[2..]);
}

/// Writes `bytes` at offset `at` of an open chunk, where it ends.
#[inline]
fn write_open(open: &mut Option<Box<[u8]>>, at: usize, bytes: &[u8], growth: &mut Growth) {
    let place = open
        .as_mut()
        .and_then(|open| open.get_mut(at..at + bytes.len()));
    match place {
        Some(place) => place.copy_from_slice(bytes),
        None => grow_open(open, at, bytes, growth),
    }
}

/// The same when there is no room.
#[cold]
#[inline(never)]
fn grow_open(open: &mut Option<Box<[u8]>>, at: usize, bytes: &[u8], growth: &mut Growth) {
    let mut chunk = open.take().map_or_else(Vec::new, <[u8]>::into_vec);
    let (before, end) = (chunk.len(), at + bytes.len());
    let capacity = open_capacity(end);
    chunk.reserve_exact(capacity - before);
    chunk.resize(capacity, 0);
    chunk[at..end].copy_from_slice(bytes);
    // A chunk sealed just before may have given back more than it kept: the sum wraps.
    growth.bytes = growth.bytes.wrapping_add((capacity - before) as u64);
    *open = Some(chunk.into_boxed_slice());
}

/// Room for `len` bytes and about a tenth more, such that it fills a size class of the usual
/// allocators: four classes per doubling.
pub(super) fn open_capacity(len: usize) -> usize {
    let wanted = (len + len / 8).max(32);
    let step = (wanted.next_power_of_two() / 8).max(16);
    wanted.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::snapshot::{Moment, Source};
    use ferula_storage::SeriesSource;

    #[test]
    fn a_series_is_one_cache_line() {
        assert_eq!(size_of::<Series>(), 64);
        assert_eq!(size_of::<Sealed>(), 40);
    }

    fn source(series: &Series) -> Source {
        above(series, Timestamp::MIN)
    }

    fn above(series: &Series, floor: Timestamp) -> Source {
        let mut open = vec![9; 5];
        let snapshot = series.snapshot(&mut open);
        Source {
            snapshot,
            late: None,
            moment: Arc::new(Moment { open, floor }),
        }
    }

    fn samples(source: &Source, range: Range) -> Vec<(i64, f64)> {
        let mut columns = Columns::default();
        source.decode(range, &mut columns).unwrap();
        columns.timestamps.into_iter().zip(columns.values).collect()
    }

    #[test]
    fn a_snapshot_stays_what_it_was() {
        let mut series = Series::new();
        let mut expected = Vec::new();
        let mut snapshots = Vec::new();
        for i in 0..1_000i64 {
            let (t, v) = (i * 15_000, (i % 7) as f64 * 0.1);
            series.push_float(t, v.to_bits(), &mut Scratch::default());
            expected.push((t, v));
            if i % 3 == 0 {
                snapshots.push((source(&series), expected.len()));
            }
        }
        for (snapshot, len) in snapshots {
            assert_eq!(samples(&snapshot, Range::ALL), expected[..len]);
            assert_eq!(snapshot.newest(), expected[..len].last().copied());
        }
    }

    #[test]
    fn the_newest_sample_is_told_if_it_is_a_float() {
        let mut series = Series::new();
        assert_eq!(source(&series).newest(), None);
        series.push_float(1, 2.5f64.to_bits(), &mut Scratch::default());
        assert_eq!(source(&series).newest(), Some((1, 2.5)));
        series.push_histogram(2, &Arc::new(Histogram::stale()), &mut Scratch::default());
        assert_eq!(source(&series).newest(), None);
    }

    #[test]
    fn a_range_leaves_chunks_out() {
        let mut series = Series::new();
        for t in 0..500 {
            series.push_float(t, 0, &mut Scratch::default());
        }
        let got = samples(
            &source(&series),
            Range {
                start: 130,
                end: 140,
            },
        );
        assert_eq!(got.first().map(|s| s.0), Some(120));
        assert_eq!(got.last().map(|s| s.0), Some(239));
        assert!(!series.may_overlap(Range {
            start: 500,
            end: 600
        }));
    }

    #[test]
    fn a_stack_is_not_needed_to_drop_many_chunks() {
        let mut series = Series::new();
        for t in 0..120 * 100_000 {
            series.push_float(t, 0, &mut Scratch::default());
        }
    }

    #[test]
    fn growth_is_what_is_held() {
        growth_of(|t| (t as f64).sqrt());
        // Chunks of every length, so that some are sealed with much room to spare.
        for distinct in 1..120 {
            growth_of(|t| (t % distinct).wrapping_mul(0x0123_4567_89ab_cdef) as f64);
        }
    }

    /// Pushes 1,000 floats and compares what each push reports with what is held in the end.
    fn growth_of(value: impl Fn(i64) -> f64) {
        let mut series = Series::new();
        let mut held = Growth::default();
        for t in 0..1_000i64 {
            let growth = series.push_float(t * t, value(t).to_bits(), &mut Scratch::default());
            held.bytes = held.bytes.wrapping_add(growth.bytes);
            held.chunks += growth.chunks;
            held.series += growth.series;
        }
        assert_eq!(held.series, 1);
        let open = series.open.as_ref().map_or(0, |o| o.len() as u64);
        let sealed: u64 = chain(series.sealed.as_deref()).map(Sealed::held).sum();
        assert_eq!((held.bytes, held.chunks), (open + sealed, 9));
        let mut freed = Freed::default();
        series.truncate(Timestamp::MAX, &mut freed);
        assert_eq!((freed.bytes, freed.chunks), (held.bytes, held.chunks));
        assert_eq!((freed.samples, freed.series), (1_000, 1));
    }

    #[test]
    fn truncation_frees_what_lies_below_and_leaves_readers_alone() {
        for held_by_reader in [false, true] {
            let mut series = Series::new();
            let mut scratch = Scratch::default();
            let value = |t: i64| (t % 7) as f64;
            for t in 0..500 {
                series.push_float(t, value(t).to_bits(), &mut scratch);
            }
            let before = held_by_reader.then(|| source(&series));
            let mut freed = Freed::default();
            series.truncate(250, &mut freed);
            // Chunks end at 119, 239, 359, 479.
            assert_eq!((freed.chunks, freed.samples, freed.series), (2, 240, 0));
            let all = |from: i64| (from..500).map(|t| (t, value(t))).collect::<Vec<_>>();
            assert_eq!(samples(&source(&series), Range::ALL), all(240));
            assert_eq!(samples(&above(&series, 250), Range::ALL), all(250));
            assert_eq!(samples(&above(&series, 485), Range::ALL), all(485));
            if let Some(before) = before {
                assert_eq!(samples(&before, Range::ALL), all(0));
            }
            let range = |start, end| Range { start, end };
            assert!(!series.overlaps(range(0, 240)) && series.overlaps(range(0, 241)));
            assert!(series.overlaps(range(499, 500)) && !series.overlaps(range(500, 600)));
            series.truncate(500, &mut freed);
            assert_eq!((freed.chunks, freed.samples, freed.series), (5, 500, 1));
            assert_eq!(series.newest(), None);
        }
    }
}
