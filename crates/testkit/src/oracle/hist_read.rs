//! What a native histogram tells: quantiles, fractions, variance, and parts of it (§6.3, §9.8).

use super::hist::{Bucket, Hist, Kind};
use super::sums::Sum;

/// A quantile, and what is to be said about it.
pub(super) enum Nan {
    No,
    /// The quantile lies among the observations that are NaN.
    Result,
    /// It does not, but they shift it.
    Skewed,
}

/// The φ-quantile (§9.8).
pub(super) fn quantile(q: f64, h: &Hist) -> (f64, Nan) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, Nan::No);
    }
    if q > 1.0 {
        return (f64::INFINITY, Nan::No);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, Nan::No);
    }
    let buckets = h.buckets();
    let up = h.sum.is_nan() || q < 0.5;
    let (rank, order): (f64, Vec<Bucket>) = if up {
        (q * h.count, buckets.clone())
    } else {
        ((1.0 - q) * h.count, buckets.iter().rev().copied().collect())
    };
    let mut bucket = Bucket::default();
    let mut seen = 0.0;
    for b in order {
        bucket = b;
        if b.count != 0.0 {
            seen += b.count;
            if seen >= rank {
                break;
            }
        }
    }
    if h.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, Nan::No);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, Nan::No);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        bucket = one_sided(h, bucket);
    }
    seen = seen.min(h.count);
    if seen < rank {
        return if h.sum.is_nan() {
            (f64::NAN, Nan::Result)
        } else {
            (bucket.upper, Nan::No)
        };
    }
    let fraction = if up {
        (rank - (seen - bucket.count)) / bucket.count
    } else {
        (seen - rank) / bucket.count
    };
    let total: f64 = buckets.iter().map(|b| b.count).sum();
    let nan = if h.sum.is_nan() && total < h.count {
        Nan::Skewed
    } else {
        Nan::No
    };
    (at_fraction(h, bucket, fraction), nan)
}

/// The zero bucket reaches to 0 only where all other buckets lie on one side.
fn one_sided(h: &Hist, mut bucket: Bucket) -> Bucket {
    match (h.negative.is_empty(), h.positive.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
    bucket
}

fn is_linear(h: &Hist, bucket: Bucket) -> bool {
    h.is_custom() || bucket.lower <= 0.0 && bucket.upper >= 0.0
}

/// The value below which a fraction of a bucket's observations lie.
fn at_fraction(h: &Hist, b: Bucket, fraction: f64) -> f64 {
    if is_linear(h, b) {
        return b.lower + (b.upper - b.lower) * fraction;
    }
    let (lower, upper) = (b.lower.abs().log2(), b.upper.abs().log2());
    if b.lower > 0.0 {
        (lower + (upper - lower) * fraction).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - fraction)).exp2()
    }
}

/// The fraction of a bucket's observations that lie below a value inside; the reverse of
/// [`at_fraction`].
fn fraction_at(linear: bool, b: Bucket, v: f64) -> f64 {
    if linear {
        return (v - b.lower) / (b.upper - b.lower);
    }
    let (lower, upper, v) = (b.lower.abs().log2(), b.upper.abs().log2(), v.abs().log2());
    if b.lower > 0.0 {
        (v - lower) / (upper - lower)
    } else {
        1.0 - (v - upper) / (lower - upper)
    }
}

/// The fraction of observations between two values, and whether some observations are NaN (§9.9).
pub(super) fn fraction(lo: f64, hi: f64, h: &Hist) -> (f64, bool) {
    if h.count == 0.0 || lo.is_nan() || hi.is_nan() {
        return (f64::NAN, false);
    }
    if lo >= hi {
        return (0.0, false);
    }
    let in_buckets: f64 = h.buckets().iter().map(|b| b.count).sum();
    let has_nan = h.sum.is_nan() && in_buckets < h.count;
    let count = if h.sum.is_nan() { in_buckets } else { h.count };
    ((rank(hi, h, count) - rank(lo, h, count)) / h.count, has_nan)
}

/// How many of `count` observations lie below `x`.
fn rank(x: f64, h: &Hist, count: f64) -> f64 {
    let below = unbounded_rank(x, h);
    if below > count { count } else { below }
}

fn unbounded_rank(x: f64, h: &Hist) -> f64 {
    let mut below = 0.0;
    for mut b in h.buckets() {
        let around_zero = b.lower <= 0.0 && b.upper >= 0.0;
        if around_zero {
            b = one_sided(h, b);
        }
        if b.lower >= x {
            return below;
        }
        if b.upper > x {
            let inside = if b.lower == f64::NEG_INFINITY {
                b.count
            } else if h.is_custom() || around_zero {
                b.count * (x - b.lower) / (b.upper - b.lower)
            } else {
                b.count * fraction_at(false, b, x)
            };
            return below + inside;
        }
        below += b.count;
    }
    f64::INFINITY
}

