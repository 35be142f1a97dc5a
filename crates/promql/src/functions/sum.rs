//! Sums that do not lose small terms beside large ones, and what is computed from them.
//!
//! Multiplications and additions must stay separate operations here: fused ones round once where
//! two roundings are part of the method, and change results.

/// A sum after Neumaier: the sum and what rounding took from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compensated {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Compensated {
    /// Adds `x`.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let total = self.sum + x;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= x.abs() {
            self.lost += (self.sum - total) + x;
        } else {
            self.lost += (x - total) + self.sum;
        }
        self.sum = total;
    }

    /// The sum.
    #[inline]
    pub(crate) fn value(self) -> f64 {
        self.sum + self.lost
    }

    /// The sum; a zero of which nothing was lost keeps its sign.
    pub(crate) fn signed_value(self) -> f64 {
        if self.lost == 0.0 {
            self.sum
        } else {
            self.value()
        }
    }

    /// The sum of `values`, infinite as soon as the plain sum is.
    pub(crate) fn over(values: &[f64]) -> f64 {
        let mut sum = Self::default();
        for &v in values {
            sum.add(v);
        }
        if sum.sum.is_infinite() {
            sum.sum
        } else {
            sum.value()
        }
    }
}

/// A mean: computed from the sum while that stays finite, step by step afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    /// The sum, or the mean itself once `stepwise`.
    acc: Compensated,
    count: f64,
    stepwise: bool,
}

impl Mean {
    /// Takes `x` in.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.acc.sum = x;
            return;
        }
        if !self.stepwise {
            let mut acc = self.acc;
            acc.add(x);
            if !acc.sum.is_infinite() {
                self.acc = acc;
                return;
            }
            self.stepwise = true;
            self.acc.sum /= self.count - 1.0;
            self.acc.lost /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        self.acc.sum *= weight;
        self.acc.lost *= weight;
        self.acc.add(x / self.count);
    }

    /// Whether nothing was taken in.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0.0
    }

    /// The mean.
    pub(crate) fn value(&self) -> f64 {
        if self.stepwise {
            self.acc.value()
        } else {
            self.acc.sum / self.count + self.acc.lost / self.count
        }
    }

    /// The mean of `values`.
    pub(crate) fn over(values: &[f64]) -> f64 {
        let mut mean = Self::default();
        for &v in values {
            mean.add(v);
        }
        mean.value()
    }
}

/// The population variance of `values` after Welford, compensated.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut squares) = (Compensated::default(), Compensated::default());
    for &v in values {
        count += 1.0;
        let delta = v - mean.value();
        mean.add(delta / count);
        squares.add(delta * (v - mean.value()));
    }
    squares.value() / count
}

/// The value below which the part `phi` of the values lies, between neighbours linearly.
/// Sorts `values`; NaN counts as smallest.
pub(crate) fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| nan_first(*a, *b));
    let n = values.len();
    let rank = phi * (n as f64 - 1.0);
    let lower = (rank.floor() as usize).min(n - 1);
    let upper = (lower + 1).min(n - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Ascending, NaN first.
pub(crate) fn nan_first(a: f64, b: f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive() {
        assert_eq!(Compensated::over(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(Mean::over(&[1.0, 1e100, 1.0, -1e100]), 0.5);
        assert_eq!(Compensated::over(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(Compensated::over(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn means_do_not_overflow() {
        let big = 9.988_465_674_311_58e307;
        assert_eq!(Mean::over(&[big; 4]), big);
        assert_eq!(
            Mean::over(&[f64::INFINITY, 0.0, f64::INFINITY]),
            f64::INFINITY
        );
        assert!(Mean::over(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn variances_and_quantiles() {
        assert_eq!(variance(&[0.0, 5.0, 10.0, 3.0, 8.0]), 12.559999999999999);
        assert_eq!(quantile(0.5, &mut [3.0, 1.0]), 2.0);
        assert!(quantile(0.2, &mut [0.0, f64::NAN, 1.0]).is_nan());
        assert_eq!(quantile(2.0, &mut [1.0]), f64::INFINITY);
    }
}
