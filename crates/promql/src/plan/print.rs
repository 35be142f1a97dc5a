//! A plan as people read it: a tree of titles.
//!
//! A title says all that a node does but for its inputs, so that two nodes with the same titles
//! all the way down, on the same steps, compute the same.

use std::fmt::{self, Display, Formatter};

use ferula_model::text::duration;
use ferula_model::text::number::Form;
use ferula_model::text::quote::quoted;
use ferula_model::{METRIC_NAME, MatchOp, Matcher};

use super::{
    Aggregate, Grouping, HistogramCall, HistogramWanted, Link, Map, Matrix, Node, NodeId, Op,
    Param, Plan, Samples, SortOrder, Source,
};
use crate::select::Stamp;
use crate::syntax::shown_labels;

/// A node of a plan in words.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) id: NodeId,
    pub(crate) title: String,
    pub(crate) inputs: Vec<Self>,
}

impl Plan {
    /// What is computed once for several places, in order, and then the plan's root.
    pub(crate) fn describe(&self) -> Vec<Described> {
        let titles = Titles {
            selections: self.selections.iter().map(|s| &*s.matchers).collect(),
        };
        let mut trees: Vec<Described> = Vec::with_capacity(self.shared.len() + 1);
        for (i, shared) in self.shared.iter().enumerate() {
            let mut tree = titles.describe(&shared.node);
            tree.title = format!("shared {} = {}", i + 1, tree.title);
            trees.push(tree);
        }
        trees.push(titles.describe(&self.root));
        trees
    }
}

/// What titles are made with.
pub(super) struct Titles<'p> {
    /// The matchers of each selection.
    pub(super) selections: Vec<&'p [Matcher]>,
}

impl Titles<'_> {
    fn describe(&self, node: &Node) -> Described {
        let mut inputs = Vec::new();
        let mut id = node.id;
        match &node.op {
            Op::Chain(chain) => {
                // What the last operator yields is what all of them do.
                id = chain.links.last().map_or(id, |link| link.id);
                inputs.push(self.describe(&chain.first));
                inputs.extend(chain.links.iter().map(|link| Described {
                    id: link.id,
                    title: link_title(link),
                    inputs: vec![self.describe(&link.rhs)],
                }));
            }
            Op::Info(call) => {
                inputs.push(self.describe(&call.child));
                inputs.push(Described {
                    id: call.source_id,
                    title: self.source(&call.source, None),
                    inputs: Vec::new(),
                });
            }
            Op::Matrix(matrix) | Op::AbsentOverTime { matrix, .. } => {
                inputs.push(self.matrix(matrix));
            }
            Op::RangeCall(call) => {
                inputs.push(self.matrix(&call.matrix));
                inputs.extend(call.params.iter().map(|param| self.describe(param)));
            }
            _ => inputs.extend(node.inputs().map(|input| self.describe(input))),
        }
        Described {
            id,
            title: self.title(node),
            inputs,
        }
    }

    fn matrix(&self, matrix: &Matrix) -> Described {
        let (title, inputs) = match &matrix.samples {
            Samples::Stored(source) => (self.source(source, Some(matrix.width_ms)), Vec::new()),
            Samples::Subquery { inner, .. } => (subquery_title(matrix), vec![self.describe(inner)]),
        };
        Described {
            id: matrix.id,
            title,
            inputs,
        }
    }

    /// What a node does, without its inputs.
    pub(super) fn title(&self, node: &Node) -> String {
        match &node.op {
            Op::Number(v) => Form::General.show(*v).to_string(),
            Op::Text(text) => quoted(text).to_string(),
            Op::Time => "time".to_owned(),
            Op::ScalarNegate(_) => "-".to_owned(),
            Op::ScalarExtreme { larger, .. } => {
                (if *larger { "max_of" } else { "min_of" }).to_owned()
            }
            Op::ScalarOf(_) => "scalar".to_owned(),
            Op::VectorOf(_) => "vector".to_owned(),
            Op::Selector(source) => self.source(source, None),
            Op::SampleTimes { source, stamp } => {
                let times = match stamp {
                    Stamp::Taken => "times",
                    Stamp::Started => "start times",
                };
                format!("{times} of {}", self.source(source, None))
            }
            Op::Matrix(_) => "samples".to_owned(),
            Op::RangeCall(call) => call.name.to_owned(),
            Op::Map { name, .. } => (*name).to_owned(),
            Op::Chain(_) => "operators".to_owned(),
            Op::Aggregate(aggregate) => aggregate_title(aggregate),
            Op::Absent { labels, .. } => format!("absent {labels}"),
            Op::AbsentOverTime { labels, .. } => format!("absent_over_time {labels}"),
            Op::Sort { order, .. } => sort_title(order),
            Op::Relabel { title, .. } => title.clone(),
            Op::Histogram(call) => histogram_title(call),
            Op::Info(_) => "info".to_owned(),
            Op::Invariant(_) => "once for all steps".to_owned(),
            Op::Shared(i) => format!("shared {}", i + 1),
        }
    }

    /// A selector; `width_ms` is its range's.
    pub(super) fn source(&self, source: &Source, width_ms: Option<i64>) -> String {
        let mut title = String::new();
        let matchers = self.selections.get(source.selection).copied();
        let matchers = matchers.unwrap_or_default();
        let name = |m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal;
        let named = matchers.iter().find(name);
        title.push_str(named.map_or("", |m| m.value()));
        let mut rest = matchers.iter().filter(|m| named != Some(m)).peekable();
        if rest.peek().is_some() || named.is_none() {
            let rest: Vec<String> = rest.map(Matcher::to_string).collect();
            title.push_str(&format!("{{{}}}", rest.join(", ")));
        }
        if let Some(width_ms) = width_ms {
            title.push_str(&format!("[{}]", duration::shown(width_ms)));
        }
        if let Some(extended) = source.extended {
            title.push_str(&format!(" {}", extended.as_str()));
        }
        title.push_str(&seen_from(source.at, source.offset_ms));
        title.push_str(&format!(" (selection {})", source.selection + 1));
        title
    }
}

