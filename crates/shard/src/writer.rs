//! The thread that owns the log and writes the head.

use std::sync::Arc;
use std::time::Duration;

use ferula_storage::{AppendError, Report};
use ferula_tsdb::HeadWriter;
use ferula_tsdb::log::frame::FrameBuf;
use ferula_tsdb::log::{Log, LogError};
use futures::channel::oneshot;

use crate::keeper::Keeper;
use crate::queue::{Answer, Queue, Waiting, Work, unavailable};
use crate::shard::{Ack, Shared};
use crate::{Effect, Event};

/// How often the log is synced with [`Ack::Memory`]: what is lost with the machine at most.
const MEMORY_SYNC: Duration = Duration::from_millis(100);

/// How often a writer without room looks whether there is some.
const ROOM_POLL: Duration = Duration::from_millis(20);

/// How much memory a frame keeps from one commit to the next.
const FRAME_KEEP_BYTES: usize = 4 << 20;

/// Everything the thread owns.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) head: HeadWriter,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) log: Log,
    pub(crate) ack: Ack,
    pub(crate) frame: FrameBuf,
}

impl Writer {
    /// Commits what comes until the queue is drained.
    pub(crate) fn run(mut self) {
        let patience = match self.ack {
            Ack::Durable => None,
            Ack::Memory => Some(MEMORY_SYNC),
        };
        let _answer_all = AnswerAll(self.queue.clone());
        let mut synced = self.shared.clock.monotonic();
        loop {
            let room = !self.waits_for_room();
            let patience = if room { patience } else { Some(ROOM_POLL) };
            match self.queue.next(patience, room) {
                Work::Commit(batches) => self.commit(batches),
                Work::Task(task) => task(&mut self.head, &mut self.log),
                Work::Nothing => {}
                Work::Stop => break,
            }
            let now = self.shared.clock.monotonic();
            if self.ack == Ack::Memory && now.saturating_sub(synced) >= MEMORY_SYNC {
                self.sync();
                synced = now;
            }
        }
        self.sync();
        self.shared.happened(Event::Drained);
    }

    /// Whether the head is full, and will not be soon: then samples wait rather than be refused.
    fn waits_for_room(&self) -> bool {
        let full = self.head.is_full();
        if full {
            self.keeper.wake();
        }
        full && self.keeper.frees()
    }

    fn commit(&mut self, batches: Vec<Waiting>) {
        let bytes = batches.iter().map(Waiting::bytes).sum();
        let mut staged: Vec<(oneshot::Sender<Answer>, Report)> = Vec::new();
        for Waiting { batch, answer, .. } in batches {
            match self.head.stage(&batch) {
                Ok(report) => staged.push((answer, report)),
                Err(error) => reply(answer, Err(error)),
            }
        }
        match self.store() {
            Ok(()) => {
                self.head.apply();
                for (answer, report) in staged {
                    self.shared.verdicts.note(&report);
                    reply(answer, Ok(report));
                }
            }
            Err(error) => {
                self.head.discard();
                let refusal = self.refusal(error);
                for (answer, _) in staged {
                    reply(answer, Err(refusal.clone()));
                }
            }
        }
        self.queue.release(bytes);
    }

    /// Makes what is staged durable.
    fn store(&mut self) -> Result<(), LogError> {
        if self.head.is_empty() {
            return Ok(());
        }
        log_frame(
            &mut self.head,
            &mut self.log,
            &mut self.frame,
            |head, out| {
                head.encode(out);
            },
        )
    }

    fn sync(&mut self) {
        if let Err(error) = self.log.sync() {
            self.refusal(error);
        }
    }

    /// What to answer after a failure; one that leaves the log's state unknown stalls the
    /// shard.
    fn refusal(&mut self, error: LogError) -> AppendError {
        let why = error.to_string();
        match error {
            LogError::TooLarge { .. } => AppendError::Overloaded { why },
            LogError::DiskFull(_) => unavailable(&why),
            _ => {
                tracing::error!(shard = self.shared.number, error = %why, "the shard takes no more samples");
                let effects = self.shared.happened(Event::LogBroken { why: why.clone() });
                if effects.contains(&Effect::RefuseAppends) {
                    self.queue.shut(&why);
                }
                unavailable(&why)
            }
        }
    }
}

/// Makes a commit of what `encode` appends, behind the definitions of all it may refer to.
pub(crate) fn log_frame(
    head: &mut HeadWriter,
    log: &mut Log,
    frame: &mut FrameBuf,
    encode: impl FnOnce(&HeadWriter, &mut Vec<u8>),
) -> Result<(), LogError> {
    let bytes_max = log.definitions_bytes();
    let defined = loop {
        frame.clear(FRAME_KEEP_BYTES);
        let defined = head.encode_definitions(frame.body(), bytes_max);
        if head.is_defined_by(defined) {
            break defined;
        }
        // More than goes well with the samples: frames of their own.
        log.define(frame)?;
        head.defined(defined);
    };
    encode(head, frame.body());
    log.commit(frame)?;
    head.defined(defined);
    Ok(())
}

fn reply(answer: oneshot::Sender<Answer>, result: Answer) {
    // Who no longer waits needs no answer.
    let _ = answer.send(result);
}

/// Whatever ends the thread, nobody waits for it in vain.
struct AnswerAll(Arc<Queue>);

impl Drop for AnswerAll {
    fn drop(&mut self) {
        self.0.end("the shard's writer has stopped");
    }
}