/// The variance of the observations, each at the middle of its bucket (§9.1).
pub(super) fn variance(h: &Hist) -> f64 {
    let mean = h.sum / h.count;
    let mut sum = Sum::default();
    for b in h.buckets() {
        if b.count == 0.0 {
            continue;
        }
        let middle = if h.is_custom() {
            (b.lower + b.upper) / 2.0
        } else if b.lower <= 0.0 && b.upper >= 0.0 {
            0.0
        } else {
            geometric(b.lower, b.upper)
        };
        let delta = middle - mean;
        sum = sum.inc(b.count * delta * delta);
    }
    sum.total() / h.count
}

fn geometric(lower: f64, upper: f64) -> f64 {
    let middle = (lower * upper).sqrt();
    if upper < 0.0 { -middle } else { middle }
}

/// The observations up to `x`, or from `x` on (§6.3).
pub(super) fn trim(h: &Hist, x: f64, keep_below: bool) -> Hist {
    let mut out = h.clone();
    let mut total = Sum::default();
    let mut sum = Sum::default();
    let mut changed = false;
    for b in h.buckets() {
        let (kept, middle) = if keep_below {
            keep_up_to(h, b, x)
        } else {
            keep_from(h, b, x)
        };
        changed |= kept != b.count;
        total = total.inc(kept);
        if kept != 0.0 {
            sum = sum.inc(middle * kept);
        }
        match b.kind {
            Kind::Negative(i) => out.negative.insert(i, kept),
            Kind::Positive(i) => out.positive.insert(i, kept),
            Kind::Zero => {
                out.zero = kept;
                None
            }
        };
    }
    if !changed {
        return h.clone();
    }
    out.count = total.total();
    out.sum = sum.total();
    out.compact()
}

/// Where a bucket lies for trimming, and whether its lower end is taken as 0.
fn extent(h: &Hist, b: Bucket) -> (f64, f64) {
    let b = if b.kind == Kind::Zero {
        one_sided(h, b)
    } else {
        b
    };
    // A bucket without any end counts as the last, not as the first.
    let is_first = h.is_custom() && b.lower == f64::NEG_INFINITY && b.upper < f64::INFINITY;
    let from_zero = is_first && b.upper > 0.0;
    (if from_zero { 0.0 } else { b.lower }, b.upper)
}

/// How many observations of a bucket are at most `x`, and the middle of those.
fn keep_up_to(h: &Hist, b: Bucket, x: f64) -> (f64, f64) {
    let (lower, upper) = extent(h, b);
    if upper <= x {
        return (b.count, middle(h, b, lower, upper));
    }
    if lower >= x || upper == f64::INFINITY && h.is_custom() {
        return (0.0, 0.0);
    }
    if lower == f64::NEG_INFINITY {
        return (b.count, x);
    }
    let part = Bucket { lower, upper, ..b };
    let fraction = fraction_at(h.is_custom() || b.kind == Kind::Zero, part, x);
    (b.count * fraction, middle(h, b, lower, x))
}

/// How many observations of a bucket are at least `x`, and the middle of those.
fn keep_from(h: &Hist, b: Bucket, x: f64) -> (f64, f64) {
    let (lower, upper) = extent(h, b);
    let is_last = h.is_custom() && upper == f64::INFINITY;
    if h.is_custom() && b.lower == f64::NEG_INFINITY && !is_last && x < 0.0 {
        // Who knows how far down the first bucket reaches? Unless all of it is wanted, none is.
        let whole = x == f64::NEG_INFINITY;
        return if whole {
            (b.count, middle(h, b, lower, upper))
        } else {
            (0.0, 0.0)
        };
    }
    if lower >= x {
        return (b.count, middle(h, b, lower, upper));
    }
    if upper <= x || lower == f64::NEG_INFINITY && !is_last {
        return (0.0, 0.0);
    }
    if is_last {
        return (b.count, x);
    }
    let part = Bucket { lower, upper, ..b };
    let fraction = fraction_at(h.is_custom() || b.kind == Kind::Zero, part, x);
    (b.count * (1.0 - fraction), middle(h, b, x, upper))
}

/// The middle of the part of a bucket between two values.
fn middle(h: &Hist, b: Bucket, lower: f64, upper: f64) -> f64 {
    if lower == f64::NEG_INFINITY {
        upper
    } else if upper == f64::INFINITY {
        lower
    } else if h.is_custom() || b.kind == Kind::Zero {
        (lower + upper) / 2.0
    } else {
        geometric(lower, upper)
    }
}
