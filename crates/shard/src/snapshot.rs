//! Snapshots: a data directory beside the own one, from which a server can be started.
//!
//! Blocks never change, so they get a second name there, or are copied where that cannot be. The
//! head is written as blocks. The manifest comes last: without it, the directory holds nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ferula_env::Disk;
use ferula_model::{Range, Ulid};
use ferula_objects::{Created, LocalObjects, Objects};
use ferula_tsdb::block::Block;
use ferula_tsdb::compact;
use ferula_tsdb::manifest::{BlockEntry, Manifest, Manifests};

use crate::upkeep::{Upkeep, UpkeepError, entry};

/// The folder of all snapshots.
const SNAPSHOTS: &str = "snapshots";

/// The folder of all blocks.
const BLOCKS: &str = "b";

/// The object that makes a block one; it comes last.
const META: &str = "meta";

/// A head that reaches over more block ranges than this has gaps, and becomes one block.
const PIECES_MAX: i64 = 64;

/// Bytes copied at a time.
const PIECE_BYTES: u64 = 1 << 20;

impl Upkeep {
    /// Makes a data directory of what is stored: all that was before the call, and some of what
    /// comes meanwhile.
    pub(crate) fn snapshot(
        &mut self,
        name: &str,
        skip_head: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), UpkeepError> {
        self.settle()?;
        let dir = self.dir().join(SNAPSHOTS).join(name);
        let to = LocalObjects::open(self.disk().clone(), &dir).map_err(at(&dir))?;
        let to: Arc<dyn Objects> = Arc::new(to);
        let mut next = Manifest {
            checkpoint: None,
            ..self.newest().clone()
        };
        for block in &next.blocks {
            self.share(block.id, &dir, &*to).map_err(at(&dir))?;
        }
        if !skip_head && let Some((oldest, newest)) = self.head().span() {
            let end = newest.saturating_add(1);
            let rank = next.version + 1;
            for range in self.pieces(Range { start: oldest, end }) {
                next.blocks.extend(self.head_block(&to, range, rank, stop)?);
            }
            next.floor = Some(end);
        }
        self.copy_identity(&dir)?;
        let mut manifests = Manifests::open(to, next.cluster, next.shard)?;
        manifests.commit(next, ferula_env::random_u64())?;
        self.disk()
            .sync_dir(&self.dir().join(SNAPSHOTS))
            .map_err(at(&dir))?;
        self.disk().sync_dir(self.dir()).map_err(at(&dir))?;
        Ok(())
    }

    /// Gives the objects of a block a second name, or copies them.
    fn share(&self, id: Ulid, dir: &Path, to: &dyn Objects) -> io::Result<()> {
        let folder = format!("{BLOCKS}/{id}");
        let mut names = self.objects().list(&folder)?;
        names.sort_by_key(|name| name == META);
        let disk: &dyn Disk = &**self.disk();
        disk.create_dir_all(&dir.join(&folder))?;
        for name in names {
            let key = format!("{folder}/{name}");
            if disk
                .hard_link(&self.dir().join(&key), &dir.join(&key))
                .is_err()
            {
                copy(&**self.objects(), to, &key)?;
            }
        }
        // Listing makes names durable.
        to.list(&folder).map(|_| ())
    }

    /// A range in pieces that end where blocks do.
    fn pieces(&self, range: Range) -> Vec<Range> {
        let block_ms = self.block_ms();
        if range.end.saturating_sub(range.start) / block_ms > PIECES_MAX {
            return vec![range];
        }
        let mut pieces = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let aligned = start
                .div_euclid(block_ms)
                .saturating_add(1)
                .saturating_mul(block_ms);
            let end = aligned.min(range.end);
            pieces.push(Range { start, end });
            start = end;
        }
        pieces
    }

    /// Writes what the head has of a range.
    fn head_block(
        &self,
        to: &Arc<dyn Objects>,
        range: Range,
        rank: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<BlockEntry>, UpkeepError> {
        let (id, writer) = self.writer_to(to, range, 1, Vec::new())?;
        let Some(meta) = compact::cut(self.head(), range, writer, stop)? else {
            return Ok(None);
        };
        Block::open(to, id, self.cache().clone())?.verify()?;
        Ok(Some(entry(&meta, rank, Vec::new())))
    }
}

fn copy(from: &dyn Objects, to: &dyn Objects, key: &str) -> io::Result<()> {
    let (object, mut writer) = (from.open(key)?, to.writer(key)?);
    let mut at = 0;
    while at < object.len() {
        let mut piece = vec![0; PIECE_BYTES.min(object.len() - at) as usize];
        object.read_exact_at(&mut piece, at)?;
        writer.write(&piece)?;
        at += piece.len() as u64;
    }
    match writer.finish()? {
        Created::New | Created::Exists => Ok(()),
    }
}

fn at(dir: &Path) -> impl Fn(io::Error) -> UpkeepError {
    let dir = dir.to_owned();
    move |source| UpkeepError::Snapshot {
        dir: dir.clone(),
        source,
    }
}
