//! `</` and `>/`: the observations on one side of a value.

use super::bounds::{Bucket, Place};
use super::{FloatHistogram, exact};
use crate::functions::sum::Compensated;

/// Which observations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those not above the value.
    Below,
    /// Those not below the value.
    Above,
}

/// What is left of a bucket.
struct Kept {
    count: f64,
    /// Where its observations are taken to be.
    middle: f64,
}

const NOTHING: Kept = Kept {
    count: 0.0,
    middle: 0.0,
};

impl FloatHistogram {
    /// Keeps the observations on one side of `x`. If that is all of them, nothing changes.
    pub(crate) fn trim(&mut self, side: Side, x: f64) {
        let (mut count, mut sum) = (Compensated::default(), Compensated::default());
        let mut changed = false;
        let mut kept_counts = Vec::new();
        for bucket in self.buckets() {
            let kept = self.trim_bucket(bucket, side, x);
            changed |= kept.count != bucket.count;
            if kept.count != 0.0 {
                count.add(kept.count);
                sum.add(kept.count * kept.middle);
            }
            kept_counts.push((bucket.place, kept.count));
        }
        if !changed {
            return;
        }
        for (place, kept) in kept_counts {
            let number = match place {
                Place::Negative(i) => &mut self.negative[i].1,
                Place::Zero => &mut self.zero,
                Place::Positive(i) => &mut self.positive[i].1,
            };
            *number = exact(kept);
        }
        self.count = exact(count.value());
        self.sum = exact(sum.value());
    }

    fn trim_bucket(&self, mut bucket: Bucket, side: Side, x: f64) -> Kept {
        let population = bucket.count;
        let whole = |middle| Kept {
            count: population,
            middle,
        };
        let open_below = bucket.lower == f64::NEG_INFINITY;
        let open_above = self.has_custom_buckets() && bucket.upper == f64::INFINITY;
        if self.has_custom_buckets() && open_below {
            if bucket.upper > 0.0 && !open_above {
                if side == Side::Above && x < 0.0 && x > f64::NEG_INFINITY {
                    return NOTHING;
                }
                bucket.lower = 0.0;
            } else if !open_above {
                return match side {
                    Side::Below if bucket.upper <= x => whole(bucket.upper),
                    Side::Below if x == f64::NEG_INFINITY => NOTHING,
                    Side::Below => whole(x),
                    Side::Above if x == f64::NEG_INFINITY => whole(bucket.upper),
                    Side::Above => NOTHING,
                };
            }
        }
        if bucket.place == Place::Zero {
            self.narrow_zero(&mut bucket);
        }
        let Bucket {
            lower,
            upper,
            count,
            place,
        } = bucket;
        let middle = |lower: f64, upper: f64| match place {
            Place::Zero => (lower + upper) / 2.0,
            _ if open_above => lower,
            _ => self.middle(lower, upper),
        };
        match side {
            Side::Below if upper <= x => whole(middle(lower, upper)),
            Side::Below if lower >= x || open_above => NOTHING,
            Side::Below => Kept {
                count: count * self.fraction_below(&bucket, x),
                middle: middle(lower, x),
            },
            Side::Above if lower >= x => whole(middle(lower, upper)),
            Side::Above if upper <= x => NOTHING,
            Side::Above if open_above => whole(x),
            Side::Above => Kept {
                count: count * (1.0 - self.fraction_below(&bucket, x)),
                middle: middle(x, upper),
            },
        }
    }
}
