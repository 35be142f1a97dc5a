//! `rate`, `increase`, `delta`, `irate`, `idelta` (§9.2, §9.3).

use ferula_model::{CounterReset, Timestamp};

use super::hist::Hist;
use super::hist_math::{combine, divided, is_reset, scaled};
use super::over_time::was_reset;
use super::range_calls::Seen;
use super::value::{Sample, Val};

impl Seen<'_> {
    /// The change over the window, as if samples reached to its edges.
    pub(super) fn extrapolated(&self, func: &str) -> Option<Val> {
        let counter = func != "delta";
        let (floats, hists) = (self.window.floats(), self.window.hists());
        if !floats.is_empty() && !hists.is_empty() {
            self.mixed();
            return None;
        }
        let zero = self.zero();
        if self.window.samples.len() < 2 && zero.is_none() {
            return None;
        }
        if self
            .window
            .samples
            .windows(2)
            .any(|p| overlaps(&p[0], &p[1]))
        {
            self.notes.overlapping(self.name(), self.at);
        }
        if hists.is_empty() {
            let first = floats[0].1;
            let mut d = floats[floats.len() - 1].1 - first;
            for pair in self.window.samples.windows(2).filter(|_| counter) {
                if was_reset(&pair[0], &pair[1]) {
                    d += pair[0].val.float()?;
                }
            }
            if zero.is_some() {
                d += first;
            }
            let factor = self.factor(func, first, d);
            return Some(Val::Float(d * factor));
        }
        let hists: Vec<&Hist> = hists.into_iter().map(|(_, h)| h).collect();
        let d = self.hist_change(&hists, counter)?;
        let factor = self.factor(func, hists[0].count, d.count);
        let mut d = scaled(&d, factor);
        d.reset = CounterReset::Gauge;
        Some(d.compact().into())
    }

    /// When the counting of the first sample began, if that is in the window: it was zero then.
    fn zero(&self) -> Option<Timestamp> {
        let first = self.window.samples.first()?;
        let inside = self.start < first.start && first.start < first.t;
        (first.start != 0 && inside).then_some(first.start)
    }

    /// By how much the change between the samples falls short of that over the window.
    fn factor(&self, func: &str, first: f64, d: f64) -> f64 {
        let seconds = |from: Timestamp, to: Timestamp| (to - from) as f64 / 1000.0;
        let samples = &self.window.samples;
        let n = samples.len() as f64;
        let (t_first, t_last) = (samples[0].t, samples[samples.len() - 1].t);
        let mut start = seconds(self.start, t_first);
        let mut end = seconds(t_last, self.end);
        let mut span = seconds(t_first, t_last);
        let average = if n > 1.0 { span / (n - 1.0) } else { 0.0 };
        let threshold = 1.1 * average;
        if let Some(zero) = self.zero() {
            // The zero stands as one more sample, before which nothing is.
            start = 0.0;
            span = seconds(zero, t_last);
        } else if start >= threshold {
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
        let samples = &self.window.samples;
        let mut first = first.clone();
        let from_zero = self.zero().is_some();
        if counter && !from_zero && was_reset(&samples[0], &samples[1]) {
            first = nothing_like(hists[1]);
        }
        let looked_at = match (counter, from_zero) {
            (false, _) => &hists[hists.len() - 1..],
            (true, false) => &hists[1..],
            (true, true) => hists,
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
        let mut change = last.coarsened(coarsest);
        if !from_zero {
            change = self.plus(&change, &first, true)?;
        }
        for (i, pair) in samples.windows(2).enumerate().filter(|_| counter) {
            let prev = if i == 0 { &first } else { hists[i] };
            if is_reset(prev, hists[i + 1]) || restarts(&pair[0], &pair[1]) {
                change = self.plus(&change, prev, false)?;
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
        let [prev, last] = self.window.samples.get(n.checked_sub(2)?..)? else {
            return None;
        };
        if prev.t == last.t {
            return None;
        }
        let seconds = (last.t - prev.t) as f64 / 1000.0;
        match (&prev.val, &last.val) {
            (Val::Float(a), Val::Float(b)) => {
                let reset = per_second && was_reset(prev, last);
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
                let mut change = if per_second && was_reset(prev, last) {
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

/// The histogram without observations that goes with another one.
fn nothing_like(h: &Hist) -> Hist {
    let mut nothing = h.emptied();
    (nothing.positive, nothing.negative) = Default::default();
    nothing.zero_threshold = 0.0;
    nothing.reset = CounterReset::Unknown;
    nothing
}

/// Whether the counting of a sample began anew after the one before, by what start timestamps say.
pub(super) fn restarts(prev: &Sample, cur: &Sample) -> bool {
    let delta = cur.start == prev.t && prev.start != 0 && prev.start < prev.t;
    cur.start != 0 && cur.start < cur.t && (cur.start > prev.t || delta)
}

/// Whether a sample counts some of what the one before does, but not all.
fn overlaps(prev: &Sample, cur: &Sample) -> bool {
    cur.start != 0 && cur.start < prev.t && cur.start != prev.start
}
