//! `*_over_time` and friends (§9.4).

use ferula_model::Timestamp;

use super::hist_math::{Total, is_reset};
use super::range_calls::Seen;
use super::rate::restarts;
use super::sums::{extremum, mean, quantile, regression, sum_over_time, variance_over_time};
use super::value::{Sample, Val};

fn seconds(t: Timestamp) -> f64 {
    t as f64 / 1000.0
}

impl Seen<'_> {
    /// The floats; says so if there are histograms besides, which do not count.
    pub(super) fn floats_noting_histograms(&self) -> Vec<(Timestamp, f64)> {
        let floats = self.window.floats();
        if !floats.is_empty() && !self.window.hists().is_empty() {
            let text = "ignored histograms in a range containing both floats and histograms for metric name";
            self.notes.info(format!("{text} {}", self.name()), self.at);
        }
        floats
    }

    /// Functions that look at samples of both kinds, and those that look at floats alone.
    pub(super) fn over_time(&self, name: &str) -> Option<f64> {
        let samples = &self.window.samples;
        match name {
            "count_over_time" => Some(samples.len() as f64),
            "present_over_time" => Some(1.0),
            "ts_of_first_over_time" => samples.first().map(|s| seconds(s.t)),
            "ts_of_last_over_time" => samples.last().map(|s| seconds(s.t)),
            "changes" => Some(count_pairs(samples, changed)),
            "resets" => Some(count_pairs(samples, was_reset)),
            _ => {
                let floats = self.floats_noting_histograms();
                if floats.is_empty() {
                    return None;
                }
                self.of_floats(name, &floats)
            }
        }
    }

    fn of_floats(&self, name: &str, floats: &[(Timestamp, f64)]) -> Option<f64> {
        let values: Vec<f64> = floats.iter().map(|(_, v)| *v).collect();
        Some(match name {
            "min_over_time" => extremum(&values, |v, best| v < best),
            "max_over_time" => extremum(&values, |v, best| v > best),
            "ts_of_min_over_time" => time_of(floats, |v, best| v <= best),
            "ts_of_max_over_time" => time_of(floats, |v, best| v >= best),
            "stdvar_over_time" => variance_over_time(&values),
            "stddev_over_time" => variance_over_time(&values).sqrt(),
            "quantile_over_time" => quantile(self.params[0], &values),
            "mad_over_time" if values.iter().any(|v| v.is_nan()) => f64::NAN,
            "mad_over_time" => {
                let median = quantile(0.5, &values);
                let distances: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
                quantile(0.5, &distances)
            }
            "deriv" if floats.len() > 1 => regression(floats, floats[0].0).0,
            "predict_linear" if floats.len() > 1 => {
                let (slope, intercept) = regression(floats, self.time);
                slope * self.params[0] + intercept
            }
            _ => return None,
        })
    }

    /// `sum_over_time` and `avg_over_time`
    pub(super) fn total(&self, is_mean: bool) -> Option<Val> {
        let (floats, hists) = (self.window.floats(), self.window.hists());
        if !floats.is_empty() && !hists.is_empty() {
            self.mixed();
            return None;
        }
        if hists.is_empty() {
            let values: Vec<f64> = floats.iter().map(|(_, v)| *v).collect();
            let total = if is_mean {
                mean(&values)
            } else {
                sum_over_time(&values)
            };
            return Some(Val::Float(total));
        }
        let mut total = Total::new(hists[0].1, is_mean);
        for (_, next) in &hists[1..] {
            if total.add(next).is_err() {
                self.mixed_buckets();
                return None;
            }
        }
        if total.conflict() {
            let text = "conflicting counter resets during histogram aggregation";
            self.notes.warn(text, self.at);
        }
        if total.reconciled {
            self.reconciled("aggregation");
        }
        Some(total.finish().into())
    }
}

/// The time of the last sample that attains the extremum.
fn time_of(floats: &[(Timestamp, f64)], as_good: fn(f64, f64) -> bool) -> f64 {
    let (mut time, mut best) = floats[0];
    for &(t, v) in &floats[1..] {
        if best.is_nan() || as_good(v, best) {
            (time, best) = (t, v);
        }
    }
    seconds(time)
}

/// How many samples stand in a relation to the one before.
pub(super) fn count_pairs(samples: &[Sample], counts: fn(&Sample, &Sample) -> bool) -> f64 {
    let pairs = samples.windows(2);
    pairs.filter(|pair| counts(&pair[0], &pair[1])).count() as f64
}

/// Whether a sample differs from the one before.
pub(super) fn changed(prev: &Sample, cur: &Sample) -> bool {
    match (&prev.val, &cur.val) {
        (Val::Float(a), Val::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Val::Hist(a), Val::Hist(b)) => !a.equals(b),
        _ => true,
    }
}

/// Whether a counter started anew.
pub(super) fn was_reset(prev: &Sample, cur: &Sample) -> bool {
    match (&prev.val, &cur.val) {
        (Val::Float(a), Val::Float(b)) => b < a || restarts(prev, cur),
        (Val::Hist(a), Val::Hist(b)) => is_reset(a, b) || restarts(prev, cur),
        _ => true,
    }
}
