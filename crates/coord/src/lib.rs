//! Who may own which shard: claims, each with an epoch that no claim before it had.
//!
//! Never knows what a shard does with an epoch; the fence in the shard's log is what makes it
//! count. Start with [`Coord`]; alone on a machine it is [`LocalCoord`].

mod local;

use std::io;
use std::path::{Path, PathBuf};

pub use local::{LocalCoord, identity_of};

/// The right to try to own a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The shard.
    pub shard: u32,
    /// Larger than that of every claim on this shard before.
    pub epoch: u64,
}

/// Why nothing can be claimed.
#[derive(Debug, thiserror::Error)]
pub enum CoordError {
    /// Another process owns the data directory.
    #[error("{} is in use by another process{}; stop that one, or use another directory",
        dir.display(), holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, if it left its id.
        holder: Option<u32>,
    },
    /// What was remembered of earlier claims cannot be understood.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file system failed.
    #[error("cannot claim the data directory: {0}")]
    Io(#[from] io::Error),
}

/// Hands out claims. One at a time per shard holds; the log's fence decides which.
pub trait Coord: Send + Sync + std::fmt::Debug {
    /// The cluster, or data directory, that claims are made in.
    fn cluster(&self) -> [u8; 16];

    /// Claims a shard with an epoch above `above` and above all handed out before. Durable
    /// when it returns.
    fn claim(&self, shard: u32, above: u64) -> Result<Claim, CoordError>;

    /// Writes what a copy of the data needs in order to be known as this one. Claims made in the
    /// copy are above all that were made here.
    fn copy_identity(&self, dir: &Path) -> Result<(), CoordError>;
}
