//! Which pieces of a plan look at samples, and how often what they look at counts.
//!
//! Counted is as the text of the query says, whatever the optimiser makes of it: a subtree that is
//! computed once for two places counts twice. What a subquery looks at does not count; what a
//! function then looks at of the subquery does.

use super::tree::Part;
use super::{Grid, Node, NodeId, Op, Plan, Samples, Shared};

/// A piece of a plan that looks at samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) id: NodeId,
    /// For which steps of the query it counts.
    pub(crate) counts: Counts,
    /// How often what it looks at counts; what it reads counts once.
    pub(crate) times: u64,
    /// The shared subtree it stands in, an index into [`Plan::shared`].
    pub(crate) shared: Option<usize>,
}

/// For which steps of the query something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Each of its steps for the same step of the query.
    StepByStep,
    /// Its only step for every step of the query; what it reads for the first.
    EveryStep,
    /// All its steps for the last step of the query.
    Last,
}

/// What holds for a subtree.
#[derive(Clone, Copy)]
struct Place {
    grid: Grid,
    counts: Counts,
    times: u64,
    shared: Option<usize>,
}

impl Plan {
    /// Everything that counts, once for each place in the query it stands in.
    pub(crate) fn looks(&mut self) -> Vec<Look> {
        let mut looks = Vec::new();
        let place = Place {
            grid: self.grid,
            counts: Counts::StepByStep,
            times: 1,
            shared: None,
        };
        find(&mut self.root, place, &mut self.shared, &mut looks);
        looks
    }
}

fn find(node: &mut Node, place: Place, shared: &mut [Shared], looks: &mut Vec<Look>) {
    let look = |id| Look {
        id,
        counts: place.counts,
        times: place.times,
        shared: place.shared,
    };
    match &mut node.op {
        Op::Selector(_) | Op::SampleTimes { .. } => looks.push(look(node.id)),
        Op::RangeCall(call) => looks.push(look(call.matrix.id)),
        Op::AbsentOverTime { matrix, .. } => looks.push(look(matrix.id)),
        Op::Info(call) => looks.push(look(call.source_id)),
        Op::Matrix(matrix) => match &mut matrix.samples {
            Samples::Stored(_) => looks.push(look(matrix.id)),
            Samples::Subquery { inner, grid, .. } => {
                let (grid, counts) = (*grid, Counts::Last);
                let place = Place {
                    grid,
                    counts,
                    ..place
                };
                find(inner, place, shared, looks);
            }
        },
        Op::Invariant(child) => {
            let (counts, times) = match place.counts {
                Counts::StepByStep => (Counts::EveryStep, 1),
                counts => (counts, place.times * place.grid.count as u64),
            };
            let place = Place {
                grid: place.grid.first_step(),
                counts,
                times,
                ..place
            };
            return find(child, place, shared, looks);
        }
        Op::Shared(slot) => {
            let slot = *slot;
            // Each uses only those before it.
            if let Some((one, before)) = shared.get_mut(..=slot).and_then(<[_]>::split_last_mut) {
                let place = Place {
                    shared: Some(slot),
                    ..place
                };
                find(&mut one.node, place, before, looks);
            }
        }
        _ => {}
    }
    node.for_each_part(&mut |part| {
        if let Part::Node(child) = part {
            find(child, place, shared, looks);
        }
    });
}
