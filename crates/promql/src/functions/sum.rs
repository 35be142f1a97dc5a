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
    /// What a first value is added to so that it comes out as it is, a negative zero included.
    pub(crate) const NOTHING: Self = Self {
        sum: -0.0,
        lost: 0.0,
    };

    /// Adds `x`.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let total = self.sum + x;
        // Both are computed and one is chosen, which is cheaper than a branch that is often wrong.
        let of_larger_sum = (self.sum - total) + x;
        let of_larger_x = (x - total) + self.sum;
        let lost = if self.sum.abs() >= x.abs() {
            of_larger_sum
        } else {
            of_larger_x
        };
        self.lost = if total.is_infinite() {
            0.0
        } else {
            self.lost + lost
        };
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

    /// The sum, infinite as soon as the plain sum is.
    #[inline]
    pub(crate) fn value_over_time(self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.value()
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
}

/// The mean of a window, given the sum of its values.
pub(crate) fn mean(sum: Compensated, values: &[f64]) -> f64 {
    if sum.sum.is_finite() {
        let count = values.len() as f64;
        return sum.sum / count + sum.lost / count;
    }
    // Somewhere the sum left the numbers there are; step by step the mean may not.
    let mut mean = Mean::default();
    values.iter().for_each(|&v| mean.add(v));
    mean.value()
}

/// A population variance after Welford, compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: Compensated,
    squares: Compensated,
}

impl Variance {
    /// Takes `x` in.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.count += 1.0;
        let delta = x - self.mean.value();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (x - self.mean.value()));
    }

    /// The variance.
    pub(crate) fn value(&self) -> f64 {
        self.squares.value() / self.count
    }
}

/// The value below which the part `phi` of the values lies, between neighbours linearly.
/// Puts `values` into another order; NaN counts as smallest.
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
    let n = values.len();
    let rank = phi * (n as f64 - 1.0);
    let lower = (rank.floor() as usize).min(n - 1);
    let weight = rank - rank.floor();
    // Two of the values count; finding them takes no order among the others.
    let ascending = |a: &f64, b: &f64| nan_first(*a, *b);
    let (_, &mut at, above) = values.select_nth_unstable_by(lower, ascending);
    let next = above.iter().copied().min_by(ascending).unwrap_or(at);
    at * (1.0 - weight) + next * weight
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

    fn sum(values: &[f64]) -> f64 {
        let mut sum = Compensated::default();
        values.iter().for_each(|&v| sum.add(v));
        sum.value_over_time()
    }

    /// The mean by way of the sum, which must be what it is step by step.
    fn mean(values: &[f64]) -> f64 {
        let (mut sum, mut mean) = (Compensated::NOTHING, Mean::default());
        for &v in values {
            sum.add(v);
            mean.add(v);
        }
        let (value, step_by_step) = (super::mean(sum, values), mean.value());
        assert_eq!(value.to_bits(), step_by_step.to_bits(), "{values:?}");
        value
    }

    #[test]
    fn small_terms_survive() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(mean(&[1.0, 1e100, 1.0, -1e100]), 0.5);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn means_do_not_overflow() {
        let big = 9.988_465_674_311_58e307;
        assert_eq!(mean(&[big; 4]), big);
        assert_eq!(mean(&[-0.0, -0.0]), 0.0);
        assert_eq!(mean(&[0.1, -7.5, 1e-300, 3.0]), -1.1);
        assert_eq!(mean(&[f64::INFINITY, 0.0, f64::INFINITY]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn variances_and_quantiles() {
        let mut variance = Variance::default();
        for v in [0.0, 5.0, 10.0, 3.0, 8.0] {
            variance.add(v);
        }
        assert_eq!(variance.value(), 12.559999999999999);
        assert_eq!(quantile(0.5, &mut [3.0, 1.0]), 2.0);
        assert!(quantile(0.2, &mut [0.0, f64::NAN, 1.0]).is_nan());
        assert_eq!(quantile(2.0, &mut [1.0]), f64::INFINITY);
    }
}
