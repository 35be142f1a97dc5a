//! Which expressions have the same value at every step.

use crate::syntax::ast::{Expr, ValueType};

/// Functions whose value depends on the evaluation time even if that of their arguments does not.
const TIME_DEPENDENT: [&str; 15] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// Whether `expr` has the same value at every step, because all its leaves are fixed by `@`.
pub(super) fn is_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Paren(paren) => is_invariant(&paren.inner),
        Expr::Unary(unary) => is_invariant(&unary.operand),
        Expr::Binary(binary) => {
            let chain = binary.chain();
            chain.iter().all(|b| is_invariant(&b.rhs))
                && chain.last().is_none_or(|b| is_invariant(&b.lhs))
        }
        Expr::Call(call) => {
            let of_fixed_selector = call.func.name == "timestamp"
                && matches!(
                    call.args.first().map(Expr::unparen),
                    Some(Expr::Selector(_))
                );
            (of_fixed_selector || !TIME_DEPENDENT.contains(&call.func.name))
                && call.args.iter().all(is_invariant)
        }
        Expr::Aggregate(aggregate) => {
            is_invariant(&aggregate.expr) && aggregate.param.as_ref().is_none_or(is_invariant)
        }
        Expr::Selector(selector) => selector.modifiers.at.is_some(),
        Expr::Range(range) => range.selector.modifiers.at.is_some(),
        Expr::Subquery(subquery) => subquery.modifiers.at.is_some(),
    }
}

/// Whether evaluating `expr` once in place of at every step saves work.
pub(super) fn is_worth_marking(expr: &Expr) -> bool {
    !matches!(expr.unparen(), Expr::Number(_) | Expr::String(_))
        && expr.value_type() != ValueType::Matrix
        && is_invariant(expr)
}
