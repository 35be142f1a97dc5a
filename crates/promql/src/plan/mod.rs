//! What a query is going to do, decided before any sample is read.
//!
//! [`build`] turns the syntax tree into [`Node`]s: every selector knows which samples it needs and
//! every subquery its grid, functions are resolved to what computes them, and what does not change
//! from step to step is marked. [`optimise`] then makes it cheaper without changing the answer.
//! Pure: the same text and times give the same plan. Its printed form is in `print.rs`.

mod build;
mod calls;
mod grid;
mod info;
mod invariant;
mod looks;
mod matrix;
mod optimise;
mod print;
mod project;
mod tree;

use ferula_diag::Span;
use ferula_model::text::regex::{Regex, Template};
use ferula_model::{Labels, METRIC_NAME, Matcher, Range, Timestamp};
use ferula_storage::Hints;

pub(crate) use build::{Settings, build, drops_name};
pub(crate) use grid::Grid;
pub(crate) use looks::{Counts, Look};
pub(crate) use optimise::optimise;
pub(crate) use print::Described;

use crate::functions::math::Math;
use crate::functions::rate::Extrapolated;
use crate::functions::time::Calendar;
use crate::select::{Refs, Stamp, Windows};
use crate::syntax::ast::{AggregateOp, BinaryOp, Extended, Matching};

/// The labels an operation drops because the metric is no longer what the name says.
pub(crate) const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// A query, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What to compute.
    pub(crate) root: Node,
    /// What to select; nodes point into this by index.
    pub(crate) selections: Vec<Selection>,
    /// Subtrees that stand in several places, computed once. Each uses only those before it.
    pub(crate) shared: Vec<Shared>,
    /// The steps of the query.
    pub(crate) grid: Grid,
    /// How many numbers its nodes have, once they are numbered.
    pub(crate) nodes: usize,
}

/// A subtree that stands in several places.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: Node,
    /// The steps it is evaluated at.
    pub(crate) grid: Grid,
}

/// Series to select, and the samples of them that are needed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) range: Range,
    pub(crate) hints: Hints,
    /// Whether the labels of the hints are enough only if all series have the same name.
    pub(crate) names_must_agree: bool,
}

/// A selection seen through `@` and `offset`.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Index into [`Plan::selections`].
    pub(crate) selection: usize,
    /// Which of its samples are needed here.
    pub(crate) range: Range,
    /// The time of `@`.
    pub(crate) at: Option<Timestamp>,
    pub(crate) offset_ms: i64,
    /// How it looks beyond its windows.
    pub(crate) extended: Option<Extended>,
    /// The selector.
    pub(crate) span: Span,
}

impl Source {
    /// The times this source looks at from a grid's steps.
    pub(crate) fn refs(&self, grid: Grid) -> Refs {
        Refs::new(grid, self.at, self.offset_ms)
    }
}

/// A range vector: per step, a window of samples of each series.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) id: NodeId,
    pub(crate) samples: Samples,
    pub(crate) width_ms: i64,
    pub(crate) span: Span,
}

/// Where the samples of a range vector come from.
#[derive(Debug)]
pub(crate) enum Samples {
    /// The store.
    Stored(Source),
    /// An expression evaluated on a grid of its own.
    Subquery {
        inner: Box<Node>,
        grid: Grid,
        at: Option<Timestamp>,
        offset_ms: i64,
    },
}

impl Matrix {
    /// The windows of a grid's steps.
    pub(crate) fn windows(&self, grid: Grid) -> Windows {
        let refs = match &self.samples {
            Samples::Stored(source) => source.refs(grid),
            Samples::Subquery { at, offset_ms, .. } => Refs::new(grid, *at, *offset_ms),
        };
        Windows {
            refs,
            width_ms: self.width_ms,
        }
    }

    /// The span annotations about its samples point to; subqueries have none of their own.
    pub(crate) fn note_span(&self) -> Span {
        match self.samples {
            Samples::Stored(_) => self.span,
            Samples::Subquery { .. } => Span::default(),
        }
    }
}

/// The number of a node in its plan, under which is kept what it took to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// A step of the computation.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) op: Op,
}

impl From<Op> for Node {
    fn from(op: Op) -> Self {
        let id = NodeId::default();
        Self { id, op }
    }
}

/// What a node does. What its value is (a scalar, an instant vector, ...) follows from the kind.
#[derive(Debug)]
pub(crate) enum Op {
    /// A scalar that is the same at every step.
    Number(f64),
    /// A text; only as a whole query.
    Text(String),
    /// The evaluation time in seconds.
    Time,
    /// The negative of a scalar.
    ScalarNegate(Box<Node>),
    /// The smaller or the larger of two scalars.
    ScalarExtreme { larger: bool, args: Box<[Node; 2]> },
    /// The only float of a vector, as a scalar.
    ScalarOf(Box<Node>),
    /// A scalar as a vector of one element without labels.
    VectorOf(Box<Node>),
    /// An instant selector.
    Selector(Source),
    /// The times of the samples an instant selector sees, still under the metric's name.
    SampleTimes { source: Source, stamp: Stamp },
    /// A range vector; only as a whole query.
    Matrix(Matrix),
    /// A function of a range vector.
    RangeCall(Box<RangeCall>),
    /// A function of each sample.
    Map {
        name: &'static str,
        map: Box<Map>,
        child: Box<Node>,
    },
    /// Operators from left to right.
    Chain(Box<Chain>),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// 1 where there is nothing.
    Absent { labels: Labels, child: Box<Node> },
    /// 1 where no window holds anything.
    AbsentOverTime { labels: Labels, matrix: Matrix },
    /// Another order; only where there is a single step.
    Sort {
        order: SortOrder,
        span: Span,
        child: Box<Node>,
    },
    /// Other labels.
    Relabel {
        relabel: Relabel,
        /// The call with its texts, as it is printed.
        title: String,
        child: Box<Node>,
    },
    /// Quantile or fraction of histograms.
    Histogram(Box<HistogramCall>),
    /// Labels of info metrics added.
    Info(Box<InfoCall>),
    /// A subtree with the same value at every step: evaluated at the first alone.
    Invariant(Box<Node>),
    /// A subtree that stands in several places; an index into [`Plan::shared`].
    Shared(usize),
}

