//! Whether two servers gave the same answer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use ferula_e2e::answer::{Answer, Labels};

/// Relative difference up to which numbers count as equal: what the order of additions may change.
const DIFFERENCE_MAX: f64 = 1e-9;

/// `Err` of the inner result says where two bodies differ first. The order of series does not count.
pub(crate) fn same_answers(own: &[u8], reference: &[u8]) -> Result<Result<(), String>> {
    let own = parse(own).context("Ferula's answer")?;
    let reference = parse(reference).context("the reference's answer")?;
    Ok(compare(&own, &reference))
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

    fn vector(value: f64) -> Vec<u8> {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"a":"b"}},"value":[1,"{value}"]}}]}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn tells_a_difference_from_rounding() {
        let same = |a: f64, b: f64| same_answers(&vector(a), &vector(b)).expect("both parse");
        assert_eq!(same(1.0, 1.0 + 1e-12), Ok(()));
        assert_eq!(same(f64::NAN, f64::NAN), Ok(()));
        assert!(same(1.0, 1.0 + 1e-8).is_err());
        assert!(same(0.0, 1e-300).is_err());
        let empty = br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert!(
            same_answers(empty, &vector(1.0))
                .expect("both parse")
                .is_err()
        );
    }
}