/// `@` and `offset`, each with a space before it.
fn seen_from(at: Option<i64>, offset_ms: i64) -> String {
    let mut text = String::new();
    if let Some(at) = at {
        text.push_str(&format!(" @ {}", at as f64 / 1000.0));
    }
    if offset_ms != 0 {
        let sign = if offset_ms < 0 { "-" } else { "" };
        let offset = i64::try_from(offset_ms.unsigned_abs()).unwrap_or(i64::MAX);
        text.push_str(&format!(" offset {sign}{}", duration::shown(offset)));
    }
    text
}

/// A subquery without its operand.
pub(super) fn subquery_title(matrix: &Matrix) -> String {
    let Samples::Subquery {
        grid,
        at,
        offset_ms,
        ..
    } = &matrix.samples
    else {
        return String::new();
    };
    format!(
        "subquery [{}:{}]{}, {} steps",
        duration::shown(matrix.width_ms),
        duration::shown(grid.step),
        seen_from(*at, *offset_ms),
        grid.count
    )
}

/// An operator without its operands.
pub(super) fn link_title(link: &Link) -> String {
    let mut title = link.op.as_str().to_owned();
    if link.return_bool {
        title.push_str(" bool");
    }
    if let Some(matching) = &link.matching {
        title.push_str(&matching.to_string());
    }
    title
}

fn aggregate_title(aggregate: &Aggregate) -> String {
    let mut title = aggregate.op.as_str().to_owned();
    if let Param::Label(label) = &aggregate.param {
        title.push_str(&format!(" {}", quoted(label)));
    }
    title.push_str(&aggregate.grouping.to_string());
    title
}

/// `by` or `without` and the labels, with a space before it; nothing where all is one group.
impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() && !self.without {
            return Ok(());
        }
        let word = if self.without { "without" } else { "by" };
        write!(f, " {word} ({})", shown_labels(&self.labels))
    }
}

fn sort_title(order: &SortOrder) -> String {
    match order {
        SortOrder::Value { descending: false } => "sort".to_owned(),
        SortOrder::Value { descending: true } => "sort_desc".to_owned(),
        SortOrder::Labels { labels, descending } => {
            let suffix = if *descending { "_desc" } else { "" };
            format!("sort_by_label{suffix} {}", shown_labels(labels))
        }
    }
}

fn histogram_title(call: &HistogramCall) -> String {
    match &call.wanted {
        HistogramWanted::Quantile { .. } => "histogram_quantile".to_owned(),
        HistogramWanted::Quantiles { label, .. } => {
            format!("histogram_quantiles {}", quoted(label))
        }
        HistogramWanted::Fraction { .. } => "histogram_fraction".to_owned(),
    }
}

impl Node {
    /// The plain nodes directly below.
    fn inputs(&self) -> impl Iterator<Item = &Self> {
        let inputs: Vec<&Self> = match &self.op {
            Op::ScalarNegate(child)
            | Op::ScalarOf(child)
            | Op::VectorOf(child)
            | Op::Absent { child, .. }
            | Op::Sort { child, .. }
            | Op::Relabel { child, .. }
            | Op::Invariant(child) => vec![child],
            Op::ScalarExtreme { args, .. } => args.iter().collect(),
            Op::Map { map, child, .. } => {
                let bounds: [Option<&Self>; 2] = match &**map {
                    Map::Clamp { lo, hi } => [lo.as_ref(), hi.as_ref()],
                    Map::Round(to) => [to.as_ref(), None],
                    _ => [None, None],
                };
                std::iter::once(&**child)
                    .chain(bounds.into_iter().flatten())
                    .collect()
            }
            Op::Aggregate(aggregate) => match &aggregate.param {
                Param::Scalar(param) => vec![&aggregate.child, param],
                _ => vec![&aggregate.child],
            },
            Op::Histogram(call) => match &call.wanted {
                HistogramWanted::Quantile { phi, .. } => vec![&call.child, phi],
                HistogramWanted::Quantiles { phis, .. } => std::iter::once(&call.child)
                    .chain(phis.iter().map(|(phi, _)| phi))
                    .collect(),
                HistogramWanted::Fraction { lower, upper } => vec![&call.child, lower, upper],
            },
            _ => Vec::new(),
        };
        inputs.into_iter()
    }
}
