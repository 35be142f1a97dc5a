//! Runs a plan over the whole time range at once.
//!
//! Series flow one by one: a source decodes a series and computes all its steps into one reused
//! [`Row`], functions of single samples change that row in place, and a sink takes it: a group's
//! accumulators, another window function, or a [`Frame`] that holds all series of a node. Only
//! operations that need several series at a time (vector matching, ranking, relabelling) make
//! frames.
//!
//! Start with [`Exec::stream`].

mod absent;
mod aggregate;
mod binary;
mod chain;
mod extended;
mod fill;
mod finish;
mod frame;
mod grouping;
mod histogram;
mod info;
mod map;
mod matching;
mod native;
mod native_range;
mod parallel;
mod range_call;
mod rank;
mod relabel;
mod row;
mod runs;
mod scalar;
mod set;
mod sort;
mod source;
mod tally;
mod trace;
mod windowed;

pub(crate) use finish::finish;
pub(crate) use frame::Frame;
pub(crate) use parallel::Helpers;
pub(crate) use row::{ABSENT, Meta, Row, is_absent};
pub(crate) use scalar::Column;
pub(crate) use source::Loaded;
pub(crate) use tally::{Looked, Tally};
pub use trace::Measured;
pub(crate) use trace::Trace;

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use crate::annotations::Annotations;
use crate::budget::{Amount, Budget};
use crate::error::{QueryError, Stage};
use crate::plan::{Grid, Node, NodeId, Op, Plan, Samples};
use crate::syntax::ast::Extended;

/// A series of more values than this is not kept for several places: 2^23 floats are 64 MiB.
const SHARED_CELLS_MAX: usize = 1 << 23;

/// What a series is handed to. It may change the row.
pub(crate) type Sink<'s> = dyn FnMut(Meta<'_>, &mut Row) -> Result<(), QueryError> + 's;

/// A running query.
pub(crate) struct Exec<'q> {
    pub(crate) plan: &'q Plan,
    /// The selected series, one entry for each of the plan's selections.
    pub(crate) data: &'q [Loaded],
    pub(crate) budget: &'q Budget,
    pub(crate) notes: &'q Annotations,
    pub(crate) helpers: &'q Helpers,
    /// Whether names are dropped only when the query is done.
    pub(crate) delayed_names: bool,
    /// Whether the type of a metric is in its labels.
    pub(crate) type_and_unit_labels: bool,
    pub(crate) tally: Tally,
    /// Time spent on sorting the result.
    pub(crate) sort_time: Cell<Duration>,
    /// Measures the nodes, if that is wanted.
    pub(crate) trace: Option<Trace>,
    /// The plan's shared subtrees, once they are computed.
    pub(crate) shared: Vec<OnceCell<Frame<'q>>>,
}

impl<'q> Exec<'q> {
    /// Hands every series of an instant vector to `sink`, all steps at once.
    pub(crate) fn stream(
        &self,
        node: &Node,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let Some(trace) = &self.trace else {
            return self.run_stream(node, grid, sink);
        };
        let counts = matches!(
            node.op,
            Op::Selector(_)
                | Op::SampleTimes { .. }
                | Op::RangeCall(_)
                | Op::Invariant(_)
                | Op::VectorOf(_)
                | Op::Shared(_)
        );
        let caller = trace.switch(Some(node.id));
        let result = self.run_stream(node, grid, &mut |meta, row| {
            if counts {
                trace.handed_on(node.id, row);
            }
            trace.switch(caller);
            let result = sink(meta, row);
            trace.switch(Some(node.id));
            result
        });
        trace.switch(caller);
        result
    }

    fn run_stream(&self, node: &Node, grid: Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        match &node.op {
            Op::Selector(source) if source.extended == Some(Extended::Smoothed) => {
                self.smoothed_selector((node.id, source), grid, sink)
            }
            Op::Selector(source) => self.selector((node.id, source), grid, sink),
            Op::SampleTimes { source, stamp } => {
                self.sample_times((node.id, source), *stamp, grid, sink)
            }
            Op::RangeCall(call) => self.range_call(call, grid, sink),
            Op::Invariant(child) => self.invariant(child, grid, sink),
            Op::VectorOf(child) => self.vector_of(child, grid, sink),
            Op::Shared(slot) => self.shared(*slot, sink),
            Op::Map { .. } | Op::Chain(_) => self.lazy(node, grid)?.run(self, grid, sink),
            _ => self.frame(node, grid)?.stream(self, sink),
        }
    }

