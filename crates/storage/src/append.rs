//! Writing.

use std::fmt;
use std::sync::Arc;

use ferula_model::{Exemplar, Histogram, HistogramError, Labels, TenantId, Timestamp, Value};
use futures::future::BoxFuture;

/// How many rejections a [`Report`] describes one by one; the rest are only counted.
pub const REJECTIONS_MAX: usize = 64;

/// A short name for a series its keeper already knows. Good until the keeper says
/// [`Reason::UnknownRef`]; then the labels must be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// How a batch names a series.
#[derive(Clone, Debug)]
pub enum SeriesKey {
    /// As an earlier [`Report`] named it.
    Ref(SeriesRef),
    /// By its labels; the series is created if it is new.
    Labels(Labels),
}

/// Where a batch comes from, which decides how strictly some rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A scrape.
    Scrape,
    /// A push protocol.
    Push,
    /// A recording or alerting rule.
    Rule,
}

/// A float sample of series number `series` of its batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleEntry {
    /// Index into [`Batch::series`].
    pub series: u32,
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub value: f64,
}

/// A native-histogram sample of series number `series` of its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramEntry {
    /// Index into [`Batch::series`].
    pub series: u32,
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub histogram: Arc<Histogram>,
}

/// An exemplar of series number `series` of its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarEntry {
    /// Index into [`Batch::series`].
    pub series: u32,
    /// The exemplar.
    pub exemplar: Exemplar,
}

/// Samples that become durable and visible together: one scrape, one request.
///
/// Samples of one series must be in the order in which they should be judged.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose series these are.
    pub tenant: TenantId,
    /// Who sends them.
    pub origin: Origin,
    /// The series the entries point into.
    pub series: Vec<SeriesKey>,
    /// Float samples.
    pub samples: Vec<SampleEntry>,
    /// Start timestamps of `samples`, one each (0 for unknown), or empty if none is known.
    pub start_timestamps: Vec<Timestamp>,
    /// Native histograms.
    pub histograms: Vec<HistogramEntry>,
    /// Exemplars.
    pub exemplars: Vec<ExemplarEntry>,
}

impl Batch {
    /// A batch with nothing in it.
    pub fn new(tenant: TenantId, origin: Origin) -> Self {
        Self {
            tenant,
            origin,
            series: Vec::new(),
            samples: Vec::new(),
            start_timestamps: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
        }
    }
}

/// Why one sample was not stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Another value is stored for this series and timestamp; the first one stays.
    DuplicateConflict {
        /// What is stored.
        existing: Value,
        /// What was sent.
        new: Value,
    },
    /// Older than the series' newest sample.
    OutOfOrder {
        /// The series' newest timestamp.
        newest: Timestamp,
    },
    /// Older than anything the head may still take.
    OutOfBounds {
        /// The oldest timestamp it takes.
        min_valid: Timestamp,
    },
    /// Older than the out-of-order window reaches.
    TooOld {
        /// The oldest timestamp it takes.
        min_valid: Timestamp,
    },
    /// Further in the future than clocks disagree.
    TooFarInFuture {
        /// The newest timestamp it takes.
        max_valid: Timestamp,
    },
    /// The labels name no series, or not one alone.
    InvalidLabels(&'static str),
    /// The histogram contradicts itself.
    InvalidHistogram(HistogramError),
    /// The series would be new, and there is room for no more; existing series go on.
    SeriesLimit {
        /// The setting that limits.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// The reference is not (or no longer) known: send the labels.
    UnknownRef,
}

impl Reason {
    /// A word for counters: `duplicate_conflict`, `out_of_order`, …
    pub fn word(&self) -> &'static str {
        match self {
            Self::DuplicateConflict { .. } => "duplicate_conflict",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::OutOfBounds { .. } => "out_of_bounds",
            Self::TooOld { .. } => "too_old",
            Self::TooFarInFuture { .. } => "too_far_in_future",
            Self::InvalidLabels(_) => "invalid_labels",
            Self::InvalidHistogram(_) => "invalid_histogram",
            Self::SeriesLimit { .. } => "series_limit",
            Self::UnknownRef => "unknown_ref",
        }
    }
}

