//! A series' samples at an instant, read without a lock.

use std::sync::Arc;

use ferula_model::{Range, Timestamp};
use ferula_storage::{Columns, SelectError, SeriesSource};

use super::late::LateSeries;
use super::sealed::{Sealed, decode_chunk, decode_sealed, first_timestamp};
use super::series::Kind;
use crate::Damaged;

/// A series' samples at an instant; those of the open chunk are in a buffer beside it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(super) sealed: Option<Arc<Sealed>>,
    pub(super) open: std::ops::Range<usize>,
    pub(super) newest: Timestamp,
    /// The newest float's bits.
    pub(super) value: u64,
    pub(super) count: u8,
    pub(super) kind: Kind,
}

/// What all series of one selection share.
#[derive(Debug)]
pub(crate) struct Moment {
    /// The open chunks of all series, one behind the other.
    pub(crate) open: Vec<u8>,
    /// Samples below are in blocks, wherever they may still lie.
    pub(crate) floor: Timestamp,
}

/// A snapshot with what it shares with others.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) snapshot: Snapshot,
    pub(crate) late: Option<Arc<LateSeries>>,
    pub(crate) moment: Arc<Moment>,
}

impl SeriesSource for Source {
    fn decode(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError> {
        self.snapshot
            .decode_all(range, self.late.as_deref(), &self.moment, columns)
            .map_err(|e| SelectError::Corrupt {
                what: format!("in memory: {e}"),
            })
    }

    fn newest(&self) -> Option<(Timestamp, f64)> {
        let Snapshot { newest, value, .. } = self.snapshot;
        let late = self.late.as_ref().and_then(|late| late.span());
        let is_newest = late.is_none_or(|(_, late)| late < newest);
        (is_newest && self.snapshot.kind == Kind::Float).then(|| (newest, f64::from_bits(value)))
    }
}

impl Snapshot {
    /// Appends the samples of `range`, late ones in their places.
    pub(super) fn decode_all(
        &self,
        range: Range,
        late: Option<&LateSeries>,
        moment: &Moment,
        columns: &mut Columns,
    ) -> Result<(), Damaged> {
        let mark = Mark::of(columns);
        self.decode(range, moment, columns)?;
        if let Some(late) = late {
            let start = range.start.max(moment.floor);
            let from = (mark.floats, mark.histograms);
            late.merge(Range { start, ..range }, from, columns);
        }
        Ok(())
    }

    /// Appends the samples of `range`, and a few around it, but none below the floor.
    fn decode(&self, range: Range, moment: &Moment, columns: &mut Columns) -> Result<(), Damaged> {
        let floor = moment.floor;
        let start = range.start.max(floor);
        let mut chunks = Vec::new();
        let mut next = self.sealed.as_deref();
        let mut touched = 0;
        while let Some(chunk) = next.filter(|c| c.max >= start) {
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
        let mark = Mark::of(columns);
        for chunk in chunks.into_iter().rev() {
            decode_sealed(&chunk.bytes, columns)?;
            if chunk.min < floor {
                mark.drop_below(floor, columns);
            }
        }
        let open = &moment.open[self.open.clone()];
        if open.is_empty() || self.newest < start {
            return Ok(());
        }
        let first = first_timestamp(self.kind, open);
        if first < range.end {
            decode_chunk(self.kind, self.count.into(), open, columns)?;
            if first < floor {
                mark.drop_below(floor, columns);
            }
        }
        Ok(())
    }
}

/// How long columns were before a series was decoded to them.
#[derive(Clone, Copy)]
struct Mark {
    floats: usize,
    histograms: usize,
}

impl Mark {
    fn of(columns: &Columns) -> Self {
        Self {
            floats: columns.timestamps.len(),
            histograms: columns.histograms.len(),
        }
    }

    /// Takes out what was appended since and lies below `floor`.
    fn drop_below(self, floor: Timestamp, columns: &mut Columns) {
        let below = columns.timestamps[self.floats..].partition_point(|t| *t < floor);
        columns.timestamps.drain(self.floats..self.floats + below);
        columns.values.drain(self.floats..self.floats + below);
        let below = columns.histograms[self.histograms..].partition_point(|h| h.timestamp < floor);
        columns
            .histograms
            .drain(self.histograms..self.histograms + below);
    }
}
