//! What keeps a shard small: samples move from the head to blocks, blocks grow and expire, the
//! log is cut off behind checkpoints.
//!
//! Every step is: write objects, name them in the next manifest, show that to readers, then
//! delete what is no longer named. A crash between two steps leaves objects without a name,
//! which are deleted when the shard is opened again, and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferula_coord::{Coord, CoordError};
use ferula_env::{Clock, Disk};
use ferula_model::{Range, Timestamp, Ulid};
use ferula_objects::{Created, Objects};
use ferula_tsdb::block::{Block, BlockCache, BlockError, BlockMeta, BlockSpec, BlockWriter};
use ferula_tsdb::checkpoint;
use ferula_tsdb::compact::{self, CompactError, Expiry, Job, Retention};
use ferula_tsdb::log::segment::Identity;
use ferula_tsdb::log::{Log, LogError, LogStats, delete_segments};
use ferula_tsdb::manifest::{
    BlockEntry, CheckpointRef, Manifest, ManifestError, Manifests, RANK_OF_IMPORTS,
};
use ferula_tsdb::view::{Samples, Shown, View};
use ferula_tsdb::{Head, HeadWriter};

use crate::queue::Queue;
use crate::stats::UpkeepCounts;

/// How a shard's samples age.
#[derive(Clone, Debug)]
pub struct UpkeepSettings {
    /// The sizes blocks grow to, in milliseconds, smallest first, each a multiple of the one
    /// before.
    pub ranges_ms: Vec<i64>,
    /// A checkpoint is written when the log has so many bytes behind the last one, or as many as
    /// that has itself.
    pub checkpoint_log_bytes: u64,
    /// What is kept.
    pub retention: Retention,
    /// Bytes of memory for what queries read of blocks.
    pub cache_bytes: u64,
}

/// When the head's oldest samples become a block.
#[derive(Clone, Debug)]
pub(crate) struct CutRule {
    head: Arc<Head>,
    block_ms: i64,
}

impl CutRule {
    /// What is to be cut now.
    pub(crate) fn due(&self) -> Option<Range> {
        let (oldest, newest) = self.head.span()?;
        compact::due(oldest, newest, self.block_ms, self.head.behind_ms())
    }
}

/// Why a round of upkeep failed.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// Blocks cannot be written or read.
    #[error(transparent)]
    Compact(#[from] CompactError),
    /// A checkpoint cannot be written, or the log behind it not be deleted.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] io::Error),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The next manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The writer has stopped.
    #[error("the shard is stopping")]
    Stopping,
    /// A snapshot cannot be written.
    #[error("the snapshot {}: {source}; delete what there is of it", dir.display())]
    Snapshot {
        /// Where.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A snapshot cannot be given its identity.
    #[error(transparent)]
    Identity(#[from] CoordError),
}

impl From<BlockError> for UpkeepError {
    fn from(error: BlockError) -> Self {
        Self::Compact(error.into())
    }
}

impl UpkeepError {
    /// Whether another owner has taken over.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Manifest(ManifestError::Fenced { .. }))
    }

    /// Whether it was told to stop.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Compact(CompactError::Stopped))
    }
}

/// A block that someone else has written into the shard's store.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// Which one.
    pub id: Ulid,
    /// What it was made of, to be remembered.
    pub sources: Vec<Ulid>,
}

/// A manifest of which it is not known whether it is in force.
struct Pending {
    next: Manifest,
    nonce: u64,
    /// What readers see once it is.
    view: View,
}

/// What upkeep works with.
pub(crate) struct UpkeepParts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) coord: Arc<dyn Coord>,
    /// The data directory.
    pub(crate) dir: PathBuf,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) samples: Arc<Samples>,
    pub(crate) manifests: Manifests,
    pub(crate) epoch: u64,
    pub(crate) counts: Arc<UpkeepCounts>,
    pub(crate) log: Arc<LogStats>,
    pub(crate) segment_bytes: u64,
    pub(crate) writer: Arc<Queue>,
    /// The log's directory.
    pub(crate) log_dir: PathBuf,
    pub(crate) identity: Identity,
}

/// One shard's upkeep, in the hands of one thread at a time.
pub(crate) struct Upkeep {
    settings: UpkeepSettings,
    parts: UpkeepParts,
    pending: Option<Pending>,
    /// Bytes of the log when the last checkpoint was begun, as [`LogStats::bytes`] counts.
    checkpoint_at: u64,
    /// Whether the head has lost samples to a block since.
    cut: bool,
    /// Blocks no manifest names any more, until no reader holds them.
    retired: Vec<Arc<Block>>,
}

