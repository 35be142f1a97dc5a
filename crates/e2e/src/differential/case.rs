//! One query and what both servers said to it.

use ferula_promql::Times;
use ferula_promql::syntax::ast::{AggregateOp, Expr};
use ferula_promql::syntax::{ParseOptions, parse};

use ferula_testkit::random::RandomQuery;

use super::reply::Reply;

/// A question and its two answers.
#[derive(Clone, Debug)]
pub struct Case {
    /// The query.
    pub text: String,
    /// When it is evaluated.
    pub times: Times,
    /// Its tree.
    pub expr: Expr,
    /// Whether names are dropped at the end only.
    pub delayed_names: bool,
    /// What Ferula says.
    pub ferula: Reply,
    /// What Prometheus says.
    pub prometheus: Reply,
}

impl Case {
    /// The query with its times.
    pub(super) fn query(&self) -> RandomQuery {
        RandomQuery {
            text: self.text.clone(),
            times: self.times,
        }
    }

    /// Whether a node of the tree satisfies `wanted`.
    pub fn has(&self, mut wanted: impl FnMut(&Expr) -> bool) -> bool {
        let mut found = false;
        self.expr.visit(&mut |expr| found = found || wanted(expr));
        found
    }

    /// Whether one of the functions is called.
    pub fn calls(&self, names: &[&str]) -> bool {
        self.has(|expr| matches!(expr, Expr::Call(call) if names.contains(&call.func.name)))
    }

    /// The function the whole query is a call of, or nothing.
    pub fn function(&self) -> &str {
        match self.expr.unparen() {
            Expr::Call(call) => call.func.name,
            _ => "",
        }
    }

    /// The operator the whole query aggregates with.
    pub fn aggregation(&self) -> Option<AggregateOp> {
        match self.expr.unparen() {
            Expr::Aggregate(aggregate) => Some(aggregate.op),
            _ => None,
        }
    }
}

/// The tree of a query, whatever it uses of the language.
pub(super) fn tree(text: &str) -> Option<Expr> {
    parse(text, &ParseOptions::ALL).ok()
}

/// The most nodes on a way from the root to a leaf; parentheses do not count.
pub fn depth(expr: &Expr) -> usize {
    let deepest = |exprs: &mut dyn Iterator<Item = &Expr>| exprs.map(depth).max().unwrap_or(0);
    let below = match expr {
        Expr::Paren(e) => return depth(&e.inner),
        Expr::Number(_) | Expr::String(_) | Expr::Selector(_) | Expr::Range(_) => 0,
        Expr::Unary(e) => depth(&e.operand),
        Expr::Binary(e) => depth(&e.lhs).max(depth(&e.rhs)),
        Expr::Call(e) => deepest(&mut e.args.iter()),
        Expr::Aggregate(e) => deepest(&mut e.param.iter().chain([&e.expr])),
        Expr::Subquery(e) => depth(&e.expr),
    };
    below + 1
}