/// `{__name__="up"} at 1000: out of order sample: …`, for the sender to read.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: ", self.labels, self.timestamp)?;
        match &self.reason {
            Reason::DuplicateConflict { existing, new } => {
                let t = self.timestamp;
                write!(
                    f,
                    "duplicate sample for timestamp {t}; overrides not allowed: existing "
                )?;
                write_value(f, existing)?;
                f.write_str(", new value ")?;
                write_value(f, new)
            }
            Reason::OutOfOrder { newest } => {
                write!(
                    f,
                    "out of order sample: the series already has one at {newest}"
                )
            }
            Reason::OutOfBounds { min_valid } => {
                write!(
                    f,
                    "out of bounds: older than {min_valid}, the oldest time still taken"
                )
            }
            Reason::TooOld { min_valid } => {
                write!(
                    f,
                    "too old sample: older than {min_valid}, where the window ends"
                )
            }
            Reason::TooFarInFuture { max_valid } => {
                write!(
                    f,
                    "out of bounds: timestamp is too far in the future, after {max_valid}"
                )
            }
            Reason::InvalidLabels(problem) => write!(f, "invalid labels: {problem}"),
            Reason::InvalidHistogram(error) => write!(f, "invalid histogram: {error}"),
            Reason::SeriesLimit { limit, max } => {
                write!(f, "no room for new series: {limit} is {max}")
            }
            Reason::UnknownRef => f.write_str("the series reference is not known"),
        }
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Float(v) => write!(f, "{v}"),
        Value::Histogram(h) => write!(f, "histogram with {} observations", h.count()),
    }
}

/// One sample that was not stored.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Index into [`Batch::series`].
    pub series: u32,
    /// The series' labels, for messages.
    pub labels: Labels,
    /// The sample's timestamp.
    pub timestamp: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// What became of a batch: everything not rejected is durable and visible.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Float samples stored.
    pub samples: u64,
    /// Histograms stored.
    pub histograms: u64,
    /// How many of those stored were out of order.
    pub late: u64,
    /// Identical resends: a success, not stored again.
    pub duplicates: u64,
    /// Series that were new.
    pub series_created: u64,
    /// For each entry of [`Batch::series`] the reference to use from now on; empty if the batch
    /// named all its series by reference. `None` where the series could not be created.
    pub refs: Vec<Option<SeriesRef>>,
    /// References of the batch that are getting old, each with the one to use from now on. The
    /// old one is refused some hours later.
    pub renamed: Vec<(SeriesRef, SeriesRef)>,
    /// How many samples were rejected, by [`Reason::word`].
    pub rejected: Vec<(&'static str, u64)>,
    /// The first [`REJECTIONS_MAX`] rejections.
    pub rejections: Vec<Rejection>,
}

impl Report {
    /// Notes a rejected sample; `word` is that of its reason.
    pub fn reject(&mut self, rejection: impl FnOnce() -> Rejection, word: &'static str) {
        match self.rejected.iter_mut().find(|(w, _)| *w == word) {
            Some((_, n)) => *n += 1,
            None => self.rejected.push((word, 1)),
        }
        if self.rejections.len() < REJECTIONS_MAX {
            self.rejections.push(rejection());
        }
    }

    /// How many samples were rejected.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, n)| n).sum()
    }
}

/// Why a whole batch was not stored. Resending it is always safe.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Not now: starting, stopping, or the store cannot be written.
    #[error("cannot take samples now: {why}")]
    Unavailable {
        /// What stands in the way.
        why: String,
    },
    /// Too much is waiting already.
    #[error("overloaded: {why}")]
    Overloaded {
        /// The queue and its bound.
        why: String,
    },
    /// The head may hold no more bytes.
    #[error("the head is full: it holds {used} of {max} bytes; raise {limit}, or send less")]
    HeadFull {
        /// Bytes held.
        used: u64,
        /// Bytes allowed.
        max: u64,
        /// The setting that limits.
        limit: &'static str,
    },
    /// Something the store does not keep.
    #[error("{what} are not stored: {why}")]
    Unsupported {
        /// The kind of data.
        what: &'static str,
        /// The reason and the way out.
        why: &'static str,
    },
}

/// Takes samples. A batch whose future was dropped may or may not be stored.
pub trait Append: Send + Sync {
    /// Stores what can be stored; returns once that is durable and visible.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>>;
}
