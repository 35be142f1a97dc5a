//! What a shard does, for those who watch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferula_storage::Report;
use ferula_tsdb::HeadStats;
use ferula_tsdb::manifest::BlockEntry;

use crate::State;

/// The words of [`ferula_storage::Reason::word`] a shard uses.
const REASONS: [&str; 7] = [
    "duplicate_conflict",
    "out_of_order",
    "out_of_bounds",
    "too_old",
    "invalid_histogram",
    "series_limit",
    "unknown_ref",
];

/// What became of samples since the shard was opened.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    floats: AtomicU64,
    histograms: AtomicU64,
    late: AtomicU64,
    duplicates: AtomicU64,
    series_created: AtomicU64,
    rejected: [AtomicU64; REASONS.len()],
}

impl Verdicts {
    pub(crate) fn note(&self, report: &Report) {
        let add = |counter: &AtomicU64, n| counter.fetch_add(n, Ordering::Relaxed);
        add(&self.floats, report.samples);
        add(&self.histograms, report.histograms);
        add(&self.late, report.late);
        add(&self.duplicates, report.duplicates);
        add(&self.series_created, report.series_created);
        for (word, n) in &report.rejected {
            if let Some(i) = REASONS.iter().position(|r| r == word) {
                add(&self.rejected[i], *n);
            }
        }
    }

    pub(crate) fn counts(&self) -> VerdictCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VerdictCounts {
            floats: get(&self.floats),
            histograms: get(&self.histograms),
            late: get(&self.late),
            duplicates: get(&self.duplicates),
            series_created: get(&self.series_created),
            rejected: REASONS
                .into_iter()
                .zip(self.rejected.iter().map(get))
                .collect(),
        }
    }
}

/// What upkeep has done since the shard was opened.
#[derive(Debug, Default)]
pub(crate) struct UpkeepCounts {
    pub(crate) cuts: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) expired_by_time: AtomicU64,
    pub(crate) expired_by_size: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) nanos: AtomicU64,
}

impl UpkeepCounts {
    /// A cut or merge took this long.
    pub(crate) fn note_duration(&self, took: Duration) {
        self.nanos
            .fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> UpkeepStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UpkeepStats {
            cuts: get(&self.cuts),
            merges: get(&self.merges),
            failures: get(&self.failures),
            expired_by_time: get(&self.expired_by_time),
            expired_by_size: get(&self.expired_by_size),
            checkpoints: get(&self.checkpoints),
            seconds: get(&self.nanos) as f64 / 1e9,
        }
    }
}

/// What upkeep has done since the shard was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpkeepStats {
    /// Blocks cut from the head.
    pub cuts: u64,
    /// Merges of blocks.
    pub merges: u64,
    /// Rounds that failed.
    pub failures: u64,
    /// Blocks given up because of their age.
    pub expired_by_time: u64,
    /// Blocks given up because there was too much.
    pub expired_by_size: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Seconds spent on cuts and merges.
    pub seconds: f64,
}

/// What became of samples since the shard was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    /// Floats stored.
    pub floats: u64,
    /// Histograms stored.
    pub histograms: u64,
    /// Samples stored that came out of order.
    pub late: u64,
    /// Identical resends.
    pub duplicates: u64,
    /// Series created.
    pub series_created: u64,
    /// Samples rejected, by [`ferula_storage::Reason::word`].
    pub rejected: Vec<(&'static str, u64)>,
}

/// What a shard holds and does.
#[derive(Clone, Debug)]
pub struct ShardStats {
    /// Where it is in its life.
    pub state: State,
    /// What the head holds.
    pub head: HeadStats,
    /// Bytes the head may hold.
    pub head_bytes_max: u64,
    /// What upkeep has done.
    pub upkeep: UpkeepStats,
    /// Blocks, in order of time.
    pub blocks: Vec<BlockEntry>,
    /// What became of samples.
    pub verdicts: VerdictCounts,
    /// Bytes of batches that wait.
    pub queue_bytes: u64,
    /// Commits written to the log.
    pub log_commits: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Segment files of the log.
    pub log_segments: u64,
    /// The number of the newest segment's first commit.
    pub log_segment: u64,
    /// Bytes the segment files take on disk.
    pub log_size_bytes: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Seconds spent in them.
    pub sync_seconds: f64,
    /// Writes and syncs that failed.
    pub log_failures: u64,
    /// Places where the log was found damaged when it was replayed.
    pub log_corruptions: u64,
    /// Seconds the replay took.
    pub replay_seconds: f64,
}