impl Upkeep {
    pub(crate) fn new(settings: UpkeepSettings, parts: UpkeepParts) -> Self {
        Self {
            settings,
            parts,
            pending: None,
            checkpoint_at: 0,
            cut: false,
            retired: Vec::new(),
        }
    }

    /// Does the most urgent thing there is to do; `false` if there is none.
    pub(crate) fn step(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, UpkeepError> {
        self.settle()?;
        self.delete_retired()?;
        if let Some(range) = self.cut_due() {
            self.cut(range, stop)?;
            return Ok(true);
        }
        if self.checkpoint_due() {
            return self.checkpoint();
        }
        if self.expire()? {
            return Ok(true);
        }
        match self.next_merge() {
            Some(job) => self.merge(&job, stop).map(|()| true),
            None => Ok(false),
        }
    }

    /// Shows blocks that others have written, of samples from elsewhere: all or none.
    pub(crate) fn adopt(&mut self, adopted: &[Adopted]) -> Result<(), UpkeepError> {
        self.settle()?;
        let opened = adopted.iter().map(|adopted| self.verified(adopted.id));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        let mut next = self.parts.manifests.newest().clone();
        let rank = RANK_OF_IMPORTS + next.version + 1;
        for (block, adopted) in opened.iter().zip(adopted) {
            let level = block.meta().level.max(1);
            next.blocks.push(BlockEntry {
                level,
                ..entry(block.meta(), rank, adopted.sources.clone())
            });
        }
        self.publish(next, &opened)
    }

    /// Writes blocks from which something was deleted anew, without it.
    pub(crate) fn clean(&mut self, stop: &dyn Fn() -> bool) -> Result<(), UpkeepError> {
        self.settle()?;
        while let Some(job) = compact::deleted(&self.parts.manifests.newest().blocks, 1) {
            self.merge(&job, stop)?;
        }
        Ok(())
    }

    /// When the head's oldest samples become a block.
    pub(crate) fn cut_rule(&self) -> CutRule {
        CutRule {
            head: self.parts.samples.head().clone(),
            block_ms: self.block_ms(),
        }
    }

    /// From the next step on, other blocks are given up.
    pub(crate) fn set_retention(&mut self, retention: Retention) {
        self.settings.retention = retention;
    }

    pub(crate) fn counts(&self) -> &Arc<UpkeepCounts> {
        &self.parts.counts
    }

    /// The newest manifest.
    pub(crate) fn newest(&self) -> &Manifest {
        self.parts.manifests.newest()
    }

    /// The blocks that readers see.
    pub(crate) fn view(&self) -> Arc<View> {
        self.parts.samples.view()
    }

    pub(crate) fn head(&self) -> &Arc<Head> {
        self.parts.samples.head()
    }

    pub(crate) fn objects(&self) -> &Arc<dyn Objects> {
        &self.parts.objects
    }

    pub(crate) fn cache(&self) -> &Arc<BlockCache> {
        &self.parts.cache
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.parts.disk
    }

    /// The data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.parts.dir
    }

    /// Makes a directory known as one with the same data.
    pub(crate) fn copy_identity(&self, dir: &Path) -> Result<(), UpkeepError> {
        Ok(self.parts.coord.copy_identity(dir)?)
    }

    /// How long the smallest blocks are, in milliseconds.
    pub(crate) fn block_ms(&self) -> i64 {
        self.settings.ranges_ms.first().copied().unwrap_or(i64::MAX)
    }

