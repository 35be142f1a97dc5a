//! Variants of a query that must give the same result.

use ferula_promql::syntax::ast::{At, DurationExpr, DurationOp, DurationOperand, Expr, Modifiers};

/// Functions whose value depends on the evaluation time even where all selectors are pinned.
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

/// Functions that answer with the times of the query itself.
const QUERY_TIMES: [&str; 4] = ["end", "range", "start", "step"];

/// Whether pinning all selectors fixes the result.
pub(crate) fn can_be_pinned(expr: &Expr) -> bool {
    !calls_any(expr, &TIME_DEPENDENT)
}

/// Whether a range query gives, at the same time, what an instant query gives.
pub(crate) fn same_in_range(expr: &Expr) -> bool {
    !calls_any(expr, &QUERY_TIMES) && !has_query_durations(expr)
}

/// Whether a duration depends on the step or the range of the query.
fn has_query_durations(expr: &Expr) -> bool {
    let mut found = false;
    visit(expr, &mut |e| {
        let (range, step, modifiers) = match e {
            Expr::Selector(e) => (None, None, &e.modifiers),
            Expr::Range(e) => (e.range_expr.as_deref(), None, &e.selector.modifiers),
            Expr::Subquery(e) => (
                e.range_expr.as_deref(),
                e.step_expr.as_deref(),
                &e.modifiers,
            ),
            _ => return,
        };
        let computed = [range, step, modifiers.offset_expr.as_deref()];
        found |= computed.into_iter().flatten().any(asks_for_times);
    });
    found
}

fn asks_for_times(duration: &DurationExpr) -> bool {
    matches!(duration.op, DurationOp::Step | DurationOp::Range)
        || [&duration.lhs, &duration.rhs]
            .into_iter()
            .flatten()
            .any(|operand| match operand {
                DurationOperand::Number(_) => false,
                DurationOperand::Expr(expr) => asks_for_times(expr),
            })
}

fn calls_any(expr: &Expr, names: &[&str]) -> bool {
    let mut found = false;
    visit(expr, &mut |e| {
        found |= matches!(e, Expr::Call(call) if names.contains(&call.func.name));
    });
    found
}

/// Calls `f` for an expression and all in it.
pub(crate) fn visit<'e>(expr: &'e Expr, f: &mut dyn FnMut(&'e Expr)) {
    f(expr);
    match expr {
        Expr::Number(_) | Expr::String(_) | Expr::Selector(_) | Expr::Range(_) => {}
        Expr::Paren(e) => visit(&e.inner, f),
        Expr::Unary(e) => visit(&e.operand, f),
        Expr::Binary(e) => {
            visit(&e.lhs, f);
            visit(&e.rhs, f);
        }
        Expr::Call(e) => e.args.iter().for_each(|arg| visit(arg, f)),
        Expr::Aggregate(e) => {
            visit(&e.expr, f);
            if let Some(param) = &e.param {
                visit(param, f);
            }
        }
        Expr::Subquery(e) => visit(&e.expr, f),
    }
}

/// Pins every selector and subquery that has no `@` to `time`; what is inside a subquery that has
/// one, or is pinned so, is left alone.
pub(crate) fn pin(expr: &mut Expr, time: i64) {
    let set = |modifiers: &mut Modifiers| {
        modifiers.at.get_or_insert(At::Time(time));
    };
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Selector(e) => set(&mut e.modifiers),
        Expr::Range(e) => set(&mut e.selector.modifiers),
        Expr::Subquery(e) => set(&mut e.modifiers),
        Expr::Paren(e) => pin(&mut e.inner, time),
        Expr::Unary(e) => pin(&mut e.operand, time),
        Expr::Binary(e) => {
            pin(&mut e.lhs, time);
            pin(&mut e.rhs, time);
        }
        Expr::Call(e) => e.args.iter_mut().for_each(|arg| pin(arg, time)),
        Expr::Aggregate(e) => {
            pin(&mut e.expr, time);
            if let Some(param) = &mut e.param {
                pin(param, time);
            }
        }
    }
}
