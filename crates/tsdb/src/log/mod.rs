//! The log: what makes a commit durable, and a shard come back.
//!
//! Files (*segments*) of frames, one frame per commit; the bytes are described in
//! `docs/internals/log.md`. Reading order: [`frame`], [`segment`], `record.rs`, then
//! [`Log::commit`] and [`replay()`].

pub mod frame;
pub mod segment;

mod delete;
pub(crate) mod record;
mod replay;
mod writer;

use std::io;

pub use delete::delete_segments;
pub use record::Dictionary;
pub use replay::{Progress, Replay, Replayed, Tail, Torn, Visitor, replay};
pub use writer::{Log, LogSettings, LogStats, Sync};

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room for another segment. Nothing was written; free space and try again.
    #[error("the disk is full: no room for the next log segment: {0}")]
    DiskFull(#[source] io::Error),
    /// The commit is too large for a frame. Send less at once.
    #[error("a commit of {bytes} bytes is larger than a frame of the log, {max}")]
    TooLarge {
        /// What it takes.
        bytes: u64,
        /// What it may take.
        max: u64,
    },
    /// Writing or syncing failed. What was being written may or may not be durable; this log
    /// must not be written any more.
    #[error("the log cannot be written: {0}")]
    Broken(#[source] io::Error),
    /// Reading failed.
    #[error("the log cannot be read: {0}")]
    Read(#[source] io::Error),
    /// A segment is missing, so acknowledged data would be.
    #[error(
        "log segment missing: {found} does not follow {expected}; restore the file, or the whole directory"
    )]
    MissingSegment {
        /// What should come next.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A segment's header is damaged, or of another version.
    #[error("{segment}: {what}")]
    BadSegment {
        /// The file.
        segment: String,
        /// What is wrong.
        what: String,
    },
    /// The one who reads refuses: a newer owner has fenced this one off, or the log is sealed.
    #[error("{segment}: {why}")]
    Refused {
        /// The file.
        segment: String,
        /// Why.
        why: String,
    },
}
