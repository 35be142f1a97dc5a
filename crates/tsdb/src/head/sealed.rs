//! Finished chunks: how a series keeps those behind its open one.

use std::sync::Arc;

use ferula_model::{Histogram, Range, Timestamp};
use ferula_storage::{Columns, HistogramPoint};

use super::series::Kind;
use crate::Damaged;
use crate::bytes::Reader;
use crate::chunk::{self, column, histogram, xor};

/// What a heap allocation behind an `Arc` costs beside its content.
pub(super) const ARC_BYTES: u64 = 16;

/// A finished chunk, and through it all older ones. Never changed while it is shared.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(super) min: Timestamp,
    pub(super) max: Timestamp,
    /// The first one says how it is written.
    pub(super) bytes: Box<[u8]>,
    pub(super) older: Option<Arc<Sealed>>,
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

impl Sealed {
    /// Bytes of memory held by this chunk alone.
    pub(super) fn held(&self) -> u64 {
        self.bytes.len() as u64 + ARC_BYTES + size_of::<Self>() as u64
    }

    /// How many samples this chunk has.
    pub(super) fn samples(&self) -> u64 {
        match self.bytes.split_first() {
            Some((&chunk::COLUMNS, bytes)) => Reader::new(bytes).uv().unwrap_or_default(),
            Some((_, bytes)) => xor::count(bytes).into(),
            None => 0,
        }
    }

    /// Whether samples may lie in `range`.
    pub(super) fn overlaps(&self, range: Range) -> bool {
        self.max >= range.start && self.min < range.end
    }
}

/// A chain of chunks, newest first.
pub(super) fn chain(newest: Option<&Sealed>) -> impl Iterator<Item = &Sealed> {
    std::iter::successors(newest, |chunk| chunk.older.as_deref())
}

/// Takes the chunks off a chain that end below `floor`, and returns them. What is kept of a
/// chain that readers hold is copied: theirs stays whole.
pub(super) fn cut(newest: &mut Option<Arc<Sealed>>, floor: Timestamp) -> Option<Arc<Sealed>> {
    // In order of time, so that the oldest of all says whether there is one.
    if !chain(newest.as_deref()).any(|chunk| chunk.max < floor) {
        return None;
    }
    let mut link = newest;
    while link.as_ref().is_some_and(|chunk| chunk.max >= floor) {
        let chunk = link.as_mut().expect("just seen");
        link = &mut Arc::make_mut(chunk).older;
    }
    link.take()
}

/// Decodes a finished chunk.
pub(super) fn decode_sealed(bytes: &[u8], columns: &mut Columns) -> Result<(), Damaged> {
    let (&codec, bytes) = bytes.split_first().ok_or(Damaged("a chunk is empty"))?;
    let count = || xor::count(bytes).into();
    match codec {
        chunk::COLUMNS => column::decode(bytes, &mut columns.timestamps, &mut columns.values),
        chunk::XOR => decode_chunk(Kind::Float, count(), bytes, columns),
        chunk::HISTOGRAMS => decode_chunk(Kind::Histogram, count(), bytes, columns),
        _ => Err(Damaged("a chunk is of no known form")),
    }
}

/// Decodes `count` samples in the form of an open chunk.
pub(super) fn decode_chunk(
    kind: Kind,
    count: usize,
    bytes: &[u8],
    columns: &mut Columns,
) -> Result<(), Damaged> {
    match kind {
        Kind::None | Kind::Deleted => Ok(()),
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

/// The first timestamp of a chunk in open form.
pub(super) fn first_timestamp(kind: Kind, chunk: &[u8]) -> Timestamp {
    match kind {
        Kind::Histogram => Reader::new(&chunk[2..]).zz().unwrap_or_default(),
        _ => xor::first_timestamp(chunk),
    }
}
