//! Straight lines through samples, and smoothing.

use ferula_model::Timestamp;

use super::sum::Compensated;

/// The straight line that fits samples best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    reference: Timestamp,
    /// The first value, if all are the same.
    constant: Option<f64>,
    count: f64,
    x: Compensated,
    y: Compensated,
    xy: Compensated,
    xx: Compensated,
}

impl Line {
    /// A line through nothing yet. `reference` is where its value is wanted; all samples may have
    /// the value `first`.
    pub(crate) fn new(reference: Timestamp, first: f64) -> Self {
        Self {
            reference,
            constant: Some(first),
            count: 0.0,
            x: Compensated::default(),
            y: Compensated::default(),
            xy: Compensated::default(),
            xx: Compensated::default(),
        }
    }

    /// Takes a sample in.
    #[inline]
    pub(crate) fn add(&mut self, timestamp: Timestamp, value: f64) {
        if self.constant.is_some_and(|first| value != first) {
            self.constant = None;
        }
        let seconds = (timestamp as f64 - self.reference as f64) / 1000.0;
        self.count += 1.0;
        self.x.add(seconds);
        self.y.add(value);
        self.xy.add(seconds * value);
        self.xx.add(seconds * seconds);
    }

    /// The slope per second, and the value at the reference.
    pub(crate) fn fit(&self) -> (f64, f64) {
        match self.constant {
            Some(value) if value.is_infinite() => return (f64::NAN, f64::NAN),
            Some(value) => return (0.0, value),
            None => {}
        }
        let n = self.count;
        let (x, y) = (self.x.value(), self.y.value());
        let covariance = self.xy.value() - x * y / n;
        let variance = self.xx.value() - x * x / n;
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
            let mut line = Line::new(reference, values[0]);
            let samples = [0, 15_000, 30_000].into_iter().zip(values);
            samples.for_each(|(t, v)| line.add(t, v));
            line.fit()
        };
        let (slope, at) = fit([100.0, 101.0, 102.0], 60_000);
        assert!((slope - 1.0 / 15.0).abs() < 1e-12 && (at - 104.0).abs() < 1e-9);
        assert_eq!(fit([7.0; 3], 0), (0.0, 7.0));
        assert!(fit([f64::INFINITY; 3], 0).0.is_nan());
        assert!(fit([1.0, f64::NAN, 1.0], 0).0.is_nan());
    }

    #[test]
    fn smoothing_follows_a_line() {
        let values: Vec<f64> = (0..7).map(|i| f64::from(i) * 10.0).collect();
        assert!((smooth(&values, 0.01, 0.1).unwrap() - 60.0).abs() < 1e-9);
        assert_eq!(smooth(&[1.0], 0.5, 0.5), None);
    }
}