    /// Has the writer do something between two commits, and waits for it.
    pub(crate) fn ask_writer<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut HeadWriter, &mut Log) -> T + Send + 'static,
    ) -> Result<T, UpkeepError> {
        let answered = self.parts.writer.ask(task);
        answered.recv().map_err(|_| UpkeepError::Stopping)
    }

    fn cut_due(&self) -> Option<Range> {
        let range = self.cut_rule().due()?;
        // What is below the floor is in blocks already.
        let floor = self.parts.manifests.newest().floor;
        let start = floor.map_or(range.start, |floor| floor.max(range.start));
        Some(Range { start, ..range })
    }

    fn cut(&mut self, range: Range, stop: &dyn Fn() -> bool) -> Result<(), UpkeepError> {
        let started = self.parts.clock.monotonic();
        // Nothing that comes out of order may be too late for the block.
        self.ask_writer(move |head, _| head.begin_cut(range.end))?;
        let (id, writer) = self.writer(range, 1, Vec::new())?;
        let head = self.parts.samples.head().clone();
        let written = self.or_delete(id, |_| compact::cut(&head, range, writer, stop))?;
        let mut next = self.parts.manifests.newest().clone();
        next.floor = Some(range.end);
        let opened = match written {
            Some(meta) => {
                let block = self.verified(id)?;
                next.blocks.push(entry(&meta, next.version + 1, Vec::new()));
                vec![block]
            }
            None => Vec::new(),
        };
        self.publish(next, &opened)?;
        self.parts.samples.head().truncate();
        self.cut = true;
        self.rebase()?;
        self.parts.counts.cuts.fetch_add(1, Ordering::Relaxed);
        self.parts
            .counts
            .note_duration(self.parts.clock.monotonic().saturating_sub(started));
        Ok(())
    }

    /// Gives up the series that have ended, if they are many.
    fn rebase(&self) -> Result<(), UpkeepError> {
        let head = self.head();
        if !head.is_rebase_due() {
            return Ok(());
        }
        let before = head.stats();
        let prepared = head.prepare_rebase();
        // What is left over is dropped here, not by the writer.
        let retired = self.ask_writer(move |head, log| head.rebase(prepared, log))??;
        if retired.is_some() {
            drop(retired);
            let (known, bytes) = (before.known, before.bytes);
            let after = head.stats();
            tracing::info!(
                known,
                bytes,
                known_after = after.known,
                bytes_after = after.bytes,
                "gave up series that have ended"
            );
        }
        Ok(())
    }

    /// Whether replay would take longer than it should: what was cut need not be replayed at all.
    fn checkpoint_due(&self) -> bool {
        let last = self.parts.manifests.newest().checkpoint.as_ref();
        let bytes = self.parts.log.bytes.load(Ordering::Relaxed) - self.checkpoint_at;
        let limit = last
            .map_or(0, |c| c.bytes)
            .max(self.settings.checkpoint_log_bytes);
        bytes > 0 && (self.cut || bytes > limit)
    }

    /// Writes the head as a checkpoint and gives up the log before it; `false` if the writer has
    /// stopped.
    fn checkpoint(&mut self) -> Result<bool, UpkeepError> {
        let written = self.parts.log.bytes.load(Ordering::Relaxed);
        let mark = match self.ask_writer(|head, log| head.mark(log)) {
            Err(UpkeepError::Stopping) => return Ok(false),
            mark => mark??,
        };
        let identity = self.parts.identity;
        let key = checkpoint::key(identity.shard, mark.commit, ferula_env::random_u64());
        let mut object = self.parts.objects.writer(&key)?;
        let head = self.parts.samples.head();
        let checkpoint = head.write_checkpoint(&mark, identity, &mut *object)?;
        if object.finish()? == Created::Exists {
            return Err(io::Error::other(format!("{key} exists already")).into());
        }
        let mut next = self.parts.manifests.newest().clone();
        next.checkpoint = Some(CheckpointRef {
            key,
            bytes: checkpoint.len,
            hash: checkpoint.hash,
            epoch: self.parts.epoch,
            commit: checkpoint.commit,
        });
        self.publish(next, &[])?;
        self.checkpoint_at = written;
        self.cut = false;
        self.parts
            .counts
            .checkpoints
            .fetch_add(1, Ordering::Relaxed);
        self.forget_old_log()?;
        Ok(true)
    }

    /// Deletes what the newest manifest's checkpoint stands for: older ones, and the log.
    pub(crate) fn forget_old_log(&self) -> Result<(), UpkeepError> {
        let Some(newest) = &self.parts.manifests.newest().checkpoint else {
            return Ok(());
        };
        let UpkeepParts {
            disk, log_dir, log, ..
        } = &self.parts;
        delete_segments(&**disk, log_dir, newest.commit, log)?;
        let folder = checkpoint::folder(self.parts.identity.shard);
        for name in self.parts.objects.list(&folder)? {
            let key = format!("{folder}/{name}");
            if key != newest.key {
                self.parts.objects.delete(&key)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<(), UpkeepError> {
        let started = self.parts.clock.monotonic();
        let view = self.parts.samples.view();
        let is_source = |s: &&Arc<Shown>| job.sources.contains(&s.entry().id);
        let sources: Vec<_> = view.blocks().iter().filter(is_source).cloned().collect();
        let level = sources.iter().map(|s| s.entry().level).max().unwrap_or(0) + 1;
        let rank = sources.iter().map(|s| s.entry().rank).min().unwrap_or(0);
        let mut origins: Vec<Ulid> = sources.iter().flat_map(|s| origins(s.entry())).collect();
        // Several blocks may have been made of one import.
        origins.sort_unstable();
        origins.dedup();
        let (id, writer) = self.writer(job.range, level, origins.clone())?;
        let written = self.or_delete(id, |_| compact::merge(&sources, writer, stop))?;
        let mut next = self.parts.manifests.newest().clone();
        next.blocks.retain(|b| !job.sources.contains(&b.id));
        let opened = match written {
            Some(meta) => {
                let block = self.verified(id)?;
                next.blocks.push(entry(&meta, rank, origins));
                vec![block]
            }
            None => Vec::new(),
        };
        self.publish(next, &opened)?;
        self.parts.counts.merges.fetch_add(1, Ordering::Relaxed);
        self.parts
            .counts
            .note_duration(self.parts.clock.monotonic().saturating_sub(started));
        Ok(())
    }

    /// Gives up blocks that are too old or too much; `false` if there are none.
    fn expire(&mut self) -> Result<bool, UpkeepError> {
        let newest = self.parts.manifests.newest();
        let gone = compact::expired(&newest.blocks, self.settings.retention, self.other_bytes());
        if gone.is_empty() {
            return Ok(false);
        }
        let mut next = newest.clone();
        next.blocks
            .retain(|b| !gone.iter().any(|(id, _)| *id == b.id));
        for (id, why) in gone {
            tracing::info!(block = %id, ?why, "a block expires");
            let count = match why {
                Expiry::Time => &self.parts.counts.expired_by_time,
                Expiry::Size => &self.parts.counts.expired_by_size,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.publish(next, &[])?;
        Ok(true)
    }

    /// Bytes on disk that are no block's: the log, the checkpoint, and what the next merge is
    /// going to write before it can delete anything.
    fn other_bytes(&self) -> u64 {
        let newest = self.parts.manifests.newest();
        let log = self.parts.log.segments.load(Ordering::Relaxed) * self.parts.segment_bytes;
        let checkpoint = newest.checkpoint.as_ref().map_or(0, |c| c.bytes);
        let job = self.next_merge().map_or(0, |job| {
            let sources = newest.blocks.iter().filter(|b| job.sources.contains(&b.id));
            sources.map(|b| b.bytes).sum()
        });
        log + checkpoint + job
    }

    fn next_merge(&self) -> Option<Job> {
        let newest = self.parts.manifests.newest();
        let floor = newest.floor.unwrap_or(Timestamp::MIN);
        compact::plan(&newest.blocks, &self.settings.ranges_ms, floor)
    }

    fn writer(
        &self,
        range: Range,
        level: u32,
        sources: Vec<Ulid>,
    ) -> Result<(Ulid, BlockWriter), UpkeepError> {
        self.writer_to(&self.parts.objects, range, level, sources)
    }

    /// A writer of a block, and the block's name.
    pub(crate) fn writer_to(
        &self,
        objects: &Arc<dyn Objects>,
        range: Range,
        level: u32,
        sources: Vec<Ulid>,
    ) -> Result<(Ulid, BlockWriter), UpkeepError> {
        let random =
            u128::from(ferula_env::random_u64()) << 64 | u128::from(ferula_env::random_u64());
        let created_ms = self.parts.clock.now_ms();
        let id = Ulid::new(created_ms, random);
        let spec = BlockSpec {
            level,
            sources,
            ..BlockSpec::new(range, created_ms)
        };
        Ok((id, BlockWriter::new(objects, id, spec)?))
    }

    /// Deletes what has been written of a block if `write` fails.
    fn or_delete<T, E: Into<UpkeepError>>(
        &self,
        id: Ulid,
        write: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, UpkeepError> {
        write(self).map_err(|error| {
            // What stays is deleted when the shard is opened again.
            let _ = Block::delete(&*self.parts.objects, id);
            error.into()
        })
    }

    /// A block that has been read back, and found to be what was written.
    fn verified(&self, id: Ulid) -> Result<Arc<Block>, UpkeepError> {
        self.or_delete(id, |upkeep| -> Result<_, BlockError> {
            let block = Block::open(&upkeep.parts.objects, id, upkeep.parts.cache.clone())?;
            block.verify()?;
            Ok(Arc::new(block))
        })
    }

    /// Makes `next` the newest manifest and shows it. If it cannot be known whether the manifest
    /// has been written, nothing else happens until it is.
    pub(crate) fn publish(
        &mut self,
        next: Manifest,
        opened: &[Arc<Block>],
    ) -> Result<(), UpkeepError> {
        let mut next = Manifest {
            epoch: self.parts.epoch,
            written_ms: self.parts.clock.now_ms(),
            ..next
        };
        next.sort();
        let version = self.parts.manifests.newest().version + 1;
        self.pending = Some(Pending {
            view: shown(version, &next, &self.parts.samples.view(), opened)?,
            next,
            nonce: ferula_env::random_u64(),
        });
        self.settle()
    }

    /// Finishes what an earlier failure left open.
    pub(crate) fn settle(&mut self) -> Result<(), UpkeepError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        if let Err(error) = self
            .parts
            .manifests
            .commit(pending.next.clone(), pending.nonce)
        {
            self.pending = Some(pending);
            return Err(error.into());
        }
        let newest = self.parts.manifests.newest();
        let before = self.parts.samples.view();
        let named = |id: Ulid| newest.blocks.iter().any(|b| b.id == id);
        let gone = before.blocks().iter().map(|shown| shown.block());
        self.retired
            .extend(gone.filter(|b| !named(b.meta().id)).cloned());
        let floor = newest.floor.unwrap_or(Timestamp::MIN);
        self.parts.samples.exchange(pending.view, floor);
        Ok(())
    }

    /// Deletes blocks that no manifest names and no reader holds.
    fn delete_retired(&mut self) -> Result<(), UpkeepError> {
        let (free, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition(|block| Arc::strong_count(block) == 1);
        self.retired = held;
        let mut done = Ok(());
        for block in free {
            // What cannot be deleted now is tried again.
            if let Err(error) = Block::delete(&*self.parts.objects, block.meta().id) {
                self.retired.push(block);
                done = Err(error.into());
            }
        }
        done
    }
}

/// The blocks of a manifest: those that were shown before as they are, if nothing about them is
/// different.
fn shown(
    version: u64,
    manifest: &Manifest,
    before: &View,
    opened: &[Arc<Block>],
) -> Result<View, BlockError> {
    let mut blocks = Vec::with_capacity(manifest.blocks.len());
    for entry in &manifest.blocks {
        let known = before.blocks().iter().find(|s| s.entry().id == entry.id);
        let open = opened.iter().find(|b| b.meta().id == entry.id);
        match (known, open) {
            (Some(known), _) if known.entry() == entry => blocks.push(known.clone()),
            (Some(known), _) => {
                blocks.push(Arc::new(Shown::new(known.block().clone(), entry.clone())?));
            }
            (None, Some(block)) => blocks.push(Arc::new(Shown::new(block.clone(), entry.clone())?)),
            (None, None) => unreachable!("a manifest names what was shown or has been opened"),
        }
    }
    Ok(View::new(version, floor(manifest), blocks))
}

/// Opens all blocks of a manifest.
pub(crate) fn open_view(
    objects: &Arc<dyn Objects>,
    cache: &Arc<BlockCache>,
    manifest: &Manifest,
) -> Result<View, BlockError> {
    let open = |entry: &BlockEntry| {
        let block = Block::open(objects, entry.id, cache.clone())?;
        Ok(Arc::new(Shown::new(Arc::new(block), entry.clone())?))
    };
    let blocks = manifest.blocks.iter().map(open);
    Ok(View::new(
        manifest.version,
        floor(manifest),
        blocks.collect::<Result<_, BlockError>>()?,
    ))
}

fn floor(manifest: &Manifest) -> Timestamp {
    manifest.floor.unwrap_or(Timestamp::MIN)
}

/// What a manifest says of a block that was just written.
pub(crate) fn entry(meta: &BlockMeta, rank: u64, sources: Vec<Ulid>) -> BlockEntry {
    BlockEntry {
        id: meta.id,
        level: meta.level,
        range: meta.range,
        rank,
        series: meta.series,
        samples: meta.samples,
        bytes: meta.bytes(),
        sources,
        deletes: Vec::new(),
    }
}

/// The blocks a block was first cut as.
fn origins(entry: &BlockEntry) -> Vec<Ulid> {
    match entry.sources.is_empty() {
        true => vec![entry.id],
        false => entry.sources.clone(),
    }
}
