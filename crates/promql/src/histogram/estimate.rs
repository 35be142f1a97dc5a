//! Quantiles, fractions and variances, estimated from how many observations are in each bucket.

use super::FloatHistogram;
use super::bounds::{Bucket, Place};
use crate::functions::sum::Compensated;

/// What NaN among the observations did to a quantile. They are counted, but in no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// The quantile lies among them.
    Result,
    /// The quantile is higher than it would be without them.
    Skewed,
}

impl FloatHistogram {
    /// The value below which the part `phi` of the observations lies.
    pub(crate) fn quantile(&self, phi: f64) -> (f64, Option<NanNote>) {
        let count = self.count();
        if phi < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if phi > 1.0 {
            return (f64::INFINITY, None);
        }
        if phi.is_nan() || count == 0.0 {
            return (f64::NAN, None);
        }
        let has_nan = self.sum.value().is_nan();
        // With NaN the highest observations are unknown, so ranks are counted from below.
        let upwards = has_nan || phi < 0.5;
        let rank = if upwards { phi } else { 1.0 - phi } * count;
        let buckets = self.buckets();
        let (mut bucket, walked) = if upwards {
            walk(buckets.iter(), rank)
        } else {
            walk(buckets.iter().rev(), rank)
        };
        if self.has_custom_buckets() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return (bucket.upper, None);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return (bucket.lower, None);
            }
        } else {
            self.narrow_zero(&mut bucket);
        }
        // Rounding may have found more observations than there are.
        let walked = walked.min(count);
        if walked < rank {
            return if has_nan {
                (f64::NAN, Some(NanNote::Result))
            } else {
                (bucket.upper, None)
            };
        }
        let inside = if upwards {
            rank - (walked - bucket.count)
        } else {
            walked - rank
        };
        let total: f64 = buckets.iter().map(|b| b.count).sum();
        let note = (has_nan && total < count).then_some(NanNote::Skewed);
        (self.value_at(&bucket, inside / bucket.count), note)
    }

    /// The value at the part `fraction` of a bucket.
    fn value_at(&self, bucket: &Bucket, fraction: f64) -> f64 {
        let Bucket { lower, upper, .. } = *bucket;
        if self.is_linear(bucket) {
            return lower + (upper - lower) * fraction;
        }
        let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
        if lower > 0.0 {
            (log_lower + (log_upper - log_lower) * fraction).exp2()
        } else {
            -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
        }
    }

    /// The part of a bucket's observations below `x`, which lies inside.
    pub(super) fn fraction_below(&self, bucket: &Bucket, x: f64) -> f64 {
        let Bucket { lower, upper, .. } = *bucket;
        if self.is_linear(bucket) {
            return (x - lower) / (upper - lower);
        }
        let (log_lower, log_upper, log_x) =
            (lower.abs().log2(), upper.abs().log2(), x.abs().log2());
        if x > 0.0 {
            (log_x - log_lower) / (log_upper - log_lower)
        } else {
            1.0 - (log_x - log_upper) / (log_lower - log_upper)
        }
    }

    /// Whether observations are taken to be spread evenly, rather than by their logarithms.
    pub(super) fn is_linear(&self, bucket: &Bucket) -> bool {
        self.has_custom_buckets() || (bucket.lower <= 0.0 && bucket.upper >= 0.0)
    }

    /// The part of the observations between `lower` and `upper`, and whether there are NaN among
    /// them, which are between nothing.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> (f64, bool) {
        let count = self.count();
        if lower.is_nan() || upper.is_nan() || count == 0.0 {
            return (f64::NAN, false);
        }
        if lower >= upper {
            return (0.0, false);
        }
        let mut buckets = self.buckets();
        for bucket in &mut buckets {
            let starts_at_zero = self.negative.is_empty()
                && bucket.lower < 0.0
                && bucket.upper >= 0.0
                && (self.has_custom_buckets() || !self.positive.is_empty());
            if starts_at_zero {
                bucket.lower = 0.0;
            } else if !self.has_custom_buckets() {
                self.narrow_zero(bucket);
            }
        }
        let total: f64 = buckets.iter().map(|b| b.count).sum();
        let sum_is_nan = self.sum.value().is_nan();
        let has_nan = sum_is_nan && total < count;
        // What is above all buckets is above all observations, but for those that are NaN.
        let all = if sum_is_nan { total } else { count };
        let rank = |x| match self.rank_of(x, &buckets) {
            Some(rank) if rank > all => all,
            Some(rank) => rank,
            None => all,
        };
        ((rank(upper) - rank(lower)) / count, has_nan)
    }

    /// How many observations are estimated to lie below `x`, if a bucket ends above it.
    fn rank_of(&self, x: f64, buckets: &[Bucket]) -> Option<f64> {
        let mut below = 0.0;
        for bucket in buckets {
            if bucket.lower >= x {
                return Some(below);
            }
            if x < bucket.upper {
                return Some(if bucket.lower == f64::NEG_INFINITY {
                    // Where in it observations are, nobody knows: all count.
                    below + bucket.count
                } else if self.has_custom_buckets() && bucket.upper == f64::INFINITY {
                    below
                } else if self.is_linear(bucket) {
                    below + bucket.count * (x - bucket.lower) / (bucket.upper - bucket.lower)
                } else {
                    below + bucket.count * self.fraction_below(bucket, x)
                });
            }
            below += bucket.count;
        }
        None
    }

    /// The population variance.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum.value() / self.count();
        let mut squares = Compensated::default();
        for bucket in self.buckets() {
            let middle = if !self.has_custom_buckets() && bucket.place == Place::Zero {
                0.0
            } else {
                self.middle(bucket.lower, bucket.upper)
            };
            let distance = middle - mean;
            squares.add(bucket.count * distance * distance);
        }
        squares.value() / self.count()
    }

    /// The middle between two bounds on one side of zero.
    pub(super) fn middle(&self, lower: f64, upper: f64) -> f64 {
        if self.has_custom_buckets() {
            return (lower + upper) / 2.0;
        }
        let middle = (lower * upper).sqrt();
        if upper < 0.0 { -middle } else { middle }
    }
}

/// The first bucket at which `rank` observations have gone by, and how many have. Without one,
/// the last.
fn walk<'b>(buckets: impl Iterator<Item = &'b Bucket>, rank: f64) -> (Bucket, f64) {
    let mut walked = 0.0;
    let mut last = Bucket {
        lower: 0.0,
        upper: 0.0,
        count: 0.0,
        place: Place::Zero,
    };
    for bucket in buckets {
        walked += bucket.count;
        last = *bucket;
        if walked >= rank {
            break;
        }
    }
    (last, walked)
}
