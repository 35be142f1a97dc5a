//! `anchored` and `smoothed` (§9.5): what stands at the very edges of a window.

use ferula_model::{CounterReset, Timestamp};
use ferula_promql::syntax::ast::{Extended, Selector};

use super::Result;
use super::eval::Eval;
use super::hist::Hist;
use super::hist_math::{combine, divided, is_reset, scaled};
use super::over_time::{changed, count_pairs, was_reset};
use super::range_calls::Seen;
use super::value::{Element, Ranged, Sample, Val, Window};

/// The samples that make the change over a window, and whether the values at its edges lie
/// between the first two and the last two of them.
struct Reached<'a> {
    samples: &'a [Sample],
    left_between: bool,
    right_between: bool,
}

fn reached(
    extended: Extended,
    samples: &[Sample],
    start: Timestamp,
    end: Timestamp,
) -> Option<Reached<'_>> {
    let newest = samples.len().checked_sub(1)?;
    let first = samples.iter().rposition(|s| s.t <= start).unwrap_or(0);
    let last = match extended {
        Extended::Anchored => newest,
        Extended::Smoothed => samples.iter().position(|s| s.t >= end).unwrap_or(newest),
    };
    let (t_first, t_last) = (samples[first].t, samples[last].t);
    if t_last <= start || t_first > end {
        return None;
    }
    let smoothed = extended == Extended::Smoothed;
    Some(Reached {
        samples: &samples[first..=last],
        left_between: smoothed && t_first < start,
        right_between: smoothed && t_last > end,
    })
}

/// How far `at` lies between two times.
fn part(t1: Timestamp, t2: Timestamp, at: Timestamp) -> f64 {
    (at - t1) as f64 / (t2 - t1) as f64
}

/// The value on the line between two samples; a counter that was reset came up from nothing.
fn interpolated(counter: bool, a: &Sample, b: &Sample, at: Timestamp) -> Option<f64> {
    let (v1, v2) = (a.val.float()?, b.val.float()?);
    let from = if counter && v2 < v1 { 0.0 } else { v1 };
    Some(from + (v2 - from) * (at - a.t) as f64 / (b.t - a.t) as f64)
}

impl Seen<'_> {
    /// A function of a window with edges.
    pub(super) fn extended(&self, extended: Extended, func: &str) -> Option<Val> {
        let samples = &self.window.samples;
        if matches!(func, "changes" | "resets") {
            let reached = reached(extended, samples, self.start, self.end)?;
            let counts = if func == "changes" {
                changed
            } else {
                was_reset
            };
            return Some(Val::Float(count_pairs(reached.samples, counts)));
        }
        if !self.window.floats().is_empty() && !self.window.hists().is_empty() {
            self.mixed();
            return None;
        }
        let reached = reached(extended, samples, self.start, self.end)?;
        let counter = func != "delta";
        if self.window.hists().is_empty() {
            let change = self.float_change(&reached, counter)?;
            return Some(Val::Float(if func == "rate" {
                change / self.seconds()
            } else {
                change
            }));
        }
        let mut change = self.edge_hist_change(&reached, counter)?;
        if func == "rate" {
            change = divided(&change, self.seconds());
        }
        change.reset = CounterReset::Gauge;
        Some(change.compact().into())
    }

    fn float_change(&self, reached: &Reached<'_>, counter: bool) -> Option<f64> {
        let (left, right) = reached.float_edges(counter, self.start, self.end)?;
        let mut change = right - left;
        if counter {
            for (a, b) in reached.pairs() {
                let (a, b) = (a.float()?, b.float()?);
                if b < a {
                    change += a;
                }
            }
        }
        Some(change)
    }

    fn edge_hist_change(&self, reached: &Reached<'_>, counter: bool) -> Option<Hist> {
        let samples = reached.samples;
        let hists: Vec<&Hist> = samples.iter().filter_map(|s| s.val.hist()).collect();
        let (first, last) = (hists[0], hists[hists.len() - 1]);
        if counter {
            if hists.iter().any(|h| h.is_gauge()) {
                self.not_a("counter");
            }
            if hists.iter().any(|h| h.is_custom() != first.is_custom()) {
                self.mixed_buckets();
                return None;
            }
        } else if !(first.is_gauge() && last.is_gauge()) {
            self.not_a("gauge");
        }
        let n = samples.len();
        let left = match reached.left_between {
            true => self.interpolated_hist(counter, &samples[0], &samples[1], self.start)?,
            false => first.clone(),
        };
        let right = match reached.right_between {
            true => self.interpolated_hist(counter, &samples[n - 2], &samples[n - 1], self.end)?,
            false => last.clone(),
        };
        let mut change = self.plus(&right, &left, true)?;
        if counter {
            for (a, b) in reached.pairs() {
                let (a, b) = (a.hist()?, b.hist()?);
                if is_reset(a, b) {
                    change = self.plus(&change, a, false)?;
                }
            }
        }
        Some(change)
    }

    fn interpolated_hist(
        &self,
        counter: bool,
        a: &Sample,
        b: &Sample,
        at: Timestamp,
    ) -> Option<Hist> {
        let (h1, h2) = (a.val.hist()?, b.val.hist()?);
        if h1.is_custom() != h2.is_custom() {
            self.mixed_buckets();
            return None;
        }
        let part = part(a.t, b.t, at);
        if counter && is_reset(h1, h2) {
            return Some(scaled(h2, part));
        }
        let difference = self.plus(h2, h1, true)?;
        let mut between = combine(h1, &scaled(&difference, part), false).ok()?.hist;
        between.reset = if h1.reset == h2.reset {
            h1.reset
        } else {
            CounterReset::Unknown
        };
        Some(between)
    }
}

