//! From the root's value to the answer (§2.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Expr, RangeSelector, Selector};

use super::Result;
use super::eval::Eval;
use super::labels::{nameless, unique};
use super::value::{Element, Ranged, Steps, Val};
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
            })
        }
    })
}

/// Delayed removal of names (§10).
fn drop_marked_names(vectors: &mut [Vec<Element>]) -> Result<()> {
    for vector in vectors {
        for element in vector.iter_mut().filter(|e| e.drop_name) {
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

fn top_range(ranged: Ranged) -> AnswerValue {
    let mut series: Vec<_> = ranged
        .series
        .into_iter()
        .map(|w| {
            let samples = w.samples.into_iter().map(|(t, val)| (t, seen(val)));
            (w.labels, samples.collect::<BTreeMap<_, _>>())
        })
        .collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    AnswerValue::Matrix(series)
}
