//! Quantiles and fractions of histograms, classic and native (§9.8, §9.9).

use ferula_model::text::number::{self, Form};
use ferula_model::text::quote::quoted;
use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Call, Expr};

use super::eval::{Eval, literal, place};
use super::hist::Hist;
use super::hist_read::{self, Nan};
use super::labels::{is_label_name, nameless, unique};
use super::notes::Repair;
use super::value::{Element, Val};
use super::{Result, failed};

/// Upper bound and cumulative count of a classic bucket.
type Bucket = (f64, f64);

/// A histogram at one step: parts of both kinds should not meet.
#[derive(Default)]
struct Parts {
    buckets: Vec<Bucket>,
    native: Option<Hist>,
}

/// What is wanted of each histogram at a step.
enum Wanted {
    Quantile {
        q: f64,
        label: Option<(String, String)>,
    },
    Fraction {
        lo: f64,
        hi: f64,
    },
}

impl Eval<'_> {
    pub(super) fn histogram_call(
        &self,
        call: &Call,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let (vector, wanted) = self.wanted(call, steps)?;
        let vectors = self.vector(vector, steps)?;
        let mut out = Vec::new();
        for (i, (vector_at, &t)) in vectors.into_iter().zip(steps).enumerate() {
            let mut made = Vec::new();
            for (labels, parts) in self.parts(vector_at, vector) {
                // A classic histogram is repaired once, however many quantiles are wanted.
                let mut repaired = false;
                for wanted in &wanted[i] {
                    made.extend(self.histogram_value(
                        wanted,
                        &labels,
                        &parts,
                        (vector, t),
                        &mut repaired,
                    ));
                }
            }
            unique(&made)?;
            out.push(made);
        }
        Ok(out)
    }

    /// The vector argument, and what is wanted at each step.
    fn wanted<'e>(
        &self,
        call: &'e Call,
        steps: &[Timestamp],
    ) -> Result<(&'e Expr, Vec<Vec<Wanted>>)> {
        let args = &call.args;
        let mut wanted: Vec<Vec<Wanted>> = steps.iter().map(|_| Vec::new()).collect();
        if call.func.name == "histogram_fraction" {
            let (lo, hi) = (self.scalar(&args[0], steps)?, self.scalar(&args[1], steps)?);
            for (i, wanted) in wanted.iter_mut().enumerate() {
                let (lo, hi) = (lo[i], hi[i]);
                wanted.push(Wanted::Fraction { lo, hi });
            }
            return Ok((&args[2], wanted));
        }
        let (vector, label, quantiles) = if call.func.name == "histogram_quantile" {
            (&args[1], None, &args[..1])
        } else {
            let label = literal(&args[1]);
            if !is_label_name(label) {
                return Err(failed(format!("invalid label name {label}")));
            }
            (&args[0], Some(&label.value), &args[2..])
        };
        for arg in quantiles {
            for (wanted, q) in wanted.iter_mut().zip(self.scalar(arg, steps)?) {
                self.check_quantile(q, place(arg));
                let label = label.map(|name| {
                    let value = Form::OpenMetrics.show(q).to_string();
                    (name.clone(), value)
                });
                wanted.push(Wanted::Quantile { q, label });
            }
        }
        Ok((vector, wanted))
    }

    pub(super) fn check_quantile(&self, q: f64, at: u32) {
        if !(0.0..=1.0).contains(&q) {
            let q = Form::General.show(q);
            let text = format!("quantile value should be between 0 and 1, got {q}");
            self.notes.warn(text, at);
        }
    }

    /// Groups a vector into histograms: by all labels but `le`.
    fn parts(&self, vector: Vec<Element>, expr: &Expr) -> Vec<(Labels, Parts)> {
        let mut all: Vec<(Labels, Parts)> = Vec::new();
        for element in vector {
            let bound = element.labels.value("le");
            let bound = match &element.val {
                Val::Hist(_) => None,
                Val::Float(_) => match number::parse(bound.as_bytes()) {
                    Ok(bound) => Some(bound),
                    Err(_) => {
                        let text = format!(
                            "bucket label \"le\" is missing or has a malformed value of {}",
                            quoted(bound)
                        );
                        let text = self.with_name(&text, &element.labels);
                        self.notes.warn(text, place(expr));
                        continue;
                    }
                },
            };
            // A native histogram keeps its labels, `le` included.
            let key = match bound {
                Some(_) => element.labels.with("le", ""),
                None => element.labels.clone(),
            };
            let at = match all.iter().position(|(labels, _)| *labels == key) {
                Some(at) => at,
                None => {
                    all.push((key, Parts::default()));
                    all.len() - 1
                }
            };
            match (element.val, bound) {
                (Val::Float(count), Some(bound)) => all[at].1.buckets.push((bound, count)),
                (Val::Hist(h), _) => all[at].1.native = Some(*h),
                _ => {}
            }
        }
        all
    }

    fn with_name(&self, text: &str, labels: &Labels) -> String {
        if self.delayed() {
            format!("{text} for metric name {}", quoted(labels.metric_name()))
        } else {
            text.to_owned()
        }
    }

    fn histogram_value(
        &self,
        wanted: &Wanted,
        labels: &Labels,
        parts: &Parts,
        (expr, t): (&Expr, Timestamp),
        repaired: &mut bool,
    ) -> Option<Element> {
        let at = place(expr);
        let value = match &parts.native {
            Some(_) if !parts.buckets.is_empty() => {
                let text = "vector contains a mix of classic and native histograms";
                self.notes.warn(self.with_name(text, labels), at);
                return None;
            }
            Some(native) => self.of_native(wanted, native, labels, at),
            None => {
                let (value, repair) = of_classic(wanted, &parts.buckets, t);
                if let Some(repair) = repair.filter(|_| !*repaired) {
                    *repaired = true;
                    self.notes.repaired(repair, at);
                }
                value
            }
        };
        let mut labels = labels.clone();
        if !self.delayed() {
            labels = nameless(&labels);
        }
        if let Wanted::Quantile {
            label: Some((name, value)),
            ..
        } = wanted
        {
            labels = labels.with(name, value);
        }
        Some(Element {
            labels,
            drop_name: self.delayed(),
            val: Val::Float(value),
            stored: t,
            start: 0,
        })
    }

    fn of_native(&self, wanted: &Wanted, h: &Hist, labels: &Labels, at: u32) -> f64 {
        let note = |text: &str| self.notes.info(self.with_name(text, labels), at);
        match wanted {
            Wanted::Quantile { q, .. } => {
                let (value, nan) = hist_read::quantile(*q, h);
                match nan {
                    Nan::No => {}
                    Nan::Result => {
                        note("input to histogram_quantile has NaN observations, result is NaN");
                    }
                    Nan::Skewed => note(
                        "input to histogram_quantile has NaN observations, result is skewed higher",
                    ),
                }
                value
            }
            Wanted::Fraction { lo, hi } => {
                let (value, has_nan) = hist_read::fraction(*lo, *hi, h);
                if has_nan {
                    note(
                        "input to histogram_fraction has NaN observations, which are excluded from all fractions",
                    );
                }
                value
            }
        }
    }
}

