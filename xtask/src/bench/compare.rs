//! Whether two servers gave the same answer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use ferula_e2e::answer::{Answer, Labels, Series};

/// Relative difference up to which numbers count as equal: what the order of additions may change.
const DIFFERENCE_MAX: f64 = 1e-9;

/// `Err` of the inner result says where two bodies differ first. The order of series does not count,
/// nor, with `values_only`, which series a value is of.
pub(crate) fn same_answers(
    own: &[u8],
    reference: &[u8],
    values_only: bool,
) -> Result<Result<(), String>> {
    let mut own = parse(own).context("Ferula's answer")?;
    let mut reference = parse(reference).context("the reference's answer")?;
    if values_only {
        for answer in [&mut own, &mut reference] {
            forget_labels(answer);
        }
    }
    Ok(compare(&own, &reference))
}

/// Makes one series of all, ordered by time and value.
fn forget_labels(answer: &mut Answer) {
    let points = answer.series.drain(..).flat_map(|series| series.points);
    let mut points: Vec<(i64, f64)> = points.collect();
    points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    answer.series.push(Series {
        labels: Labels::new(),
        points,
    });
}

fn parse(body: &[u8]) -> Result<Answer> {
    Answer::parse(&String::from_utf8_lossy(body))
}

fn compare(own: &Answer, reference: &Answer) -> Result<(), String> {
    if own.kind != reference.kind {
        return Err(format!("{} instead of {}", own.kind, reference.kind));
    }
    let (own, reference) = (by_labels(own), by_labels(reference));
    if own.len() != reference.len() {
        return Err(format!(
            "{} series instead of {}",
            own.len(),
            reference.len()
        ));
    }
    for (labels, wanted) in reference {
        let Some(found) = own.get(labels) else {
            return Err(format!("no series {labels:?}"));
        };
        if found.len() != wanted.len() {
            return Err(format!(
                "{labels:?}: {} points instead of {}",
                found.len(),
                wanted.len()
            ));
        }
        for (found, wanted) in found.iter().zip(wanted) {
            if found.0 != wanted.0 || !close(found.1, wanted.1) {
                return Err(format!("{labels:?}: {found:?} instead of {wanted:?}"));
            }
        }
    }
    Ok(())
}

fn by_labels(answer: &Answer) -> BTreeMap<&Labels, &[(i64, f64)]> {
    let series = answer.series.iter();
    series
        .map(|series| (&series.labels, series.points.as_slice()))
        .collect()
}

fn close(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= DIFFERENCE_MAX * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(label: &str, value: f64) -> Vec<u8> {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"a":"{label}"}},"value":[1,"{value}"]}}]}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn tells_a_difference_from_rounding() {
        let same = |a: f64, b: f64| {
            same_answers(&vector("x", a), &vector("x", b), false).expect("both parse")
        };
        assert_eq!(same(1.0, 1.0 + 1e-12), Ok(()));
        assert_eq!(same(f64::NAN, f64::NAN), Ok(()));
        assert!(same(1.0, 1.0 + 1e-8).is_err());
        assert!(same(0.0, 1e-300).is_err());
        let empty = br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let missing = same_answers(empty, &vector("x", 1.0), false);
        assert!(missing.expect("both parse").is_err());
    }

    #[test]
    fn labels_count_unless_they_are_a_matter_of_taste() {
        let (x, y, other) = (vector("x", 1.0), vector("y", 1.0), vector("y", 2.0));
        assert!(same_answers(&x, &y, false).expect("both parse").is_err());
        assert!(same_answers(&x, &y, true).expect("both parse").is_ok());
        assert!(same_answers(&x, &other, true).expect("both parse").is_err());
    }
}
