//! Series notation and the PromQL script runner, for tests.
//!
//! Knows two languages: the series notation (`metric{a="b"} 0+1x10 _ stale`) and the scripts
//! built on it (`load`, `eval`, `expect`). Never part of a shipped program. Start with
//! [`run_script`]; [`MemStore`] is the naive store the scripts load into, [`Evaluator`] what may
//! stand in the engine's place.

mod cursor;
mod duration;

mod histogram;
mod notation;

mod nhcb;
mod store;

pub mod fuzz;
pub mod oracle;

pub mod random;

mod buckets;
mod compare;
mod evaluator;
mod pin;
mod runner;
mod script;

pub use buckets::{ShownBucket, ShownHistogram};
pub use duration::parse_duration;
pub use evaluator::{Answer, AnswerValue, Evaluator, OnOracle, ScriptOptions, ScriptQuery, Seen};
pub use histogram::{compact_buckets, histograms_agree};
pub use notation::{Item, NotationError, SeriesLine, parse_labels, parse_series};
pub use runner::{Failure, Report, run_script, run_script_on};
pub use script::ScriptError;
pub use store::MemStore;
