//! Aggregations that pick elements: `topk`, `bottomk`, `limitk`, `limit_ratio` (§7.2 to §7.4).

use std::collections::BTreeSet;

use ferula_model::text::number::Form;
use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Aggregate, AggregateOp};

use super::aggregate::groups;
use super::eval::{Eval, place};
use super::instant::nan_last;
use super::value::Element;
use super::{Result, failed};

/// The largest double below 2^63.
const COUNT_END: f64 = 9_223_372_036_854_774_784.0;

/// 2^64, where hashes end.
const HASH_END: f64 = 18_446_744_073_709_551_616.0;

impl Eval<'_> {
    pub(super) fn select_some(
        &self,
        aggregate: &Aggregate,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let param = aggregate.param.as_ref().expect("the parser asks for it");
        let values = self.scalar(param, steps)?;
        let vectors = self.vector(&aggregate.expr, steps)?;
        let wants_any = if aggregate.op == AggregateOp::LimitRatio {
            self.check_ratios(&values, place(param))?
        } else {
            check_counts(&values)?
        };
        if !wants_any {
            return Ok(vec![Vec::new(); steps.len()]);
        }
        let each = vectors.into_iter().zip(values);
        Ok(each
            .map(|(vector, value)| match aggregate.op {
                AggregateOp::LimitRatio => by_ratio(vector, value),
                _ if steps.len() == 1 => self.by_count(aggregate, vector, value),
                // The order of several steps is that of the operand (§2.1).
                _ => {
                    let picked = self.by_count(aggregate, vector.clone(), value);
                    let picked: BTreeSet<Labels> = picked.into_iter().map(|e| e.labels).collect();
                    let vector = vector.into_iter();
                    vector.filter(|e| picked.contains(&e.labels)).collect()
                }
            })
            .collect())
    }

    fn check_ratios(&self, ratios: &[f64], at: u32) -> Result<bool> {
        if ratios.iter().any(|r| r.is_nan()) {
            return Err(failed("Ratio value is NaN"));
        }
        if ratios.iter().all(|r| *r == 0.0) {
            return Ok(false);
        }
        for &r in ratios.iter().filter(|r| r.abs() > 1.0) {
            let (got, cap) = (Form::General.show(r), if r > 0.0 { 1 } else { -1 });
            self.notes.warn(
                format!("ratio value should be between -1 and 1, got {got}, capping to {cap}"),
                at,
            );
        }
        Ok(true)
    }

    fn by_count(&self, aggregate: &Aggregate, vector: Vec<Element>, k: f64) -> Vec<Element> {
        let mut picked = Vec::new();
        for group in groups(vector, &aggregate.grouping, aggregate.without) {
            let mut members = group.members;
            if aggregate.op != AggregateOp::Limitk {
                let count = members.len();
                members.retain(|e| e.val.float().is_some());
                if members.len() < count {
                    self.note_ignored(aggregate);
                }
                let value = |e: &Element| e.val.float().unwrap_or(f64::NAN);
                let descending = aggregate.op == AggregateOp::Topk;
                members.sort_by(|a, b| nan_last(value(a), value(b), descending));
            }
            // Truncated toward zero; below 1 is none.
            let k = if k < 1.0 { 0 } else { k as usize };
            members.truncate(k);
            picked.extend(members);
        }
        picked
    }
}

/// Whether any step wants an element (§7.2).
fn check_counts(counts: &[f64]) -> Result<bool> {
    if counts.iter().any(|k| k.is_nan()) {
        return Err(failed("Parameter value is NaN"));
    }
    if counts.iter().all(|k| *k < 1.0) {
        return Ok(false);
    }
    for &k in counts {
        let shown = Form::General.show(k);
        if k <= -(2f64.powi(63)) {
            return Err(failed(format!("Scalar value {shown} underflows int64")));
        }
        if k >= COUNT_END {
            return Err(failed(format!("Scalar value {shown} overflows int64")));
        }
    }
    Ok(true)
}

/// Which elements are kept is up to the hash of their labels alone (§7.4).
fn by_ratio(mut vector: Vec<Element>, ratio: f64) -> Vec<Element> {
    vector.retain(|element| {
        let offset = element.labels.hash64() as f64 / HASH_END;
        if ratio >= 0.0 {
            offset < ratio
        } else {
            offset >= 1.0 + ratio
        }
    });
    vector
}
