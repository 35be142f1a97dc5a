//! Blocks and write-ahead logs of Prometheus, read and written.
//!
//! Never decides what becomes of the samples: whoever imports or exports does. Bytes that are
//! not what the format says are errors with file and position, never a panic, and never make
//! the reader ask for more memory than there are bytes to justify it.
//!
//! Start with [`DataDir`], then [`Block`] and [`WalHead`]; what is written is a [`BlockWriter`]'s.

mod block;
mod chunk;
mod cut;
mod data_dir;
mod encode_histograms;
mod error;
mod floats;
mod gather;
mod histograms;
mod index;
mod meta;
mod pages;
mod record;
mod sort;
mod start;
mod tombstones;
mod varbit;
mod wal;
mod window;
mod write_block;
mod write_file;
mod write_index;

pub use block::Block;
pub use chunk::decode as decode_chunk;
pub use data_dir::DataDir;
pub use error::Error;
pub use gather::Gather;
pub use index::{ChunkRef, Entry, Index};
pub use meta::{Meta, Stats};
pub use pages::Segment;
pub use record::{Records, Times, decode as decode_record};
pub use sort::sort_first_wins;
pub use tombstones::Tombstones;
pub use wal::WalHead;
pub use window::{ReadAt, Window};
pub use write_block::BlockWriter;
