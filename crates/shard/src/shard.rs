//! A shard, owned by this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use ferula_coord::{Coord, CoordError};
use ferula_env::{Clock, Disk};
use ferula_model::{Labels, TenantId};
use ferula_storage::{
    Append, AppendError, Batch, LabelQuery, Report, Select, SelectError, SelectRequest, Selected,
};
use ferula_tsdb::log::frame::{self, Frame, FrameBuf, Kind};
use ferula_tsdb::log::segment::{Header, Identity, Writer as LogWriter};
use ferula_tsdb::log::{
    Log, LogError, LogSettings, LogStats, Progress, Replay, Replayed, Sync, Visitor, replay,
};
use ferula_tsdb::{Cardinality, Head, HeadSettings, HeadWriter, ReplayedRecords};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::queue::{Queue, unavailable};
use crate::stats::Verdicts;
use crate::writer::Writer;
use crate::{Admitted, Effect, Event, Fence, ShardStats, State, step};

/// When a batch is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Once it is on disk.
    Durable,
    /// Once it is in memory: the last tenth of a second is lost with the process or machine.
    Memory,
}

/// How a shard is to be.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The data directory; the shard's own is inside.
    pub dir: PathBuf,
    /// Its number.
    pub number: u32,
    /// When a batch is acknowledged.
    pub ack: Ack,
    /// Beyond this many bytes in memory, appends are refused.
    pub head_bytes_max: u64,
    /// Beyond this many bytes of batches that wait, appends are refused.
    pub queue_bytes_max: u64,
    /// Size of a log segment file.
    pub segment_bytes: u64,
}

/// What a shard works with.
#[derive(Clone, Debug)]
pub struct ShardParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Epochs.
    pub coord: Arc<dyn Coord>,
}

/// Why a shard cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// It cannot be claimed.
    #[error(transparent)]
    Claim(#[from] CoordError),
    /// Its log cannot be read or written.
    #[error("shard {shard}: {source}")]
    Log {
        /// The shard.
        shard: u32,
        /// Why.
        source: LogError,
    },
    /// No thread can be started.
    #[error("cannot start the shard's thread: {0}")]
    Thread(std::io::Error),
}

/// A shard that this process owns.
#[derive(Debug)]
pub struct Shard {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    head: Arc<Head>,
    log: Arc<LogStats>,
    settings: ShardSettings,
    opened: Opened,
    /// The claim lasts as long as this is held.
    _coord: Arc<dyn Coord>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What opening found.
#[derive(Clone, Copy, Debug, Default)]
struct Opened {
    replay_seconds: f64,
    corruptions: u64,
}

/// What the shard and its writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) number: u32,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) verdicts: Verdicts,
    state: Mutex<State>,
}

impl Shared {
    /// Takes the step that `event` asks for.
    pub(crate) fn happened(&self, event: Event) -> Vec<Effect> {
        let mut state = self.state.lock();
        let (next, effects) = step(state.clone(), event);
        *state = next;
        effects
    }
}

impl Shard {
    /// Claims the shard, replays its log, fences it, and takes samples. Blocks until then;
    /// `progress` tells others how far it is.
    pub fn open(
        settings: ShardSettings,
        parts: ShardParts,
        progress: &Progress,
    ) -> Result<Self, ShardError> {
        let shared = Arc::new(Shared {
            number: settings.number,
            clock: parts.clock.clone(),
            verdicts: Verdicts::default(),
            state: Mutex::new(State::Idle),
        });
        let stats = Arc::new(LogStats::default());
        let mut opening = Opening {
            settings: &settings,
            parts: &parts,
            progress,
            caught_up: None,
        };
        let mut todo = shared.happened(Event::Wanted);
        while let Some(effect) = todo.pop() {
            match opening.perform(effect, &stats) {
                Ok(Some(event)) => todo.extend(shared.happened(event)),
                Ok(None) => {}
                Err(error) => {
                    shared.happened(Event::Failed);
                    return Err(error);
                }
            }
        }
        let Some(CaughtUp {
            head,
            writer,
            log,
            opened,
        }) = opening.caught_up
        else {
            let source = LogError::Refused {
                segment: "the newest segment".to_owned(),
                why: "another owner came first".to_owned(),
            };
            return Err(ShardError::Log {
                shard: settings.number,
                source,
            });
        };
        let queue = Arc::new(Queue::new(settings.queue_bytes_max));
        let writer = Writer {
            shared: shared.clone(),
            queue: queue.clone(),
            head: writer,
            log,
            ack: settings.ack,
            frame: FrameBuf::default(),
        };
        let name = format!("shard-{}", settings.number);
        let thread = ferula_env::spawn::thread(&name, move || writer.run());
        let thread = Mutex::new(Some(thread.map_err(ShardError::Thread)?));
        Ok(Self {
            shared,
            queue,
            head,
            log: stats,
            settings,
            opened,
            _coord: parts.coord,
            thread,
        })
    }

