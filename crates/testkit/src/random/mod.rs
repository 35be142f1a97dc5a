//! Random data and random queries over it, both from a seed.
//!
//! A [`Scenario`] is a set of series with everything that makes evaluation hard: gaps, stale
//! markers, resets, special values, native histograms of every kind. A [`QueryGen`] asks about it
//! in well-typed PromQL that mostly finds something. Pure: the same seed gives the same samples
//! and the same text on every machine.

mod allowed;
mod data;
mod histograms;
mod query;
mod seed;
mod starts;
mod walks;

pub use allowed::Allowed;
pub use data::{Kind, Metric, RandomSample, RandomSeries, Scenario};
pub use query::{QueryGen, RandomQuery};
pub use seed::Random;
