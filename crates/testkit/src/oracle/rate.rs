//! `rate`, `increase`, `delta`, `irate`, `idelta` (§9.2, §9.3).

use ferula_model::{CounterReset, Timestamp};

use super::hist::Hist;
use super::hist_math::{combine, divided, is_reset, scaled};
use super::range_calls::Seen;
use super::value::Val;

impl Seen<'_> {
    /// The change over the window, as if samples reached to its edges.
    pub(super) fn extrapolated(&self, func: &str) -> Option<Val> {
        let counter = func != "delta";
        let (floats, hists) = (self.window.floats(), self.window.hists());
        if !floats.is_empty() && !hists.is_empty() {
            self.mixed();
            return None;
        }
        if self.window.samples.len() < 2 {
            return None;
        }
        let times: Vec<Timestamp> = self.window.samples.iter().map(|(t, _)| *t).collect();
        if hists.is_empty() {
            let values: Vec<f64> = floats.iter().map(|(_, v)| *v).collect();
            let mut d = values[values.len() - 1] - values[0];
            if counter {
                for pair in values.windows(2) {
                    if pair[1] < pair[0] {
                        d += pair[0];
                    }
                }
            }
            let factor = self.factor(func, &times, values[0], d);
            return Some(Val::Float(d * factor));
        }
        let hists: Vec<&Hist> = hists.into_iter().map(|(_, h)| h).collect();
        let d = self.hist_change(&hists, counter)?;
        let factor = self.factor(func, &times, hists[0].count, d.count);
        let mut d = scaled(&d, factor);
        d.reset = CounterReset::Gauge;
        Some(d.compact().into())
    }

    /// By how much the change between the samples falls short of that over the window.
    fn factor(&self, func: &str, times: &[Timestamp], first: f64, d: f64) -> f64 {
        let seconds = |from: Timestamp, to: Timestamp| (to - from) as f64 / 1000.0;
        let (t_first, t_last) = (times[0], times[times.len() - 1]);
        let mut start = seconds(self.start, t_first);
        let mut end = seconds(t_last, self.end);
        let span = seconds(t_first, t_last);
        let average = span / (times.len() as f64 - 1.0);
        let threshold = 1.1 * average;
        if start >= threshold {
            start = average / 2.0;
        }
        if func != "delta" && d > 0.0 && first >= 0.0 {
            // A counter does not start below zero.
            let zero = span * (first / d);
            if zero < start {
                start = zero;
            }
        }
        if end >= threshold {
            end = average / 2.0;
        }
        let factor = if span == 0.0 {
            1.0
        } else {
            (span + start + end) / span
        };
        if func == "rate" {
            factor / self.seconds()
        } else {
            factor
        }
    }

    fn hist_change(&self, hists: &[&Hist], counter: bool) -> Option<Hist> {
        let (first, last) = (hists[0], hists[hists.len() - 1]);
        if counter {
            if hists.iter().any(|h| h.is_gauge()) {
                self.not_a("counter");
            }
        } else if !(first.is_gauge() && last.is_gauge()) {
            self.not_a("gauge");
        }
        let mut first = first.clone();
        if counter && is_reset(&first, hists[1]) {
            first = hists[1].emptied();
            (first.positive, first.negative) = Default::default();
            first.zero_threshold = 0.0;
            first.reset = CounterReset::Unknown;
        }
        let looked_at = if counter {
            &hists[1..]
        } else {
            &hists[hists.len() - 1..]
        };
        if looked_at.iter().any(|h| h.is_custom() != first.is_custom()) {
            self.mixed_buckets();
            return None;
        }
        // All is computed at the coarsest resolution seen.
        let coarsest = looked_at
            .iter()
            .map(|h| h.schema)
            .fold(first.schema, i8::min);
        let mut change = self.plus(&last.coarsened(coarsest), &first, true)?;
        if counter {
            let mut prev = &first;
            for cur in &hists[1..] {
                if is_reset(prev, cur) {
                    change = self.plus(&change, prev, false)?;
                }
                prev = cur;
            }
        }
        Some(change)
    }

    /// `a + b` or `a - b`; that hints contradict each other means nothing here.
    pub(super) fn plus(&self, a: &Hist, b: &Hist, minus: bool) -> Option<Hist> {
        let Ok(combined) = combine(a, b, minus) else {
            self.mixed_buckets();
            return None;
        };
        if combined.reconciled {
            self.reconciled(if minus { "subtraction" } else { "addition" });
        }
        Some(combined.hist)
    }

    /// `irate` and `idelta`: the change between the last two samples.
    pub(super) fn last_two(&self, per_second: bool) -> Option<Val> {
        let n = self.window.samples.len();
        let [(t1, prev), (t2, last)] = self.window.samples.get(n.checked_sub(2)?..)? else {
            return None;
        };
        if t1 == t2 {
            return None;
        }
        let seconds = (t2 - t1) as f64 / 1000.0;
        match (prev, last) {
            (Val::Float(a), Val::Float(b)) => {
                let reset = per_second && b < a;
                let change = if reset { *b } else { b - a };
                Some(Val::Float(if per_second {
                    change / seconds
                } else {
                    change
                }))
            }
            (Val::Hist(a), Val::Hist(b)) => {
                if per_second && (a.is_gauge() || b.is_gauge()) {
                    self.not_a("counter");
                }
                let both_gauges = a.is_gauge() && b.is_gauge();
                if !per_second && !both_gauges {
                    self.not_a("gauge");
                }
                let mut change = if per_second && is_reset(a, b) {
                    (**b).clone()
                } else {
                    self.plus(b, a, true)?
                };
                change.reset = CounterReset::Gauge;
                change = change.compact();
                Some(if per_second {
                    divided(&change, seconds).into()
                } else {
                    change.into()
                })
            }
            _ => {
                self.mixed();
                None
            }
        }
    }
}
