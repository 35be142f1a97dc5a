//! How fast series change: extrapolation to the window's edges, and counter resets.

use ferula_model::Timestamp;

use super::starts::{Stamps, each_pair};
use crate::select::{Spans, Windows};

/// How much further than the mean distance of samples the first or last one may be from the
/// window's edge for the series to be taken as reaching beyond it.
const EXTRAPOLATION_SLACK: f64 = 1.1;

/// The functions that extrapolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extrapolated {
    /// Of a counter, per second.
    Rate,
    /// Of a counter.
    Increase,
    /// Of a gauge.
    Delta,
}

impl Extrapolated {
    /// Whether falling values are resets.
    pub(crate) fn is_counter(self) -> bool {
        self != Self::Delta
    }

    /// What the change between a window's samples is multiplied with.
    pub(crate) fn scale(self, factor: f64, width_ms: i64) -> f64 {
        match self {
            Self::Rate => factor / (width_ms as f64 / 1000.0),
            Self::Increase | Self::Delta => factor,
        }
    }
}

/// Fills `out` with `rate`, `increase` or `delta` of each window that holds two samples.
/// `spans` says which samples each window holds; `resets` is room for the places where the counter fell, kept from series to series.
pub(crate) fn extrapolate(
    kind: Extrapolated,
    timestamps: &[Timestamp],
    values: &[f64],
    (windows, spans): (Windows, &Spans),
    resets: &mut Vec<usize>,
    out: &mut [f64],
) {
    resets.clear();
    if kind.is_counter() {
        find_resets(values, resets);
    }
    let mut first_reset = 0;
    spans.each(|step, lo, hi| {
        if hi - lo < 2 {
            return;
        }
        while first_reset < resets.len() && resets[first_reset] <= lo {
            first_reset += 1;
        }
        let mut change = values[hi - 1] - values[lo];
        for &at in resets[first_reset..].iter().take_while(|&&at| at < hi) {
            change += values[at - 1];
        }
        let window = Window {
            edges: windows.edges(step),
            samples: (timestamps[lo], timestamps[hi - 1]),
            count: hi - lo,
        };
        let factor = window.factor(kind.is_counter().then_some((values[lo], change)));
        out[step] = change * kind.scale(factor, windows.width_ms);
    });
}

/// Counters with start timestamps, one for each value.
pub(crate) struct StartedCounters<'c> {
    pub(crate) timestamps: &'c [Timestamp],
    pub(crate) values: &'c [f64],
    pub(crate) starts: &'c [Timestamp],
}

impl StartedCounters<'_> {
    /// Fills `out` with `rate` or `increase` of each window as [`extrapolate`] does, but knows of
    /// new starts that no falling value shows, and that a counter was zero when it started. Gives
    /// back the steps whose windows have samples whose counting overlaps that of the one before.
    pub(crate) fn extrapolate(
        &self,
        kind: Extrapolated,
        (windows, spans): (Windows, &Spans),
        out: &mut [f64],
    ) -> Vec<usize> {
        let (timestamps, values) = (self.timestamps, self.values);
        let (mut resets, mut overlaps) = (Vec::new(), Vec::new());
        each_pair(timestamps, self.starts, |i, before, sample| {
            if values[i] < values[i - 1] || sample.is_restart_after(before) {
                resets.push(i);
            }
            if sample.overlaps(before) {
                overlaps.push(i);
            }
        });
        let among = |places: &[usize], lo: usize, hi: usize| {
            places.partition_point(|&i| i <= lo)..places.partition_point(|&i| i < hi)
        };
        let mut overlapping = Vec::new();
        spans.each(|step, lo, hi| {
            let edges = windows.edges(step);
            let zero_at = (lo < hi).then(|| self.stamps(lo).zero_after(edges.0));
            let zero_at = zero_at.flatten();
            if hi - lo < 2 && zero_at.is_none() {
                return;
            }
            if !among(&overlaps, lo, hi).is_empty() {
                overlapping.push(step);
            }
            let mut change = values[hi - 1] - values[lo];
            for &at in &resets[among(&resets, lo, hi)] {
                change += values[at - 1];
            }
            let window = Window {
                edges,
                samples: (timestamps[lo], timestamps[hi - 1]),
                count: hi - lo,
            };
            let factor = match zero_at {
                Some(zero_at) => {
                    change += values[lo];
                    window.factor_since(zero_at)
                }
                None => window.factor(Some((values[lo], change))),
            };
            out[step] = change * kind.scale(factor, windows.width_ms);
        });
        overlapping
    }

    /// Whether sample `i` counts anew though its value may not have fallen.
    pub(crate) fn restarts_at(&self, i: usize) -> bool {
        self.stamps(i).is_restart_after(self.stamps(i - 1))
    }

    fn stamps(&self, i: usize) -> Stamps {
        Stamps {
            at: self.timestamps[i],
            start: self.starts[i],
        }
    }
}