/// A function of a range vector.
#[derive(Debug)]
pub(crate) struct RangeCall {
    pub(crate) name: &'static str,
    pub(crate) func: RangeFunc,
    pub(crate) matrix: Matrix,
    /// Whether it looks at start timestamps.
    pub(crate) uses_starts: bool,
    /// Scalar arguments, in order.
    pub(crate) params: Vec<Node>,
    /// Where the first scalar argument is.
    pub(crate) param_span: Span,
}

/// What a function of a range vector computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the function it is named after
pub(crate) enum RangeFunc {
    Extrapolated(Extrapolated),
    Irate,
    Idelta,
    Sum,
    Avg,
    Count,
    Present,
    Min,
    Max,
    Stddev,
    Stdvar,
    Quantile,
    MedianDeviation,
    First,
    Last,
    TimeOfFirst,
    TimeOfLast,
    TimeOfMin,
    TimeOfMax,
    Changes,
    Resets,
    Deriv,
    PredictLinear,
    Smooth,
}

impl RangeFunc {
    /// Whether the result has the metric's name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }
}

/// A function of each sample of a vector.
#[derive(Debug)]
pub(crate) enum Map {
    /// `-v`
    Negate,
    /// A function of one number.
    Math(Math),
    /// Into bounds; `None` is no bound.
    Clamp { lo: Option<Node>, hi: Option<Node> },
    /// To a multiple of the argument.
    Round(Option<Node>),
    /// A part of a date.
    Calendar(Calendar),
    /// The evaluation time.
    EvaluationTime,
    /// Nothing but the loss of the metric's name.
    DropName,
    /// No sample at all.
    Nothing,
    /// A number of each native histogram.
    HistogramStat(HistogramStat),
}

/// A number a native histogram has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the function it is named after
pub(crate) enum HistogramStat {
    Count,
    Sum,
    Avg,
    Stddev,
    Stdvar,
}

/// `first op rhs op rhs ...`
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) first: Node,
    pub(crate) links: Vec<Link>,
}

/// An operator and its right operand.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: NodeId,
    pub(crate) op: BinaryOp,
    pub(crate) return_bool: bool,
    /// How series find each other, if both sides are vectors.
    pub(crate) matching: Option<Matching>,
    pub(crate) rhs: Node,
    /// The whole operation up to here.
    pub(crate) span: Span,
}

/// An aggregation.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) grouping: Grouping,
    pub(crate) param: Param,
    pub(crate) child: Node,
    pub(crate) span: Span,
    pub(crate) child_span: Span,
    pub(crate) param_span: Span,
}

/// The parameter of an aggregation.
#[derive(Debug)]
pub(crate) enum Param {
    /// There is none.
    None,
    /// A number per step.
    Scalar(Node),
    /// The label of `count_values`.
    Label(String),
}

/// Which labels tell groups apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grouping {
    /// Sorted, each once.
    pub(crate) labels: Vec<String>,
    /// Whether `labels` are left out in place of kept.
    pub(crate) without: bool,
}

/// An order of series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortOrder {
    /// By value.
    Value { descending: bool },
    /// By these labels, then by all.
    Labels {
        labels: Vec<String>,
        descending: bool,
    },
}

/// A change of labels.
#[derive(Debug)]
pub(crate) enum Relabel {
    Replace {
        target: String,
        template: Template,
        source: String,
        regex: Regex,
    },
    Join {
        target: String,
        separator: String,
        sources: Vec<String>,
    },
}

/// `histogram_quantile`, `histogram_quantiles` or `histogram_fraction`.
#[derive(Debug)]
pub(crate) struct HistogramCall {
    pub(crate) wanted: HistogramWanted,
    pub(crate) child: Node,
    pub(crate) child_span: Span,
}

/// What is wanted of histograms.
#[derive(Debug)]
pub(crate) enum HistogramWanted {
    Quantile {
        phi: Node,
        span: Span,
    },
    /// Several, told apart by a label.
    Quantiles {
        label: String,
        phis: Vec<(Node, Span)>,
    },
    Fraction {
        lower: Node,
        upper: Node,
    },
}

/// `info`.
#[derive(Debug)]
pub(crate) struct InfoCall {
    /// What gets labels.
    pub(crate) child: Node,
    /// The number of the source.
    pub(crate) source_id: NodeId,
    /// The info series.
    pub(crate) source: Source,
    /// What info metrics are called; series of such names stay as they are.
    pub(crate) names: Vec<Matcher>,
    /// Whether series that no info series is about are left out.
    pub(crate) required: bool,
    /// The labels to add; all if there are none.
    pub(crate) wanted: Vec<String>,
}

impl Node {
    /// Whether the value is a scalar.
    pub(crate) fn is_scalar(&self) -> bool {
        let mut node = self;
        loop {
            match &node.op {
                Op::Number(_)
                | Op::Time
                | Op::ScalarNegate(_)
                | Op::ScalarExtreme { .. }
                | Op::ScalarOf(_) => return true,
                Op::Invariant(child) => node = child,
                Op::Chain(chain) => {
                    if chain.links.iter().any(|link| !link.rhs.is_scalar()) {
                        return false;
                    }
                    node = &chain.first;
                }
                _ => return false,
            }
        }
    }
}
