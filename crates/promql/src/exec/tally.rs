//! How many samples a query looks at and reads, in all and at each step.
//!
//! Every series counts under the number of the node that looks at it, on the query's own thread.
//! What that means for the query follows at the end from where the node stands ([`Look`]).

use std::cell::{Cell, RefCell};

use ferula_storage::Columns;

use super::{Exec, Row, is_absent};
use crate::budget::{Amount, histogram_weight};
use crate::error::QueryError;
use crate::plan::{Counts, Look, NodeId};
use crate::select::Windows;

/// Samples, native histograms counted by their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Looked at: what two windows have in common counts twice.
    pub(crate) at: u64,
    /// Read: what is new in each window.
    pub(crate) read: u64,
}

impl Looked {
    /// What is looked at and was not before.
    pub(crate) fn once(samples: u64) -> Self {
        Self {
            at: samples,
            read: samples,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.at += other.at;
        self.read += other.read;
    }
}

/// Counts for a whole query.
pub(crate) struct Tally {
    looks: Vec<Look>,
    nodes: RefCell<Vec<Node>>,
    /// How often each shared subtree was computed.
    runs: Vec<Cell<u64>>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    looked: Looked,
    /// By step, if that is wanted of this node; without length until something counts.
    steps: Option<Vec<Looked>>,
}

/// What a query looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) looked: Looked,
    /// By step, if that is wanted.
    pub(crate) steps: Option<Vec<Looked>>,
}

impl Tally {
    /// Nothing counted yet, of a plan with so many numbers and shared subtrees.
    pub(crate) fn new(looks: Vec<Look>, nodes: usize, shared: usize, by_step: bool) -> Self {
        let mut all = vec![Node::default(); nodes];
        for look in looks.iter().filter(|_| by_step) {
            if look.counts == Counts::StepByStep
                && let Some(node) = all.get_mut(look.id.0 as usize)
            {
                node.steps = Some(Vec::new());
            }
        }
        Self {
            looks,
            nodes: RefCell::new(all),
            runs: vec![Cell::new(0); shared],
        }
    }

    /// A shared subtree is about to be computed for one of its places alone.
    pub(super) fn runs(&self, slot: usize) {
        if let Some(runs) = self.runs.get(slot) {
            runs.set(runs.get() + 1);
        }
    }

    /// Whether the node's steps are wanted one by one.
    pub(super) fn wants_steps(&self, id: NodeId) -> bool {
        let nodes = self.nodes.borrow();
        nodes.get(id.0 as usize).is_some_and(|n| n.steps.is_some())
    }

    /// What the query looked at, of `steps` steps.
    pub(crate) fn sum(&self, steps: usize, by_step: bool) -> Sum {
        let nodes = self.nodes.borrow();
        let mut sum = Sum {
            looked: Looked::default(),
            steps: by_step.then(|| vec![Looked::default(); steps]),
        };
        for look in &self.looks {
            let Some(node) = nodes.get(look.id.0 as usize) else {
                continue;
            };
            let runs = look.shared.map_or(1, |slot| self.runs[slot].get().max(1));
            let once = |looked: Looked| Looked {
                at: looked.at / runs * look.times,
                read: looked.read / runs,
            };
            let mut looked = once(node.looked);
            if let Some(all) = &mut sum.steps {
                match look.counts {
                    Counts::StepByStep => {
                        let by_step = node.steps.iter().flatten();
                        all.iter_mut()
                            .zip(by_step)
                            .for_each(|(all, step)| all.add(once(*step)));
                    }
                    Counts::EveryStep => {
                        all.iter_mut().for_each(|all| all.at += looked.at);
                        all.iter_mut()
                            .take(1)
                            .for_each(|all| all.read += looked.read);
                    }
                    Counts::Last => all
                        .iter_mut()
                        .last()
                        .into_iter()
                        .for_each(|all| all.add(looked)),
                }
            }
            if look.counts == Counts::EveryStep {
                looked.at *= steps as u64;
            }
            sum.looked.add(looked);
        }
        sum
    }
}

/// A series as an instant selector sees it, and how many samples that are.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) row: Row,
    pub(super) samples: u64,
}

impl Exec<'_> {
    /// Counts what a node looked at of a series; `by_step` yields the steps.
    pub(super) fn look(
        &self,
        id: NodeId,
        looked: Looked,
        by_step: impl FnOnce(&mut [Looked]),
        steps: usize,
    ) -> Result<(), QueryError> {
        self.budget.count(looked.at);
        let mut nodes = self.tally.nodes.borrow_mut();
        let Some(node) = nodes.get_mut(id.0 as usize) else {
            return Ok(());
        };
        node.looked.add(looked);
        if let Some(all) = &mut node.steps {
            if all.is_empty() {
                let bytes = (steps * size_of::<Looked>()) as u64;
                self.budget.charge(Amount::NONE.and_bytes(bytes))?.keep();
                all.resize(steps, Looked::default());
            }
            by_step(all);
        }
        Ok(())
    }

    /// Counts what an instant selector saw of a series.
    pub(super) fn look_seen(&self, id: NodeId, seen: &Seen) -> Result<(), QueryError> {
        let row = &seen.row;
        let by_step = |steps: &mut [Looked]| {
            for (step, &v) in steps.iter_mut().zip(&row.values) {
                step.add(Looked::once(u64::from(!is_absent(v))));
            }
            for (step, h) in &row.histograms {
                steps[*step as usize].add(Looked::once(histogram_weight(h)));
            }
        };
        let looked = Looked::once(seen.samples);
        self.look(id, looked, by_step, row.values.len())
    }

    /// Counts what the windows of a range vector hold of a series.
    pub(super) fn look_windows(
        &self,
        id: NodeId,
        windows: Windows,
        columns: &Columns,
    ) -> Result<(), QueryError> {
        let mut steps = vec![Looked::default(); windows.refs.count()];
        let mut newest = 0;
        windows.each(&columns.timestamps, |step, lo, hi| {
            steps[step].add(Looked {
                at: (hi - lo) as u64,
                read: (hi - lo.max(newest)) as u64,
            });
            newest = hi;
        });
        let histograms = &columns.histograms;
        let times: Vec<_> = histograms.iter().map(|point| point.timestamp).collect();
        let weight = |lo: usize, hi: usize| -> u64 {
            let points = histograms[lo..hi].iter();
            points.map(|point| histogram_weight(&point.histogram)).sum()
        };
        newest = 0;
        windows.each(&times, |step, lo, hi| {
            steps[step].add(Looked {
                at: weight(lo, hi),
                read: weight(lo.max(newest), hi),
            });
            newest = hi;
        });
        self.look_steps(id, &steps)
    }

    /// Counts what was looked at of a series at each step.
    pub(super) fn look_steps(&self, id: NodeId, steps: &[Looked]) -> Result<(), QueryError> {
        let mut looked = Looked::default();
        steps.iter().for_each(|step| looked.add(*step));
        let by_step = |all: &mut [Looked]| {
            all.iter_mut()
                .zip(steps)
                .for_each(|(all, step)| all.add(*step));
        };
        self.look(id, looked, by_step, steps.len())
    }
}
