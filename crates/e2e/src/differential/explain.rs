//! Which listed causes explain a case, in itself or in a part of its query.

use std::collections::BTreeSet;

use anyhow::Result;
use ferula_promql::Times;
use ferula_promql::syntax::ast::{Expr, ValueType};
use ferula_testkit::random::RandomQuery;

use super::case::{Case, tree};
use super::compare::{Difference, differences};
use super::known::KNOWN;
use super::pair::Pair;

/// The grid on which what is inside a subquery is compared: no scenario has finer samples, and no
/// query looks back further.
const INNER_STEP_MS: i64 = 15_000;
const INNER_REACH_MS: i64 = 20 * 60_000;

/// How often a query is asked again to see whether the reference agrees with itself.
const AGAIN: usize = 16;

/// The class of differences that come and go.
const UNSTABLE: &str = "answers that change from one time to the next";

/// The causes that together explain how a case's answers differ, if they do: each difference by
/// itself, or what is left as a consequence of what a part of the query alone shows.
pub(super) fn explain(
    pair: &mut Pair,
    case: &Case,
    differences: &[Difference],
) -> Result<Option<Classes>> {
    if let Some(classes) = directly(case, differences) {
        return Ok(Some(classes));
    }
    for query in parts(case) {
        let part = pair.ask(&query)?;
        let differences = self::differences(&part);
        if let Some(classes) = directly(&part, &differences)
            && KNOWN
                .iter()
                .any(|known| known.spreads && classes.contains(known.class))
        {
            return Ok(Some(classes));
        }
    }
    // Maps without order make the reference answer differently, where order matters.
    for _ in 0..AGAIN {
        let again = pair.ask(&case.query())?;
        if again.ferula == case.ferula && again.prometheus != case.prometheus {
            return Ok(Some(Classes::from([UNSTABLE])));
        }
    }
    Ok(None)
}

/// Names of listed causes.
pub(super) type Classes = BTreeSet<&'static str>;

/// The causes of each difference, if all have one.
pub(super) fn directly(case: &Case, differences: &[Difference]) -> Option<Classes> {
    let cause = |difference| KNOWN.iter().find(|known| (known.excuses)(case, difference));
    let classes = differences
        .iter()
        .map(|difference| Some(cause(difference)?.class));
    classes.collect()
}

/// Every part of a query that is a query, the smallest first.
fn parts(case: &Case) -> Vec<RandomQuery> {
    let mut parts = Vec::new();
    collect(&case.expr, case, case.times, &mut parts);
    parts.sort_by_key(|part| part.text.len());
    parts
}

fn collect(expr: &Expr, case: &Case, times: Times, parts: &mut Vec<RandomQuery>) {
    let span = expr.span();
    let is_range = matches!(times, Times::Range { .. });
    let fits = match expr.value_type() {
        ValueType::String => false,
        ValueType::Matrix => !is_range,
        ValueType::Scalar | ValueType::Vector => true,
    };
    let text = &case.text[span.start as usize..span.end as usize];
    if fits && text != case.text && tree(text).is_some() {
        parts.push(RandomQuery {
            text: text.to_owned(),
            times,
        });
    }
    let mut below = |expr: &Expr| collect(expr, case, times, parts);
    match expr {
        Expr::Number(_) | Expr::String(_) | Expr::Selector(_) | Expr::Range(_) => {}
        Expr::Paren(e) => below(&e.inner),
        Expr::Unary(e) => below(&e.operand),
        Expr::Binary(e) => {
            below(&e.lhs);
            below(&e.rhs);
        }
        Expr::Call(e) => e.args.iter().for_each(below),
        Expr::Aggregate(e) => {
            e.param.iter().for_each(&mut below);
            below(&e.expr);
        }
        Expr::Subquery(e) => collect(&e.expr, case, inner_times(times), parts),
    }
}

fn inner_times(times: Times) -> Times {
    let (start, end) = match times {
        Times::Instant(time) => (time, time),
        Times::Range { start, end, .. } => (start, end),
    };
    let start = start - INNER_REACH_MS;
    Times::Range {
        start: start - start.rem_euclid(INNER_STEP_MS),
        end: end + 120_000,
        step_ms: INNER_STEP_MS,
    }
}
