//! Why a query has no result. The texts are those Prometheus's clients see.

use ferula_model::text::size::shown;
use ferula_storage::SelectError;

/// What a query was doing when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for its turn.
    Queue,
    /// Waiting for the series it selects.
    Preparation,
    /// Computing.
    Evaluation,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queue => "query queue",
            Self::Preparation => "query execution",
            Self::Evaluation => "expression evaluation",
        })
    }
}

/// Which bound on memory a query met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// What one query may hold.
    Query,
    /// What all queries may hold together.
    Process,
}

/// Why a query has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no PromQL: `1:5: parse error: ...`. The API calls this `bad_data`.
    #[error("{0}")]
    Parse(String),
    /// The query cannot be computed on this data, or at all.
    #[error("{0}")]
    Execution(String),
    /// It took longer than it may.
    #[error("query timed out in {0}")]
    Timeout(Stage),
    /// Whoever asked does not want the answer any more.
    #[error("query was canceled in {0}")]
    Canceled(Stage),
    /// It would hold more samples than it may.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// As many queries wait as may.
    #[error(
        "{waiting} queries wait for their turn already, as many as may: ask again later, or raise --query.max-concurrency or --query.max-queued"
    )]
    QueueFull {
        /// How many wait.
        waiting: usize,
    },
    /// It would hold more memory than it may.
    #[error("{}", too_many_bytes(*.limit, *.bytes, *.bytes_max, (*.series, *.samples)))]
    TooManyBytes {
        /// Whose bound it is.
        limit: MemoryLimit,
        /// What the query holds or asked for.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
        /// Series it had selected by then.
        series: u64,
        /// Samples it had looked at by then.
        samples: u64,
    },
    /// The store did not answer.
    #[error("expanding series: {0}")]
    Storage(#[from] SelectError),
    /// A defect in the engine; the process goes on.
    #[error("unexpected error: {0}")]
    Internal(String),
}

impl QueryError {
    /// An execution error.
    pub(crate) fn execution(text: impl Into<String>) -> Self {
        Self::Execution(text.into())
    }

    /// Two samples of one step have the same labels.
    pub(crate) fn same_labelset() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".to_owned())
    }
}

fn too_many_bytes(limit: MemoryLimit, bytes: u64, max: u64, seen: (u64, u64)) -> String {
    let (max, (series, samples)) = (shown(max), seen);
    let bytes = format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    match limit {
        MemoryLimit::Query => format!(
            "the query holds {bytes} of memory, more than the {max} that one query may hold (--query.bytes-max), after it selected {series} series and looked at {samples} samples: select fewer series, a shorter range or a larger step, or aggregate earlier"
        ),
        MemoryLimit::Process => format!(
            "queries hold all of the {max} of memory that they may hold together (--query.bytes-max-total), this one {bytes} after it selected {series} series and looked at {samples} samples: ask again later, or select fewer series, a shorter range or a larger step"
        ),
    }
}
