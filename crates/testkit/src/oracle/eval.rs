//! An expression's value at each of some steps.

use ferula_model::Timestamp;
use ferula_promql::EngineOptions;
use ferula_promql::syntax::ast::{Call, Expr, StringLiteral, Unary};
use ferula_storage::Select;

use super::hist_math::scaled;
use super::labels::unique;
use super::notes::Notes;
use super::value::{Element, Ranged, Steps, Val};
use super::{Result, Span};

/// Functions whose value depends on the evaluation time (§5).
const TIME_DEPENDENT: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "range",
    "step",
];

/// A query being evaluated.
pub(super) struct Eval<'q> {
    pub(super) select: &'q dyn Select,
    pub(super) options: &'q EngineOptions,
    pub(super) span: Span,
    pub(super) notes: Notes,
}

impl Eval<'_> {
    pub(super) fn delayed(&self) -> bool {
        self.options.delayed_name_removal
    }

    pub(super) fn lookback_ms(&self) -> i64 {
        self.options.lookback.as_millis() as i64
    }

    /// The value at each step; what is the same at all of them is computed once (§5), which
    /// annotations that count samples show.
    pub(super) fn eval(&self, expr: &Expr, steps: &[Timestamp]) -> Result<Steps> {
        if steps.len() < 2 || !is_invariant(expr) {
            return self.eval_each(expr, steps);
        }
        Ok(match self.eval_each(expr, &steps[..1])? {
            Steps::Scalar(one) => Steps::Scalar(vec![one[0]; steps.len()]),
            Steps::Vector(one) => Steps::Vector(vec![one[0].clone(); steps.len()]),
            Steps::Ranged(one) => Steps::Ranged(vec![one[0].clone(); steps.len()]),
            text @ Steps::Text(_) => text,
        })
    }

    fn eval_each(&self, expr: &Expr, steps: &[Timestamp]) -> Result<Steps> {
        match expr {
            Expr::Number(number) => Ok(Steps::Scalar(vec![number.value; steps.len()])),
            Expr::String(text) => Ok(Steps::Text(text.value.clone())),
            Expr::Paren(paren) => self.eval(&paren.inner, steps),
            Expr::Unary(unary) => self.unary(unary, steps),
            Expr::Binary(binary) => self.binary(binary, steps),
            Expr::Call(call) => self.call(call, steps),
            Expr::Aggregate(aggregate) => Ok(Steps::Vector(self.aggregate(aggregate, steps)?)),
            Expr::Selector(selector) => Ok(Steps::Vector(self.instant(selector, steps)?)),
            Expr::Range(range) => Ok(Steps::Ranged(self.range(range, steps)?)),
            Expr::Subquery(subquery) => Ok(Steps::Ranged(self.subquery(subquery, steps)?)),
        }
    }

    pub(super) fn vector(&self, expr: &Expr, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        match self.eval(expr, steps)? {
            Steps::Vector(vectors) => Ok(vectors),
            other => unreachable!("the parser lets through only vectors here: {other:?}"),
        }
    }

    pub(super) fn scalar(&self, expr: &Expr, steps: &[Timestamp]) -> Result<Vec<f64>> {
        match self.eval(expr, steps)? {
            Steps::Scalar(values) => Ok(values),
            other => unreachable!("the parser lets through only scalars here: {other:?}"),
        }
    }

    pub(super) fn ranged(&self, expr: &Expr, steps: &[Timestamp]) -> Result<Vec<Ranged>> {
        match self.eval(expr, steps)? {
            Steps::Ranged(windows) => Ok(windows),
            other => unreachable!("the parser lets through only ranges here: {other:?}"),
        }
    }

    /// Unary minus (§6.7).
    fn unary(&self, unary: &Unary, steps: &[Timestamp]) -> Result<Steps> {
        let operand = self.eval(&unary.operand, steps)?;
        if !unary.negative {
            return Ok(operand);
        }
        Ok(match operand {
            Steps::Scalar(values) => Steps::Scalar(values.into_iter().map(|v| -v).collect()),
            Steps::Vector(mut vectors) => {
                for vector in &mut vectors {
                    for element in vector.iter_mut() {
                        element.val = match &element.val {
                            Val::Float(v) => Val::Float(-v),
                            Val::Hist(h) => scaled(h, -1.0).into(),
                        };
                        self.drop_name(element);
                    }
                    unique(vector)?;
                }
                Steps::Vector(vectors)
            }
            other => unreachable!("the parser lets no sign stand before {other:?}"),
        })
    }
}

/// A string argument.
pub(super) fn literal(expr: &Expr) -> &StringLiteral {
    match expr.unparen() {
        Expr::String(text) => text,
        other => unreachable!("the parser lets through only strings here: {other:?}"),
    }
}

/// The text of a string argument.
pub(super) fn text(expr: &Expr) -> &str {
    &literal(expr).value
}

/// Where an argument or operand begins; parentheses around it do not count (§2).
pub(super) fn place(expr: &Expr) -> u32 {
    expr.unparen().span().start
}

/// Whether all leaves are fixed by `@`, so that the value is the same at every step (§5).
fn is_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Paren(e) => is_invariant(&e.inner),
        Expr::Unary(e) => is_invariant(&e.operand),
        Expr::Binary(e) => is_invariant(&e.lhs) && is_invariant(&e.rhs),
        Expr::Call(e) => is_fixed_call(e) && e.args.iter().all(is_invariant),
        Expr::Aggregate(e) => is_invariant(&e.expr) && e.param.as_ref().is_none_or(is_invariant),
        Expr::Selector(e) => e.modifiers.at.is_some(),
        Expr::Range(e) => e.selector.modifiers.at.is_some(),
        Expr::Subquery(e) => e.modifiers.at.is_some(),
    }
}

fn is_fixed_call(call: &Call) -> bool {
    let of_selector = || matches!(call.args[0].unparen(), Expr::Selector(_));
    match call.func.name {
        "timestamp" => of_selector(),
        name => !TIME_DEPENDENT.contains(&name),
    }
}
