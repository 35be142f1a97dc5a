//! Blocks and write-ahead logs of Prometheus, read and written.
//!
//! Never decides what becomes of the samples: whoever imports or exports does. Bytes that are
//! not what the format says are errors with file and position, never a panic, and never make
//! the reader ask for more memory than there are bytes to justify it.
//!
//! Start with [`Block`] and [`BlockWriter`].

mod block;
mod chunk;
mod cut;
mod encode_histograms;
mod error;
mod floats;
mod histograms;
mod index;
mod meta;
mod start;
mod tombstones;
mod varbit;
mod window;
mod write_block;
mod write_file;
mod write_index;

pub use block::Block;
pub use chunk::decode as decode_chunk;
pub use error::Error;
pub use index::{ChunkRef, Entry, Index};
pub use meta::{Meta, Stats};
pub use tombstones::Tombstones;
pub use window::{ReadAt, Window};
pub use write_block::BlockWriter;
