//! Checkpoints: a head as an object, so that a shard need not replay its whole log.
//!
//! A checkpoint at commit c holds what the log defines up to c, and of each series at least the
//! samples up to c that are not below the floor: commits go on while it is written. So whoever
//! loads it and replays what follows c has the head back; rows that are in it already are not
//! newer than their series, and left out.
//!
//! The bytes are described in `docs/internals/checkpoint.md`. Reading order: [`contents`], then
//! `write.rs`, then `load.rs`.

mod contents;
mod dictionary;
mod load;
mod write;

#[cfg(test)]
mod tests;

use std::io;

use crate::Damaged;
use crate::log::Dictionary;

pub use load::Loaded;

/// A point in the log from which a checkpoint can be taken; made by
/// [`HeadWriter::mark`](crate::HeadWriter::mark).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last commit before it.
    pub commit: u64,
    /// What the log defines up to there.
    pub(crate) dictionary: Dictionary,
}

/// A checkpoint that was written: what a manifest says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log is replayed behind this commit.
    pub commit: u64,
    /// Bytes of the object.
    pub len: u64,
    /// XXH3-64 of the table of contents, which has a checksum of everything else.
    pub hash: u64,
}

/// The folder of a shard's checkpoints.
pub fn folder(shard: u32) -> String {
    format!("s/{shard}/ckpt")
}

/// The name of a shard's checkpoint at a commit; `nonce` tells attempts apart.
pub fn key(shard: u32, commit: u64, nonce: u64) -> String {
    format!("{}/{commit:020}-{nonce:016x}", folder(shard))
}

/// Why a checkpoint cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Reading failed.
    #[error("the checkpoint cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Its bytes are not what was written.
    #[error("the checkpoint is damaged: {0}; restore the object, or the whole directory")]
    Damaged(#[from] Damaged),
    /// It is another one than the manifest names.
    #[error("not the checkpoint that the manifest names: {what}")]
    Foreign {
        /// What differs.
        what: &'static str,
    },
}
