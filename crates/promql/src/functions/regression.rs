//! Straight lines through samples, and smoothing.

use ferula_model::Timestamp;

use super::sum::Compensated;

/// Slope (per second) and value at `reference` of the line that fits the samples best.
pub(crate) fn line(
    timestamps: &[Timestamp],
    values: &[f64],
    reference: Timestamp,
) -> Option<(f64, f64)> {
    let first = *values.first()?;
    let (mut x, mut y) = (Compensated::default(), Compensated::default());
    let (mut xy, mut xx) = (Compensated::default(), Compensated::default());
    let mut constant = true;
    for (&t, &value) in timestamps.iter().zip(values) {
        constant &= value == first;
        let seconds = (t as f64 - reference as f64) / 1000.0;
        x.add(seconds);
        y.add(value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    if constant {
        return Some(if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        });
    }
    let n = values.len() as f64;
    let (x, y) = (x.value(), y.value());
    let covariance = xy.value() - x * y / n;
    let variance = xx.value() - x * x / n;
    let slope = covariance / variance;
    Some((slope, y / n - slope * x / n))
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
        let t = [0, 15_000, 30_000];
        let (slope, at) = line(&t, &[100.0, 101.0, 102.0], 60_000).unwrap();
        assert!((slope - 1.0 / 15.0).abs() < 1e-12 && (at - 104.0).abs() < 1e-9);
        assert_eq!(line(&t, &[7.0; 3], 0), Some((0.0, 7.0)));
        assert!(line(&t, &[f64::INFINITY; 3], 0).unwrap().0.is_nan());
        assert_eq!(line(&[], &[], 0), None);
    }

    #[test]
    fn smoothing_follows_a_line() {
        let values: Vec<f64> = (0..7).map(|i| f64::from(i) * 10.0).collect();
        assert!((smooth(&values, 0.01, 0.1).unwrap() - 60.0).abs() < 1e-9);
        assert_eq!(smooth(&[1.0], 0.5, 0.5), None);
    }
}
