//! What a shard was sent and answered, and so what it must hold after a crash.

use ferula_model::{Range, Timestamp};
use ferula_storage::{AppendError, Batch, Deletion, Report};

use super::model::{Model, Stored};

/// Batches in the order sent. Appends are answered in that order and are whole or not at all, so
/// what is found after a crash is all that was acknowledged and a beginning of what was not.
#[derive(Clone, Default)]
pub(crate) struct History {
    acknowledged: Model,
    /// Asked for behind it, and refused or not answered.
    unknown: Vec<Asked>,
}

/// Something that was asked for.
#[derive(Clone)]
enum Asked {
    Append(Batch),
    Delete(Deletion),
}

impl Asked {
    fn happens(&self, state: &mut Model) {
        match self {
            Self::Append(batch) => _ = state.send(batch),
            Self::Delete(deletion) => state.delete(deletion),
        }
    }
}

impl History {
    /// A history of a shard that takes samples out of order within a window.
    pub(crate) fn with_window(ms: i64) -> Self {
        let mut history = Self::default();
        history.acknowledged.window = ms;
        history
    }

    /// Notes what a batch was answered. What was refused before it cannot turn up any more: a
    /// commit is in the log before a later one is acknowledged, or never.
    pub(crate) fn answered(&mut self, batch: Batch, answer: &Result<Report, AppendError>) {
        self.answered_above(batch, answer, Timestamp::MIN);
    }

    /// The same where samples below `floor` are in blocks: that they are resent or contradicted
    /// may go unnoticed, and they are too old instead.
    pub(crate) fn answered_above(
        &mut self,
        batch: Batch,
        answer: &Result<Report, AppendError>,
        floor: Timestamp,
    ) {
        self.acknowledged.floor = floor;
        let Ok(report) = answer else {
            self.unknown.push(Asked::Append(batch));
            return;
        };
        self.unknown.clear();
        let (stored, resent, rejected) = self.acknowledged.send(&batch);
        let reported = report.samples + report.histograms;
        assert_eq!(reported, stored);
        let floats = batch.samples.iter().map(|s| s.timestamp);
        let histograms = batch.histograms.iter().map(|h| h.timestamp);
        if floats.chain(histograms).all(|t| t >= floor) {
            assert_eq!(report.duplicates, resent);
            let words = report.rejections.iter().map(|r| r.reason.word());
            assert_eq!(words.collect::<Vec<_>>(), rejected);
        }
    }

    /// Notes whether a deletion was done. Blocks, which end at `floor`, lose their samples later
    /// than the head does.
    pub(crate) fn deleted(&mut self, deletion: Deletion, done: bool, floor: Timestamp) {
        if done {
            self.unknown.clear();
            return self.acknowledged.delete(&deletion);
        }
        let Range { start, end } = deletion.range;
        let in_head = Deletion {
            range: Range {
                start: start.max(floor),
                end,
            },
            ..deletion.clone()
        };
        self.unknown.push(Asked::Delete(in_head));
        self.unknown.push(Asked::Delete(deletion));
    }

    /// What readers must see while the shard lives.
    pub(crate) fn acknowledged(&self) -> Stored {
        self.acknowledged.dump()
    }

    /// Checks what was found after a crash. It is what must be found from then on: readers have
    /// seen it.
    pub(crate) fn found(&mut self, found: &Stored, context: &str) {
        let mut state = self.acknowledged.clone();
        let mut unknown = self.unknown.iter();
        while state.dump() != *found {
            let Some(asked) = unknown.next() else {
                self.explain(found, context);
            };
            asked.happens(&mut state);
        }
        self.acknowledged = state;
        self.unknown.clear();
    }

    fn explain(&self, found: &Stored, context: &str) -> ! {
        let acknowledged = self.acknowledged.dump();
        let holds = |stored: &Stored, labels, sample| {
            let mut series = stored.iter().filter(|(own, _)| own == labels);
            series.any(|(_, samples)| samples.contains(sample))
        };
        for (labels, samples) in &acknowledged {
            for sample in samples {
                if !holds(found, labels, sample) {
                    panic!("{context}: {labels} {sample:?} was acknowledged and is lost");
                }
            }
        }
        let mut all = self.acknowledged.clone();
        for asked in &self.unknown {
            asked.happens(&mut all);
        }
        let all = all.dump();
        for (labels, samples) in found {
            for sample in samples {
                if !holds(&all, labels, sample) {
                    panic!("{context}: {labels} {sample:?} is found and was not sent");
                }
            }
        }
        panic!("{context}: a batch is found in part, or without one sent before it");
    }
}
