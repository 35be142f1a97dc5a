//! Blocks: samples of a span of time, written once and never changed.
//!
//! A block holds series of all tenants in order of tenant and labels. A series' *ordinal* is its
//! place in that order; ordinals are what selections yield and what samples are decoded by.
//!
//! [`BlockWriter`] takes series in that order and writes three kinds of objects: `chunks-000`
//! and on with samples, `index` with labels, and last `meta`, without which nothing is a block.
//! [`Block`] reads them lazily, page by page, through a [`BlockCache`] that many blocks share.
//!
//! Start with `page.rs`, the samples of up to 32 neighbouring series, then `writer.rs`. The bytes
//! are described in `docs/internals/block.md`.

mod cache;
mod directory;
mod envelope;
mod examine;
mod files;
mod hash;
mod histograms;
mod index;
mod ints;
mod labels;
mod meta;
mod page;
mod reader;
mod select;
mod sink;
mod times;
mod values;
mod verify;
mod writer;

use ferula_model::{Range, Ulid};
use ferula_storage::SelectError;

use crate::Damaged;

pub use cache::{BlockCache, CacheStats};
pub use examine::{Part, examine};
pub(crate) use hash::SampleHasher;
pub use hash::identity;
pub use labels::LabelReader;
pub use meta::{BlockMeta, ObjectMeta, TenantMeta};
pub use reader::Block;
pub use verify::Verified;
pub use writer::{BlockSpec, BlockWriter};

/// The folder of all blocks.
const FOLDER: &str = "b";

/// The name of a block's object that makes it one.
const META: &str = "meta";

/// The name of a block's object that holds its labels.
const INDEX: &str = "index";

/// Why a block cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The store failed.
    #[error("{key}: {error}")]
    Io {
        /// The object.
        key: String,
        /// How it failed.
        error: std::io::Error,
    },
    /// Stored bytes are not what was written.
    #[error("{key}, byte {offset}: {what}")]
    Damaged {
        /// The object.
        key: String,
        /// Where the part begins that is damaged.
        offset: u64,
        /// What is wrong with it.
        what: Damaged,
    },
    /// Written by a later release.
    #[error("{key}: block format {format} is newer than {max}, the newest this release reads")]
    Newer {
        /// The object.
        key: String,
        /// The format it says it has.
        format: u32,
        /// The newest known one.
        max: u32,
    },
    /// There is a block of this name already.
    #[error("{key}: exists already")]
    Exists {
        /// The object in the way.
        key: String,
    },
    /// The caller broke a rule of writing.
    #[error("a block cannot take a series: {0}")]
    Refused(&'static str),
    /// There is no series of this number.
    #[error("block {block}: there is no series {ordinal}, only {series} series")]
    NoSeries {
        /// The block.
        block: Ulid,
        /// The number asked for.
        ordinal: u32,
        /// How many there are.
        series: u64,
    },
    /// What was decoded is not what was written.
    #[error("block {block}: {what} are {found}, its meta says {written}")]
    Differs {
        /// The block.
        block: Ulid,
        /// What was counted.
        what: &'static str,
        /// How many were found.
        found: u128,
        /// How many there should be.
        written: u128,
    },
}

impl From<BlockError> for SelectError {
    fn from(error: BlockError) -> Self {
        let what = error.to_string();
        match error {
            BlockError::Io { .. } => Self::Unavailable { why: what },
            _ => Self::Corrupt { what },
        }
    }
}

/// The key of a block's object.
fn key(block: Ulid, object: &str) -> String {
    format!("{FOLDER}/{block}/{object}")
}

/// The name of the object with samples number `n`.
fn chunks_name(n: usize) -> String {
    format!("chunks-{n:03}")
}

/// Whether some instant of `min ..= max` lies in the range.
fn overlaps(range: Range, min: i64, max: i64) -> bool {
    range.start <= max && min < range.end
}

#[cfg(test)]
mod tests;
