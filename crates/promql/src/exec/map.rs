//! Functions and operators that change each sample by itself, in place.

use ferula_diag::Span;

use super::binary::{Kind, incompatible};
use super::native;
use super::scalar::{truth, with_arithmetic, with_comparison};
use super::{ABSENT, Column, Exec, Row, is_absent};
use crate::error::QueryError;
use crate::functions::math::Math;
use crate::functions::{math, time};
use crate::plan::{Grid, HistogramStat, Map, drops_name};
use crate::syntax::ast::BinaryOp;

/// A map with its scalars evaluated.
pub(super) enum Prepared {
    Negate,
    Math(Math),
    Clamp { lo: Column, hi: Column },
    Round(Column),
    Calendar(time::Calendar),
    EvaluationTime(Grid),
    DropName,
    Nothing,
    HistogramStat(HistogramStat),
    Operator(ScalarOperator),
}

/// An operator between each sample and a scalar.
pub(super) struct ScalarOperator {
    pub(super) op: BinaryOp,
    pub(super) return_bool: bool,
    pub(super) scalar: Column,
    /// Whether the scalar is the left operand.
    pub(super) scalar_left: bool,
    pub(super) span: Span,
}

impl Exec<'_> {
    /// Evaluates the scalars of a map.
    pub(super) fn prepare(&self, map: &Map, grid: Grid) -> Result<Prepared, QueryError> {
        let scalar = |node: &Option<_>, default: f64| match node {
            Some(node) => self.scalar(node, grid),
            None => Ok(Column::Same(default)),
        };
        Ok(match map {
            Map::Negate => Prepared::Negate,
            Map::Math(function) => Prepared::Math(*function),
            Map::Clamp { lo, hi } => Prepared::Clamp {
                lo: scalar(lo, f64::NEG_INFINITY)?,
                hi: scalar(hi, f64::INFINITY)?,
            },
            Map::Round(to) => Prepared::Round(scalar(to, 1.0)?),
            Map::Calendar(calendar) => Prepared::Calendar(*calendar),
            Map::EvaluationTime => Prepared::EvaluationTime(grid),
            Map::DropName => Prepared::DropName,
            Map::Nothing => Prepared::Nothing,
            Map::HistogramStat(stat) => Prepared::HistogramStat(*stat),
        })
    }
}

impl Prepared {
    /// Whether the result no longer is what the metric's name says.
    pub(super) fn drops_name(&self) -> bool {
        match self {
            Self::Operator(operator) => drops_name(operator.op, operator.return_bool),
            _ => true,
        }
    }

    /// Changes a row.
    pub(super) fn apply(&self, exec: &Exec<'_>, row: &mut Row) {
        match self {
            Self::Negate => {
                each(row, |_, v| present(-v));
                for (_, h) in &mut row.histograms {
                    *h = native::negative(h);
                }
            }
            Self::Math(function) => floats_only(row, |_, v| present(function(v))),
            Self::Clamp { lo, hi } => floats_only(row, |step, v| {
                let (lo, hi) = (lo.get(step), hi.get(step));
                if hi < lo {
                    ABSENT
                } else {
                    math::clamp(v, lo, hi)
                }
            }),
            Self::Round(to) => floats_only(row, |step, v| math::round(v, to.get(step))),
            Self::Calendar(calendar) => floats_only(row, |_, v| time::apply(*calendar, v)),
            Self::EvaluationTime(grid) => {
                let seconds = |step: usize| grid.at(step) as f64 / 1000.0;
                each(row, |step, _| seconds(step));
                for (step, _) in row.histograms.drain(..) {
                    row.values[step as usize] = seconds(step as usize);
                }
            }
            Self::DropName => {}
            Self::Nothing => row.reset(row.values.len()),
            Self::HistogramStat(stat) => histogram_stat(*stat, row),
            Self::Operator(operator) => operator.apply(exec, row),
        }
    }
}

/// A value that is not taken for [`ABSENT`], even if a change of sign made it look like that.
#[inline]
fn present(v: f64) -> f64 {
    if is_absent(v) { f64::NAN } else { v }
}

/// Replaces every float.
#[inline]
fn each(row: &mut Row, f: impl Fn(usize, f64) -> f64) {
    for (step, v) in row.values.iter_mut().enumerate() {
        if !is_absent(*v) {
            *v = f(step, *v);
        }
    }
}

fn floats_only(row: &mut Row, f: impl Fn(usize, f64) -> f64) {
    row.histograms.clear();
    each(row, f);
}

fn histogram_stat(stat: HistogramStat, row: &mut Row) {
    row.values.fill(ABSENT);
    for (step, h) in row.histograms.drain(..) {
        row.values[step as usize] = native::stat(stat, &h);
    }
}

impl ScalarOperator {
    fn apply(&self, exec: &Exec<'_>, row: &mut Row) {
        self.apply_to_histograms(exec, row);
        let scalar = |step| self.scalar.get(step);
        let op = self.op;
        if self.scalar_left {
            with_arithmetic!(op, f => each(row, |step, v| f(scalar(step), v)), else
                with_comparison!(op, f => self.compare(row, |step, v| f(scalar(step), v)), else
                    self.trim_floats(exec, row)));
        } else {
            with_arithmetic!(op, f => each(row, |step, v| f(v, scalar(step))), else
                with_comparison!(op, f => self.compare(row, |step, v| f(v, scalar(step))), else
                    self.trim_floats(exec, row)));
        }
    }

    fn apply_to_histograms(&self, exec: &Exec<'_>, row: &mut Row) {
        row.histograms.retain_mut(|(step, h)| {
            let scalar = self.scalar.get(*step as usize);
            match native::with_number(self.op, h, scalar, self.scalar_left) {
                Some(result) => *h = result,
                None => {
                    let (left, right) = self.order(Kind::Histogram, Kind::Float);
                    incompatible(exec, self.op, left, right, self.span);
                    return false;
                }
            }
            true
        });
    }

    /// Filters, or turns values into truth values.
    #[inline]
    fn compare(&self, row: &mut Row, holds: impl Fn(usize, f64) -> bool) {
        if self.return_bool {
            each(row, |step, v| truth(holds(step, v)));
        } else {
            each(row, |step, v| if holds(step, v) { v } else { ABSENT });
        }
    }

    /// Floats cannot be trimmed.
    fn trim_floats(&self, exec: &Exec<'_>, row: &mut Row) {
        if row.values.iter().any(|&v| !is_absent(v)) {
            incompatible(exec, self.op, Kind::Float, Kind::Float, self.span);
        }
        row.values.fill(ABSENT);
    }

    fn order<T>(&self, element: T, scalar: T) -> (T, T) {
        if self.scalar_left {
            (scalar, element)
        } else {
            (element, scalar)
        }
    }
}
