//! One series' samples: an open chunk, and finished ones behind it.

use std::sync::Arc;

use ferula_model::{Histogram, Range, Timestamp, Value};
use ferula_storage::{Columns, HistogramPoint, SelectError, SeriesSource};

use crate::Damaged;
use crate::bytes::{Reader, put_zz};
use crate::chunk::bits::BitTail;
use crate::chunk::column::{self, Scratch};
use crate::chunk::xor::{self, HEADER_BITS, XorTail};
use crate::chunk::{self, histogram};

/// A chunk is finished at this many samples, as Prometheus's are.
const CHUNK_SAMPLES_MAX: u8 = 120;

/// A chunk of histograms is finished at this many bytes, if it has a few samples by then.
const HISTOGRAM_CHUNK_BYTES: u32 = 1_024;
const HISTOGRAM_CHUNK_SAMPLES_MIN: u8 = 10;

/// What a heap allocation behind an `Arc` costs beside its content.
const ARC_BYTES: u64 = 16;

/// What the samples of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No sample yet.
    None,
    /// Floats.
    Float,
    /// Native histograms.
    Histogram,
}

/// A finished chunk, and through it all older ones. Never changed.
#[derive(Debug)]
pub(crate) struct Sealed {
    min: Timestamp,
    max: Timestamp,
    /// The first one says how it is written.
    bytes: Box<[u8]>,
    older: Option<Arc<Sealed>>,
}

impl Drop for Sealed {
    /// One at a time: a chain of thousands dropped by recursion would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.older.take();
        while let Some(mut chunk) = next.and_then(Arc::into_inner) {
            next = chunk.older.take();
        }
    }
}

/// What a series changed in the head's accounts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Growth {
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
}

/// A series as the head keeps it: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Series {
    newest: Timestamp,
    delta: i64,
    value: u64,
    /// The open chunk, and room behind it. Whoever reads gets a copy.
    open: Option<Box<[u8]>>,
    sealed: Option<Arc<Sealed>>,
    histogram: Option<Arc<Histogram>>,
    /// How many bits of `open` are taken.
    bits: u32,
    count: u8,
    kind: Kind,
    leading: u8,
    trailing: u8,
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

    /// The newest sample's timestamp.
    #[inline]
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        (self.kind != Kind::None).then_some(self.newest)
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
    fn seal(&mut self, kind: Kind, scratch: &mut Scratch, growth: &mut Growth) {
        if let Some(open) = self.open.take() {
            let used = &open[..self.bits.div_ceil(8) as usize];
            finish_chunk(self.kind, used, self.count, scratch);
            let bytes = Box::<[u8]>::from(scratch.bytes.as_slice());
            let held = bytes.len() as u64 + ARC_BYTES + size_of::<Sealed>() as u64;
            growth.bytes = growth
                .bytes
                .wrapping_add(held)
                .wrapping_sub(open.len() as u64);
            self.sealed = Some(Arc::new(Sealed {
                min: first_timestamp(self.kind, used),
                max: self.newest,
                bytes,
                older: self.sealed.take(),
            }));
        }
        growth.chunks += 1;
        let empty = XorTail::empty();
        (self.leading, self.trailing) = (empty.leading, empty.trailing);
        self.bits = HEADER_BITS;
        self.count = 0;
        self.kind = kind;
        if kind == Kind::Float {
            self.histogram = None;
        }
    }

    /// The samples as they are, for reading without a lock. What is open is copied to `open`.
    pub(crate) fn snapshot(&self, open: &mut Vec<u8>) -> Snapshot {
        let from = open.len();
        open.extend_from_slice(self.open_bytes());
        Snapshot {
            sealed: self.sealed.clone(),
            open: from..open.len(),
            newest: self.newest,
            value: self.value,
            count: self.count,
            kind: self.kind,
        }
    }

    /// The bytes of the open chunk that are in use.
    fn open_bytes(&self) -> &[u8] {
        let used = self.bits.div_ceil(8) as usize;
        self.open.as_ref().map_or(&[], |open| &open[..used])
    }

    /// Whether samples may lie in `range`. Cheap, and wrong only towards yes.
    pub(crate) fn may_overlap(&self, range: Range) -> bool {
        self.newest().is_some_and(|newest| newest >= range.start)
            && (self.sealed.is_some() || self.open_first().is_none_or(|first| first < range.end))
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
        let older = std::iter::successors(self.sealed.as_deref(), |chunk| chunk.older.as_deref());
        let mut reached = older.take_while(|chunk| chunk.max >= timestamp);
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

fn first_timestamp(kind: Kind, chunk: &[u8]) -> Timestamp {
    match kind {
        Kind::Histogram => Reader::new(&chunk[2..]).zz().unwrap_or_default(),
        _ => xor::first_timestamp(chunk),
    }
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
fn open_capacity(len: usize) -> usize {
    let wanted = (len + len / 8).max(32);
    let step = (wanted.next_power_of_two() / 8).max(16);
    wanted.next_multiple_of(step)
}

/// A series' samples at an instant; those of the open chunk are in a buffer beside it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    sealed: Option<Arc<Sealed>>,
    open: std::ops::Range<usize>,
    newest: Timestamp,
    /// The newest float's bits.
    value: u64,
    count: u8,
    kind: Kind,
}

/// A snapshot with its buffer, which all series of one selection share.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) snapshot: Snapshot,
    pub(crate) open: Arc<Vec<u8>>,
}

