//! Functions of range vectors (§9.2 to §9.5): which windows they see, what becomes of names.

use std::collections::BTreeMap;

use ferula_model::text::number::Form;
use ferula_model::text::quote::quoted;
use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Call, Expr, Extended, ValueType};

use super::eval::{Eval, place};
use super::labels::nameless;
use super::notes::Notes;
use super::value::{Element, Ranged, Val, Window};
use super::{Result, failed, same_labelset};

/// A window, and all that a function may want to know about it.
pub(super) struct Seen<'a> {
    pub(super) window: &'a Window,
    /// The window is `(start, end]`.
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// The evaluation time.
    pub(super) time: Timestamp,
    /// The scalar arguments at this step.
    pub(super) params: Vec<f64>,
    pub(super) notes: &'a Notes,
    /// Where annotations point to.
    pub(super) at: u32,
}

impl Seen<'_> {
    pub(super) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }

    pub(super) fn name(&self) -> String {
        quoted(self.window.labels.metric_name()).to_string()
    }

    pub(super) fn mixed(&self) {
        let text = "encountered a mix of histograms and floats for metric name";
        self.notes.warn(format!("{text} {}", self.name()), self.at);
    }

    pub(super) fn mixed_buckets(&self) {
        let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        self.notes.warn(format!("{text} {}", self.name()), self.at);
    }

    pub(super) fn not_a(&self, kind: &str) {
        let name = self.name();
        let text = format!("this native histogram metric is not a {kind}: {name}");
        self.notes.warn(text, self.at);
    }

    pub(super) fn reconciled(&self, purpose: &str) {
        let text = format!("mismatched custom buckets were reconciled during {purpose}");
        self.notes.info(text, self.at);
    }
}

impl Eval<'_> {
    pub(super) fn range_call(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let is_ranged = |arg: &&Expr| arg.value_type() == ValueType::Matrix;
        let arg = call.args.iter().find(is_ranged).expect("a range vector");
        let at = match arg.unparen() {
            // Places inside the steps of a subquery are lost (§11).
            Expr::Subquery(_) => 0,
            arg => place(arg),
        };
        let extended = match arg.unparen() {
            Expr::Range(range) => range.selector.extended,
            _ => None,
        };
        self.check_extended(call, extended)?;
        let params: Vec<Vec<f64>> = call
            .args
            .iter()
            .filter(|arg| !is_ranged(arg))
            .map(|arg| self.scalar(arg, steps))
            .collect::<Result<_>>()?;
        let mut ranged = self.ranged(arg, steps)?;
        let may_use_starts = matches!(call.func.name, "rate" | "irate" | "increase" | "resets");
        if !(self.options.use_start_timestamps && may_use_starts && extended.is_none()) {
            let windows = ranged.iter_mut().flat_map(|ranged| &mut ranged.series);
            let samples = windows.flat_map(|window| &mut window.samples);
            samples.for_each(|sample| sample.start = 0);
        }
        let mut out = Vec::new();
        let mut sources: BTreeMap<Labels, Labels> = BTreeMap::new();
        for (i, (Ranged { start, end, series }, &time)) in ranged.iter().zip(steps).enumerate() {
            let mut made = Vec::new();
            for window in series {
                let seen = Seen {
                    window,
                    start: *start,
                    end: *end,
                    time,
                    params: params.iter().map(|values| values[i]).collect(),
                    notes: &self.notes,
                    at,
                };
                let val = match extended {
                    Some(extended) => seen.extended(extended, call.func.name),
                    None => seen.call(call.func.name)?,
                };
                let Some(val) = val else { continue };
                if call.func.name == "quantile_over_time" {
                    self.check_quantile(params[0][i], place(&call.args[0]));
                }
                let element = self.range_element(call, window, val, time);
                // Two series may not become one, not even at different steps (§3.4).
                let source = sources
                    .entry(element.labels.clone())
                    .or_insert_with(|| window.labels.clone());
                if *source != window.labels {
                    return Err(same_labelset());
                }
                self.note_counter_name(call.func.name, &seen, &element.val);
                made.push(element);
            }
            out.push(made);
        }
        Ok(out)
    }

    fn range_element(&self, call: &Call, window: &Window, val: Val, time: Timestamp) -> Element {
        let keeps_name = matches!(call.func.name, "first_over_time" | "last_over_time");
        let drop_now = !keeps_name && !self.delayed();
        Element {
            labels: if drop_now {
                nameless(&window.labels)
            } else {
                window.labels.clone()
            },
            drop_name: window.drop_name || !keeps_name && self.delayed(),
            val,
            stored: time,
            start: 0,
        }
    }

    /// `rate` and `increase` of what does not look like a counter (§9.2).
    fn note_counter_name(&self, func: &str, seen: &Seen<'_>, val: &Val) {
        let name = seen.window.labels.metric_name();
        if !matches!(func, "rate" | "increase") || val.float().is_none() || name.is_empty() {
            return;
        }
        let suffixes = ["_total", "_sum", "_count", "_bucket"];
        let kind = seen.window.labels.value("__type__");
        let doubt = if self.options.type_and_unit_labels {
            if matches!(kind, "counter" | "histogram") {
                return;
            }
            let kind = quoted(kind);
            format!("__type__ label is not set to \"counter\" or \"histogram\", got {kind}")
        } else if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
            return;
        } else {
            "name does not end in _total/_sum/_count/_bucket".to_owned()
        };
        let text = format!("metric might not be a counter, {doubt}: {}", quoted(name));
        self.notes.info(text, seen.at);
    }

    /// Which functions `anchored` and `smoothed` are for (§9.5).
    pub(super) fn check_extended(&self, call: &Call, extended: Option<Extended>) -> Result<()> {
        let Some(extended) = extended else {
            return Ok(());
        };
        let allowed: &[&str] = match extended {
            Extended::Anchored => &["changes", "delta", "increase", "rate", "resets"],
            Extended::Smoothed => &["delta", "increase", "rate"],
        };
        let name = call.func.name;
        if allowed.contains(&name) {
            return Ok(());
        }
        Err(failed(format!(
            "{} modifier can only be used with: {} - not with {name}",
            extended.as_str(),
            allowed.join(", ")
        )))
    }
}