    /// All series of an instant vector.
    pub(crate) fn frame(&self, node: &Node, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let Some(trace) = &self.trace else {
            return self.run_frame(node, grid);
        };
        let caller = trace.switch(Some(node.id));
        let frame = self.run_frame(node, grid);
        trace.switch(caller);
        frame
    }

    fn run_frame(&self, node: &Node, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let frame = match &node.op {
            Op::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Op::Absent { labels, child } => self.absent(labels, child, grid),
            Op::AbsentOverTime { labels, matrix } => self.absent_over_time(labels, matrix, grid),
            Op::Sort { order, span, child } => self.sort(order, *span, child, grid),
            Op::Relabel { relabel, child, .. } => self.relabel(relabel, child, grid),
            Op::Histogram(call) => self.histogram(call, grid),
            Op::Info(call) => self.info(call, grid),
            Op::Map { .. } | Op::Chain(_) => return self.lazy(node, grid)?.into_frame(self, grid),
            Op::Selector(_)
            | Op::SampleTimes { .. }
            | Op::RangeCall(_)
            | Op::Invariant(_)
            | Op::Shared(_)
            | Op::VectorOf(_) => {
                return self.collect(grid, &mut |sink| self.stream(node, grid, sink));
            }
            Op::Number(_)
            | Op::Text(_)
            | Op::Time
            | Op::ScalarNegate(_)
            | Op::ScalarExtreme { .. }
            | Op::ScalarOf(_)
            | Op::Matrix(_) => Err(QueryError::Internal(
                "an instant vector that is none".to_owned(),
            )),
        }?;
        self.measure_frame(node.id, &frame);
        Ok(frame)
    }

    /// Counts what a node that is done hands on.
    pub(super) fn measure_frame(&self, id: NodeId, frame: &Frame<'_>) {
        if let Some(trace) = &self.trace {
            let mut row = Row::default();
            for i in 0..frame.len() {
                frame.copy_row(i, &mut row);
                trace.handed_on(id, &row);
            }
        }
    }

    /// Hands on a subtree that stands in several places. The first place computes it; where
    /// keeping it would take too much room, each place does.
    fn shared(&self, slot: usize, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let (Some(shared), Some(kept)) = (self.plan.shared.get(slot), self.shared.get(slot)) else {
            return Err(QueryError::Internal(
                "a shared subtree that is none".to_owned(),
            ));
        };
        let frame = match kept.get() {
            Some(frame) => frame,
            None if self.cells_at_most(&shared.node, shared.grid) > SHARED_CELLS_MAX => {
                self.tally.runs(slot);
                return self.stream(&shared.node, shared.grid, sink);
            }
            None => {
                let frame = self.frame(&shared.node, shared.grid)?;
                kept.get_or_init(|| frame)
            }
        };
        frame.stream(self, sink)
    }

    /// How many values a node that hands series on as they come could yield; 0 for one that
    /// holds all its series in any case.
    fn cells_at_most(&self, node: &Node, grid: Grid) -> usize {
        let source = match &node.op {
            Op::Selector(source) | Op::SampleTimes { source, .. } => source,
            Op::RangeCall(call) => match &call.matrix.samples {
                Samples::Stored(source) => source,
                Samples::Subquery { inner, .. } => return self.cells_at_most(inner, grid),
            },
            Op::Map { child, .. } => return self.cells_at_most(child, grid),
            Op::Chain(chain) if chain.links.iter().all(|link| link.rhs.is_scalar()) => {
                return self.cells_at_most(&chain.first, grid);
            }
            _ => return 0,
        };
        self.data[source.selection]
            .series
            .len()
            .saturating_mul(grid.count)
    }

    /// Collects what `produce` hands out into a frame.
    pub(crate) fn collect(
        &self,
        grid: Grid,
        produce: &mut dyn FnMut(&mut Sink<'_>) -> Result<(), QueryError>,
    ) -> Result<Frame<'q>, QueryError> {
        let mut frame = Frame::new(self.budget, grid.count)?;
        produce(&mut |meta, row| frame.push(meta.resolve(self.delayed_names), row))?;
        Ok(frame)
    }

    /// Evaluates `child` at the first step and repeats that at every other.
    fn invariant(&self, child: &Node, grid: Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let _room = self.budget.charge(Amount::cells(grid.count as u64))?;
        let mut wide = Row::default();
        self.stream(child, grid.first_step(), &mut |meta, row| {
            wide.repeat(row, grid.count);
            sink(meta, &mut wide)
        })
    }

    /// Whether to go on with the next series.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        self.budget.check(Stage::Evaluation)
    }
}
