//! What is accepted and printed, what is refused and how, and what must hold for any text.

mod accept;
mod bounds;
mod pretty;
mod random;
mod reject;
mod reject_expressions;
mod tree;

use ferula_diag::Span;

use super::ast::Expr;

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
            Expr::Selector(e) => &mut e.span,
            Expr::Range(e) => {
                e.selector.span = Span::default();
                &mut e.span
            }
            Expr::Subquery(e) => {
                strip(&mut e.expr);
                &mut e.span
            }
        };
        *span = Span::default();
    }
    strip(&mut expr);
    expr
}
