//! Operators in a row, and functions of samples: applied to series as they pass.

use super::map::{Prepared, ScalarOperator};
use super::row::Meta;
use super::{Column, Exec, Frame, Row, Sink};
use crate::error::QueryError;
use crate::plan::{Chain, Grid, Node, NodeId, Op, Samples};

/// Series on their way: where they come from, and what is still to be done to each.
pub(super) struct Lazy<'n, 'q> {
    leaf: Leaf<'n, 'q>,
    maps: Vec<(NodeId, Prepared)>,
}

enum Leaf<'n, 'q> {
    Node(&'n Node),
    Frame(Frame<'q>),
}

/// The left operand so far.
enum Left<'n, 'q> {
    Scalar(Column),
    Vector(Lazy<'n, 'q>),
}

impl<'q> Exec<'q> {
    /// Prepares a vector without computing it where it can wait.
    pub(super) fn lazy<'n>(&self, node: &'n Node, grid: Grid) -> Result<Lazy<'n, 'q>, QueryError> {
        match &node.op {
            Op::Map { map, child, .. } => {
                let mut lazy = self.lazy(child, grid)?;
                lazy.maps.push((node.id, self.prepare(map, grid)?));
                Ok(lazy)
            }
            Op::Chain(chain) => self.lazy_chain(chain, grid),
            _ => Ok(Lazy {
                leaf: Leaf::Node(node),
                maps: Vec::new(),
            }),
        }
    }

    fn lazy_chain<'n>(&self, chain: &'n Chain, grid: Grid) -> Result<Lazy<'n, 'q>, QueryError> {
        let mut left = if chain.first.is_scalar() {
            Left::Scalar(self.scalar(&chain.first, grid)?)
        } else {
            Left::Vector(self.lazy(&chain.first, grid)?)
        };
        for link in &chain.links {
            let operator = |scalar, scalar_left| {
                let operator = ScalarOperator {
                    op: link.op,
                    return_bool: link.return_bool,
                    scalar,
                    scalar_left,
                    span: link.span,
                };
                (link.id, Prepared::Operator(operator))
            };
            let rhs_is_scalar = link.rhs.is_scalar();
            left = match left {
                Left::Scalar(scalar) if rhs_is_scalar => {
                    let rhs = self.scalar(&link.rhs, grid)?;
                    Left::Scalar(super::scalar::combine(link.op, scalar, &rhs)?)
                }
                Left::Scalar(scalar) => {
                    let mut rhs = self.lazy(&link.rhs, grid)?;
                    rhs.maps.push(operator(scalar, true));
                    Left::Vector(rhs)
                }
                Left::Vector(mut vector) if rhs_is_scalar => {
                    let scalar = self.scalar(&link.rhs, grid)?;
                    vector.maps.push(operator(scalar, false));
                    Left::Vector(vector)
                }
                Left::Vector(vector) => {
                    let lhs = vector.into_frame(self, grid)?;
                    let rhs = self.frame(&link.rhs, grid)?;
                    let frame = if link.op.is_set() {
                        self.set_operation(link, lhs, rhs)?
                    } else {
                        self.vector_operation(link, lhs, rhs)?
                    };
                    self.measure_frame(link.id, &frame);
                    Left::Vector(Lazy {
                        leaf: Leaf::Frame(frame),
                        maps: Vec::new(),
                    })
                }
            };
        }
        match left {
            Left::Vector(lazy) => Ok(lazy),
            Left::Scalar(_) => Err(QueryError::Internal("a vector that is a scalar".to_owned())),
        }
    }

    /// Whether two of the node's series may have the same labels but for their names.
    fn may_collide(&self, node: &Node) -> bool {
        match &node.op {
            Op::Selector(source) | Op::SampleTimes { source, .. } => {
                !self.data[source.selection].same_name
            }
            Op::RangeCall(call) => {
                call.func.keeps_name()
                    && match &call.matrix.samples {
                        Samples::Stored(source) => !self.data[source.selection].same_name,
                        Samples::Subquery { .. } => true,
                    }
            }
            Op::Invariant(child) => self.may_collide(child),
            Op::Shared(slot) => match self.plan.shared.get(*slot) {
                Some(shared) => self.may_collide(&shared.node),
                None => true,
            },
            Op::VectorOf(_) => false,
            _ => true,
        }
    }
}

impl<'q> Lazy<'_, 'q> {
    /// Hands every series to `sink` once everything is done to it.
    pub(super) fn run(
        mut self,
        exec: &Exec<'q>,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        if let Some(dropping) = self.maps.iter().position(|(_, map)| map.drops_name())
            && !exec.delayed_names
            && self.leaf_may_collide(exec)
        {
            // Series that lose their names may turn out to be one: look at all of them.
            let rest = self.maps.split_off(dropping + 1);
            let frame = exec
                .collect(grid, &mut |sink| self.pass(exec, grid, sink))?
                .merge_same_labels()?;
            self = Lazy {
                leaf: Leaf::Frame(frame),
                maps: rest,
            };
        }
        self.pass(exec, grid, sink)
    }

    fn leaf_may_collide(&self, exec: &Exec<'q>) -> bool {
        match &self.leaf {
            Leaf::Node(node) => exec.may_collide(node),
            Leaf::Frame(frame) => frame.any_named(),
        }
    }

    fn pass(&self, exec: &Exec<'q>, grid: Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let drops = self.maps.iter().any(|(_, map)| map.drops_name());
        let mut changed = |meta: Meta<'_>, row: &mut Row| {
            for (id, map) in &self.maps {
                map.apply(exec, row);
                if let Some(trace) = &exec.trace {
                    trace.handed_on(*id, row);
                }
            }
            sink(meta.dropping(drops), row)
        };
        match &self.leaf {
            Leaf::Node(node) => exec.stream(node, grid, &mut changed),
            Leaf::Frame(frame) => frame.stream(exec, &mut changed),
        }
    }

    /// All series, once everything is done to them.
    pub(super) fn into_frame(self, exec: &Exec<'q>, grid: Grid) -> Result<Frame<'q>, QueryError> {
        match self.leaf {
            Leaf::Frame(frame) if self.maps.is_empty() => Ok(frame),
            Leaf::Node(node) if self.maps.is_empty() => exec.frame(node, grid),
            leaf => {
                let mut lazy = Some(Lazy {
                    leaf,
                    maps: self.maps,
                });
                exec.collect(grid, &mut |sink| match lazy.take() {
                    Some(lazy) => lazy.run(exec, grid, sink),
                    None => Ok(()),
                })
            }
        }
    }
}