impl SeriesSource for Source {
    fn decode(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError> {
        self.snapshot
            .decode(range, &self.open, columns)
            .map_err(|e| SelectError::Corrupt {
                what: format!("in memory: {e}"),
            })
    }

    fn newest(&self) -> Option<(Timestamp, f64)> {
        let Snapshot { newest, value, .. } = self.snapshot;
        (self.snapshot.kind == Kind::Float).then(|| (newest, f64::from_bits(value)))
    }
}

impl Snapshot {
    fn decode(&self, range: Range, open: &[u8], columns: &mut Columns) -> Result<(), Damaged> {
        let mut chunks = Vec::new();
        let mut next = self.sealed.as_deref();
        let mut touched = 0;
        while let Some(chunk) = next.filter(|c| c.max >= range.start) {
            if chunk.min < range.end {
                // The memory of all chunks is asked for together, rather than of each in turn.
                touched ^= chunk
                    .bytes
                    .iter()
                    .step_by(64)
                    .fold(0, |all, byte| all ^ byte);
                chunks.push(chunk);
            }
            next = chunk.older.as_deref();
        }
        std::hint::black_box(touched);
        for chunk in chunks.into_iter().rev() {
            decode_sealed(&chunk.bytes, columns)?;
        }
        let open = &open[self.open.clone()];
        if !open.is_empty()
            && self.newest >= range.start
            && first_timestamp(self.kind, open) < range.end
        {
            decode_chunk(self.kind, self.count.into(), open, columns)?;
        }
        Ok(())
    }
}

fn decode_sealed(bytes: &[u8], columns: &mut Columns) -> Result<(), Damaged> {
    let (&codec, bytes) = bytes.split_first().ok_or(Damaged("a chunk is empty"))?;
    let count = || xor::count(bytes).into();
    match codec {
        chunk::COLUMNS => column::decode(bytes, &mut columns.timestamps, &mut columns.values),
        chunk::XOR => decode_chunk(Kind::Float, count(), bytes, columns),
        chunk::HISTOGRAMS => decode_chunk(Kind::Histogram, count(), bytes, columns),
        _ => Err(Damaged("a chunk is of no known form")),
    }
}

fn decode_chunk(
    kind: Kind,
    count: usize,
    bytes: &[u8],
    columns: &mut Columns,
) -> Result<(), Damaged> {
    match kind {
        Kind::None => Ok(()),
        Kind::Float => xor::decode(bytes, count, &mut columns.timestamps, &mut columns.values),
        Kind::Histogram => decode_histograms(bytes, count, &mut columns.histograms),
    }
}

fn decode_histograms(
    bytes: &[u8],
    count: usize,
    out: &mut Vec<HistogramPoint>,
) -> Result<(), Damaged> {
    let mut r = Reader::new(bytes.get(2..).unwrap_or_default());
    let mut timestamp = 0i64;
    let mut before: Option<Arc<Histogram>> = None;
    for _ in 0..count {
        timestamp = timestamp.wrapping_add(r.zz()?);
        let histogram = Arc::new(histogram::decode(&mut r, before.as_deref())?);
        before = Some(histogram.clone());
        out.push(HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_one_cache_line() {
        assert_eq!(size_of::<Series>(), 64);
        assert_eq!(size_of::<Sealed>(), 40);
    }

    fn source(series: &Series) -> Source {
        let mut open = vec![9; 5];
        let snapshot = series.snapshot(&mut open);
        Source {
            snapshot,
            open: Arc::new(open),
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
        }
        let mut expected = series.open.as_ref().map_or(0, |o| o.len() as u64);
        let mut next = series.sealed.as_deref();
        while let Some(chunk) = next {
            expected += chunk.bytes.len() as u64 + ARC_BYTES + size_of::<Sealed>() as u64;
            next = chunk.older.as_deref();
        }
        assert_eq!((held.bytes, held.chunks), (expected, 9));
    }
}
