//! A shard, owned by this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use ferula_coord::{Coord, CoordError};
use ferula_env::{Clock, Disk};
use ferula_model::{Labels, Range, TenantId};
use ferula_objects::Objects;
use ferula_storage::{
    Append, AppendError, Batch, LabelQuery, Report, Select, SelectError, SelectRequest, Selected,
};
use ferula_tsdb::block::{BlockCache, BlockError};
use ferula_tsdb::checkpoint::CheckpointError;
use ferula_tsdb::compact::Retention;
use ferula_tsdb::log::frame::FrameBuf;
use ferula_tsdb::log::segment::{Identity, Writer as LogWriter};
use ferula_tsdb::log::{Log, LogError, LogSettings, LogStats, Progress, Replayed, Sync};
use ferula_tsdb::manifest::{BlockEntry, ManifestError, Manifests};
use ferula_tsdb::view::Samples;
use ferula_tsdb::{Cardinality, Head, HeadWriter, ReplayedRecords};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::find::{Found, Place, find, log_dir};
use crate::keeper::Keeper;
use crate::queue::{Queue, unavailable};
use crate::stats::{UpkeepCounts, Verdicts};
use crate::upkeep::{Adopted, Upkeep, UpkeepError, UpkeepParts, UpkeepSettings};
use crate::writer::Writer;
use crate::{Effect, Event, ShardStats, State, step};

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
    /// How its samples age.
    pub upkeep: UpkeepSettings,
    /// Whether a thread does the upkeep; otherwise only [`Shard::upkeep`] does.
    pub keeper: bool,
}

/// What a shard works with.
#[derive(Clone, Debug)]
pub struct ShardParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files, for the log.
    pub disk: Arc<dyn Disk>,
    /// Where blocks, checkpoints and manifests are.
    pub objects: Arc<dyn Objects>,
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
    /// What it consists of cannot be read.
    #[error("shard {shard}: {source}")]
    Manifest {
        /// The shard.
        shard: u32,
        /// Why.
        source: ManifestError,
    },
    /// A block cannot be read.
    #[error("shard {shard}: {source}")]
    Block {
        /// The shard.
        shard: u32,
        /// Why.
        source: BlockError,
    },
    /// Its checkpoint cannot be read.
    #[error("shard {shard}: {source}")]
    Checkpoint {
        /// The shard.
        shard: u32,
        /// Why.
        source: CheckpointError,
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
    pub(crate) samples: Arc<Samples>,
    pub(crate) keeper: Arc<Keeper>,
    counts: Arc<UpkeepCounts>,
    log: Arc<LogStats>,
    settings: ShardSettings,
    opened: Opened,
    /// The claim lasts as long as this is held.
    _coord: Arc<dyn Coord>,
    threads: Mutex<Threads>,
}

