//! What an operator makes of two values (§6.1, §6.3).

use ferula_promql::syntax::ast::BinaryOp;

use super::eval::Eval;
use super::hist_math::{combine, divided, scaled};
use super::hist_read::trim;
use super::value::Val;

/// What an operator makes of two values.
pub(super) enum Made {
    /// A value: that of arithmetic, or the left operand of a comparison that holds.
    Val(Val),
    /// The comparison does not hold.
    False,
    /// The operands do not go together, or the result is lost.
    Nothing,
}

/// Arithmetic of floats.
pub(super) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        _ => a.atan2(b),
    }
}

/// Comparison of floats.
pub(super) fn compares(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Eq => a == b,
        BinaryOp::Ne => a != b,
        BinaryOp::Lt => a < b,
        BinaryOp::Le => a <= b,
        BinaryOp::Gt => a > b,
        _ => a >= b,
    }
}

impl Eval<'_> {
    /// The operands stand as in the query; `at` is where the operation begins.
    pub(super) fn operate(&self, op: BinaryOp, a: &Val, b: &Val, at: u32) -> Made {
        let kept = |holds: bool| {
            if holds {
                Made::Val(a.clone())
            } else {
                Made::False
            }
        };
        match (a, b) {
            (Val::Float(x), Val::Float(y)) if op.is_comparison() => kept(compares(op, *x, *y)),
            (Val::Float(x), Val::Float(y)) if !op.is_trim() => {
                Made::Val(Val::Float(arithmetic(op, *x, *y)))
            }
            (Val::Hist(x), Val::Hist(y)) => match op {
                BinaryOp::Eq => kept(x.equals(y)),
                BinaryOp::Ne => kept(!x.equals(y)),
                BinaryOp::Add | BinaryOp::Sub => self.add(op, x, y, at),
                _ => self.incompatible(op, a, b, at),
            },
            (Val::Float(x), Val::Hist(h)) if op == BinaryOp::Mul => made(scaled(h, *x)),
            (Val::Hist(h), Val::Float(x)) => match op {
                BinaryOp::Mul => made(scaled(h, *x)),
                BinaryOp::Div => made(divided(h, *x)),
                BinaryOp::TrimUpper => made(trim(h, *x, true)),
                BinaryOp::TrimLower => made(trim(h, *x, false)),
                _ => self.incompatible(op, a, b, at),
            },
            _ => self.incompatible(op, a, b, at),
        }
    }

    fn add(&self, op: BinaryOp, a: &super::hist::Hist, b: &super::hist::Hist, at: u32) -> Made {
        let Ok(sum) = combine(a, b, op == BinaryOp::Sub) else {
            let op = op.as_str();
            let text = "incompatible bucket layout encountered for binary operator";
            self.notes.warn(format!("{text} {op}"), at);
            return Made::Nothing;
        };
        let purpose = if op == BinaryOp::Add {
            "addition"
        } else {
            "subtraction"
        };
        if sum.reconciled {
            let text = format!("mismatched custom buckets were reconciled during {purpose}");
            self.notes.info(text, at);
        }
        if sum.conflict {
            let text = format!("conflicting counter resets during histogram {purpose}");
            self.notes.warn(text, at);
            return Made::Nothing;
        }
        made(sum.hist)
    }

    fn incompatible(&self, op: BinaryOp, a: &Val, b: &Val, at: u32) -> Made {
        let (op, a, b) = (op.as_str(), a.kind(), b.kind());
        let text = "incompatible sample types encountered for binary operator";
        self.notes
            .info(format!("{text} \"{op}\": {a} {op} {b}"), at);
        Made::Nothing
    }
}

fn made(h: super::hist::Hist) -> Made {
    Made::Val(h.compact().into())
}
