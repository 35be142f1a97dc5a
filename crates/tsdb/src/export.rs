//! Samples leave as blocks of Prometheus.

use std::path::Path;
use std::sync::Arc;

use ferula_env::Disk;
use ferula_model::{CounterReset, Histogram, Labels, Range, TenantId, Ulid};
use ferula_storage::{Columns, HistogramPoint};

use crate::block::{SampleHasher, identity};
use crate::prometheus::{Block, BlockWriter, Error, Meta};

/// Writes one block of Prometheus and, once it is complete, reads it back and compares.
pub struct Export {
    writer: BlockWriter,
    seen: Seen,
}

/// What a block holds: how many samples, and the sum of their hashes.
struct Seen {
    hasher: SampleHasher,
    samples: u64,
    hash: u128,
}

impl Export {
    /// Begins a block of samples in `range`, in a data folder.
    pub fn create(
        disk: Arc<dyn Disk>,
        data: &Path,
        ulid: Ulid,
        range: Range,
    ) -> Result<Self, Error> {
        Ok(Self {
            writer: BlockWriter::create(disk, data, ulid, range)?,
            seen: Seen::nothing(),
        })
    }

    /// Adds the next series in order of labels, with its samples in order of time.
    pub fn series(&mut self, labels: &Labels, columns: &Columns) -> Result<(), Error> {
        self.seen.add(labels, columns);
        self.writer.series(labels, columns)
    }

    /// Completes the block; a block without samples is not written.
    pub fn finish(self, disk: &dyn Disk, data: &Path) -> Result<Option<Meta>, Error> {
        let Some(meta) = self.writer.finish()? else {
            return Ok(None);
        };
        let mut block = Block::open(disk, &data.join(meta.ulid.to_string()))?;
        let mut found = Seen::nothing();
        let mut columns = Columns::default();
        while let Some(entry) = block.next_series()? {
            columns.clear();
            block.samples(&entry, Range::ALL, &mut columns)?;
            found.add(&entry.labels, &columns);
        }
        if (found.samples, found.hash) != (self.seen.samples, self.seen.hash) {
            let what = format!(
                "{} samples were written, {} are read back, and not all are the same",
                self.seen.samples, found.samples
            );
            return Err(Error::damaged(&meta.ulid.to_string(), 0, what));
        }
        Ok(Some(meta))
    }
}

impl Seen {
    fn nothing() -> Self {
        Self {
            hasher: SampleHasher::new(&TenantId::anonymous()),
            samples: 0,
            hash: 0,
        }
    }

    fn add(&mut self, labels: &Labels, columns: &Columns) {
        let mut kept = Columns {
            timestamps: columns.timestamps.clone(),
            values: columns.values.clone(),
            ..Columns::default()
        };
        kept.histograms = columns.histograms.iter().map(without_lost).collect();
        let sum = self.hasher.sum(identity(labels), &kept);
        self.hash = self.hash.wrapping_add(sum);
        self.samples += columns.len() as u64;
    }
}

/// Leaves out what a chunk does not keep: start timestamps, and of the reset hints all but that
/// it is a gauge.
fn without_lost(point: &HistogramPoint) -> HistogramPoint {
    let reset = match point.histogram.reset {
        CounterReset::Gauge if !point.histogram.is_stale() => CounterReset::Gauge,
        _ => CounterReset::Unknown,
    };
    HistogramPoint {
        timestamp: point.timestamp,
        start_timestamp: 0,
        histogram: match point.histogram.reset == reset {
            true => point.histogram.clone(),
            false => Arc::new(Histogram {
                reset,
                ..(*point.histogram).clone()
            }),
        },
    }
}
