//! The smallest query that still shows a difference.

use anyhow::Result;
use ferula_promql::Times;
use ferula_promql::syntax::ast::Expr;
use ferula_testkit::random::RandomQuery;

use super::case::{Case, tree};
use super::compare::differences;
use super::explain::explain;
use super::pair::Pair;

/// How many smaller queries are tried in all.
const TRIES_MAX: usize = 400;

/// Makes a query smaller, by putting parts of it in the place of what holds them, as long as an
/// unexplained difference remains.
pub(super) fn smallest(pair: &mut Pair, query: &RandomQuery) -> Result<Case> {
    let mut tries = 0;
    let mut smallest = query.clone();
    'smaller: loop {
        for candidate in candidates(&smallest) {
            tries += 1;
            if tries > TRIES_MAX {
                break 'smaller;
            }
            let case = pair.ask(&candidate)?;
            let differences = differences(&case);
            if !differences.is_empty() && explain(pair, &case, &differences)?.is_none() {
                smallest = candidate;
                continue 'smaller;
            }
        }
        break;
    }
    pair.ask(&smallest)
}

/// Queries that are smaller by one step, the smallest first.
fn candidates(query: &RandomQuery) -> Vec<RandomQuery> {
    let mut candidates = Vec::new();
    if let Times::Range {
        start,
        end,
        step_ms,
    } = query.times
    {
        let mut time = start;
        while time <= end {
            candidates.push(RandomQuery {
                text: query.text.clone(),
                times: Times::Instant(time),
            });
            time += step_ms;
        }
    }
    let Some(expr) = tree(&query.text) else {
        return candidates;
    };
    let mut texts = Vec::new();
    expr.visit(&mut |outer| {
        let whole = outer.span();
        outer.visit(&mut |inner: &Expr| {
            let part = inner.span();
            if part == whole {
                return;
            }
            let (start, end) = (whole.start as usize, whole.end as usize);
            let part = &query.text[part.start as usize..part.end as usize];
            let text = [&query.text[..start], part, &query.text[end..]].concat();
            if tree(&text).is_some() {
                texts.push(text);
            }
        });
    });
    texts.sort_by_key(String::len);
    texts.dedup();
    candidates.extend(texts.into_iter().map(|text| RandomQuery {
        text,
        times: query.times,
    }));
    candidates
}
