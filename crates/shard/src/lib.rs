//! The life of one shard: claim, fence, replay, own, commit.
//!
//! [`Shard`] is what front doors append to and queries select from. Behind it one thread owns
//! the shard's log and head: it takes what is waiting, judges it, makes it one commit, shows
//! it, and answers. Which states a shard goes through is decided in [`step`], purely; that one
//! writer per epoch counts, in [`Fence`].
//!
//! Never routes, never knows HTTP or a tenant's limits.

mod admin;
mod delete;
mod fence;
mod find;
mod keeper;
mod life;
mod queue;
mod shard;
mod snapshot;
mod stats;
mod upkeep;
mod writer;

pub use fence::{Admitted, Fence};
pub use find::{Found, Place, find};
pub use life::{Effect, Event, State, step};
pub use shard::{Ack, Shard, ShardError, ShardParts, ShardSettings};
pub use stats::{ShardStats, UpkeepStats, VerdictCounts};
pub use upkeep::{Adopted, UpkeepError, UpkeepSettings};
