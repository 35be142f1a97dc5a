//! What a shard holds, found from its files: manifest, blocks, checkpoint and log. Nothing is
//! changed, so it can be done by one who does not own the shard.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferula_env::Disk;
use ferula_objects::Objects;
use ferula_tsdb::block::BlockCache;
use ferula_tsdb::checkpoint::{Checkpoint, CheckpointError};
use ferula_tsdb::log::frame::{self, Frame, Kind};
use ferula_tsdb::log::segment::{Header, Identity};
use ferula_tsdb::log::{Progress, Replay, Replayed, Visitor, replay};
use ferula_tsdb::manifest::{CheckpointRef, Manifests};
use ferula_tsdb::view::{Samples, View};
use ferula_tsdb::{Head, HeadSettings, HeadWriter, ReplayedRecords};

use crate::upkeep::open_view;
use crate::{Admitted, Fence, ShardError};

/// Where a shard is.
pub struct Place<'a> {
    /// Files, of the log.
    pub disk: &'a dyn Disk,
    /// Blocks, checkpoints and manifests.
    pub objects: &'a Arc<dyn Objects>,
    /// Memory for pages of blocks.
    pub cache: &'a Arc<BlockCache>,
    /// The data directory.
    pub dir: &'a Path,
    /// Whose data it must be, and which shard.
    pub identity: Identity,
    /// Bytes the head may hold.
    pub head_bytes_max: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// All samples.
    pub samples: Arc<Samples>,
    /// The manifests.
    pub manifests: Manifests,
    /// The one who may write the head.
    pub(crate) writer: HeadWriter,
    /// The newest owner that has left a trace.
    pub epoch: u64,
    /// What the log looks like.
    pub replayed: Replayed,
    /// What its records gave.
    pub records: ReplayedRecords,
}

/// Reads the newest manifest, opens the blocks it names if they are wanted, loads its checkpoint
/// and replays the log behind that. `progress` tells others how far it is.
pub fn find(
    place: &Place<'_>,
    with_blocks: bool,
    progress: &Progress,
) -> Result<Found, ShardError> {
    let Identity { cluster, shard } = place.identity;
    let manifest = |source| ShardError::Manifest { shard, source };
    let manifests = Manifests::open(place.objects.clone(), cluster, shard).map_err(manifest)?;
    let newest = manifests.newest();
    let view = match with_blocks {
        true => open_view(place.objects, place.cache, newest)
            .map_err(|source| ShardError::Block { shard, source })?,
        false => View::default(),
    };
    let (head, mut writer) = Head::new(HeadSettings {
        bytes_max: place.head_bytes_max,
        hash_seed: ferula_env::random_u64(),
    });
    let samples = Arc::new(Samples::new(head, view));
    if let Some(floor) = newest.floor {
        samples.head().raise_floor(floor, || ());
    }
    let mut fence = Fence::default();
    if let Some(checkpoint) = &newest.checkpoint {
        load(&mut writer, &**place.objects, checkpoint, place.identity)
            .map_err(|source| ShardError::Checkpoint { shard, source })?;
        fence.inherit(checkpoint.epoch);
    }
    let mut replaying = Replaying {
        writer,
        fence,
        found: ReplayedRecords::default(),
    };
    let what = Replay {
        disk: place.disk,
        dir: &log_dir(place.dir, shard),
        identity: place.identity,
        after: newest.replayed_from(),
        progress,
    };
    let replayed =
        replay(&what, &mut replaying).map_err(|source| ShardError::Log { shard, source })?;
    let Replaying {
        mut writer,
        fence,
        found,
    } = replaying;
    writer.replayed();
    Ok(Found {
        samples,
        manifests,
        writer,
        epoch: fence.epoch(),
        replayed,
        records: found,
    })
}

/// Where a shard's log is.
pub(crate) fn log_dir(dir: &Path, shard: u32) -> PathBuf {
    dir.join("s").join(shard.to_string()).join("log")
}

/// Fills an empty head from the checkpoint that a manifest names.
fn load(
    writer: &mut HeadWriter,
    objects: &dyn Objects,
    named: &CheckpointRef,
    identity: Identity,
) -> Result<(), CheckpointError> {
    let object = objects.open(&named.key)?;
    let expected = Checkpoint {
        commit: named.commit,
        len: named.bytes,
        hash: named.hash,
    };
    writer.load_checkpoint(&*object, &expected, identity)?;
    Ok(())
}

/// Feeds a head from the log.
struct Replaying {
    writer: HeadWriter,
    fence: Fence,
    found: ReplayedRecords,
}

impl Visitor for Replaying {
    fn segment(&mut self, header: &Header) -> Result<(), String> {
        // The fence of the first segment's writer may be in one that is gone.
        self.fence.inherit(header.writer.epoch);
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
