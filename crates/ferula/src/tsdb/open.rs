//! A data directory in the hands of a command instead of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::ArgMatches;
use ferula_coord::LocalCoord;
use ferula_env::{Clock, Disk, SystemClock, SystemDisk};
use ferula_model::{TenantId, Ulid};
use ferula_objects::{LocalObjects, Objects};
use ferula_shard::{Ack, Shard, ShardParts, ShardSettings, UpkeepSettings};
use ferula_tsdb::compact::Retention;
use ferula_tsdb::log::Progress as Replaying;
use ferula_tsdb::manifest::delete_unnamed_blocks;

use crate::serve::{QUEUE_BYTES_MAX, SEGMENT_BYTES, SHARD};

/// Bytes of memory for pages of blocks that are read.
const CACHE_BYTES: u64 = 256 << 20;

/// What a server cuts blocks by, unless it is told otherwise.
const BLOCK_MS: i64 = 2 * 3_600_000;

/// What the head may take: whatever a server had in it.
const HEAD_BYTES_MAX: u64 = u64::MAX;

/// An open data directory, which no other process can open meanwhile.
pub(crate) struct Opened {
    pub(crate) shard: Shard,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Opened {
    /// Opens a data directory and replays its log; a new one is made.
    pub(crate) fn open(dir: &Path, given: &ArgMatches) -> anyhow::Result<Self> {
        let (clock, disk) = (SystemClock::shared(), SystemDisk::shared());
        let blocks: Option<&PathBuf> = given.get_one("storage.blocks-path");
        let coord = Arc::new(LocalCoord::open(disk.clone(), dir)?);
        let blocks = blocks.map_or(dir, PathBuf::as_path);
        let objects: Arc<dyn Objects> = Arc::new(LocalObjects::open(disk.clone(), blocks)?);
        // What a command that was stopped had written.
        delete_unnamed_blocks(&objects)?;
        let settings = ShardSettings {
            dir: dir.to_owned(),
            number: SHARD,
            ack: Ack::Durable,
            head_bytes_max: HEAD_BYTES_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            segment_bytes: SEGMENT_BYTES,
            upkeep: UpkeepSettings {
                // Blocks grow and expire when a server runs, by its settings.
                ranges_ms: vec![BLOCK_MS],
                checkpoint_log_bytes: u64::MAX,
                retention: Retention::default(),
                cache_bytes: CACHE_BYTES,
            },
            keeper: false,
        };
        let parts = ShardParts {
            clock: clock.clone(),
            disk: disk.clone(),
            objects: objects.clone(),
            coord,
        };
        let shard = Shard::open(settings, parts, &Replaying::default())
            .with_context(|| format!("opening {}", dir.display()))?;
        Ok(Self {
            shard,
            objects,
            clock,
            disk,
        })
    }

    /// A name for a new block.
    pub(crate) fn new_ulid(&self) -> Ulid {
        let random = u128::from(ferula_env::random_u64()) << 64;
        let random = random | u128::from(ferula_env::random_u64());
        Ulid::new(self.clock.now_ms(), random)
    }
}

/// Whose samples are meant.
pub(crate) fn tenant(given: &ArgMatches) -> anyhow::Result<TenantId> {
    let tenant: &String = super::required(given, "tenant");
    Ok(TenantId::new(tenant)?)
}
