//! Durations that are computed: `[step() * 2]`, `offset (1h + 5m)`.
//!
//! Their values depend on the query's times, so the tree keeps them as written until
//! [`super::resolve`] puts numbers in their place. Their trees are at most [`super::DEPTH_MAX`]
//! levels high, chains counted link by link.

use std::fmt::{self, Display, Formatter};

use ferula_diag::Span;

use super::ast::Number;

/// What computes a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DurationOp {
    /// `a + b`, or `+a` where only the right operand is there.
    Add,
    /// `a - b`, or `-a` where only the right operand is there.
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `a % b`
    Mod,
    /// `a ^ b`
    Pow,
    /// `step()`: from one step of the query to the next; 0 for a single one.
    Step,
    /// `range()`: from the query's start to its end; 0 for a single step.
    Range,
    /// `min_of(a, b)`
    MinOf,
    /// `max_of(a, b)`
    MaxOf,
}

impl DurationOp {
    /// As PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Step => "step",
            Self::Range => "range",
            Self::MinOf => "min_of",
            Self::MaxOf => "max_of",
        }
    }
}

/// A duration that is computed, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    /// What computes it.
    pub op: DurationOp,
    /// The left operand, which signs and functions without arguments lack.
    pub lhs: Option<DurationOperand>,
    /// The right operand, which functions without arguments lack.
    pub rhs: Option<DurationOperand>,
    /// Whether it stands in parentheses. A number in parentheses is the sum of nothing and it.
    pub wrapped: bool,
    /// Where, as errors state it: from the first operand (or the sign, or the parenthesis of a
    /// lone number) to the end of the last; all of `step()` and `range()`.
    pub span: Span,
}

/// What is computed with.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationOperand {
    /// A number of seconds.
    Number(Number),
    /// Something computed itself.
    Expr(Box<DurationExpr>),
}

impl DurationOperand {
    /// Where it is.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(number) => number.span,
            Self::Expr(expr) => expr.span,
        }
    }
}

impl Display for DurationOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let op = self.op.as_str();
        if self.wrapped {
            f.write_str("(")?;
        }
        match (&self.lhs, &self.rhs) {
            (Some(lhs), Some(rhs)) if matches!(self.op, DurationOp::MinOf | DurationOp::MaxOf) => {
                write!(f, "{op}({lhs}, {rhs})")?;
            }
            (Some(lhs), Some(rhs)) => write!(f, "{lhs} {op} {rhs}")?,
            // A plus sign changes nothing and is not shown.
            (None, Some(rhs)) if self.op == DurationOp::Add => rhs.fmt(f)?,
            (None, Some(rhs)) => write!(f, "{op}{rhs}")?,
            _ => write!(f, "{op}()")?,
        }
        if self.wrapped {
            f.write_str(")")?;
        }
        Ok(())
    }
}
