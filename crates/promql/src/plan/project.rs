//! Which labels of the selected series anything looks at.
//!
//! An aggregation by some labels needs no others of the series below, so a store need not put them
//! together. It is a different matter where a function drops names in between: then series that
//! are told apart by their names alone must be noticed, which takes all labels. A selection that
//! relies on all its series having the same name says so, and is made again if they have not.

use std::collections::BTreeSet;

use ferula_model::{METRIC_NAME, MatchOp};

use super::tree::Part;
use super::{METADATA, Node, Op, Plan, Samples, Source, drops_name};
use crate::syntax::ast::AggregateOp;

/// The labels that are looked at.
#[derive(Clone, Debug)]
enum Needed {
    All,
    Only {
        labels: BTreeSet<String>,
        /// Whether a name is dropped on the way.
        nameless: bool,
    },
}

impl Needed {
    fn only<'l>(labels: impl IntoIterator<Item = &'l str>) -> Self {
        Self::Only {
            labels: labels.into_iter().map(str::to_owned).collect(),
            nameless: false,
        }
    }

    /// The same below something that drops names.
    fn dropping(mut self) -> Self {
        if let Self::Only { labels, nameless } = &mut self {
            *nameless = true;
            labels.extend(METADATA.map(str::to_owned));
        }
        self
    }

    /// What two places need together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Only {
                    mut labels,
                    nameless,
                },
                Self::Only {
                    labels: more,
                    nameless: also,
                },
            ) => {
                labels.extend(more);
                let nameless = nameless || also;
                Self::Only { labels, nameless }
            }
            _ => Self::All,
        }
    }
}

/// Tells each selection which labels are looked at.
pub(super) fn project(plan: &mut Plan) {
    let mut found: Vec<Option<Needed>> = vec![None; plan.selections.len()];
    for shared in &mut plan.shared {
        visit(&mut shared.node, &Needed::All, &mut found);
    }
    visit(&mut plan.root, &Needed::All, &mut found);
    for (selection, needed) in plan.selections.iter_mut().zip(found) {
        let Some(Needed::Only { labels, nameless }) = needed else {
            continue;
        };
        let named = |m: &ferula_model::Matcher| {
            m.name() == METRIC_NAME && m.op() == MatchOp::Equal && !m.value().is_empty()
        };
        if nameless && !selection.matchers.iter().any(named) {
            continue;
        }
        selection.hints.labels = Some(labels.into_iter().collect());
        selection.names_must_agree = nameless;
    }
}

fn visit(node: &mut Node, needed: &Needed, found: &mut Vec<Option<Needed>>) {
    let below = below(node, needed);
    node.for_each_part(&mut |part| match part {
        Part::Node(child) if child.is_scalar() => visit(child, &Needed::All, found),
        Part::Node(child) => visit(child, &below, found),
        Part::Source(source) => note(source, &below, found),
        Part::Matrix(matrix) => match &mut matrix.samples {
            Samples::Stored(source) => note(source, &below, found),
            Samples::Subquery { inner, .. } => visit(inner, &Needed::All, found),
        },
        Part::Id(_) => {}
    });
}

fn note(source: &Source, needed: &Needed, found: &mut [Option<Needed>]) {
    if let Some(entry) = found.get_mut(source.selection) {
        // Annotations of extended selectors name their metrics, and few such queries are asked.
        let needed = match source.extended {
            Some(_) => Needed::All,
            None => needed.clone(),
        };
        *entry = Some(match entry.take() {
            None => needed,
            Some(other) => other.and(needed),
        });
    }
}

/// What a node needs of the vectors directly below, given what is needed of it.
fn below(node: &Node, needed: &Needed) -> Needed {
    match &node.op {
        Op::Aggregate(aggregate) => {
            let folds = !matches!(
                aggregate.op,
                AggregateOp::Topk
                    | AggregateOp::Bottomk
                    | AggregateOp::Limitk
                    | AggregateOp::LimitRatio
                    | AggregateOp::CountValues
            );
            if !folds || aggregate.grouping.without {
                return Needed::All;
            }
            let labels = aggregate.grouping.labels.iter().map(String::as_str);
            match aggregate.op {
                AggregateOp::Count | AggregateOp::Group => Needed::only(labels),
                // Annotations name the metric.
                _ => Needed::only(labels.chain([METRIC_NAME])),
            }
        }
        Op::Absent { .. } | Op::ScalarOf(_) => Needed::only([]),
        Op::AbsentOverTime { .. } => Needed::only([]),
        // What is computed once is collected, which takes labels that tell series apart.
        Op::Invariant(child) if !matches!(child.op, Op::Selector(_)) => Needed::All,
        Op::Invariant(_) | Op::Selector(_) | Op::SampleTimes { .. } => needed.clone(),
        Op::Map { .. } => needed.clone().dropping(),
        Op::RangeCall(call) if call.func.keeps_name() => needed.clone(),
        Op::RangeCall(_) => needed.clone().dropping(),
        Op::Chain(chain) => {
            let vectors = chain
                .links
                .iter()
                .filter(|link| !link.rhs.is_scalar())
                .count();
            let vectors = vectors + usize::from(!chain.first.is_scalar());
            if vectors != 1 {
                return Needed::All;
            }
            let drops = |link: &super::Link| drops_name(link.op, link.return_bool);
            match chain.links.iter().any(drops) {
                true => needed.clone().dropping(),
                false => needed.clone(),
            }
        }
        _ => Needed::All,
    }
}
