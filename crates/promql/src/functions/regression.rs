//! Straight lines through samples, and smoothing.

use std::cell::Cell;

use ferula_model::Timestamp;

use super::sum::Compensated;

/// A time relative to a reference, in seconds.
#[inline]
fn seconds_from(reference: Timestamp, timestamp: Timestamp) -> f64 {
    (timestamp as f64 - reference as f64) / 1000.0
}

/// What a line needs of the times of its samples: their sum and that of their squares.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimeSums {
    x: Compensated,
    xx: Compensated,
}

impl TimeSums {
    #[inline]
    fn add(&mut self, seconds: f64) {
        self.x.add(seconds);
        self.xx.add(seconds * seconds);
    }
}

/// Windows of evenly spaced samples of the same number have the same sums of times. They are
/// computed once for neighbours.
#[derive(Debug, Default)]
pub(crate) struct KnownTimes {
    /// How often the distance of samples has changed, up to each.
    uneven: Vec<u32>,
    /// The first time relative to the reference, the distance of samples, and their number.
    shape: Cell<(Timestamp, Timestamp, usize)>,
    sums: Cell<TimeSums>,
}

impl KnownTimes {
    /// Looks at the times of a series.
    pub(crate) fn find(&mut self, timestamps: &[Timestamp]) {
        self.uneven.clear();
        let mut changes = 0;
        for i in 0..timestamps.len() {
            if i >= 2 {
                let distance = |i: usize| timestamps[i].wrapping_sub(timestamps[i - 1]);
                changes += u32::from(distance(i) != distance(i - 1));
            }
            self.uneven.push(changes);
        }
    }

    /// The sums of the times from `lo` to before `hi`, if the samples are evenly spaced.
    pub(crate) fn of(
        &self,
        timestamps: &[Timestamp],
        (lo, hi): (usize, usize),
        reference: Timestamp,
    ) -> Option<TimeSums> {
        if hi - lo < 2 || self.uneven[hi - 1] != self.uneven[lo + 1] {
            return None;
        }
        let first = timestamps[lo];
        let distance = timestamps[lo + 1].wrapping_sub(first);
        let shape = (first.wrapping_sub(reference), distance, hi - lo);
        if self.shape.get() != shape {
            let mut sums = TimeSums::default();
            for &timestamp in &timestamps[lo..hi] {
                sums.add(seconds_from(reference, timestamp));
            }
            self.shape.set(shape);
            self.sums.set(sums);
        }
        Some(self.sums.get())
    }
}

/// The straight line that fits samples best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    reference: Timestamp,
    /// The first value, if all are the same.
    constant: Option<f64>,
    count: f64,
    times: TimeSums,
    times_known: bool,
    y: Compensated,
    xy: Compensated,
}

impl Line {
    /// A line through nothing yet. `reference` is where its value is wanted; all samples may have
    /// the value `first`; `times` are the sums of all times, if they are known.
    pub(crate) fn new(reference: Timestamp, first: f64, times: Option<TimeSums>) -> Self {
        Self {
            reference,
            constant: Some(first),
            count: 0.0,
            times_known: times.is_some(),
            times: times.unwrap_or_default(),
            y: Compensated::default(),
            xy: Compensated::default(),
        }
    }

    /// Takes a sample in.
    #[inline]
    pub(crate) fn add(&mut self, timestamp: Timestamp, value: f64) {
        if self.constant.is_some_and(|first| value != first) {
            self.constant = None;
        }
        let seconds = seconds_from(self.reference, timestamp);
        self.count += 1.0;
        self.y.add(value);
        self.xy.add(seconds * value);
        if !self.times_known {
            self.times.add(seconds);
        }
    }

    /// The slope per second, and the value at the reference.
    pub(crate) fn fit(&self) -> (f64, f64) {
        match self.constant {
            Some(value) if value.is_infinite() => return (f64::NAN, f64::NAN),
            Some(value) => return (0.0, value),
            None => {}
        }
        let n = self.count;
        let (x, y) = (self.times.x.value(), self.y.value());
        let covariance = self.xy.value() - x * y / n;
        let variance = self.times.xx.value() - x * x / n;
        let slope = covariance / variance;
        (slope, y / n - slope * x / n)
    }
}

/// Double exponential smoothing: the smoothed last value. Needs two values.
pub(crate) fn smooth(values: &[f64], smoothing: f64, trend: f64) -> Option<f64> {
    let [first, second, ..] = *values else {
        return None;
    };
    let mut before = 0.0;
    let mut level = first;
    let mut slope = second - first;
    for (i, &value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let fit = |values: [f64; 3], reference| {
            let times = [0, 15_000, 30_000];
            let mut known = KnownTimes::default();
            known.find(&times);
            let [a, b] = [None, known.of(&times, (0, 3), reference)].map(|known| {
                let mut line = Line::new(reference, values[0], known);
                let samples = times.into_iter().zip(values);
                samples.for_each(|(t, v)| line.add(t, v));
                line.fit()
            });
            assert_eq!([a.0, a.1].map(f64::to_bits), [b.0, b.1].map(f64::to_bits));
            a
        };
        let (slope, at) = fit([100.0, 101.0, 102.0], 60_000);
        assert!((slope - 1.0 / 15.0).abs() < 1e-12 && (at - 104.0).abs() < 1e-9);
        assert_eq!(fit([7.0; 3], 0), (0.0, 7.0));
        assert!(fit([f64::INFINITY; 3], 0).0.is_nan());
        assert!(fit([1.0, f64::NAN, 1.0], 0).0.is_nan());
    }

    #[test]
    fn times_are_shared_by_windows_of_one_shape() {
        let times = [0, 10, 20, 30, 45, 60, 75, 90];
        let mut known = KnownTimes::default();
        known.find(&times);
        for lo in 0..times.len() {
            for hi in lo + 1..=times.len() {
                for reference in [times[lo], times[hi - 1], 1_000] {
                    let gaps: Vec<i64> = times[lo..hi].windows(2).map(|w| w[1] - w[0]).collect();
                    let even = !gaps.is_empty() && gaps.iter().all(|gap| *gap == gaps[0]);
                    let sums = known.of(&times, (lo, hi), reference);
                    assert_eq!(sums.is_some(), even, "{lo}..{hi}");
                    let mut expected = TimeSums::default();
                    for &t in &times[lo..hi] {
                        expected.add(seconds_from(reference, t));
                    }
                    if let Some(sums) = sums {
                        assert_eq!(sums.x.value().to_bits(), expected.x.value().to_bits());
                        assert_eq!(sums.xx.value().to_bits(), expected.xx.value().to_bits());
                    }
                }
            }
        }
    }

    #[test]
    fn smoothing_follows_a_line() {
        let values: Vec<f64> = (0..7).map(|i| f64::from(i) * 10.0).collect();
        assert!((smooth(&values, 0.01, 0.1).unwrap() - 60.0).abs() < 1e-9);
        assert_eq!(smooth(&[1.0], 0.5, 0.5), None);
    }
}
