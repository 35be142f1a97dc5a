//! From durations that are computed to milliseconds, before a query runs.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use ferula_diag::Span;
use ferula_model::Timestamp;

use super::ast::{Expr, Modifiers};
use super::duration::{DurationExpr, DurationOp, DurationOperand};
use crate::functions::math;

/// A duration that makes no sense for the query's times.
///
/// Displays as Prometheus does: `8:13: duration must be greater than 0`, where the numbers are
/// the bytes of the text from which to which the duration reaches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DurationError {
    /// Where.
    pub span: Span,
    /// What is wrong with it.
    pub message: &'static str,
}

impl Display for DurationError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Span { start, end } = self.span;
        write!(f, "{start}:{end}: {}", self.message)
    }
}

/// `expr` with a number of milliseconds for every duration that is computed, for a query over
/// `start..=end` with a step of `step_ms`, 0 for a single one.
pub fn resolve(
    expr: &Expr,
    start: Timestamp,
    end: Timestamp,
    step_ms: i64,
) -> Result<Cow<'_, Expr>, DurationError> {
    if !has_computed_durations(expr) {
        return Ok(Cow::Borrowed(expr));
    }
    let times = Times {
        step: step_ms as f64 / 1000.0,
        range: end.saturating_sub(start) as f64 / 1000.0,
    };
    let mut resolved = expr.clone();
    times.resolve(&mut resolved)?;
    Ok(Cow::Owned(resolved))
}

fn has_computed_durations(expr: &Expr) -> bool {
    let mut found = false;
    expr.visit(&mut |expr| {
        found |= match expr {
            Expr::Selector(e) => e.modifiers.offset_expr.is_some(),
            Expr::Range(e) => e.range_expr.is_some() || e.selector.modifiers.offset_expr.is_some(),
            Expr::Subquery(e) => {
                e.range_expr.is_some() || e.step_expr.is_some() || e.modifiers.offset_expr.is_some()
            }
            _ => false,
        }
    });
    found
}

/// The query's times in seconds.
struct Times {
    step: f64,
    range: f64,
}

type Result<T, E = DurationError> = std::result::Result<T, E>;

impl Times {
    /// Resolves what stands above before what stands below, the left before the right: of several
    /// errors, that is the order in which they are found.
    fn resolve(&self, expr: &mut Expr) -> Result<()> {
        match expr {
            Expr::Number(_) | Expr::String(_) => Ok(()),
            Expr::Paren(e) => self.resolve(&mut e.inner),
            Expr::Unary(e) => self.resolve(&mut e.operand),
            Expr::Binary(e) => {
                // Down a chain, which leans to the left, the last error is the first in the text.
                let mut result = Ok(());
                let mut binary = e;
                loop {
                    result = self.resolve(&mut binary.rhs).and(result);
                    match &mut binary.lhs {
                        Expr::Binary(lhs) => binary = lhs,
                        lhs => return self.resolve(lhs).and(result),
                    }
                }
            }
            Expr::Call(e) => e.args.iter_mut().try_for_each(|arg| self.resolve(arg)),
            Expr::Aggregate(e) => {
                self.resolve(&mut e.expr)?;
                e.param.iter_mut().try_for_each(|param| self.resolve(param))
            }
            Expr::Selector(e) => self.offset(&mut e.modifiers),
            Expr::Range(e) => {
                if let Some(range) = e.range_expr.take() {
                    e.range_ms = self.positive(&range)?;
                }
                self.offset(&mut e.selector.modifiers)
            }
            Expr::Subquery(e) => {
                self.offset(&mut e.modifiers)?;
                if let Some(step) = e.step_expr.take() {
                    // Less than a millisecond is as good as no step at all.
                    e.step_ms = Some(self.positive(&step)?).filter(|&ms| ms > 0);
                }
                if let Some(range) = e.range_expr.take() {
                    e.range_ms = self.positive(&range)?;
                }
                self.resolve(&mut e.expr)
            }
        }
    }

    fn offset(&self, modifiers: &mut Modifiers) -> Result<()> {
        if let Some(offset) = modifiers.offset_expr.take() {
            modifiers.offset_ms = self.milliseconds(&offset, true)?;
        }
        Ok(())
    }

    fn positive(&self, expr: &DurationExpr) -> Result<i64> {
        self.milliseconds(expr, false)
    }

    fn milliseconds(&self, expr: &DurationExpr, any_sign: bool) -> Result<i64> {
        /// Durations have to fit 64 bits of nanoseconds, in seconds.
        const SECONDS_MAX: f64 = 9_223_372_036.854_776;
        let seconds = self.seconds(expr)?;
        let message = if !seconds.is_finite() {
            "duration is NaN or infinite"
        } else if seconds <= 0.0 && !any_sign {
            "duration must be greater than 0"
        } else if seconds.abs() > SECONDS_MAX {
            "duration is out of range"
        } else {
            return Ok((seconds * 1000.0) as i64);
        };
        Err(DurationError {
            span: expr.span,
            message,
        })
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64> {
        let lhs = self.operand(expr.lhs.as_ref())?;
        let rhs = self.operand(expr.rhs.as_ref())?;
        let by_zero = |message| {
            Err(DurationError {
                span: expr.span,
                message,
            })
        };
        Ok(match expr.op {
            DurationOp::Add => lhs + rhs,
            DurationOp::Sub => lhs - rhs,
            DurationOp::Mul => lhs * rhs,
            DurationOp::Div if rhs == 0.0 => return by_zero("division by zero"),
            DurationOp::Div => lhs / rhs,
            DurationOp::Mod if rhs == 0.0 => return by_zero("modulo by zero"),
            DurationOp::Mod => lhs % rhs,
            DurationOp::Pow => lhs.powf(rhs),
            DurationOp::Step => self.step,
            DurationOp::Range => self.range,
            DurationOp::MinOf => math::min(lhs, rhs),
            DurationOp::MaxOf => math::max(lhs, rhs),
        })
    }

    /// The value of an operand; 0 for one that is not there, as before a sign.
    fn operand(&self, operand: Option<&DurationOperand>) -> Result<f64> {
        match operand {
            None => Ok(0.0),
            Some(DurationOperand::Number(number)) => Ok(number.value),
            Some(DurationOperand::Expr(expr)) => self.seconds(expr),
        }
    }
}
