//! What becomes of samples as they age: the head's are cut into blocks, blocks are merged into
//! larger ones, and given up in the end.

mod cut;
mod merge;
mod plan;
mod retain;

use ferula_storage::SelectError;

use crate::Damaged;
use crate::block::BlockError;

pub use cut::{cut, due};
pub use merge::merge;
pub use plan::{Job, deleted, plan};
pub use retain::{Expiry, Retention, expired};

/// Why samples cannot be moved.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A block cannot be written or read.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A block's samples cannot be read.
    #[error(transparent)]
    Samples(#[from] SelectError),
    /// The head's bytes are damaged.
    #[error("in memory: {0}")]
    Head(#[from] Damaged),
    /// What was written is not what was read.
    #[error(
        "{expected} samples were read and {found} written, or others: nothing is replaced; \
         please report this, and keep the blocks"
    )]
    Unbalanced {
        /// Samples that were read.
        expected: u64,
        /// Samples that were written.
        found: u64,
    },
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}
