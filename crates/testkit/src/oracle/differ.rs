//! Where the engine's answer differs from the oracle's.

use std::collections::{BTreeMap, BTreeSet};

use ferula_model::{Histogram, Labels, Timestamp};

use super::Ruling;
use super::hist::Hist;
use crate::{Answer, AnswerValue, Seen};

/// Sums may be made in another order where none is prescribed; this much may come of it.
const RELATIVE_ERROR_MAX: f64 = 1e-12;

type Points = BTreeMap<Timestamp, Seen>;

/// What differs between two outcomes of a query, if anything does.
pub fn difference(
    engine: &Result<Answer, String>,
    oracle: &Result<Ruling, String>,
) -> Option<String> {
    let (engine, oracle) = match (engine, oracle) {
        (Ok(engine), Ok(oracle)) => (engine, oracle),
        // Which of several series that are in the way is named, is not prescribed.
        (Err(a), Err(b)) if a.split('{').next() == b.split('{').next() => return None,
        (Err(a), Err(b)) => return Some(format!("engine fails: {a}; oracle fails: {b}")),
        (Err(error), Ok(_)) => return Some(format!("only the engine fails: {error}")),
        (Ok(_), Err(error)) => return Some(format!("only the oracle fails: {error}")),
    };
    let Ruling { answer, elsewhere } = oracle;
    // Where a group mixes layouts, it is up to the order of series what is met before that.
    let mixes = |note: &String| note.contains("mix of histograms with exponential");
    let settled = |notes: &[String]| -> Vec<String> {
        let open = |note: &String| note.contains(" aggregation (");
        let all = notes.iter().cloned();
        match answer.warnings.iter().any(mixes) {
            true => all.filter(|note| !open(note)).collect(),
            false => all.collect(),
        }
    };
    let notes = |engine: &[String], oracle: &[String]| {
        of_notes(&settled(engine), &settled(oracle), elsewhere)
    };
    of_values(&engine.value, &answer.value)
        .or_else(|| notes(&engine.warnings, &answer.warnings))
        .or_else(|| notes(&engine.infos, &answer.infos))
}

fn of_values(engine: &AnswerValue, oracle: &AnswerValue) -> Option<String> {
    match (engine, oracle) {
        (AnswerValue::Scalar(a), AnswerValue::Scalar(b)) if close(*a, *b) => None,
        (AnswerValue::String(a), AnswerValue::String(b)) if a == b => None,
        (AnswerValue::Vector(a), AnswerValue::Vector(b)) => {
            let at_once = |vector: &[(Labels, Seen)]| {
                let elements = vector.iter();
                elements
                    .map(|(labels, seen)| (labels.clone(), Points::from([(0, seen.clone())])))
                    .collect()
            };
            of_series(at_once(a), at_once(b))
        }
        (AnswerValue::Matrix(a), AnswerValue::Matrix(b)) => {
            of_series(a.iter().cloned().collect(), b.iter().cloned().collect())
        }
        (a, b) => Some(format!("engine {a:?}, oracle {b:?}")),
    }
}

fn of_series(
    mut engine: BTreeMap<Labels, Points>,
    oracle: BTreeMap<Labels, Points>,
) -> Option<String> {
    for (labels, expected) in oracle {
        let Some(got) = engine.remove(&labels) else {
            return Some(format!("{labels}: the engine has no such series"));
        };
        let times: BTreeSet<Timestamp> = got.keys().chain(expected.keys()).copied().collect();
        for time in times {
            let (got, expected) = (got.get(&time), expected.get(&time));
            let same = match (got, expected) {
                (Some(Seen::Float(a)), Some(Seen::Float(b))) => close(*a, *b),
                (Some(Seen::Histogram(a)), Some(Seen::Histogram(b))) => same_histogram(a, b),
                _ => false,
            };
            if !same {
                return Some(format!(
                    "{labels} at {time}: engine {}, oracle {}",
                    show(got),
                    show(expected)
                ));
            }
        }
    }
    let more = engine.into_keys().next();
    more.map(|labels| format!("{labels}: the oracle has no such series"))
}

fn show(seen: Option<&Seen>) -> String {
    match seen {
        None => "nothing".to_owned(),
        Some(Seen::Float(v)) => format!("{v:e}"),
        Some(Seen::Shown(shown)) => format!("{shown:?}"),
        Some(Seen::Histogram(h)) => format!("{:?} {}", h.reset, Hist::from_model(h).text()),
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b
        || a.is_nan() && b.is_nan()
        || (a - b).abs() <= RELATIVE_ERROR_MAX * a.abs().max(b.abs())
            && a.is_finite()
            && b.is_finite()
}

/// Whether two histograms are the same but for empty buckets and rounding, which may take the
/// more from a small bucket the larger the others are.
fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let (a, b) = (Hist::from_model(a), Hist::from_model(b));
    let buckets = a.positive.values().chain(a.negative.values());
    let largest = buckets.fold(a.zero.abs(), |largest, v| largest.max(v.abs()));
    let close = |x: f64, y: f64| close(x, y) || (x - y).abs() <= RELATIVE_ERROR_MAX * largest;
    let same_side = |a: &BTreeMap<i32, f64>, b: &BTreeMap<i32, f64>| {
        let indexes: BTreeSet<i32> = a.keys().chain(b.keys()).copied().collect();
        let at = |side: &BTreeMap<i32, f64>, i: &i32| side.get(i).copied().unwrap_or_default();
        indexes.iter().all(|i| close(at(a, i), at(b, i)))
    };
    a.reset == b.reset
        && a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.bounds == b.bounds
        && close(a.count, b.count)
        && close(a.sum, b.sum)
        && close(a.zero, b.zero)
        && same_side(&a.positive, &b.positive)
        && same_side(&a.negative, &b.negative)
}

/// Annotations are compared as sets; beyond ten of a kind, which ones are shown is anyone's guess.
fn of_notes(engine: &[String], oracle: &[String], elsewhere: &[String]) -> Option<String> {
    let omits = |notes: &[String]| notes.iter().any(|note| note.ends_with("omitted"));
    if omits(engine) && omits(oracle) {
        return None;
    }
    // The same text at another place may have come up first.
    let moved = |note: &String| {
        let text = |note: &str| note.rsplit_once(" (").map(|(text, _)| text.to_owned());
        let at_home = oracle.iter().find(|home| text(home) == text(note));
        at_home
            .filter(|_| elsewhere.contains(note))
            .unwrap_or(note)
            .clone()
    };
    let engine: BTreeSet<String> = engine.iter().map(moved).map(uncounted).collect();
    let oracle: BTreeSet<String> = oracle.iter().cloned().map(uncounted).collect();
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
        a.difference(b).cloned().collect::<Vec<_>>().join("; ")
    };
    (engine != oracle).then(|| {
        format!(
            "only the engine notes [{}], only the oracle notes [{}]",
            only(&engine, &oracle),
            only(&oracle, &engine)
        )
    })
}

/// Without how often something occurred: the engine computes once what a query asks for twice.
fn uncounted(note: String) -> String {
    match note.split_once(" occurrences)") {
        Some((before, after)) => {
            let text = before.trim_end_matches(|c: char| c.is_ascii_digit());
            format!("{}{}", text.trim_end_matches(" ("), after)
        }
        None => note,
    }
}