    /// Takes no more samples, finishes those taken, makes everything durable. Blocks until
    /// then. Reads go on.
    pub fn close(&self) {
        let effects = self.shared.happened(Event::Unwanted);
        if effects.contains(&Effect::DrainAppends) || effects.contains(&Effect::Release) {
            self.queue.drain();
        }
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!(shard = self.settings.number, "the shard's writer panicked");
        }
    }

    /// What the shard holds and does.
    pub fn stats(&self) -> ShardStats {
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let log_segments = get(&self.log.segments);
        ShardStats {
            state: self.shared.state.lock().clone(),
            head: self.head.stats(),
            head_bytes_max: self.head.bytes_max(),
            verdicts: self.shared.verdicts.counts(),
            queue_bytes: self.queue.bytes(),
            log_commits: get(&self.log.commits),
            log_bytes: get(&self.log.bytes),
            log_segments,
            log_segment: get(&self.log.segment),
            log_size_bytes: log_segments * self.settings.segment_bytes,
            syncs: get(&self.log.syncs),
            sync_seconds: get(&self.log.sync_nanos) as f64 / 1e9,
            log_failures: get(&self.log.failures),
            log_corruptions: self.opened.corruptions,
            replay_seconds: self.opened.replay_seconds,
        }
    }

    /// Where a tenant's series come from, at most `limit` entries per list.
    pub fn cardinality(&self, tenant: &TenantId, limit: usize) -> Cardinality {
        self.head.cardinality(tenant, limit)
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.close();
    }
}

/// Carries out what the steps of opening ask for.
struct Opening<'a> {
    settings: &'a ShardSettings,
    parts: &'a ShardParts,
    progress: &'a Progress,
    caught_up: Option<CaughtUp>,
}

/// A shard ready to take samples.
struct CaughtUp {
    head: Arc<Head>,
    writer: HeadWriter,
    log: Log,
    opened: Opened,
}

