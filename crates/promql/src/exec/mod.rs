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
mod range_call;
mod rank;
mod relabel;
mod row;
mod scalar;
mod set;
mod sort;
mod source;

pub(crate) use finish::finish;
pub(crate) use frame::Frame;
pub(crate) use row::{ABSENT, Meta, Row, is_absent};
pub(crate) use scalar::Column;
pub(crate) use source::Loaded;

use crate::annotations::Annotations;
use crate::budget::Budget;
use crate::error::{QueryError, Stage};
use crate::plan::{Grid, Node};
use crate::syntax::ast::Extended;

/// What a series is handed to. It may change the row.
pub(crate) type Sink<'s> = dyn FnMut(Meta<'_>, &mut Row) -> Result<(), QueryError> + 's;

/// A running query.
pub(crate) struct Exec<'q> {
    /// The selected series, one entry for each of the plan's selections.
    pub(crate) data: &'q [Loaded],
    pub(crate) budget: &'q Budget,
    pub(crate) notes: &'q Annotations,
    /// Whether names are dropped only when the query is done.
    pub(crate) delayed_names: bool,
}

impl<'q> Exec<'q> {
    /// Hands every series of an instant vector to `sink`, all steps at once.
    pub(crate) fn stream(
        &self,
        node: &Node,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        match node {
            Node::Selector(source) if source.extended == Some(Extended::Smoothed) => {
                self.smoothed_selector(source, grid, sink)
            }
            Node::Selector(source) => self.selector(source, grid, sink),
            Node::SampleTimes(source) => self.sample_times(source, grid, sink),
            Node::RangeCall(call) => self.range_call(call, grid, sink),
            Node::Invariant(child) => self.invariant(child, grid, sink),
            Node::VectorOf(child) => self.vector_of(child, grid, sink),
            Node::Map { .. } | Node::Chain(_) => self.lazy(node, grid)?.run(self, grid, sink),
            _ => self.frame(node, grid)?.stream(self, sink),
        }
    }

    /// All series of an instant vector.
    pub(crate) fn frame(&self, node: &Node, grid: Grid) -> Result<Frame<'q>, QueryError> {
        match node {
            Node::Map { .. } | Node::Chain(_) => self.lazy(node, grid)?.into_frame(self, grid),
            Node::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Node::Absent { labels, child } => self.absent(labels, child, grid),
            Node::AbsentOverTime { labels, matrix } => self.absent_over_time(labels, matrix, grid),
            Node::Sort { order, span, child } => self.sort(order, *span, child, grid),
            Node::Relabel { relabel, child } => self.relabel(relabel, child, grid),
            Node::Histogram(call) => self.histogram(call, grid),
            Node::Info(call) => self.info(call, grid),
            Node::Selector(_)
            | Node::SampleTimes(_)
            | Node::RangeCall(_)
            | Node::Invariant(_)
            | Node::VectorOf(_) => self.collect(grid, &mut |sink| self.stream(node, grid, sink)),
            Node::Number(_)
            | Node::Text(_)
            | Node::Time
            | Node::ScalarNegate(_)
            | Node::ScalarExtreme { .. }
            | Node::ScalarOf(_)
            | Node::Matrix(_) => Err(QueryError::Internal(
                "an instant vector that is none".to_owned(),
            )),
        }
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
        let _room = self.budget.charge(grid.count as u64)?;
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
