//! Samples of other programs become blocks.
//!
//! What is imported is planned as a whole ([`plan`]), then written block by block: series of all
//! sources that share time are put together in order of labels ([`write`]). Never decides where
//! a block becomes visible; who owns the shard does.

mod cursor;
mod plan;
mod write;

pub use cursor::{Cursor, GatherCursor, LogCursor, PrometheusCursor};
pub use plan::{Group, plan};
pub use write::{Tally, write};

use crate::block::BlockError;
use crate::prometheus;

/// Why samples cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// What is to be imported cannot be read.
    #[error(transparent)]
    Source(#[from] prometheus::Error),
    /// A block cannot be written.
    #[error(transparent)]
    Block(#[from] BlockError),
}
