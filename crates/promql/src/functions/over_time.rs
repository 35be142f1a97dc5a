//! What is computed from the values of one window. No window is empty.

use ferula_model::Timestamp;

use super::sum::quantile;

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

/// Whether neighbours differ; NaN and NaN do not.
#[inline]
pub(crate) fn is_change(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

/// Whether a value is smaller than the one before.
#[inline]
pub(crate) fn is_reset(before: f64, after: f64) -> bool {
    after < before
}

/// How many neighbours there are of which `counts` holds, up to each value: a window's count is
/// the difference of those of its ends, however many windows there are.
pub(crate) fn count_up(values: &[f64], counts: impl Fn(f64, f64) -> bool, up_to: &mut Vec<f64>) {
    up_to.clear();
    up_to.reserve(values.len());
    let mut count = 0.0;
    let mut before = values.first().copied().unwrap_or_default();
    for (i, &value) in values.iter().enumerate() {
        count += f64::from(u8::from(i > 0 && counts(before, value)));
        up_to.push(count);
        before = value;
    }
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
        let mut up_to = Vec::new();
        count_up(&[1.0, NAN, NAN, 1.0, 1.0], is_change, &mut up_to);
        assert_eq!(up_to, [0.0, 1.0, 1.0, 2.0, 2.0]);
        count_up(&[1.0, 2.0, NAN, 0.0, 5.0, 4.0], is_reset, &mut up_to);
        assert_eq!(up_to, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn deviations() {
        let mut scratch = Vec::new();
        let values = [4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0];
        assert_eq!(median_deviation(&values, &mut scratch), 1.0);
        assert!(median_deviation(&[1.0, NAN], &mut scratch).is_nan());
    }
}
