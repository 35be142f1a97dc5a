//! Where two answers differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ferula_promql::syntax::ast::{AggregateOp, BinaryOp, Expr};

use super::case::Case;
use super::reply::{Point, PointValue, Reply, ReplySeries};

/// How far apart two numbers may be, relative to the larger, where a query uses functions whose
/// last digits every library rounds in its own way, or adds in an order that is left open.
const RELATIVE_ERROR_MAX: f64 = 1e-12;

/// Functions whose results are not the nearest number.
const INEXACT: &[&str] = &[
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_quantiles",
    "ln",
    "log10",
    "log2",
    "sin",
    "sinh",
    "tan",
    "tanh",
];

impl Case {
    /// How far apart numbers may be, relative to the larger: not at all, unless the query is
    /// one that nobody computes exactly.
    pub(super) fn tolerance(&self) -> f64 {
        let power = |expr: &Expr| matches!(expr, Expr::Binary(binary) if matches!(binary.op, BinaryOp::Pow | BinaryOp::Atan2));
        // The order of what operators and functions yield is left open, and with it the order in
        // which an aggregation adds.
        let adds = |expr: &Expr| {
            matches!(expr, Expr::Aggregate(aggregate) if matches!(
                aggregate.op,
                AggregateOp::Sum | AggregateOp::Avg | AggregateOp::Stddev | AggregateOp::Stdvar
            ))
        };
        if self.calls(INEXACT) || self.has(power) || self.has(adds) {
            RELATIVE_ERROR_MAX
        } else {
            0.0
        }
    }
}

/// A way in which two answers differ.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// One is an error, or both are, with other words.
    Error(String),
    /// The results are of other types, or other strings.
    Result(String),
    /// A warning or an info that only one has.
    Note {
        /// Whether it is Ferula's.
        ours: bool,
        /// Its text.
        text: String,
    },
    /// A series that only one has.
    Series {
        /// Whether it is Ferula's.
        ours: bool,
        /// Its labels and first points.
        text: String,
    },
    /// A series with other points.
    Points(String),
    /// The same series in another order.
    Order(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = |ours: bool| if ours { "ferula" } else { "prometheus" };
        match self {
            Self::Error(text) => write!(f, "error: {text}"),
            Self::Result(text) => write!(f, "result: {text}"),
            Self::Note { ours, text } => write!(f, "{} only: {text}", whose(*ours)),
            Self::Series { ours, text } => write!(f, "{} only: {text}", whose(*ours)),
            Self::Points(text) => write!(f, "{text}"),
            Self::Order(text) => write!(f, "order: {text}"),
        }
    }
}

/// Every difference of a case; empty if both answers say the same.
pub fn differences(case: &Case) -> Vec<Difference> {
    let (ferula, prometheus) = (&case.ferula, &case.prometheus);
    let mut found = Vec::new();
    if ferula.error != prometheus.error || ferula.status != prometheus.status {
        let shown = |reply: &Reply| format!("{} {:?}", reply.status, reply.error);
        found.push(Difference::Error(format!(
            "ferula {}\n    prometheus {}",
            shown(ferula),
            shown(prometheus)
        )));
        return found;
    }
    if ferula.kind != prometheus.kind || ferula.text != prometheus.text {
        found.push(Difference::Result(format!(
            "ferula {} {:?}, prometheus {} {:?}",
            ferula.kind, ferula.text, prometheus.kind, prometheus.text
        )));
        return found;
    }
    notes(&ferula.warnings, &prometheus.warnings, &mut found);
    notes(&ferula.infos, &prometheus.infos, &mut found);
    series(ferula, prometheus, case.tolerance(), &mut found);
    if found.is_empty() {
        found.extend(order(case).map(Difference::Order));
    }
    found
}

fn notes(ferula: &BTreeSet<String>, prometheus: &BTreeSet<String>, found: &mut Vec<Difference>) {
    for (ours, texts) in [(true, ferula - prometheus), (false, prometheus - ferula)] {
        found.extend(
            texts
                .into_iter()
                .map(|text| Difference::Note { ours, text }),
        );
    }
}

/// How the order of series differs where it is part of the answer.
fn order(case: &Case) -> Option<String> {
    let (ferula, prometheus) = (&case.ferula, &case.prometheus);
    let shown = |reply: &Reply| {
        let series = reply.series.iter();
        series
            .map(|s| format!("{:?}", s.labels))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let sort = match case.expr.unparen() {
        Expr::Call(call) if call.func.name.starts_with("sort") => call.func.name,
        _ if ferula.kind == "matrix" => "",
        _ => return None,
    };
    // Where values are equal, the reference leaves the order to chance.
    let same = if ferula.kind == "vector" && !sort.contains("label") {
        ferula
            .series
            .iter()
            .zip(&prometheus.series)
            .all(|(a, b)| points(&a.points, &b.points, case.tolerance()).is_none())
    } else {
        shown(ferula) == shown(prometheus)
    };
    (!same).then(|| {
        format!(
            "ferula {}\n    prometheus {}",
            shown(ferula),
            shown(prometheus)
        )
    })
}

fn series(ferula: &Reply, prometheus: &Reply, tolerance: f64, found: &mut Vec<Difference>) {
    let by_labels = |reply: &Reply| -> BTreeMap<BTreeMap<String, String>, ReplySeries> {
        let series = reply.series.iter();
        series.map(|s| (s.labels.clone(), s.clone())).collect()
    };
    let (have, want) = (by_labels(ferula), by_labels(prometheus));
    for (labels, series) in &have {
        if !want.contains_key(labels) {
            let text = format!("{labels:?} {}", shown(&series.points));
            found.push(Difference::Series { ours: true, text });
        }
    }
    for (labels, want) in &want {
        match have.get(labels) {
            None => {
                let text = format!("{labels:?} {}", shown(&want.points));
                found.push(Difference::Series { ours: false, text });
            }
            Some(have) => {
                let difference = points(&have.points, &want.points, tolerance);
                let difference = difference.map(|text| format!("{labels:?}: {text}"));
                found.extend(difference.map(Difference::Points));
            }
        }
    }
}

fn shown(points: &[Point]) -> String {
    let first: Vec<String> = points.iter().take(2).map(|p| format!("{p:?}")).collect();
    format!("{} points: {}", points.len(), first.join(", "))
}

fn points(have: &[Point], want: &[Point], tolerance: f64) -> Option<String> {
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
        .filter(|(a, b)| !same(&a.value, &b.value, tolerance));
    let (have, want) = unequal.next()?;
    Some(format!(
        "at {}: ferula {:?}\n    prometheus {:?}",
        have.time, have.value, want.value
    ))
}

/// Whether two values are the same within a relative tolerance.
pub(super) fn same(a: &PointValue, b: &PointValue, tolerance: f64) -> bool {
    match (a, b) {
        (PointValue::Float(a), PointValue::Float(b)) => close(a, b, tolerance),
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
            close(c1, c2, tolerance)
                && close(s1, s2, tolerance)
                && b1.len() == b2.len()
                && b1.iter().zip(b2).all(|((rule1, x), (rule2, y))| {
                    rule1 == rule2 && x.iter().zip(y).all(|(x, y)| close(x, y, tolerance))
                })
        }
        _ => false,
    }
}

/// Whether two numbers are written alike, or differ in the last digits only.
fn close(a: &str, b: &str, tolerance: f64) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) if a.is_finite() && b.is_finite() => {
            a != 0.0 && b != 0.0 && (a - b).abs() <= tolerance * a.abs().max(b.abs())
        }
        _ => false,
    }
}
