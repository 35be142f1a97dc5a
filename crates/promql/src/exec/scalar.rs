//! Scalars, and operators on numbers.

use super::{Exec, is_absent};
use crate::budget::Amount;
use crate::error::QueryError;
use crate::functions::math;
use crate::plan::{Chain, Grid, Node, Op};
use crate::syntax::ast::BinaryOp;

/// A scalar at every step.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// The same at all.
    Same(f64),
    /// One number each.
    Steps(Vec<f64>),
}

impl Column {
    /// The scalar at a step.
    #[inline]
    pub(crate) fn get(&self, step: usize) -> f64 {
        match self {
            Self::Same(v) => *v,
            Self::Steps(values) => values[step],
        }
    }

    /// All numbers of `steps` steps, a constant once.
    pub(crate) fn distinct(&self) -> &[f64] {
        match self {
            Self::Same(v) => std::slice::from_ref(v),
            Self::Steps(values) => values,
        }
    }

    fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        match &mut self {
            Self::Same(v) => *v = f(*v),
            Self::Steps(values) => values.iter_mut().for_each(|v| *v = f(*v)),
        }
        self
    }

    fn zip(self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::Same(a), Self::Steps(b)) => Self::Steps(b.iter().map(|&b| f(a, b)).collect()),
            (a @ Self::Same(_), Self::Same(b)) => a.map(|a| f(a, *b)),
            (Self::Steps(mut a), b) => {
                for (step, a) in a.iter_mut().enumerate() {
                    *a = f(*a, b.get(step));
                }
                Self::Steps(a)
            }
        }
    }
}

/// Runs `$body` with `$f` as the arithmetic operator `$op`, once compiled for each.
macro_rules! with_arithmetic {
    ($op:expr, $f:ident => $body:expr, else $otherwise:expr) => {
        match $op {
            $crate::syntax::ast::BinaryOp::Add => {
                let $f = |a: f64, b: f64| a + b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Sub => {
                let $f = |a: f64, b: f64| a - b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Mul => {
                let $f = |a: f64, b: f64| a * b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Div => {
                let $f = |a: f64, b: f64| a / b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Mod => {
                let $f = |a: f64, b: f64| a % b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Pow => {
                let $f = |a: f64, b: f64| a.powf(b);
                $body
            }
            $crate::syntax::ast::BinaryOp::Atan2 => {
                let $f = |a: f64, b: f64| a.atan2(b);
                $body
            }
            _ => $otherwise,
        }
    };
}

/// Runs `$body` with `$f` as the comparison `$op`, once compiled for each.
macro_rules! with_comparison {
    ($op:expr, $f:ident => $body:expr, else $otherwise:expr) => {
        match $op {
            $crate::syntax::ast::BinaryOp::Eq => {
                let $f = |a: f64, b: f64| a == b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Ne => {
                let $f = |a: f64, b: f64| a != b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Lt => {
                let $f = |a: f64, b: f64| a < b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Le => {
                let $f = |a: f64, b: f64| a <= b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Gt => {
                let $f = |a: f64, b: f64| a > b;
                $body
            }
            $crate::syntax::ast::BinaryOp::Ge => {
                let $f = |a: f64, b: f64| a >= b;
                $body
            }
            _ => $otherwise,
        }
    };
}

pub(super) use {with_arithmetic, with_comparison};

/// 1 for true, 0 for false.
#[inline]
pub(super) fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// An operator between two scalars.
pub(super) fn combine(op: BinaryOp, a: Column, b: &Column) -> Result<Column, QueryError> {
    let result = with_arithmetic!(op, f => a.zip(b, f), else
    with_comparison!(op, f => a.zip(b, |a, b| truth(f(a, b))), else {
        return Err(QueryError::execution(format!(
            "operator {:?} not allowed for Scalar operations",
            op.as_str()
        )));
    }));
    Ok(result)
}

impl Exec<'_> {
    /// Evaluates a scalar at all steps.
    pub(crate) fn scalar(&self, node: &Node, grid: Grid) -> Result<Column, QueryError> {
        match &node.op {
            Op::Number(v) => Ok(Column::Same(*v)),
            Op::Time => {
                let seconds = |i| grid.at(i) as f64 / 1000.0;
                self.steps(grid, |values| {
                    values.extend((0..grid.count).map(seconds));
                    Ok(())
                })
            }
            Op::ScalarNegate(child) => Ok(self.scalar(child, grid)?.map(|v| -v)),
            Op::ScalarExtreme { larger, args } => {
                let (a, b) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
                Ok(a.zip(&b, if *larger { math::max } else { math::min }))
            }
            Op::ScalarOf(child) => self.scalar_of(child, grid),
            Op::Chain(chain) => self.scalar_chain(chain, grid),
            Op::Invariant(child) => {
                let first = self.scalar(child, grid.first_step())?;
                Ok(Column::Same(if grid.count == 0 {
                    f64::NAN
                } else {
                    first.get(0)
                }))
            }
            _ => Err(QueryError::Internal("a scalar that is none".to_owned())),
        }
    }

    fn steps(
        &self,
        grid: Grid,
        fill: impl FnOnce(&mut Vec<f64>) -> Result<(), QueryError>,
    ) -> Result<Column, QueryError> {
        // Scalars live as long as the operation that uses them: not worth holding the room.
        drop(self.budget.charge(Amount::cells(grid.count as u64))?);
        let mut values = Vec::with_capacity(grid.count);
        fill(&mut values)?;
        Ok(Column::Steps(values))
    }

    fn scalar_chain(&self, chain: &Chain, grid: Grid) -> Result<Column, QueryError> {
        let mut value = self.scalar(&chain.first, grid)?;
        for link in &chain.links {
            let rhs = self.scalar(&link.rhs, grid)?;
            value = combine(link.op, value, &rhs)?;
        }
        Ok(value)
    }

    /// The float of the only series that has one; NaN if there are none or several.
    fn scalar_of(&self, child: &Node, grid: Grid) -> Result<Column, QueryError> {
        self.steps(grid, |values| {
            values.resize(grid.count, super::ABSENT);
            let mut several = vec![false; grid.count];
            self.stream(child, grid, &mut |_, row| {
                for (step, &v) in row.values.iter().enumerate() {
                    if !is_absent(v) {
                        several[step] |= !is_absent(values[step]);
                        values[step] = v;
                    }
                }
                Ok(())
            })?;
            for (value, several) in values.iter_mut().zip(several) {
                if several || is_absent(*value) {
                    *value = f64::NAN;
                }
            }
            Ok(())
        })
    }
}
