//! What each node of a plan did while it ran.
//!
//! Series are handed from node to node in the middle of both nodes' work. So there is one clock
//! that always runs for exactly one node: whoever hands a series on stops it for itself.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use ferula_env::Clock;

use super::{Row, is_absent};
use crate::budget::histogram_weight;
use crate::plan::NodeId;

/// The bytes of a sample: its time and its value.
const SAMPLE_BYTES: u64 = 16;

/// What a node did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Series read from the store.
    pub series_read: u64,
    /// Samples read from the store, a native histogram counted by its size.
    pub samples_read: u64,
    /// Series handed on.
    pub series: u64,
    /// Values handed on: one for each series and step that has one.
    pub samples: u64,
    /// Bytes of the samples read and handed on.
    pub bytes: u64,
    /// Time spent on this node alone, without those below it.
    pub time: Duration,
}

/// Measures all nodes of a plan.
pub(crate) struct Trace {
    clock: Arc<dyn Clock>,
    state: RefCell<State>,
}

struct State {
    /// Whom the clock runs for.
    current: Option<NodeId>,
    since: Duration,
    nodes: Vec<Measured>,
}

impl Trace {
    /// Nothing measured yet, of `nodes` nodes.
    pub(crate) fn new(clock: Arc<dyn Clock>, nodes: usize) -> Self {
        let since = clock.monotonic();
        Self {
            clock,
            state: RefCell::new(State {
                current: None,
                since,
                nodes: vec![Measured::default(); nodes],
            }),
        }
    }

    /// Lets the clock run for `node`; gives back whom it ran for.
    pub(super) fn switch(&self, node: Option<NodeId>) -> Option<NodeId> {
        let now = self.clock.monotonic();
        let mut state = self.state.borrow_mut();
        let took = now.saturating_sub(state.since);
        state.since = now;
        let before = std::mem::replace(&mut state.current, node);
        if let Some(measured) = before.and_then(|id| state.nodes.get_mut(id.0 as usize)) {
            measured.time += took;
        }
        before
    }

    fn change(&self, node: NodeId, change: impl FnOnce(&mut Measured)) {
        if let Some(measured) = self.state.borrow_mut().nodes.get_mut(node.0 as usize) {
            change(measured);
        }
    }

    /// Counts a series handed on.
    pub(super) fn handed_on(&self, node: NodeId, row: &Row) {
        let floats = row.values.iter().filter(|v| !is_absent(**v)).count();
        let values = (floats + row.histograms.len()) as u64;
        if values == 0 {
            return;
        }
        let histograms: u64 = row
            .histograms
            .iter()
            .map(|(_, h)| histogram_weight(h))
            .sum();
        self.change(node, |m| {
            m.series += 1;
            m.samples += values;
            m.bytes += (floats as u64 + histograms) * SAMPLE_BYTES;
        });
    }

    /// Counts a series handed on as `samples` samples that are not one per step.
    pub(super) fn handed_on_samples(&self, node: NodeId, samples: u64) {
        self.change(node, |m| {
            m.series += u64::from(samples > 0);
            m.samples += samples;
        });
    }

    /// Counts a series read, and how many samples of it.
    pub(super) fn read(&self, node: NodeId, samples: u64) {
        self.change(node, |m| {
            m.series_read += 1;
            m.samples_read += samples;
            m.bytes += samples * SAMPLE_BYTES;
        });
    }

    /// What was measured, by node number.
    pub(crate) fn finish(self) -> Vec<Measured> {
        self.switch(None);
        self.state.into_inner().nodes
    }
}
