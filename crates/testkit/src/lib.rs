//! Series notation and the PromQL script runner, for tests.
//!
//! Knows two languages: the series notation (`metric{a="b"} 0+1x10 _ stale`) and the scripts
//! built on it (`load`, `eval`, `expect`). Never part of a shipped program. Start with
//! [`run_script`]; [`MemStore`] is the naive store the scripts load into.

mod cursor;
mod duration;
pub mod fuzz;
mod histogram;
mod notation;
mod store;

pub use duration::parse_duration;
pub use histogram::{compact_buckets, histograms_agree};
pub use notation::{Item, NotationError, SeriesLine, parse_labels, parse_series};
pub use store::MemStore;
