//! What lies between the front doors and the shards: admission, placement, the write router
//! and the fan-out of reads.
//!
//! Knows no HTTP. Alone on a machine there is one shard, and everything here has one leg; the
//! code is the same. Start with [`placement::ShardMap::shard_of`], the function that routes.

mod admins;
mod admission;
mod fanout;
pub mod placement;
mod ref_cache;
mod router;

pub use admins::Admins;
pub use admission::{Admission, AdmissionSettings, AdmissionStats};
pub use fanout::Fanout;
pub use ref_cache::{RefCache, RefKey};
pub use router::Router;
