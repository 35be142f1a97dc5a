//! What waits for the writer: batches, bounded in bytes, and tasks of the upkeep.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Duration;

use ferula_storage::{AppendError, Batch, Report, SeriesKey};
use ferula_tsdb::HeadWriter;
use ferula_tsdb::log::Log;
use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

/// One commit takes batches until it has this many bytes of them: enough to make a sync cheap,
/// little enough that no one waits long for others.
const COMMIT_BYTES: u64 = 4 << 20;

/// What a batch is answered.
pub(crate) type Answer = Result<Report, AppendError>;

/// Something to be done between two commits, by the one who may.
pub(crate) type Task = Box<dyn FnOnce(&mut HeadWriter, &mut Log) + Send>;

/// A batch and who waits for it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) batch: Batch,
    pub(crate) answer: oneshot::Sender<Answer>,
    bytes: u64,
}

/// Batches in order of arrival.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    bytes_max: u64,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// Those of the upkeep, which has one at a time.
    tasks: VecDeque<Task>,
    /// Of those that wait and of those the writer has in hand.
    bytes: u64,
    door: Door,
}

/// Whether batches are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Door {
    Open,
    /// What waits is finished, nothing more is taken.
    Draining,
    /// Nothing is taken, and this is why.
    Shut(String),
}

/// What the writer is to do.
pub(crate) enum Work {
    /// These.
    Commit(Vec<Waiting>),
    /// This.
    Task(Task),
    /// Nothing came in time.
    Nothing,
    /// Stop.
    Stop,
}

impl Queue {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            tasks: VecDeque::new(),
            bytes: 0,
            door: Door::Open,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            bytes_max,
        }
    }

    /// Takes a batch. One that is larger than the bound is taken when nothing else waits, so
    /// that it can be stored at all.
    pub(crate) fn push(&self, batch: Batch) -> Result<oneshot::Receiver<Answer>, AppendError> {
        let bytes = size(&batch);
        let mut state = self.state.lock();
        match &state.door {
            Door::Open => {}
            Door::Draining => return Err(unavailable("the shard is stopping")),
            Door::Shut(why) => return Err(unavailable(why)),
        }
        if state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            let why = format!(
                "{} bytes of samples wait to be stored, and no more than {} may",
                state.bytes, self.bytes_max
            );
            return Err(AppendError::Overloaded { why });
        }
        let (answer, answered) = oneshot::channel();
        state.bytes += bytes;
        state.waiting.push_back(Waiting {
            batch,
            answer,
            bytes,
        });
        drop(state);
        self.filled.notify_one();
        Ok(answered)
    }

    /// Has the writer do something between two commits. Where it is not done, because the writer
    /// has stopped, whoever waits for its answer sees the sender dropped.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut HeadWriter, &mut Log) -> T + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let mut state = self.state.lock();
        if !matches!(state.door, Door::Shut(_)) {
            state.tasks.push_back(Box::new(move |head, log| {
                // Who no longer waits needs no answer.
                let _ = answer.send(task(head, log));
            }));
        }
        drop(state);
        self.filled.notify_one();
        answered
    }

    /// The next commit's batches; waits for the first, but no longer than `patience`. Tasks come
    /// first; where there is no room for samples, they are all that comes.
    pub(crate) fn next(&self, patience: Option<Duration>, room: bool) -> Work {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Work::Task(task);
            }
            if room && !state.waiting.is_empty() {
                break;
            }
            if state.door == Door::Draining && state.waiting.is_empty() {
                return Work::Stop;
            }
            match patience {
                None => self.filled.wait(&mut state),
                Some(patience) => {
                    if self.filled.wait_for(&mut state, patience).timed_out() {
                        return Work::Nothing;
                    }
                }
            }
        }
        let mut commit = Vec::new();
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            if bytes > 0 && bytes + next.bytes > COMMIT_BYTES {
                break;
            }
            bytes += next.bytes;
            commit.extend(state.waiting.pop_front());
        }
        Work::Commit(commit)
    }

    /// The writer is done with these bytes.
    pub(crate) fn release(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Takes nothing more; the writer stops when nothing waits.
    pub(crate) fn drain(&self) {
        let mut state = self.state.lock();
        state.door = Door::Draining;
        drop(state);
        self.filled.notify_all();
    }

    /// Takes nothing more, and answers all that wait that they were not stored.
    pub(crate) fn shut(&self, why: &str) {
        let mut state = self.state.lock();
        if state.door == Door::Open {
            state.door = Door::Shut(why.to_owned());
        }
        let waiting = std::mem::take(&mut state.waiting);
        state.tasks.clear();
        drop(state);
        for waiting in waiting {
            self.release(waiting.bytes);
            // Who no longer waits needs no answer.
            let _ = waiting.answer.send(Err(unavailable(why)));
        }
    }

    /// The same once there is no writer any more, so that nobody asks it for something.
    pub(crate) fn end(&self, why: &str) {
        self.state.lock().door = Door::Shut(why.to_owned());
        self.shut(why);
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Waiting {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

pub(crate) fn unavailable(why: &str) -> AppendError {
    AppendError::Unavailable {
        why: why.to_owned(),
    }
}

/// About how much memory a batch takes.
fn size(batch: &Batch) -> u64 {
    let labels: usize = batch
        .series
        .iter()
        .map(|key| match key {
            SeriesKey::Ref(_) => 0,
            SeriesKey::Labels(labels) => labels.as_bytes().len(),
        })
        .sum();
    let buckets: usize = batch
        .histograms
        .iter()
        .map(|h| 256 + 16 * (h.histogram.positive_spans.len() + h.histogram.negative_spans.len()))
        .sum();
    (64 + 24 * batch.series.len() + labels + 24 * batch.samples.len() + buckets) as u64
}
