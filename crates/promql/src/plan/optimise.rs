//! Makes a plan cheaper without changing its answer.
//!
//! Selectors of the same series share one selection; a subtree that stands in several places is
//! computed once; stores are told which labels are looked at. What does not change from step to step is marked when the plan is built.

use std::collections::HashMap;

use ferula_model::{Matcher, Range};
use ferula_storage::Hints;

use super::print::{Titles, link_title, subquery_title};
use super::project::project;
use super::tree::Part;
use super::{Grid, Node, NodeId, Op, Plan, Samples, Selection, Shared};

/// Makes a plan cheaper, and numbers its nodes.
pub(crate) fn optimise(mut plan: Plan) -> Plan {
    merge_selections(&mut plan);
    share_subtrees(&mut plan);
    project(&mut plan);
    number(&mut plan);
    plan
}

/// Selects series once where several selectors want the same, and times that touch.
fn merge_selections(plan: &mut Plan) {
    let mut merged: Vec<Selection> = Vec::new();
    let mut by_matchers: HashMap<String, Vec<usize>> = HashMap::new();
    let mut moved_to = Vec::with_capacity(plan.selections.len());
    for selection in std::mem::take(&mut plan.selections) {
        let texts: Vec<String> = selection.matchers.iter().map(Matcher::to_string).collect();
        let same_series = by_matchers.entry(texts.join(",")).or_default();
        let touching = same_series
            .iter()
            .copied()
            .find(|&i| touch(merged[i].range, selection.range));
        moved_to.push(touching.unwrap_or(merged.len()));
        match touching {
            Some(i) => widen(&mut merged[i], &selection),
            None => {
                same_series.push(merged.len());
                merged.push(selection);
            }
        }
    }
    plan.selections = merged;
    plan.walk(&mut |part| {
        if let Part::Source(source) = part {
            source.selection = moved_to[source.selection];
        }
    });
}

/// Whether no time lies between two ranges.
fn touch(a: Range, b: Range) -> bool {
    a.start <= b.end && b.start <= a.end
}

fn widen(selection: &mut Selection, other: &Selection) {
    selection.range.start = selection.range.start.min(other.range.start);
    selection.range.end = selection.range.end.max(other.range.end);
    if selection.hints != other.hints {
        // What only one of the two is going to do says nothing about the samples.
        selection.hints = Hints::default();
    }
}

/// Computes what stands in several places once.
fn share_subtrees(plan: &mut Plan) {
    let mut keys = Keys {
        titles: Titles {
            selections: plan.selections.iter().map(|s| &*s.matchers).collect(),
        },
        known: HashMap::new(),
    };
    keys.mark(&mut plan.root, plan.grid);
    let mut places = HashMap::new();
    count_places(&mut plan.root, &mut places);
    let mut sharing = Sharing {
        places,
        slots: HashMap::new(),
        shared: Vec::new(),
    };
    sharing.replace(&mut plan.root, plan.grid);
    plan.shared = sharing.shared;
}

/// The same number for nodes that compute the same. It stands in for the node's number until the
/// optimiser is done.
struct Keys<'p> {
    titles: Titles<'p>,
    known: HashMap<String, u32>,
}

impl Keys<'_> {
    /// Marks a node and all below it.
    fn mark(&mut self, node: &mut Node, grid: Grid) -> NodeId {
        let inside = grid_inside(node, grid);
        let mut key = format!(
            "{} at {}+{}x{}",
            self.titles.title(node),
            grid.start,
            grid.step,
            grid.count
        );
        if let Op::Chain(chain) = &node.op {
            for link in &chain.links {
                key.push_str(&format!(" {}", link_title(link)));
            }
        }
        node.for_each_part(&mut |part| match part {
            Part::Node(child) => key.push_str(&format!(" {}", self.mark(child, inside).0)),
            Part::Matrix(matrix) => {
                let of_subquery = subquery_title(matrix);
                match &mut matrix.samples {
                    Samples::Stored(source) => {
                        key.push_str(&self.titles.source(source, Some(matrix.width_ms)));
                    }
                    Samples::Subquery { inner, grid, .. } => {
                        let inner = self.mark(inner, *grid);
                        key.push_str(&format!(" {of_subquery} {}", inner.0));
                    }
                }
            }
            Part::Source(source) => key.push_str(&self.titles.source(source, None)),
            Part::Id(_) => {}
        });
        let next = self.known.len() as u32;
        node.id = NodeId(*self.known.entry(key).or_insert(next));
        node.id
    }
}

/// The steps at which what is below a node is evaluated.
fn grid_inside(node: &Node, grid: Grid) -> Grid {
    match node.op {
        Op::Invariant(_) => grid.first_step(),
        _ => grid,
    }
}

/// Counts in how many places each key stands, once everything that repeats is computed once.
fn count_places(node: &mut Node, places: &mut HashMap<NodeId, usize>) {
    let count = places.entry(node.id).or_default();
    *count += 1;
    if *count > 1 {
        return;
    }
    node.for_each_part(&mut |part| match part {
        Part::Node(child) => count_places(child, places),
        Part::Matrix(matrix) => {
            if let Samples::Subquery { inner, .. } = &mut matrix.samples {
                count_places(inner, places);
            }
        }
        Part::Source(_) | Part::Id(_) => {}
    });
}

/// Moves subtrees that stand in several places out of the tree.
struct Sharing {
    places: HashMap<NodeId, usize>,
    slots: HashMap<NodeId, usize>,
    shared: Vec<Shared>,
}

impl Sharing {
    fn replace(&mut self, node: &mut Node, grid: Grid) {
        let key = node.id;
        let repeated =
            self.places.get(&key).is_some_and(|&count| count > 1) && is_worth_sharing(node);
        if let Some(&slot) = self.slots.get(&key) {
            node.op = Op::Shared(slot);
            return;
        }
        let inside = grid_inside(node, grid);
        node.for_each_part(&mut |part| match part {
            Part::Node(child) => self.replace(child, inside),
            Part::Matrix(matrix) => {
                if let Samples::Subquery { inner, grid, .. } = &mut matrix.samples {
                    self.replace(inner, *grid);
                }
            }
            Part::Source(_) | Part::Id(_) => {}
        });
        if repeated {
            let slot = self.shared.len();
            self.slots.insert(key, slot);
            let op = std::mem::replace(&mut node.op, Op::Shared(slot));
            let node = Node { id: key, op };
            self.shared.push(Shared { node, grid });
        }
    }
}

/// Whether computing a subtree again costs more than keeping what it yields: it is a vector that
/// is not made of numbers alone, and not spread out from a single step.
fn is_worth_sharing(node: &Node) -> bool {
    match &node.op {
        Op::Text(_) | Op::Matrix(_) | Op::VectorOf(_) | Op::Shared(_) | Op::Invariant(_) => false,
        _ => !node.is_scalar(),
    }
}

/// Numbers what is measured, in the order in which it is printed.
fn number(plan: &mut Plan) {
    let mut next = 0;
    plan.walk(&mut |part| {
        let id = match part {
            Part::Node(node) => &mut node.id,
            Part::Matrix(matrix) => &mut matrix.id,
            Part::Id(id) => id,
            Part::Source(_) => return,
        };
        *id = NodeId(next);
        next += 1;
    });
    plan.nodes = next as usize;
}
