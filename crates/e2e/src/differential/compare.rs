//! Where two answers differ.

use std::collections::{BTreeMap, BTreeSet};

use ferula_promql::syntax::ast::Expr;

use super::case::Case;
use super::reply::{Point, PointValue, Reply, ReplySeries};

/// How far apart two numbers may be, relative to the larger: libraries round the last digits of
/// logarithms, powers and sines in their own ways.
const RELATIVE_ERROR_MAX: f64 = 1e-12;

/// Every difference of a case in words; empty if both answers say the same.
pub fn differences(case: &Case) -> Vec<String> {
    let (ferula, prometheus) = (&case.ferula, &case.prometheus);
    let mut found = Vec::new();
    if ferula.error != prometheus.error || ferula.status != prometheus.status {
        let shown = |reply: &Reply| format!("{} {:?}", reply.status, reply.error);
        found.push(format!(
            "error: ferula {}\n    prometheus {}",
            shown(ferula),
            shown(prometheus)
        ));
        return found;
    }
    if ferula.kind != prometheus.kind || ferula.text != prometheus.text {
        found.push(format!(
            "result: ferula {} {:?}, prometheus {} {:?}",
            ferula.kind, ferula.text, prometheus.kind, prometheus.text
        ));
        return found;
    }
    texts(
        "warnings",
        &ferula.warnings,
        &prometheus.warnings,
        &mut found,
    );
    texts("infos", &ferula.infos, &prometheus.infos, &mut found);
    series(ferula, prometheus, is_ordered(case), &mut found);
    found
}

/// Whether the order of series is part of the answer.
fn is_ordered(case: &Case) -> bool {
    let sorts =
        matches!(case.expr.unparen(), Expr::Call(call) if call.func.name.starts_with("sort"));
    sorts || case.ferula.kind == "matrix"
}

fn texts(
    what: &str,
    ferula: &BTreeSet<String>,
    prometheus: &BTreeSet<String>,
    found: &mut Vec<String>,
) {
    for text in ferula - prometheus {
        found.push(format!("{what}: ferula only: {text}"));
    }
    for text in prometheus - ferula {
        found.push(format!("{what}: prometheus only: {text}"));
    }
}

fn series(ferula: &Reply, prometheus: &Reply, ordered: bool, found: &mut Vec<String>) {
    let by_labels = |reply: &Reply| -> BTreeMap<BTreeMap<String, String>, ReplySeries> {
        let series = reply.series.iter();
        series.map(|s| (s.labels.clone(), s.clone())).collect()
    };
    let (have, want) = (by_labels(ferula), by_labels(prometheus));
    for (labels, series) in &have {
        if !want.contains_key(labels) {
            found.push(format!("ferula only: {labels:?} {}", shown(&series.points)));
        }
    }
    for (labels, want) in &want {
        match have.get(labels) {
            None => found.push(format!(
                "prometheus only: {labels:?} {}",
                shown(&want.points)
            )),
            Some(have) => {
                let difference = points(&have.points, &want.points);
                found.extend(difference.map(|text| format!("{labels:?}: {text}")));
            }
        }
    }
    let order = |reply: &Reply| {
        reply
            .series
            .iter()
            .map(|s| s.labels.clone())
            .collect::<Vec<_>>()
    };
    if ordered && found.is_empty() && order(ferula) != order(prometheus) {
        found.push(format!(
            "order: ferula {:?}\n    prometheus {:?}",
            order(ferula),
            order(prometheus)
        ));
    }
}

fn shown(points: &[Point]) -> String {
    let first: Vec<String> = points.iter().take(2).map(|p| format!("{p:?}")).collect();
    format!("{} points: {}", points.len(), first.join(", "))
}

fn points(have: &[Point], want: &[Point]) -> Option<String> {
    let times = |points: &[Point]| points.iter().map(|p| p.time.clone()).collect::<Vec<_>>();
    if times(have) != times(want) {
        return Some(format!(
            "ferula at {:?}\n    prometheus at {:?}",
            times(have),
            times(want)
        ));
    }
    let mut unequal = have
        .iter()
        .zip(want)
        .filter(|(a, b)| !same(&a.value, &b.value));
    let (have, want) = unequal.next()?;
    Some(format!(
        "at {}: ferula {:?}\n    prometheus {:?}",
        have.time, have.value, want.value
    ))
}

fn same(a: &PointValue, b: &PointValue) -> bool {
    match (a, b) {
        (PointValue::Float(a), PointValue::Float(b)) => close(a, b),
        (
            PointValue::Histogram {
                count: c1,
                sum: s1,
                buckets: b1,
            },
            PointValue::Histogram {
                count: c2,
                sum: s2,
                buckets: b2,
            },
        ) => {
            close(c1, c2)
                && close(s1, s2)
                && b1.len() == b2.len()
                && b1.iter().zip(b2).all(|((rule1, x), (rule2, y))| {
                    rule1 == rule2 && x.iter().zip(y).all(|(x, y)| close(x, y))
                })
        }
        _ => false,
    }
}

/// Whether two numbers are written alike, or differ in the last digits only.
fn close(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) if a.is_finite() && b.is_finite() => {
            a != 0.0 && b != 0.0 && (a - b).abs() <= RELATIVE_ERROR_MAX * a.abs().max(b.abs())
        }
        _ => false,
    }
}
