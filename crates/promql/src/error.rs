//! Why a query has no result. The texts are those Prometheus's clients see.

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
