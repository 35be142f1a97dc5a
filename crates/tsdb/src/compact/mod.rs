//! What becomes of blocks: which are merged, which are given up.

mod plan;
mod retain;

pub use plan::{Job, deleted, plan};
pub use retain::{Expiry, Retention, expired};
