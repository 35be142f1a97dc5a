//! From the root's value to the answer (§2.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Expr, RangeSelector, Selector};

use super::eval::Eval;
use super::labels::{nameless, unique};
use super::value::{Element, Ranged, Steps, Val};
use super::{Result, same_labelset};
use crate::{AnswerValue, Seen};

/// The answer of a query `expr`.
pub(super) fn finish(
    eval: &Eval<'_>,
    expr: &Expr,
    value: Steps,
    steps: &[Timestamp],
) -> Result<AnswerValue> {
    Ok(match value {
        Steps::Text(text) => AnswerValue::String(text),
        Steps::Scalar(values) if eval.span.is_range => {
            let values = values.into_iter().map(Seen::Float);
            let samples = steps.iter().copied().zip(values);
            AnswerValue::Matrix(vec![(Labels::empty(), samples.collect())])
        }
        Steps::Scalar(values) => AnswerValue::Scalar(values[0]),
        Steps::Vector(mut vectors) => {
            drop_marked_names(&mut vectors)?;
            if eval.span.is_range {
                matrix(steps, vectors)
            } else {
                let elements = vectors.into_iter().flatten();
                AnswerValue::Vector(elements.map(|e| (e.labels, seen(e.val))).collect())
            }
        }
        Steps::Ranged(mut ranged) => {
            let ranged = ranged.remove(0);
            top_range(match expr.unparen() {
                Expr::Range(RangeSelector {
                    selector:
                        Selector {
                            extended: Some(extended),
                            ..
                        },
                    ..
                }) => eval.with_edges(*extended, ranged)?,
                _ => ranged,
            })?
        }
    })
}

/// Delayed removal of names (§10). A series keeps or loses its name as a whole: what its first
/// sample says.
fn drop_marked_names(vectors: &mut [Vec<Element>]) -> Result<()> {
    let mut marks: BTreeMap<Labels, bool> = BTreeMap::new();
    for element in vectors.iter().flatten() {
        let labels = element.labels.clone();
        marks.entry(labels).or_insert(element.drop_name);
    }
    for vector in vectors {
        for element in vector.iter_mut().filter(|e| marks[&e.labels]) {
            element.labels = nameless(&element.labels);
        }
        unique(vector)?;
    }
    Ok(())
}

fn seen(val: Val) -> Seen {
    match val {
        Val::Float(v) => Seen::Float(v),
        Val::Hist(h) => Seen::Histogram(Arc::new(h.to_model())),
    }
}

fn matrix(steps: &[Timestamp], vectors: Vec<Vec<Element>>) -> AnswerValue {
    let mut series: BTreeMap<Labels, BTreeMap<Timestamp, Seen>> = BTreeMap::new();
    for (&time, vector) in steps.iter().zip(vectors) {
        for element in vector {
            let samples = series.entry(element.labels).or_default();
            samples.insert(time, seen(element.val));
        }
    }
    AnswerValue::Matrix(series.into_iter().collect())
}

/// A range vector as the answer. Series that have lost their names may become one (§3.4, §10).
fn top_range(ranged: Ranged) -> Result<AnswerValue> {
    let mut series: BTreeMap<Labels, BTreeMap<Timestamp, Seen>> = BTreeMap::new();
    for window in ranged.series {
        let labels = if window.drop_name {
            nameless(&window.labels)
        } else {
            window.labels
        };
        let samples = series.entry(labels).or_default();
        for sample in window.samples {
            if samples.insert(sample.t, seen(sample.val)).is_some() {
                return Err(same_labelset());
            }
        }
    }
    Ok(AnswerValue::Matrix(series.into_iter().collect()))
}
