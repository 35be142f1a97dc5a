//! A data directory, read without being opened by a shard.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::ArgMatches;
use ferula_coord::{LocalCoord, identity_of};
use ferula_env::{Disk, SystemDisk};
use ferula_model::Ulid;
use ferula_objects::{LocalObjects, Objects};
use ferula_shard::{Found, Place};
use ferula_tsdb::block::{Block, BlockCache};
use ferula_tsdb::log::segment::Identity;
use ferula_tsdb::manifest::{Manifest, Manifests};

/// Bytes of memory for pages of blocks that are read.
const CACHE_BYTES: u64 = 64 << 20;

/// A data directory and its identity.
#[derive(Debug)]
pub(super) struct DataDir {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    /// Where blocks are.
    pub(super) blocks: PathBuf,
    pub(super) objects: Arc<dyn Objects>,
    cluster: [u8; 16],
    cache: Arc<BlockCache>,
    /// Held by commands that change something.
    _lock: Option<LocalCoord>,
}

impl DataDir {
    /// For reading alone, also while a server has it.
    pub(super) fn read(given: &ArgMatches) -> anyhow::Result<Self> {
        let (dir, blocks) = places(given);
        let disk = SystemDisk::shared();
        let objects = LocalObjects::read_only(disk.clone(), &blocks);
        Self::new(disk, dir, blocks, Arc::new(objects), None)
    }

    /// For changing it: fails while a server has it.
    pub(super) fn change(given: &ArgMatches) -> anyhow::Result<Self> {
        let (dir, blocks) = places(given);
        let disk = SystemDisk::shared();
        // Asked before, because taking a directory creates it.
        identity(&*disk, &dir)?;
        let lock = LocalCoord::open(disk.clone(), &dir)?;
        let objects = LocalObjects::open(disk.clone(), &blocks)?;
        Self::new(disk, dir, blocks, Arc::new(objects), Some(lock))
    }

    fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        blocks: PathBuf,
        objects: Arc<dyn Objects>,
        lock: Option<LocalCoord>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            cluster: identity(&*disk, &dir)?,
            disk,
            dir,
            blocks,
            objects,
            cache: BlockCache::new(CACHE_BYTES),
            _lock: lock,
        })
    }

    /// The numbers of the shards in it.
    pub(super) fn shards(&self) -> anyhow::Result<Vec<u32>> {
        let names = self.disk.list(&self.dir.join("s"))?;
        let mut shards: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        shards.sort_unstable();
        Ok(shards)
    }

    /// The manifests of a shard.
    pub(super) fn manifests(&self, shard: u32) -> anyhow::Result<Manifests> {
        let manifests = Manifests::open(self.objects.clone(), self.cluster, shard);
        manifests.with_context(|| format!("shard {shard}"))
    }

    /// The newest manifest of a shard.
    pub(super) fn manifest(&self, shard: u32) -> anyhow::Result<Manifest> {
        Ok(self.manifests(shard)?.newest().clone())
    }

    /// Opens a block.
    pub(super) fn block(&self, id: Ulid) -> anyhow::Result<Block> {
        Ok(Block::open(&self.objects, id, self.cache.clone())?)
    }

    /// What a shard holds: its head from checkpoint and log, and its blocks if they are wanted.
    pub(super) fn find(&self, shard: u32, with_blocks: bool) -> anyhow::Result<Found> {
        let place = Place {
            disk: &*self.disk,
            objects: &self.objects,
            cache: &self.cache,
            dir: &self.dir,
            identity: Identity {
                cluster: self.cluster,
                shard,
            },
            head_bytes_max: u64::MAX,
        };
        Ok(ferula_shard::find(
            &place,
            with_blocks,
            &Default::default(),
        )?)
    }
}

/// The data directory, and the one where its blocks are.
fn places(given: &ArgMatches) -> (PathBuf, PathBuf) {
    let dir: PathBuf = super::super::required::<PathBuf>(given, "DATA_DIR").clone();
    let blocks: Option<&PathBuf> = given.get_one("storage.blocks-path");
    let blocks = blocks.unwrap_or(&dir).clone();
    (dir, blocks)
}

fn identity(disk: &dyn Disk, dir: &Path) -> anyhow::Result<[u8; 16]> {
    match identity_of(disk, dir)? {
        Some(cluster) => Ok(cluster),
        None => bail!(
            "{}: no data directory of Ferula, there is no file `epochs` in it",
            dir.display()
        ),
    }
}
