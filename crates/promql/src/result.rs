//! What a query yields.

use std::sync::Arc;
use std::time::Duration;

use ferula_model::{Labels, Timestamp, Value};
use ferula_storage::Columns;

use crate::budget::Taken;
use crate::explain::Explanation;

/// A query's answer.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The value.
    pub value: QueryValue,
    /// What may make the answer wrong.
    pub warnings: Vec<String>,
    /// What the user may want to know.
    pub infos: Vec<String>,
    /// What it took.
    pub stats: QueryStats,
    /// How it was run, if that was wanted.
    pub explanation: Option<Explanation>,
    /// The memory it takes, which stays counted as long as it is there.
    pub(crate) _memory: Arc<Taken>,
}

/// The value of a query.
#[derive(Clone, Debug)]
pub enum QueryValue {
    /// One number.
    Scalar {
        /// The evaluation time.
        timestamp: Timestamp,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// The evaluation time.
        timestamp: Timestamp,
        /// The text.
        value: String,
    },
    /// One sample per series, in the engine's order.
    Vector(Vec<VectorSample>),
    /// A run of samples per series, sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// An element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// The evaluation time.
    pub timestamp: Timestamp,
    /// Its value.
    pub value: Value,
}

/// A series of a matrix.
#[derive(Clone, Debug)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples: floats and native histograms, each in order of time.
    pub columns: Columns,
}

/// What a query took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryStats {
    /// Samples looked at, counted at each step that looks at them.
    pub samples_total: u64,
    /// Samples read: of windows that overlap, only what is new in each.
    pub samples_read: u64,
    /// Both by step, if that was wanted.
    pub steps: Option<Arc<[StepSamples]>>,
    /// The most samples held at once.
    pub samples_peak: u64,
    /// The most bytes held at once.
    pub bytes_peak: u64,
    /// Series selected.
    pub series: u64,
    /// Time spent waiting for a turn.
    pub queue_time: Duration,
    /// Time spent planning and selecting series.
    pub prepare_time: Duration,
    /// Time spent computing.
    pub eval_time: Duration,
    /// Time spent on sorting the result of a range query.
    pub sort_time: Duration,
}

/// The samples of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSamples {
    /// The step.
    pub timestamp: Timestamp,
    /// Samples looked at.
    pub total: u64,
    /// Samples read.
    pub read: u64,
}
