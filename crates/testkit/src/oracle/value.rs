//! What expressions are worth while they are computed: plain lists, one per step.

use ferula_model::{Labels, Timestamp};

use super::hist::Hist;

/// What a sample holds.
#[derive(Clone, Debug)]
pub(super) enum Val {
    Float(f64),
    Hist(Box<Hist>),
}

impl Val {
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Float(v) => Some(*v),
            Self::Hist(_) => None,
        }
    }

    pub(super) fn hist(&self) -> Option<&Hist> {
        match self {
            Self::Float(_) => None,
            Self::Hist(h) => Some(h),
        }
    }

    /// As annotations call the kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Hist(_) => "histogram",
        }
    }
}

impl From<Hist> for Val {
    fn from(h: Hist) -> Self {
        Self::Hist(Box::new(h))
    }
}

/// An element of an instant vector.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) labels: Labels,
    /// Whether the name is to be dropped when the whole query is done (§10).
    pub(super) drop_name: bool,
    pub(super) val: Val,
    /// When the sample was stored, which only `timestamp` asks for.
    pub(super) stored: Timestamp,
    /// When its counting began, which only `start_timestamp` asks for.
    pub(super) start: Timestamp,
}

/// A sample of a series.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) t: Timestamp,
    pub(super) val: Val,
    /// When its counting began; 0 if that is not known.
    pub(super) start: Timestamp,
}

/// A series' samples in one window, in order of time, of both kinds.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) labels: Labels,
    pub(super) drop_name: bool,
    pub(super) samples: Vec<Sample>,
}

impl Window {
    pub(super) fn floats(&self) -> Vec<(Timestamp, f64)> {
        let floats = self.samples.iter();
        floats.filter_map(|s| Some((s.t, s.val.float()?))).collect()
    }

    pub(super) fn hists(&self) -> Vec<(Timestamp, &Hist)> {
        let samples = self.samples.iter();
        samples.filter_map(|s| Some((s.t, s.val.hist()?))).collect()
    }
}

/// The windows of all series at one step: `(start, end]`, but for what `anchored` and `smoothed`
/// see beyond it.
#[derive(Clone, Debug)]
pub(super) struct Ranged {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) series: Vec<Window>,
}

/// The value of an expression at each step.
#[derive(Clone, Debug)]
pub(super) enum Steps {
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Vec<Element>>),
    Ranged(Vec<Ranged>),
}
