//! Whether a result is what a script expects; the difference in words where it is not.

use std::collections::BTreeMap;

use ferula_model::{Labels, Timestamp};

use crate::evaluator::{Answer, AnswerValue, Seen};
use crate::notation::{Item, SeriesLine};
use crate::script::{Eval, EvalAt, Expected, Match, Notes};
use crate::store::floats_agree;
use crate::{ShownHistogram, histograms_agree};

type Outcome = Result<Answer, String>;

/// A series of a matrix.
type Run = (Labels, BTreeMap<Timestamp, Seen>);

/// Compares what a query yields with what is expected.
pub(crate) fn compare(eval: &Eval, outcome: &Outcome) -> Result<(), String> {
    let expected = &eval.expected;
    let result = match (outcome, &expected.fail) {
        (Err(error), Some(fail)) => return compare_error(error, fail),
        (Err(error), None) => return Err(format!("fails: {error}")),
        (Ok(_), Some(_)) => return Err("should fail".to_owned()),
        (Ok(result), None) => result,
    };
    compare_notes("warning", &expected.warnings, &result.warnings)?;
    compare_notes("info", &expected.infos, &result.infos)?;
    match eval.at {
        EvalAt::Instant(_) => compare_instant(expected, &result.value),
        EvalAt::Range { start, step_ms, .. } => {
            let AnswerValue::Matrix(series) = &result.value else {
                return Err("a range query must yield a matrix".to_owned());
            };
            compare_matrix(expected, series, start, step_ms)
        }
    }
}

/// Compares one step of a range query's result with what is expected of an instant query.
pub(crate) fn compare_at(
    expected: &Expected,
    result: &Answer,
    time: Timestamp,
) -> Result<(), String> {
    let AnswerValue::Matrix(series) = &result.value else {
        return Err("a range query must yield a matrix".to_owned());
    };
    let vector: Vec<(Labels, Seen)> = series
        .iter()
        .filter_map(|(labels, points)| Some((labels.clone(), points.get(&time)?.clone())))
        .collect();
    match expected.scalar {
        Some(scalar) => match vector.as_slice() {
            [(_, Seen::Float(v))] if floats_agree(scalar, *v) => Ok(()),
            other => Err(format!("expected {scalar}, got {other:?}")),
        },
        None => compare_vector(expected, &vector),
    }
}

fn compare_error(text: &str, fail: &Match) -> Result<(), String> {
    let message = text
        .split_once("parse error: ")
        .map_or(text, |(_, message)| message);
    if fail.matches(text) || fail.matches(message) {
        return Ok(());
    }
    Err(format!("fails with {text:?}, not as expected: {fail:?}"))
}

fn compare_notes(level: &str, expected: &Notes, got: &[String]) -> Result<(), String> {
    if expected.none && !got.is_empty() {
        return Err(format!("unexpected {level}: {got:?}"));
    }
    if expected.some.is_empty() {
        return Ok(());
    }
    if got.is_empty() {
        return Err(format!("expected a {level}"));
    }
    for one in &expected.some {
        if !got.iter().any(|text| one.matches(text)) {
            return Err(format!("no {level} is {one:?}; got {got:?}"));
        }
    }
    match got
        .iter()
        .find(|text| !expected.some.iter().any(|one| one.matches(text)))
    {
        Some(text) => Err(format!("unexpected {level}: {text:?}")),
        None => Ok(()),
    }
}

fn compare_instant(expected: &Expected, value: &AnswerValue) -> Result<(), String> {
    match value {
        AnswerValue::Scalar(value) => match expected.scalar {
            Some(scalar) if floats_agree(scalar, *value) => Ok(()),
            other => Err(format!("expected {other:?}, got scalar {value}")),
        },
        AnswerValue::String(value) => match &expected.string {
            Some(string) if string == value => Ok(()),
            other => Err(format!("expected {other:?}, got string {value:?}")),
        },
        AnswerValue::Vector(samples) => {
            if expected.scalar.is_some() || expected.string.is_some() {
                return Err(format!("expected no vector, got {samples:?}"));
            }
            compare_vector(expected, samples)
        }
        AnswerValue::Matrix(series) => match expected.range_vector {
            Some((start, _, step_ms)) => compare_matrix(expected, series, start, step_ms),
            None => Err("got a range vector".to_owned()),
        },
    }
}

