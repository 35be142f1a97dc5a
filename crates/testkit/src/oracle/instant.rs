//! Functions of instant vectors (§9.1).

use std::cmp::Ordering;

use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Call, Expr};

use super::calendar;
use super::eval::{Eval, text};
use super::hist::Hist;
use super::hist_read::variance;
use super::labels::unique;
use super::sums::{max, min, nan_first};
use super::value::{Element, Val};
use super::{Result, failed};

/// What a function makes of an element; `None` drops it.
type Made = Option<f64>;

impl Eval<'_> {
    /// A function that maps each element to a float.
    pub(super) fn instant_call(
        &self,
        call: &Call,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let name = call.func.name;
        if name == "start_timestamp" && !self.options.use_start_timestamps {
            return Err(failed(
                "function \"start_timestamp\" is not enabled; the feature flag use-start-timestamps enables it",
            ));
        }
        let vectors = match call.args[0].unparen() {
            // The times asked for are those of the stored sample, whatever is made of its value.
            Expr::Selector(selector) if name.ends_with("timestamp") => {
                self.stored_instant(selector, steps)?
            }
            vector => self.vector(vector, steps)?,
        };
        let params: Vec<Vec<f64>> = call.args[1..]
            .iter()
            .map(|arg| self.scalar(arg, steps))
            .collect::<Result<_>>()?;
        let of_selector = matches!(call.args[0].unparen(), Expr::Selector(_));
        let mut out = Vec::new();
        for (i, (vector, &t)) in vectors.into_iter().zip(steps).enumerate() {
            let params: Vec<f64> = params.iter().map(|values| values[i]).collect();
            let mut made = Vec::new();
            for mut element in vector {
                let value = match name {
                    "timestamp" if of_selector => Some(element.stored as f64 / 1000.0),
                    "timestamp" => Some(t as f64 / 1000.0),
                    "start_timestamp" => of_selector.then_some(element.start as f64 / 1000.0),
                    _ => match &element.val {
                        Val::Float(v) => of_float(name, *v, &params),
                        Val::Hist(h) => of_hist(name, h),
                    },
                };
                let Some(value) = value else { continue };
                element.val = Val::Float(value);
                if name.starts_with("histogram_") && !self.delayed() {
                    element.labels = element.labels.without_name();
                } else {
                    self.drop_name(&mut element);
                }
                made.push(element);
            }
            unique(&made)?;
            out.push(made);
        }
        Ok(out)
    }

    /// `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`
    pub(super) fn sort(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let mut vectors = self.vector(&call.args[0], steps)?;
        if steps.len() > 1 {
            self.notes.warn(
                "sort is ineffective for range queries since results are always ordered by labels",
                call.span.start,
            );
            return Ok(vectors);
        }
        let descending = call.func.name.ends_with("_desc");
        let vector = &mut vectors[0];
        if call.func.name.starts_with("sort_by_label") {
            let by: Vec<&str> = call.args[1..].iter().map(text).collect();
            vector.sort_by(|a, b| {
                let order = by_labels(&by, &a.labels, &b.labels);
                if descending { order.reverse() } else { order }
            });
        } else {
            vector.retain(|e| e.val.float().is_some());
            let value = |e: &Element| e.val.float().unwrap_or(f64::NAN);
            vector.sort_by(|a, b| nan_last(value(a), value(b), descending));
        }
        Ok(vectors)
    }
}

/// NaN at the end in both directions.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => nan_first(b, a),
        (false, false) => nan_first(a, b),
    }
}

fn by_labels(by: &[&str], a: &Labels, b: &Labels) -> Ordering {
    for name in by {
        let order = natural(a.value(name).as_bytes(), b.value(name).as_bytes());
        if order.is_ne() {
            return order;
        }
    }
    a.cmp(b)
}

/// Runs of digits are compared as numbers, all else byte by byte.
fn natural(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
        let (n, m) = (digits(a), digits(b));
        if n > 0 && m > 0 {
            let strip = |s: &[u8]| {
                let zeros = s.iter().take_while(|c| **c == b'0').count();
                s[zeros..].to_vec()
            };
            let (x, y) = (strip(&a[..n]), strip(&b[..m]));
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(&y));
            if order.is_ne() {
                return order;
            }
            (a, b) = (&a[n..], &b[m..]);
            continue;
        }
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

fn of_float(name: &str, v: f64, params: &[f64]) -> Made {
    Some(match name {
        "abs" => v.abs(),
        "ceil" => v.ceil(),
        "floor" => v.floor(),
        "exp" => v.exp(),
        "sqrt" => v.sqrt(),
        "ln" => v.ln(),
        "log2" => v.log2(),
        "log10" => v.log10(),
        "sin" => v.sin(),
        "cos" => v.cos(),
        "tan" => v.tan(),
        "asin" => v.asin(),
        "acos" => v.acos(),
        "atan" => v.atan(),
        "sinh" => v.sinh(),
        "cosh" => v.cosh(),
        "tanh" => v.tanh(),
        // Twice as much would be infinite, where the logarithm of twice as much is not.
        "asinh" if v.abs() > 1e300 => (v.abs().ln() + std::f64::consts::LN_2).copysign(v),
        "acosh" if v > 1e300 => v.ln() + std::f64::consts::LN_2,
        "asinh" => v.asinh(),
        "acosh" => v.acosh(),
        "atanh" => v.atanh(),
        "deg" => v * 180.0 / std::f64::consts::PI,
        "rad" => v * std::f64::consts::PI / 180.0,
        "sgn" if v < 0.0 => -1.0,
        "sgn" if v > 0.0 => 1.0,
        "sgn" => v,
        "round" => {
            let inverse = 1.0 / params.first().copied().unwrap_or(1.0);
            (v * inverse + 0.5).floor() / inverse
        }
        "clamp" if params[1] < params[0] => return None,
        "clamp" => max(params[0], min(params[1], v)),
        "clamp_min" => max(params[0], v),
        "clamp_max" => min(params[0], v),
        name if name.starts_with("histogram_") => return None,
        name => calendar::call(name, v),
    })
}

fn of_hist(name: &str, h: &Hist) -> Made {
    match name {
        "histogram_count" => Some(h.count),
        "histogram_sum" => Some(h.sum),
        "histogram_avg" => Some(h.sum / h.count),
        "histogram_stdvar" => Some(variance(h)),
        "histogram_stddev" => Some(variance(h).sqrt()),
        _ => None,
    }
}
