//! What is computed from the values of one window. No window is empty.

use ferula_model::Timestamp;

use super::sum::{nan_first, quantile};

/// The smallest value; NaN only if there is nothing else.
pub(crate) fn min(values: &[f64]) -> f64 {
    best_of(values, |v, best| v < best)
}

/// The largest value; NaN only if there is nothing else.
pub(crate) fn max(values: &[f64]) -> f64 {
    best_of(values, |v, best| v > best)
}

/// When the smallest value was last seen, in seconds.
pub(crate) fn time_of_min(timestamps: &[Timestamp], values: &[f64]) -> f64 {
    seconds(timestamps[position_of(values, |v, best| v <= best)])
}

/// When the largest value was last seen, in seconds.
pub(crate) fn time_of_max(timestamps: &[Timestamp], values: &[f64]) -> f64 {
    seconds(timestamps[position_of(values, |v, best| v >= best)])
}

/// The first value that no other is `better` than; NaN is worse than all.
#[inline]
fn best_of(values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let replaces = |v, best: f64| better(v, best) || best.is_nan();
    values[1..].iter().fold(
        values[0],
        |best, &v| if replaces(v, best) { v } else { best },
    )
}

/// Where the value stands that no other is `better` than; NaN is worse than all.
#[inline]
fn position_of(values: &[f64], better: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (i, &v) in values.iter().enumerate().skip(1) {
        if better(v, values[best]) || values[best].is_nan() {
            best = i;
        }
    }
    best
}

/// Milliseconds as seconds.
pub(crate) fn seconds(timestamp: Timestamp) -> f64 {
    timestamp as f64 / 1000.0
}

/// How often neighbours differ; NaN and NaN do not.
pub(crate) fn changes(values: &[f64]) -> f64 {
    let differ = |w: &&[f64]| w[0] != w[1] && !(w[0].is_nan() && w[1].is_nan());
    values.windows(2).filter(differ).count() as f64
}

/// How often a value is smaller than the one before.
pub(crate) fn resets(values: &[f64]) -> f64 {
    values.windows(2).filter(|w| w[1] < w[0]).count() as f64
}

/// The quantile `phi`; `scratch` is room kept from window to window.
pub(crate) fn quantile_of(phi: f64, values: &[f64], scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(values);
    quantile(phi, scratch)
}

/// The median of the distances from the median; NaN if any value is.
pub(crate) fn median_deviation(values: &[f64], scratch: &mut Vec<f64>) -> f64 {
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile_of(0.5, values, scratch);
    for v in scratch.iter_mut() {
        *v = (*v - median).abs();
    }
    scratch.sort_unstable_by(|a, b| nan_first(*a, *b));
    quantile(0.5, scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    #[test]
    fn extremes_ignore_nan() {
        assert_eq!(min(&[NAN, 3.0, NAN, 1.0]), 1.0);
        assert_eq!(max(&[1.0, NAN, 5.0]), 5.0);
        assert!(min(&[NAN, NAN]).is_nan());
        assert_eq!(time_of_max(&[1000, 2000, 3000], &[5.0, 5.0, 1.0]), 2.0);
        assert_eq!(time_of_min(&[1000, 2000, 3000], &[NAN, 5.0, 5.0]), 3.0);
    }

    #[test]
    fn neighbours() {
        assert_eq!(changes(&[1.0, NAN, NAN, 1.0, 1.0]), 2.0);
        assert_eq!(resets(&[1.0, 2.0, NAN, 0.0, 5.0, 4.0]), 1.0);
    }

    #[test]
    fn deviations() {
        let mut scratch = Vec::new();
        let values = [4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0];
        assert_eq!(median_deviation(&values, &mut scratch), 1.0);
        assert!(median_deviation(&[1.0, NAN], &mut scratch).is_nan());
    }
}
