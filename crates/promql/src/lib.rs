//! PromQL: from text to a tree ([`syntax`]), from the tree to results ([`Engine`]).
//!
//! A query is parsed, planned (which samples are needed, what is computed from them, in what
//! shape), its series are selected, and then it is evaluated series by series, each over the whole
//! time range at once. Never knows where samples come from: it reads through
//! `ferula_storage::Select`. Start with [`Engine::run`], then `plan`, then `exec`.

pub mod syntax;

mod engine;
mod error;
mod result;

mod active;
mod annotations;
mod budget;
mod cancel;
mod exec;
mod explain;
mod functions;
mod going;
mod histogram;
mod journal;
mod metrics;
mod plan;
mod select;
mod turns;

pub use active::ActiveQuery;
pub use cancel::CancelToken;
pub use engine::{Engine, EngineOptions, Query, QueryParams, Times};
pub use error::{MemoryLimit, QueryError, Stage};
pub use exec::Measured;
pub use explain::{Explained, Explanation};
pub use journal::{Finished, Journal, Origin};
pub use metrics::{DURATION_BOUNDS, DurationSnapshot, EngineMetrics, QUANTILES, Slice};
pub use result::{MatrixSeries, QueryResult, QueryStats, QueryValue, StepSamples, VectorSample};
