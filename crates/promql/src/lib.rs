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

mod annotations;
mod budget;
mod exec;
mod explain;
mod functions;
mod histogram;
mod plan;
mod select;

pub use budget::CancelToken;
pub use engine::{Engine, EngineMetrics, EngineOptions, Query, QueryParams, Times};
pub use error::{QueryError, Stage};
pub use exec::Measured;
pub use explain::{Explained, Explanation};
pub use result::{MatrixSeries, QueryResult, QueryStats, QueryValue, VectorSample};