fn compare_vector(expected: &Expected, got: &[(Labels, Seen)]) -> Result<(), String> {
    let mut missing: BTreeMap<&Labels, &SeriesLine> = BTreeMap::new();
    for (at, line) in expected.series.iter().enumerate() {
        missing.insert(&line.labels, line);
        if expected.ordered && got.get(at).is_none_or(|(labels, _)| *labels != line.labels) {
            return Err(format!(
                "expected {} at place {at}, got {got:?}",
                line.labels
            ));
        }
    }
    for (labels, value) in got {
        let Some(line) = missing.remove(labels) else {
            return Err(format!("unexpected {labels} {}", show(value)));
        };
        let item = line.values.first().and_then(Option::as_ref);
        if !item.is_some_and(|item| agrees(item, value)) {
            return Err(format!(
                "{labels}: expected {}, got {}",
                item.map_or_else(|| "nothing".to_owned(), show_item),
                show(value)
            ));
        }
    }
    match missing.keys().next() {
        Some(labels) => Err(format!("missing {labels}")),
        None => Ok(()),
    }
}

fn compare_matrix(
    expected: &Expected,
    got: &[Run],
    start: Timestamp,
    step_ms: i64,
) -> Result<(), String> {
    if !got.is_sorted_by(|a, b| a.0 < b.0) {
        return Err("the matrix is not sorted by labels, each once".to_owned());
    }
    let mut missing: BTreeMap<&Labels, &SeriesLine> = expected
        .series
        .iter()
        .map(|line| (&line.labels, line))
        .collect();
    for (labels, points) in got {
        let mut points = points.clone();
        let Some(line) = missing.remove(labels) else {
            return Err(format!("unexpected {labels}"));
        };
        for (i, item) in line.values.iter().enumerate() {
            let time = start + step_ms * i as i64;
            match (item, points.remove(&time)) {
                (None, None) => {}
                (Some(item), Some(value)) if agrees(item, &value) => {}
                (item, value) => {
                    return Err(format!(
                        "{labels} at {time} ms: expected {}, got {}",
                        item.as_ref()
                            .map_or_else(|| "nothing".to_owned(), show_item),
                        value.as_ref().map_or_else(|| "nothing".to_owned(), show),
                    ));
                }
            }
        }
        if let Some((time, value)) = points.first_key_value() {
            return Err(format!("{labels} at {time} ms: unexpected {}", show(value)));
        }
    }
    match missing
        .iter()
        .find(|(_, line)| line.values.iter().any(Option::is_some))
    {
        Some((labels, _)) => Err(format!("missing {labels}")),
        None => Ok(()),
    }
}

fn agrees(expected: &Item, got: &Seen) -> bool {
    match (expected, got) {
        (Item::Float(a), Seen::Float(b)) => floats_agree(*a, *b),
        (Item::Histogram(a, hint), Seen::Histogram(b)) => histograms_agree(a, *hint, b),
        (Item::Histogram(a, _), Seen::Shown(b)) => ShownHistogram::new(a).agrees(b),
        _ => false,
    }
}

fn show(value: &Seen) -> String {
    match value {
        Seen::Float(v) => v.to_string(),
        Seen::Histogram(h) => format!("{h:?}"),
        Seen::Shown(h) => format!("{h:?}"),
    }
}

fn show_item(item: &Item) -> String {
    match item {
        Item::Float(v) => v.to_string(),
        Item::Histogram(h, _) => format!("{h:?}"),
    }
}