impl<'a> Reached<'a> {
    fn float_edges(&self, counter: bool, start: Timestamp, end: Timestamp) -> Option<(f64, f64)> {
        let s = self.samples;
        let n = s.len();
        let left = match self.left_between {
            true => interpolated(counter, &s[0], &s[1], start)?,
            false => s[0].val.float()?,
        };
        let right = match self.right_between {
            true => interpolated(counter, &s[n - 2], &s[n - 1], end)?,
            false => s[n - 1].val.float()?,
        };
        Some((left, right))
    }

    /// Neighbours between which a reset is to be made good. What lies before an interpolated start
    /// does not count.
    fn pairs(&self) -> impl Iterator<Item = (&'a Val, &'a Val)> {
        let from = usize::from(self.left_between);
        self.samples[from..]
            .windows(2)
            .map(|p| (&p[0].val, &p[1].val))
    }
}

impl Eval<'_> {
    /// How far before and after a window samples are looked for.
    pub(super) fn reach(&self, extended: Option<Extended>) -> (i64, i64) {
        match extended {
            None => (0, 0),
            Some(Extended::Anchored) => (self.lookback_ms(), 0),
            Some(Extended::Smoothed) => (self.lookback_ms(), self.lookback_ms()),
        }
    }

    /// `x smoothed` without a range: the sample there is, else one on the line between the
    /// neighbours, else the last one.
    pub(super) fn extended_instant(
        &self,
        selector: &Selector,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let series = self.stored(&selector.matchers)?;
        let lookback = self.lookback_ms();
        let mut out = Vec::new();
        for &time in steps {
            let at = self.reference(&selector.modifiers, time);
            let mut vector = Vec::new();
            for s in &series {
                let window = Window {
                    labels: s.labels.clone(),
                    drop_name: false,
                    samples: s.within(at.saturating_sub(lookback), at.saturating_add(lookback)),
                };
                let seen = Seen {
                    window: &window,
                    start: at,
                    end: at,
                    time,
                    params: Vec::new(),
                    notes: &self.notes,
                    at: selector.span.start,
                };
                if let Some((stored, val)) = seen.smoothed_at(at) {
                    vector.push(Element {
                        labels: s.labels.clone(),
                        drop_name: false,
                        val,
                        stored,
                        start: 0,
                    });
                }
            }
            out.push(vector);
        }
        Ok(out)
    }

    /// A range vector with edges as the whole query: the samples inside, and the edges.
    pub(super) fn with_edges(&self, extended: Extended, ranged: Ranged) -> Result<Ranged> {
        let (start, end) = (ranged.start, ranged.end);
        let mut series = Vec::new();
        for window in ranged.series {
            if !window.hists().is_empty() {
                return Err(super::failed(format!(
                    "{} modifier is not supported with histograms",
                    extended.as_str()
                )));
            }
            let edges = reached(extended, &window.samples, start, end)
                .and_then(|reached| reached.float_edges(false, start, end));
            let Some((left, right)) = edges else { continue };
            let edge = |t, v| Sample {
                t,
                val: Val::Float(v),
                start: 0,
            };
            let inside = window.samples.iter();
            let inside = inside.filter(|s| start < s.t && s.t < end).cloned();
            let mut samples = vec![edge(start, left)];
            samples.extend(inside);
            samples.push(edge(end, right));
            series.push(Window { samples, ..window });
        }
        Ok(Ranged { start, end, series })
    }
}

impl Seen<'_> {
    /// The value at a time, and when the newest sample before was stored.
    fn smoothed_at(&self, at: Timestamp) -> Option<(Timestamp, Val)> {
        let samples = &self.window.samples;
        if !self.window.floats().is_empty() && !self.window.hists().is_empty() {
            self.mixed();
            return None;
        }
        let before = samples.iter().rfind(|s| s.t <= at)?;
        let after = samples.iter().find(|s| s.t > at);
        let Some(after) = after.filter(|_| before.t < at) else {
            return Some((before.t, before.val.clone()));
        };
        let val = match (&before.val, &after.val) {
            (Val::Hist(a), Val::Hist(b)) => {
                let counter = !(a.is_gauge() && b.is_gauge());
                let h = self.interpolated_hist(counter, before, after, at)?;
                h.compact().into()
            }
            _ => Val::Float(interpolated(false, before, after, at)?),
        };
        Some((before.t, val))
    }
}