impl Seen<'_> {
    /// The value of a function, if it has one.
    fn call(&self, name: &str) -> Result<Option<Val>> {
        Ok(match name {
            "rate" | "increase" | "delta" => self.extrapolated(name),
            "irate" | "idelta" => self.last_two(name == "irate"),
            "double_exponential_smoothing" => self.double_exponential_smoothing()?.map(Val::Float),
            "sum_over_time" => self.total(false),
            "avg_over_time" => self.total(true),
            "first_over_time" => self.window.samples.first().map(|s| s.val.clone()),
            "last_over_time" => self.window.samples.last().map(|s| s.val.clone()),
            _ => self.over_time(name).map(Val::Float),
        })
    }

    /// `double_exponential_smoothing(v, sf, tf)` (§9.4)
    fn double_exponential_smoothing(&self) -> Result<Option<f64>> {
        let (sf, tf) = (self.params[0], self.params[1]);
        for (factor, kind, short) in [(sf, "smoothing", "sf"), (tf, "trend", "tf")] {
            if factor <= 0.0 || factor >= 1.0 {
                let factor = if factor.is_finite() {
                    format!("{factor:.6}")
                } else {
                    Form::General.show(factor).to_string()
                };
                return Err(failed(format!(
                    "invalid {kind} factor. Expected: 0 < {short} < 1, got: {factor}"
                )));
            }
        }
        let floats = self.floats_noting_histograms();
        if floats.len() < 2 {
            return Ok(None);
        }
        let x: Vec<f64> = floats.iter().map(|(_, v)| *v).collect();
        let (mut s_prev, mut s, mut b) = (0.0, x[0], x[1] - x[0]);
        for (i, &x) in x.iter().enumerate().skip(1) {
            if i > 1 {
                b = tf * (s - s_prev) + (1.0 - tf) * b;
            }
            s_prev = s;
            s = sf * x + (1.0 - sf) * (s + b);
        }
        Ok(Some(s))
    }
}