/// Indices of values smaller than the one before. NaN is not smaller than anything.
fn find_resets(values: &[f64], resets: &mut Vec<usize>) {
    for i in 1..values.len() {
        if values[i] < values[i - 1] {
            resets.push(i);
        }
    }
}

/// A window and the samples in it.
pub(crate) struct Window {
    /// The first is outside, the second inside.
    pub(crate) edges: (Timestamp, Timestamp),
    /// The times of the first and the last sample.
    pub(crate) samples: (Timestamp, Timestamp),
    pub(crate) count: usize,
}

impl Window {
    /// By how much the change between the samples falls short of that between the edges.
    /// `counter` is a counter's first value and its change: it was never below zero.
    pub(crate) fn factor(&self, counter: Option<(f64, f64)>) -> f64 {
        let span = seconds(self.samples.0, self.samples.1);
        let mut to_start = self.reach(seconds(self.edges.0, self.samples.0));
        if let Some((first, change)) = counter
            && change > 0.0
            && first >= 0.0
        {
            to_start = to_start.min(span * (first / change));
        }
        let to_end = self.reach(seconds(self.samples.1, self.edges.1));
        if span == 0.0 {
            return 1.0;
        }
        (span + to_start + to_end) / span
    }

    /// The same of the change since `zero_at`, a time in the window before its samples: towards
    /// the start, there is nothing to guess.
    pub(crate) fn factor_since(&self, zero_at: Timestamp) -> f64 {
        let span = seconds(zero_at, self.samples.1);
        (span + self.reach(seconds(self.samples.1, self.edges.1))) / span
    }

    /// How far the series is taken to reach beyond a sample that is `distance` from an edge.
    fn reach(&self, distance: f64) -> f64 {
        let gaps = self.count.saturating_sub(1).max(1) as f64;
        let mean_distance = seconds(self.samples.0, self.samples.1) / gaps;
        if distance >= mean_distance * EXTRAPOLATION_SLACK {
            mean_distance / 2.0
        } else {
            distance
        }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.saturating_sub(from) as f64 / 1000.0
}

/// The change between the last two samples: of a gauge, or of a counter per second, which may be
/// known to have `restarted` between them. `None` if they have the same time.
pub(crate) fn between(
    per_second: bool,
    restarted: bool,
    timestamps: [Timestamp; 2],
    values: [f64; 2],
) -> Option<f64> {
    let elapsed_ms = timestamps[1].saturating_sub(timestamps[0]);
    if elapsed_ms == 0 {
        return None;
    }
    let [before, last] = values;
    if !per_second {
        return Some(last - before);
    }
    let change = if restarted || last < before {
        last
    } else {
        last - before
    };
    Some(change / (elapsed_ms as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Grid;
    use crate::select::Refs;

    /// One window `(end − width, end]`, in seconds, over samples 15 s apart from `first` on.
    fn check(kind: Extrapolated, first: i64, values: &[f64], end: i64, width: i64) -> f64 {
        let timestamps: Vec<i64> = (0..values.len() as i64)
            .map(|i| (first + 15 * i) * 1000)
            .collect();
        let grid = Grid::range(end * 1000, end * 1000, 0);
        let windows = Windows {
            refs: Refs::new(grid, None, 0),
            width_ms: width * 1000,
        };
        let mut spans = Spans::default();
        spans.find(windows, &timestamps);
        let mut out = [f64::NAN];
        extrapolate(
            kind,
            &timestamps,
            values,
            (windows, &spans),
            &mut Vec::new(),
            &mut out,
        );
        out[0]
    }

    #[test]
    fn as_the_reference_computes() {
        use Extrapolated::{Delta, Increase, Rate};
        let a = [0.0, 5.0, 10.0, 3.0, 8.0];
        let b = [100.0, 101.0, 102.0, 103.0, 104.0];
        let z = [2.0, 4.0, 6.0];
        assert_eq!(check(Rate, 0, &a, 60, 60), 0.28888888888888886);
        assert_eq!(check(Increase, 0, &a, 60, 60), 17.333333333333332);
        assert_eq!(check(Increase, 0, &a, 70, 60), 17.333333333333332);
        assert_eq!(check(Delta, 0, &a, 60, 60), 4.0);
        assert_eq!(check(Increase, 0, &b, 60, 60), 4.0);
        assert_eq!(check(Increase, 30, &z, 60, 60), 5.0);
        assert_eq!(check(Increase, 30, &z, 90, 120), 6.0);
        assert!(
            check(Rate, 0, &a, 60, 15).is_nan(),
            "one sample is not enough"
        );
    }

    #[test]
    fn last_two() {
        let times = [30_000, 45_000];
        assert_eq!(between(true, false, times, [10.0, 3.0]), Some(0.2));
        assert_eq!(between(true, false, times, [3.0, 6.0]), Some(0.2));
        assert_eq!(between(true, true, times, [3.0, 6.0]), Some(0.4));
        assert_eq!(between(false, false, times, [10.0, 3.0]), Some(-7.0));
        assert_eq!(between(true, false, [5, 5], [1.0, 2.0]), None);
    }
}
