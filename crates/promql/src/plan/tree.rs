//! Walking through a plan.

use super::{HistogramWanted, Map, Matrix, Node, NodeId, Op, Param, Plan, Samples, Source};

/// A piece of a plan.
pub(super) enum Part<'p> {
    Node(&'p mut Node),
    Matrix(&'p mut Matrix),
    Source(&'p mut Source),
    /// The number of a piece that has no more to it.
    Id(&'p mut NodeId),
}

impl Node {
    /// Hands the parts directly below to `visit`, what is on the left first.
    pub(super) fn for_each_part(&mut self, visit: &mut dyn FnMut(Part<'_>)) {
        match &mut self.op {
            Op::Number(_) | Op::Text(_) | Op::Time | Op::Shared(_) => {}
            Op::Selector(source) | Op::SampleTimes { source, .. } => visit(Part::Source(source)),
            Op::ScalarNegate(child)
            | Op::ScalarOf(child)
            | Op::VectorOf(child)
            | Op::Absent { child, .. }
            | Op::Sort { child, .. }
            | Op::Relabel { child, .. }
            | Op::Invariant(child) => visit(Part::Node(child)),
            Op::ScalarExtreme { args, .. } => {
                args.iter_mut().for_each(|arg| visit(Part::Node(arg)));
            }
            Op::Matrix(matrix) | Op::AbsentOverTime { matrix, .. } => visit(Part::Matrix(matrix)),
            Op::RangeCall(call) => {
                visit(Part::Matrix(&mut call.matrix));
                for param in &mut call.params {
                    visit(Part::Node(param));
                }
            }
            Op::Map { map, child, .. } => {
                visit(Part::Node(child));
                let bounds: [Option<&mut Node>; 2] = match &mut **map {
                    Map::Clamp { lo, hi } => [lo.as_mut(), hi.as_mut()],
                    Map::Round(to) => [to.as_mut(), None],
                    _ => [None, None],
                };
                for bound in bounds.into_iter().flatten() {
                    visit(Part::Node(bound));
                }
            }
            Op::Chain(chain) => {
                visit(Part::Node(&mut chain.first));
                for link in &mut chain.links {
                    visit(Part::Id(&mut link.id));
                    visit(Part::Node(&mut link.rhs));
                }
            }
            Op::Aggregate(aggregate) => {
                visit(Part::Node(&mut aggregate.child));
                if let Param::Scalar(param) = &mut aggregate.param {
                    visit(Part::Node(param));
                }
            }
            Op::Histogram(call) => {
                visit(Part::Node(&mut call.child));
                match &mut call.wanted {
                    HistogramWanted::Quantile { phi, .. } => visit(Part::Node(phi)),
                    HistogramWanted::Quantiles { phis, .. } => {
                        phis.iter_mut().for_each(|(phi, _)| visit(Part::Node(phi)));
                    }
                    HistogramWanted::Fraction { lower, upper } => {
                        visit(Part::Node(lower));
                        visit(Part::Node(upper));
                    }
                }
            }
            Op::Info(call) => {
                visit(Part::Node(&mut call.child));
                visit(Part::Id(&mut call.source_id));
                visit(Part::Source(&mut call.source));
            }
        }
    }
}

impl Plan {
    /// Hands every piece to `visit`, each before those below it.
    pub(super) fn walk(&mut self, visit: &mut dyn FnMut(Part<'_>)) {
        for shared in &mut self.shared {
            walk(&mut shared.node, visit);
        }
        walk(&mut self.root, visit);
    }
}

fn walk(node: &mut Node, visit: &mut dyn FnMut(Part<'_>)) {
    visit(Part::Node(node));
    node.for_each_part(&mut |part| match part {
        Part::Node(child) => walk(child, visit),
        Part::Matrix(matrix) => {
            visit(Part::Matrix(matrix));
            match &mut matrix.samples {
                Samples::Stored(source) => visit(Part::Source(source)),
                Samples::Subquery { inner, .. } => walk(inner, visit),
            }
        }
        part => visit(part),
    });
}
