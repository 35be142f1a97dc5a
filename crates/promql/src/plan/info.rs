//! `info`: which series tell more about others.

use ferula_model::{METRIC_NAME, MatchOp, Matcher};

use super::build::{Builder, Context};
use super::{InfoCall, Node, NodeId, Op};
use crate::error::QueryError;
use crate::syntax::ast::{At, Call, Expr, Modifiers, Selector};

impl Builder<'_> {
    /// Plans `info(v)` and `info(v, {...})`.
    pub(super) fn info(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        let Some(base) = call.args.first() else {
            return Err(QueryError::Internal("info of nothing".to_owned()));
        };
        let given = match call.args.get(1).map(Expr::unparen) {
            Some(Expr::Selector(selector)) => selector.matchers.as_slice(),
            _ => &[],
        };
        let (names, data): (Vec<Matcher>, Vec<Matcher>) =
            given.iter().cloned().partition(|m| m.name() == METRIC_NAME);
        let names = metric_names(names)?;
        let (at, offset_ms) = first_selector_looks_at(base);
        let selector = Selector {
            name: String::new(),
            matchers: names.iter().chain(&data).cloned().collect(),
            modifiers: Modifiers {
                at,
                offset_ms,
                ..Modifiers::default()
            },
            extended: None,
            span: call.span,
        };
        let child = self.node(base, cx)?;
        let op = Op::Info(Box::new(InfoCall {
            child,
            source_id: NodeId::default(),
            source: self.instant_source(&selector, cx),
            names,
            required: data.iter().any(|m| !m.matches_empty()),
            wanted: data.iter().map(|m| m.name().to_owned()).collect(),
        }));
        Ok(op.into())
    }
}

/// What an info metric may be called.
fn metric_names(mut given: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    let negative = |m: &Matcher| matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex);
    if given.is_empty() {
        given.push(Matcher::equal(METRIC_NAME, "target_info"));
    } else if given.iter().all(negative) {
        let any = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info")
            .map_err(|error| QueryError::Internal(error.to_string()))?;
        given.push(any);
    }
    Ok(given)
}

/// The `@` and the offset the first selector of `expr` ends up with, subqueries around it included.
fn first_selector_looks_at(expr: &Expr) -> (Option<At>, i64) {
    let (mut at, mut offset_ms) = (None, 0_i64);
    let mut found = false;
    let mut next = Some(expr);
    // Only one path is followed: down to the first selector.
    while let Some(expr) = next.take() {
        let modifiers = match expr {
            Expr::Selector(selector) => {
                found = true;
                &selector.modifiers
            }
            Expr::Range(range) => {
                found = true;
                &range.selector.modifiers
            }
            Expr::Subquery(subquery) => {
                next = Some(&subquery.expr);
                &subquery.modifiers
            }
            other => {
                next = first_child_with_selector(other);
                continue;
            }
        };
        if modifiers.at.is_some() {
            (at, offset_ms) = (modifiers.at, 0);
        }
        offset_ms = offset_ms.saturating_add(modifiers.offset_ms);
    }
    if found { (at, offset_ms) } else { (None, 0) }
}

fn first_child_with_selector(expr: &Expr) -> Option<&Expr> {
    let mut first = None;
    // The innermost subquery or selector is met after those around it.
    expr.visit(&mut |inner| {
        if first.is_none()
            && matches!(
                inner,
                Expr::Selector(_) | Expr::Range(_) | Expr::Subquery(_)
            )
        {
            first = Some(inner);
        }
    });
    first
}
