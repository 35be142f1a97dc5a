//! Scrape pools and loops: fetches what targets expose and stores it, one batch per scrape.
//!
//! A [`Manager`] has a pool per job, a pool a loop per target. Which targets there are is
//! discovery's to say; what becomes of a sample is the storage's. Never keeps the text of a
//! known series, never reads its labels again. Start with `loop_`, then `scraper`
//! (one scrape), `content` and `cache` (from a body to samples).

mod buffers;
mod cache;
mod content;
mod error;
mod job;
mod loop_;
mod manager;
mod metadata;
mod metrics;
mod pool;
mod report;
mod scraper;
mod series;
mod status;
mod target;
mod timing;

pub use job::Options;
pub use manager::Manager;
pub use metadata::FamilyMetadata;
pub use metrics::{Counter, Metrics};
pub use status::{ActiveTarget, DroppedTarget, Health, PoolStatus};
pub use timing::{Alignment, offset_seed};
