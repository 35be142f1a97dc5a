//! Whether two answers say the same, and if not, where.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use ferula_e2e::answer::{Answer, Labels};

use crate::queries::Query;

/// How many differences of one answer are shown.
const SHOWN_MAX: usize = 5;

/// Reports members that only one of two sets has.
pub(crate) fn sets(
    what: &str,
    ferula: &BTreeSet<String>,
    prometheus: &BTreeSet<String>,
    faults: &mut Vec<String>,
) {
    for (name, extra) in [
        ("ferula", ferula - prometheus),
        ("prometheus", prometheus - ferula),
    ] {
        if !extra.is_empty() {
            let shown: Vec<&str> = extra.iter().take(SHOWN_MAX).map(String::as_str).collect();
            let count = extra.len();
            faults.push(format!(
                "{what}: {count} in {name} only:\n  {}",
                shown.join("\n  ")
            ));
        }
    }
}

/// Reports how two answers to one query differ.
pub(crate) fn answers(
    what: &str,
    ferula: &Result<Answer>,
    prometheus: &Result<Answer>,
    query: &Query,
    faults: &mut Vec<String>,
) {
    let (ferula, prometheus) = match (ferula, prometheus) {
        (Ok(ferula), Ok(prometheus)) => (ferula, prometheus),
        (Err(e), _) | (_, Err(e)) => return faults.push(format!("{what}: {e:#}")),
    };
    let mut differences = differences(ferula, prometheus, query);
    if !differences.is_empty() {
        let count = differences.len();
        differences.truncate(SHOWN_MAX);
        faults.push(format!(
            "{what}: {count} differences:\n  {}",
            differences.join("\n  ")
        ));
    }
}

fn differences(ferula: &Answer, prometheus: &Answer, query: &Query) -> Vec<String> {
    if ferula.kind != prometheus.kind {
        return vec![format!(
            "ferula: a {}, prometheus: a {}",
            ferula.kind, prometheus.kind
        )];
    }
    if ferula.text != prometheus.text {
        return vec![format!(
            "{:?} instead of {:?}",
            ferula.text, prometheus.text
        )];
    }
    let order = |answer: &Answer| -> Vec<Labels> {
        answer
            .series
            .iter()
            .map(|series| series.labels.clone())
            .collect()
    };
    // A range query's series come sorted; an instant vector's order is free unless asked for.
    let sorted = ferula.kind == "matrix" && !query.instant_only;
    if (query.ordered || sorted) && order(ferula) != order(prometheus) {
        return vec![format!(
            "order: {:?}\n  not {:?}",
            order(ferula),
            order(prometheus)
        )];
    }
    let by_labels = |answer: &Answer| -> BTreeMap<Labels, Vec<(i64, f64)>> {
        let series = answer.series.iter();
        series
            .map(|series| (series.labels.clone(), series.points.clone()))
            .collect()
    };
    let (have, want) = (by_labels(ferula), by_labels(prometheus));
    let mut found = Vec::new();
    for labels in have.keys().filter(|labels| !want.contains_key(*labels)) {
        found.push(format!("ferula only: {labels:?}"));
    }
    for (labels, want) in &want {
        match have.get(labels) {
            None => found.push(format!("prometheus only: {labels:?}")),
            Some(have) => found.extend(
                point_difference(have, want, query.tolerance)
                    .map(|text| format!("{labels:?}: {text}")),
            ),
        }
    }
    found
}

fn point_difference(have: &[(i64, f64)], want: &[(i64, f64)], tolerance: f64) -> Option<String> {
    let times = |points: &[(i64, f64)]| points.iter().map(|p| p.0).collect::<Vec<_>>();
    if times(have) != times(want) {
        return Some(format!("at {:?}, not at {:?}", times(have), times(want)));
    }
    let pairs = have.iter().zip(want);
    let mut unequal = pairs.filter(|((_, a), (_, b))| !close(*a, *b, tolerance));
    let ((time, have), (_, want)) = unequal.next()?;
    Some(format!("{have} instead of {want} at {time}"))
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use ferula_e2e::answer::Series;

    use super::*;

    fn answer(kind: &str, series: &[(&str, &[(i64, f64)])]) -> Answer {
        let series = series.iter().map(|(name, points)| Series {
            labels: [("name".to_owned(), (*name).to_owned())].into(),
            points: points.to_vec(),
        });
        Answer {
            kind: kind.to_owned(),
            series: series.collect(),
            text: String::new(),
            notes: Vec::new(),
        }
    }

    fn found(ferula: &Answer, tolerance: f64, ordered: bool) -> usize {
        let want = answer("vector", &[("a", &[(1, 10.0)]), ("b", &[(1, f64::NAN)])]);
        let query = Query {
            text: String::new(),
            tolerance,
            ordered,
            instant_only: false,
        };
        differences(ferula, &want, &query).len()
    }

    #[test]
    fn each_planted_difference_is_found() {
        let b: (&str, &[(i64, f64)]) = ("b", &[(1, f64::NAN)]);
        let with = |a: &[(i64, f64)]| answer("vector", &[("a", a), b]);
        assert_eq!(found(&with(&[(1, 10.0)]), 1e-9, true), 0);
        assert_eq!(found(&with(&[(1, 10.0 + 1e-9)]), 1e-9, true), 0);
        assert_eq!(
            found(&with(&[(1, 10.0 + 1e-7)]), 1e-9, true),
            1,
            "another value"
        );
        assert_eq!(found(&with(&[(1, 10.4)]), 0.05, true), 0);
        assert_eq!(
            found(&with(&[(1, f64::NAN)]), 0.05, true),
            1,
            "NaN is another value"
        );
        assert_eq!(found(&with(&[(2, 10.0)]), 1e-9, true), 1, "another time");
        assert_eq!(
            found(&with(&[(1, 10.0), (2, 1.0)]), 1e-9, true),
            1,
            "one more point"
        );
        let only_b = answer("vector", &[b]);
        assert_eq!(found(&only_b, 1e-9, false), 1, "a series is missing");
        let more = answer("vector", &[("a", &[(1, 10.0)]), b, ("c", &[(1, 1.0)])]);
        assert_eq!(found(&more, 1e-9, false), 1, "a series too many");
        let turned = answer("vector", &[b, ("a", &[(1, 10.0)])]);
        assert_eq!(found(&turned, 1e-9, false), 0, "order is free");
        assert_eq!(found(&turned, 1e-9, true), 1, "order is part of the answer");
        let matrix = answer("matrix", &[("a", &[(1, 10.0)]), b]);
        assert_eq!(found(&matrix, 1e-9, true), 1, "another kind");
    }
}
