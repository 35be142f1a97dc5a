//! Reading.

use std::sync::Arc;

use ferula_model::{Histogram, Labels, Matcher, Range, TenantId, Timestamp};
use futures::future::BoxFuture;

/// What the reader is going to do with the samples; a store may use it, never needs to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints {
    /// Distance of evaluation steps, in milliseconds; 0 for a single step.
    pub step_ms: i64,
    /// Width of the range selector, in milliseconds; 0 for an instant selector.
    pub range_ms: i64,
    /// The nearest enclosing function or aggregation, empty if there is none.
    pub func: String,
    /// Labels of a directly enclosing aggregation.
    pub grouping: Vec<String>,
    /// Whether `grouping` lists the labels kept (`by`) or those dropped (`without`).
    pub by: bool,
    /// At most this many series are of interest; 0 for all.
    pub limit: usize,
    /// The only labels the reader looks at, if that is known: a store may leave others out. Then
    /// label sets may repeat, while series keep the order of their whole label sets.
    pub labels: Option<Vec<String>>,
}

/// Which series, and which of their samples.
#[derive(Clone, Debug)]
pub struct SelectRequest {
    /// Whose series.
    pub tenant: TenantId,
    /// All of these must hold. At least one should not match the empty value.
    pub matchers: Vec<Matcher>,
    /// Samples outside may be returned, samples inside all are.
    pub range: Range,
    /// How they will be used.
    pub hints: Hints,
}

/// A question about label names or values.
#[derive(Clone, Debug)]
pub struct LabelQuery {
    /// Whose series.
    pub tenant: TenantId,
    /// Series that match any of these sets count; with no set, all do.
    pub matchers: Vec<Vec<Matcher>>,
    /// Series with a sample in the range count; a store may be coarser.
    pub range: Range,
    /// Return at most this many; 0 for all.
    pub limit: usize,
}

/// Why nothing can be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SelectError {
    /// Not now: starting or stopping.
    #[error("cannot be read now: {why}")]
    Unavailable {
        /// What stands in the way.
        why: String,
    },
    /// Stored bytes are damaged.
    #[error("damaged data: {what}")]
    Corrupt {
        /// What and where.
        what: String,
    },
}

/// A native histogram at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// When.
    pub timestamp: Timestamp,
    /// When its counting began; 0 if that is not known.
    pub start_timestamp: Timestamp,
    /// What.
    pub histogram: Arc<Histogram>,
}

/// One series' samples as columns, each in order of time. Reused from series to series.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Timestamps of the floats.
    pub timestamps: Vec<Timestamp>,
    /// The floats, staleness markers included.
    pub values: Vec<f64>,
    /// When the counting of each float began: empty if that is known of none of them, otherwise
    /// one for each, 0 where it is not known.
    pub start_timestamps: Vec<Timestamp>,
    /// Native histograms, staleness markers included.
    pub histograms: Vec<HistogramPoint>,
}

impl Columns {
    /// Empties all columns, keeping their memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.start_timestamps.clear();
        self.histograms.clear();
    }

    /// How many samples there are, of both kinds.
    pub fn len(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The samples of one selected series, not decoded yet. A snapshot: what is written later, or
/// moved between head and blocks, does not change it.
pub trait SeriesSource: Send + Sync {
    /// Appends the samples of `range` to `columns`, which the caller has cleared. A few
    /// samples on either side may come along.
    fn decode(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError>;

    /// The newest sample of all, staleness markers included, if it is a float and known without
    /// decoding; `None` says nothing. Where a single instant is asked for and this sample is not
    /// behind it, it is the one that counts.
    fn newest(&self) -> Option<(Timestamp, f64)> {
        None
    }
}

/// One selected series.
#[derive(Clone)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub source: Arc<dyn SeriesSource>,
}

/// The answer to a selection: a consistent snapshot, in order of labels.
#[derive(Clone, Default)]
pub struct Selected {
    /// The series, sorted by labels, each label set once; but see [`Hints::labels`].
    pub series: Vec<SelectedSeries>,
    /// What the reader should tell the user, verbatim.
    pub warnings: Vec<String>,
}

/// Gives samples and labels back.
pub trait Select: Send + Sync {
    /// The series that match, with their samples of the range.
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>>;

    /// Label sets of the series that match, sorted, each once.
    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>>;

    /// Label names, sorted.
    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>>;

    /// Values of label `name`, sorted.
    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>>;
}