impl Opening<'_> {
    fn perform(
        &mut self,
        effect: Effect,
        stats: &Arc<LogStats>,
    ) -> Result<Option<Event>, ShardError> {
        match effect {
            Effect::Claim { above } => {
                let claim = self.parts.coord.claim(self.settings.number, above)?;
                Ok(Some(Event::Claimed { epoch: claim.epoch }))
            }
            Effect::CatchUp { epoch } => self.catch_up(epoch, stats).map(Some),
            _ => Ok(None),
        }
    }

    fn catch_up(&mut self, epoch: u64, stats: &Arc<LogStats>) -> Result<Event, ShardError> {
        let shard = self.settings.number;
        let failed = |source| ShardError::Log { shard, source };
        let ShardParts { clock, disk, coord } = self.parts;
        let identity = Identity {
            cluster: coord.cluster(),
            shard,
        };
        let dir = self
            .settings
            .dir
            .join("s")
            .join(shard.to_string())
            .join("log");
        let (head, writer) = Head::new(HeadSettings {
            bytes_max: self.settings.head_bytes_max,
            hash_seed: ferula_env::random_u64(),
        });
        let started = clock.monotonic();
        let mut replaying = Replaying {
            writer,
            fence: Fence::default(),
            found: ReplayedRecords::default(),
        };
        let what = Replay {
            disk: &**disk,
            dir: &dir,
            identity,
            after: 0,
            progress: self.progress,
        };
        let replayed = replay(&what, &mut replaying).map_err(failed)?;
        let Replaying {
            mut writer,
            fence,
            found,
        } = replaying;
        if fence.epoch() >= epoch {
            return Ok(Event::Outdated {
                epoch: fence.epoch(),
            });
        }
        writer.replayed();
        let mut nonce = [0; 16];
        ferula_env::fill_random(&mut nonce);
        let log = LogSettings {
            dir,
            segment_bytes: self.settings.segment_bytes,
            sync: match self.settings.ack {
                Ack::Durable => Sync::EachCommit,
                Ack::Memory => Sync::OnDemand,
            },
            identity,
            writer: LogWriter { epoch, nonce },
        };
        let tail = replayed.tail.as_ref();
        let mut log =
            Log::open(disk.clone(), clock.clone(), log, tail, stats.clone()).map_err(failed)?;
        log.prepare();
        let took = clock.monotonic().saturating_sub(started);
        report(shard, &replayed, &found);
        let opened = Opened {
            replay_seconds: took.as_secs_f64(),
            corruptions: replayed.damage.len() as u64 + found.bad_records,
        };
        self.caught_up = Some(CaughtUp {
            head,
            writer,
            log,
            opened,
        });
        Ok(Event::CaughtUp)
    }
}

/// Tells the operator what a replay found that is not as it should be.
fn report(shard: u32, replayed: &Replayed, found: &ReplayedRecords) {
    if let Some(torn) = replayed.tail.as_ref().and_then(|tail| tail.torn) {
        tracing::warn!(
            shard,
            bytes = torn.bytes,
            why = torn.why,
            "the log's end is not whole and has been put aside as *.torn; a crash leaves only samples there that were never acknowledged"
        );
    }
    for what in &replayed.damage {
        tracing::error!(shard, %what, "the log is damaged");
    }
    let ReplayedRecords {
        unknown_series,
        out_of_order,
        bad_records,
        last_error,
        ..
    } = *found;
    if unknown_series + out_of_order + bad_records > 0 {
        let last_error = last_error.map(|e| e.to_string()).unwrap_or_default();
        tracing::error!(
            shard,
            unknown_series,
            out_of_order,
            bad_records,
            last_error,
            "records of the log were left out"
        );
    }
}

/// Feeds a head from the log.
struct Replaying {
    writer: HeadWriter,
    fence: Fence,
    found: ReplayedRecords,
}

impl Visitor for Replaying {
    fn segment(&mut self, _: &Header) -> Result<(), String> {
        Ok(())
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<bool, String> {
        let admitted = match frame.kind {
            Kind::Fence => {
                let fence = frame::Fence::decode(frame.body).ok_or("a fence without content")?;
                self.fence.raise(fence.epoch)
            }
            Kind::Data => self.fence.admit(frame.epoch_low),
            Kind::Seal => return Err("the shard was sealed; its data has moved".to_owned()),
        };
        if admitted == Admitted::Yes && frame.kind == Kind::Data {
            self.writer.replay(frame.body, &mut self.found);
        }
        Ok(admitted == Admitted::Yes)
    }
}

impl Append for Shard {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        let queued = self.queue.push(batch);
        Box::pin(async move {
            match queued?.await {
                Ok(answer) => answer,
                Err(_) => Err(unavailable("the shard's writer is gone")),
            }
        })
    }
}

impl Select for Shard {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        Box::pin(async move { Ok(self.head.select(&request, || ()).0) })
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        Box::pin(async move { Ok(self.head.series(&query)) })
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        Box::pin(async move { Ok(self.head.label_names(&query)) })
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        Box::pin(async move { Ok(self.head.label_values(&name, &query)) })
    }
}
