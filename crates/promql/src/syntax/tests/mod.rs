//! What is accepted and printed, what is refused and how, and what must hold for any text.

mod accept;
mod bounds;
mod json;
mod pretty;
mod random;
mod reject;
mod reject_expressions;
mod reject_modifiers;
mod resolve;
mod tree;

use ferula_diag::Span;

use super::ast::{DurationExpr, DurationOperand, Expr};

/// The same tree, as if it came from nowhere.
fn without_spans(mut expr: Expr) -> Expr {
    fn strip(expr: &mut Expr) {
        let span = match expr {
            Expr::Number(e) => &mut e.span,
            Expr::String(e) => &mut e.span,
            Expr::Paren(e) => {
                strip(&mut e.inner);
                &mut e.span
            }
            Expr::Unary(e) => {
                strip(&mut e.operand);
                &mut e.span
            }
            Expr::Binary(e) => {
                strip(&mut e.lhs);
                strip(&mut e.rhs);
                e.op_span = Span::default();
                &mut e.span
            }
            Expr::Call(e) => {
                e.args.iter_mut().for_each(strip);
                &mut e.span
            }
            Expr::Aggregate(e) => {
                strip(&mut e.expr);
                e.param.iter_mut().for_each(strip);
                &mut e.span
            }
            Expr::Selector(e) => {
                strip_duration(&mut e.modifiers.offset_expr);
                &mut e.span
            }
            Expr::Range(e) => {
                strip_duration(&mut e.range_expr);
                strip_duration(&mut e.selector.modifiers.offset_expr);
                e.selector.span = Span::default();
                &mut e.span
            }
            Expr::Subquery(e) => {
                strip(&mut e.expr);
                strip_duration(&mut e.range_expr);
                strip_duration(&mut e.step_expr);
                strip_duration(&mut e.modifiers.offset_expr);
                &mut e.span
            }
        };
        *span = Span::default();
    }
    fn strip_duration(expr: &mut Option<Box<DurationExpr>>) {
        let Some(expr) = expr else { return };
        expr.span = Span::default();
        for operand in [&mut expr.lhs, &mut expr.rhs] {
            match operand.take() {
                Some(DurationOperand::Number(mut number)) => {
                    number.span = Span::default();
                    *operand = Some(DurationOperand::Number(number));
                }
                Some(DurationOperand::Expr(inner)) => {
                    let mut inner = Some(inner);
                    strip_duration(&mut inner);
                    *operand = inner.map(DurationOperand::Expr);
                }
                None => {}
            }
        }
    }
    strip(&mut expr);
    expr
}
