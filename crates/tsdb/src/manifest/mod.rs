//! What a shard consists of, in versions: which blocks, where the log and its checkpoint begin,
//! below which time the head's samples are in blocks.
//!
//! The newest version is the truth. What is visible changes by the next version and in no other
//! way, so blocks, deletions, the start of the log and the head's floor change together or not
//! at all. Bytes: `docs/internals/manifest.md`.

mod commit;
mod sweep;
mod text;

use ferula_model::{MatchOp, Matcher, Range, TenantId, Timestamp, Ulid};

pub use commit::{ManifestError, Manifests};
pub use sweep::delete_unnamed_blocks;

/// The rank the head's samples have beside those of blocks: behind every block that was cut from
/// it.
pub const RANK_OF_HEAD: u64 = 1 << 61;

/// Blocks of imported samples have ranks from here on, behind the head: an import never changes
/// a value that was acknowledged.
pub const RANK_OF_IMPORTS: u64 = 1 << 62;

/// One version of what a shard consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Counted from 1, without gaps.
    pub version: u64,
    /// The data directory or cluster it belongs to.
    pub cluster: [u8; 16],
    /// The shard.
    pub shard: u32,
    /// The epoch of the owner that wrote it.
    pub epoch: u64,
    /// Random, so that a writer knows its own.
    pub nonce: u64,
    /// The nonce of the version before; 0 for the first.
    pub parent: u64,
    /// When it was written, in milliseconds since the Unix epoch, for those who read.
    pub written_ms: i64,
    /// What the log up to some commit has become.
    pub checkpoint: Option<CheckpointRef>,
    /// The head's samples before this are in blocks.
    pub floor: Option<Timestamp>,
    /// The blocks, in order of time.
    pub blocks: Vec<BlockEntry>,
}

/// Where a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRef {
    /// The object.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// What its contents are told by.
    pub hash: u64,
    /// The epoch of the log's writer at that commit: its fence may lie before.
    pub epoch: u64,
    /// What the log holds up to and including this commit is in the checkpoint.
    pub commit: u64,
}

/// A block that is part of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// Which one.
    pub id: Ulid,
    /// How often its samples have been merged: 1 as cut from the head.
    pub level: u32,
    /// All its samples are in here.
    pub range: Range,
    /// Of two values for one series and time, that of the block with the lower rank counts.
    pub rank: u64,
    /// Series it has.
    pub series: u64,
    /// Samples it has, deleted ones included.
    pub samples: u64,
    /// Bytes of its objects.
    pub bytes: u64,
    /// The blocks it was first cut as, and those merged into it since.
    pub sources: Vec<Ulid>,
    /// What was deleted since it was written.
    pub deletes: Vec<Delete>,
}

/// A deletion: samples of series that match, in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Whose.
    pub tenant: TenantId,
    /// All of these must hold.
    pub matchers: Vec<Matcher>,
    /// When.
    pub range: Range,
}

impl Manifest {
    /// The version before the first: nothing.
    pub fn empty(cluster: [u8; 16], shard: u32) -> Self {
        Self {
            version: 0,
            cluster,
            shard,
            epoch: 0,
            nonce: 0,
            parent: 0,
            written_ms: 0,
            checkpoint: None,
            floor: None,
            blocks: Vec::new(),
        }
    }

    /// The commit that replay starts behind.
    pub fn replayed_from(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |c| c.commit)
    }

    /// Puts the blocks in order of time, those of equal start by rank.
    pub fn sort(&mut self) {
        self.blocks
            .sort_by_key(|b| (b.range.start, b.range.end, b.rank, b.id));
    }
}

/// The operators by the text that manifests give them.
const OPS: [(MatchOp, &str); 4] = [
    (MatchOp::Equal, "="),
    (MatchOp::NotEqual, "!="),
    (MatchOp::Regex, "=~"),
    (MatchOp::NotRegex, "!~"),
];
