//! Quantiles and fractions of classic histograms: counters per upper bound.

/// Buckets this close to each other, relatively, differ by rounding only.
const NEARLY_EQUAL: f64 = 1e-12;

/// A bucket: its upper bound, and how many observations are not above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Which buckets had to be raised so that counts do not fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Raised {
    pub(crate) first: f64,
    pub(crate) last: f64,
    pub(crate) max_diff: f64,
}

/// Parses the value of a `le` label.
pub(crate) fn parse_bound(text: &str) -> Option<f64> {
    // Rust also takes `infinity`, as Go does; neither takes white space.
    text.parse().ok()
}

/// The value below which the part `phi` of the observations lies. Buckets are sorted by bound;
/// they are merged and repaired in place.
pub(crate) fn quantile(phi: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Raised>) {
    if phi.is_nan() {
        return (f64::NAN, None);
    }
    if phi < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if phi > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    merge_equal_bounds(buckets);
    let raised = make_monotonic(buckets);
    let total = buckets[buckets.len() - 1].count;
    if buckets.len() < 2 || total == 0.0 || total.is_nan() {
        return (f64::NAN, raised);
    }
    (value_at_rank(phi * total, buckets), raised)
}

fn value_at_rank(rank: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let b = buckets[..last].partition_point(|b| b.count < rank);
    if b == last {
        return buckets[last - 1].upper;
    }
    if b == 0 && buckets[0].upper <= 0.0 {
        return buckets[0].upper;
    }
    let upper = buckets[b].upper;
    let (lower, below) = match b.checked_sub(1) {
        Some(before) => (buckets[before].upper, buckets[before].count),
        None => (0.0, 0.0),
    };
    lower + (upper - lower) * ((rank - below) / (buckets[b].count - below))
}

/// The part of the observations between `lower` and `upper`. Buckets are sorted by bound.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return f64::NAN;
    }
    merge_equal_bounds(buckets);
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || total.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // Counts may fall from bucket to bucket; no rank is above that of the last.
    let rank = |x| {
        let rank = rank_of(x, buckets);
        if rank > total { total } else { rank }
    };
    (rank(upper) - rank(lower)) / total
}

/// How many observations are estimated to lie below `x`.
fn rank_of(x: f64, buckets: &[Bucket]) -> f64 {
    if x == f64::INFINITY {
        return buckets[buckets.len() - 1].count;
    }
    let mut below = 0.0;
    let mut lower = if buckets[0].upper > 0.0 {
        0.0
    } else {
        f64::NEG_INFINITY
    };
    for b in buckets {
        if x <= lower {
            return below;
        }
        if x < b.upper {
            return if b.upper == f64::INFINITY {
                below
            } else if lower == f64::NEG_INFINITY {
                // Where in a bucket without an end observations are, nobody knows: all count.
                if x == f64::NEG_INFINITY { 0.0 } else { b.count }
            } else {
                below + (b.count - below) * (x - lower) / (b.upper - lower)
            };
        }
        below = b.count;
        lower = b.upper;
    }
    below
}

fn merge_equal_bounds(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|b, kept| {
        let same = b.upper == kept.upper;
        if same {
            kept.count += b.count;
        }
        same
    });
}

/// Raises counts that fall. Those that fall by rounding are not worth mentioning.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Raised> {
    let mut previous = buckets.first()?.count;
    let mut raised: Option<Raised> = None;
    for b in buckets.iter_mut().skip(1) {
        if b.count == previous {
            continue;
        }
        if nearly_equal(previous, b.count) {
            b.count = previous;
        } else if b.count < previous {
            let diff = previous - b.count;
            let known = raised.get_or_insert(Raised {
                first: b.upper,
                last: b.upper,
                max_diff: diff,
            });
            known.last = b.upper;
            known.max_diff = known.max_diff.max(diff);
            b.count = previous;
        } else {
            previous = b.count;
        }
    }
    raised
}

fn nearly_equal(a: f64, b: f64) -> bool {
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 {
        return difference < NEARLY_EQUAL * f64::MIN_POSITIVE;
    }
    difference / (a.abs() + b.abs()).min(f64::MAX) < NEARLY_EQUAL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|&(upper, count)| Bucket { upper, count })
            .collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles() {
        let h = buckets(&[(1.0, 2.0), (2.0, 6.0), (INF, 8.0)]);
        let q = |phi| quantile(phi, &mut h.clone()).0;
        assert_eq!((q(0.5), q(0.1), q(0.9)), (1.5, 0.4, 2.0));
        assert_eq!((q(-1.0), q(2.0)), (-INF, INF));
        assert!(quantile(0.5, &mut buckets(&[(1.0, 2.0)])).0.is_nan());
        assert!(quantile(0.5, &mut buckets(&[(INF, 2.0)])).0.is_nan());
    }

    #[test]
    fn falling_counts_are_raised() {
        let mut h = buckets(&[
            (1.0, 4.0),
            (2.0, 3.0),
            (2.0, 0.5),
            (3.0, 4.0 - 1e-13),
            (INF, 4.0),
        ]);
        let (_, raised) = quantile(0.5, &mut h);
        let expected = Raised {
            first: 2.0,
            last: 2.0,
            max_diff: 0.5,
        };
        assert_eq!(raised, Some(expected));
        assert!(h.iter().all(|b| b.count == 4.0) && h.len() == 4);
    }

    #[test]
    fn fractions() {
        let h = buckets(&[(1.0, 2.0), (2.0, 6.0), (INF, 8.0)]);
        let f = |lo, hi| fraction(lo, hi, &mut h.clone());
        assert_eq!(f(0.5, 1.5), 0.375);
        assert_eq!(f(-INF, INF), 1.0);
        assert_eq!(f(2.0, 100.0), 0.0);
        assert_eq!(f(1.0, 1.0), 0.0);
        assert!(f(f64::NAN, 1.0).is_nan());
        assert_eq!(fraction(0.0, 1.0, &mut buckets(&[(INF, 5.0)])), 0.0);
    }
}