fn of_classic(wanted: &Wanted, buckets: &[Bucket], t: Timestamp) -> (f64, Option<Repair>) {
    match wanted {
        Wanted::Quantile { q, .. } => quantile(*q, buckets, t),
        Wanted::Fraction { lo, hi } => (fraction(*lo, *hi, buckets), None),
    }
}

/// Sorted, with buckets of the same bound summed; `None` unless the highest is `+Inf`.
fn sorted(buckets: &[Bucket]) -> Option<Vec<Bucket>> {
    let mut buckets = buckets.to_vec();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<Bucket> = Vec::new();
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => merged.push((bound, count)),
        }
    }
    (merged.last()?.0 == f64::INFINITY).then_some(merged)
}

/// Whether two counts differ by rounding at most.
fn nearly_equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-12;
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || a.abs() + b.abs() < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / (a.abs() + b.abs()).min(f64::MAX) < TOLERANCE
}

/// Makes counts rise with the bounds.
fn repair(buckets: &mut [Bucket], time: Timestamp) -> Option<Repair> {
    let mut found: Option<Repair> = None;
    let mut prev = buckets[0].1;
    for (bound, count) in &mut buckets[1..] {
        if *count == prev {
            continue;
        }
        if nearly_equal(*count, prev) {
            *count = prev;
        } else if *count < prev {
            let repair = found.get_or_insert(Repair {
                lowest: *bound,
                highest: *bound,
                max_diff: 0.0,
                time,
            });
            repair.highest = *bound;
            repair.max_diff = repair.max_diff.max(prev - *count);
            *count = prev;
        } else {
            prev = *count;
        }
    }
    found
}

fn quantile(q: f64, buckets: &[Bucket], time: Timestamp) -> (f64, Option<Repair>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    let Some(mut buckets) = sorted(buckets) else {
        return (f64::NAN, None);
    };
    let repaired = repair(&mut buckets, time);
    let last = buckets.len() - 1;
    let total = buckets[last].1;
    if buckets.len() < 2 {
        return (f64::NAN, None);
    }
    if total == 0.0 || total.is_nan() {
        return (f64::NAN, if total.is_nan() { repaired } else { None });
    }
    let rank = q * total;
    let b = buckets[..last]
        .iter()
        .position(|&(_, count)| count >= rank)
        .unwrap_or(last);
    let value = if b == last {
        buckets[last - 1].0
    } else if b == 0 && buckets[0].0 <= 0.0 {
        buckets[0].0
    } else {
        let (lo, below) = if b == 0 { (0.0, 0.0) } else { buckets[b - 1] };
        let (hi, count) = buckets[b];
        lo + (hi - lo) * ((rank - below) / (count - below))
    };
    (value, repaired)
}

fn fraction(lo: f64, hi: f64, buckets: &[Bucket]) -> f64 {
    let Some(buckets) = sorted(buckets) else {
        return f64::NAN;
    };
    let total = buckets[buckets.len() - 1].1;
    if total == 0.0 || lo.is_nan() || hi.is_nan() {
        return f64::NAN;
    }
    if lo >= hi {
        return 0.0;
    }
    (rank(hi, &buckets) - rank(lo, &buckets)) / total
}

/// How many observations lie below `x`: not more than the last bucket says, whatever others do.
fn rank(x: f64, buckets: &[Bucket]) -> f64 {
    let total = buckets[buckets.len() - 1].1;
    let below = unbounded_rank(x, buckets);
    if below > total { total } else { below }
}

fn unbounded_rank(x: f64, buckets: &[Bucket]) -> f64 {
    let (mut lower, mut below) = if buckets[0].0 > 0.0 {
        (0.0, 0.0)
    } else {
        (f64::NEG_INFINITY, 0.0)
    };
    for &(upper, cumulative) in buckets {
        if lower >= x {
            return below;
        }
        if upper > x {
            let count = cumulative - below;
            let inside = if lower == f64::NEG_INFINITY {
                count
            } else {
                count * (x - lower) / (upper - lower)
            };
            return below + inside;
        }
        (lower, below) = (upper, cumulative);
    }
    f64::INFINITY
}