/// A shard's own threads.
#[derive(Debug, Default)]
struct Threads {
    writer: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
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
        let Some(caught_up) = opening.caught_up else {
            let source = LogError::Refused {
                segment: "the newest segment".to_owned(),
                why: "another owner came first".to_owned(),
            };
            return Err(ShardError::Log {
                shard: settings.number,
                source,
            });
        };
        let shard = Self::start(settings, parts, shared, stats, caught_up)?;
        Ok(shard)
    }

    /// Starts the threads of a shard that has caught up.
    fn start(
        settings: ShardSettings,
        parts: ShardParts,
        shared: Arc<Shared>,
        log_stats: Arc<LogStats>,
        caught_up: CaughtUp,
    ) -> Result<Self, ShardError> {
        let counts = Arc::new(UpkeepCounts::default());
        let queue = Arc::new(Queue::new(settings.queue_bytes_max));
        let upkeep = Upkeep::new(
            settings.upkeep.clone(),
            UpkeepParts {
                clock: parts.clock,
                disk: parts.disk,
                coord: parts.coord.clone(),
                dir: settings.dir.clone(),
                objects: parts.objects,
                cache: caught_up.cache,
                samples: caught_up.samples.clone(),
                manifests: caught_up.manifests,
                epoch: caught_up.epoch,
                counts: counts.clone(),
                log: log_stats.clone(),
                segment_bytes: settings.segment_bytes,
                log_dir: log_dir(&settings.dir, settings.number),
                identity: caught_up.identity,
                writer: queue.clone(),
            },
        );
        let keeper = Keeper::new(upkeep);
        let writer = Writer {
            shared: shared.clone(),
            queue: queue.clone(),
            head: caught_up.writer,
            keeper: keeper.clone(),
            log: caught_up.log,
            ack: settings.ack,
            frame: FrameBuf::default(),
        };
        let number = settings.number;
        let start = |name: String, run: Box<dyn FnOnce() + Send>| {
            ferula_env::spawn::thread(&name, run).map_err(ShardError::Thread)
        };
        let mut threads = Threads {
            writer: Some(start(format!("shard-{number}"), Box::new(|| writer.run()))?),
            keeper: None,
        };
        if settings.keeper {
            let (keeper, shared, queue) = (keeper.clone(), shared.clone(), queue.clone());
            let run = move || keeper.run(&shared, |why| queue.shut(why));
            threads.keeper = Some(start(format!("keeper-{number}"), Box::new(run))?);
        }
        Ok(Self {
            shared,
            queue,
            samples: caught_up.samples,
            keeper,
            counts,
            log: log_stats,
            settings,
            opened: caught_up.opened,
            _coord: parts.coord,
            threads: Mutex::new(threads),
        })
    }

    /// Does the upkeep that is due, on this thread.
    pub fn upkeep(&self) -> Result<(), UpkeepError> {
        self.keeper.all_due()
    }

    /// Writes blocks from which something was deleted anew, without it; on this thread.
    pub fn clean(&self) -> Result<(), UpkeepError> {
        self.keeper.with(|upkeep, stop| upkeep.clean(stop))
    }

    /// Reads blocks that others have written into the shard's store, of samples from elsewhere,
    /// and shows them: all or none. Where the shard has a value already, that one stays.
    pub fn adopt(&self, blocks: &[Adopted]) -> Result<(), UpkeepError> {
        self.keeper.with(|upkeep, _| upkeep.adopt(blocks))
    }

    /// Changes what is kept; blocks that are not any more are given up soon.
    pub fn set_retention(&self, retention: Retention) {
        self.keeper.set_retention(retention);
    }

    /// Takes no more samples, finishes those taken, makes everything durable. Blocks until
    /// then. Reads go on.
    pub fn close(&self) {
        let mut threads = self.threads.lock();
        self.keeper.stop();
        if let Some(thread) = threads.keeper.take()
            && thread.join().is_err()
        {
            tracing::error!(shard = self.settings.number, "the shard's keeper panicked");
        }
        let effects = self.shared.happened(Event::Unwanted);
        if effects.contains(&Effect::DrainAppends) || effects.contains(&Effect::Release) {
            self.queue.drain();
        }
        if let Some(thread) = threads.writer.take()
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
            head: self.head().stats(),
            head_bytes_max: self.head().bytes_max(),
            upkeep: self.counts.stats(),
            blocks: self.blocks(),
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
        self.head().cardinality(tenant, limit)
    }

    /// The blocks, in order of time.
    pub fn blocks(&self) -> Vec<BlockEntry> {
        let view = self.samples.view();
        view.blocks()
            .iter()
            .map(|shown| shown.entry().clone())
            .collect()
    }

    /// How far behind the newest sample others may come out of order, from here on; zero for not
    /// at all.
    pub fn set_out_of_order_window(&self, window: Duration) {
        let ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        self.head().set_late_window(ms);
    }

    fn head(&self) -> &Arc<Head> {
        self.samples.head()
    }

    /// Reads samples and labels on a thread that may wait for a disk, if blocks may be needed.
    async fn read<T: Send + 'static>(
        &self,
        range: Range,
        read: impl FnOnce(&Samples) -> Result<T, SelectError> + Send + 'static,
    ) -> Result<T, SelectError> {
        let samples = self.samples.clone();
        if !samples.view().reaches(range) {
            return read(&samples);
        }
        let waiting = ferula_env::spawn::waiting(move || read(&samples));
        let stopped = |_| SelectError::Unavailable {
            why: "the reading thread has stopped".to_owned(),
        };
        waiting.await.map_err(stopped)?
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
    samples: Arc<Samples>,
    manifests: Manifests,
    cache: Arc<BlockCache>,
    identity: Identity,
    epoch: u64,
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
        let ShardParts {
            clock,
            disk,
            objects,
            coord,
        } = self.parts;
        let identity = Identity {
            cluster: coord.cluster(),
            shard,
        };
        let cache = BlockCache::new(self.settings.upkeep.cache_bytes);
        let started = clock.monotonic();
        let place = Place {
            disk: &**disk,
            objects,
            cache: &cache,
            dir: &self.settings.dir,
            identity,
            head_bytes_max: self.settings.head_bytes_max,
        };
        let Found {
            samples,
            manifests,
            writer,
            epoch: found_epoch,
            replayed,
            records,
        } = find(&place, true, self.progress)?;
        if found_epoch >= epoch {
            return Ok(Event::Outdated { epoch: found_epoch });
        }
        let mut nonce = [0; 16];
        ferula_env::fill_random(&mut nonce);
        let log = LogSettings {
            dir: log_dir(&self.settings.dir, shard),
            segment_bytes: self.settings.segment_bytes,
            sync: match self.settings.ack {
                Ack::Durable => Sync::EachCommit,
                Ack::Memory => Sync::OnDemand,
            },
            identity,
            writer: LogWriter { epoch, nonce },
        };
        let tail = replayed.tail.as_ref();
        let log =
            Log::open(disk.clone(), clock.clone(), log, tail, stats.clone()).map_err(failed)?;
        let took = clock.monotonic().saturating_sub(started);
        report(shard, &replayed, &records);
        let opened = Opened {
            replay_seconds: took.as_secs_f64(),
            corruptions: replayed.damage.len() as u64 + records.bad_records,
        };
        self.caught_up = Some(CaughtUp {
            samples,
            manifests,
            cache,
            identity,
            epoch,
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
        Box::pin(self.read(request.range, move |samples| samples.select(&request)))
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        Box::pin(self.read(query.range, move |samples| samples.series(&query)))
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        Box::pin(self.read(query.range, move |samples| samples.label_names(&query)))
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        Box::pin(self.read(query.range, move |samples| {
            samples.label_values(&name, &query)
        }))
    }
}
