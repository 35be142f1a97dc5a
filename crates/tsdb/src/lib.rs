//! One shard's data: the head in memory, and the log that makes it durable.
//!
//! Never speaks HTTP, never knows what a tenant may do, never reads a clock. One writer per
//! shard: [`HeadWriter`] stages batches, [`log::Log`] makes them durable, then the writer
//! applies them; any number of readers go through [`Head`]. Who may be that writer is decided
//! in `ferula-shard`.
//!
//! Start with [`judge`], which decides what becomes of a sample, then `head/stage.rs`, then
//! `log/writer.rs`. The bytes of the log are described in `docs/internals/log.md`.

pub mod block;
mod bytes;
pub mod checkpoint;
mod chunk;
pub mod compact;
pub mod export;
mod head;
pub mod import;
pub mod log;
pub mod manifest;
pub mod prometheus;
#[cfg(test)]
mod testing;
pub mod view;

pub use head::{
    Bounds, Cardinality, Head, HeadSettings, HeadStats, HeadWriter, Rebase, ReplayedRecords,
    Retired, ToDelete, Verdict, judge, min_valid,
};

/// Bytes that are not what they should be. Says what, not where: whoever knows adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub &'static str);
