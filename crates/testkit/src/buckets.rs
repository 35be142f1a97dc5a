//! Native histograms as the HTTP API shows them: bounds and populations, no spans, no hint.
//!
//! Written apart from the server's own code, which it is there to check.

use ferula_model::{Counts, Histogram};

use crate::compact_buckets;
use crate::store::floats_agree;

/// What an answer tells of a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownHistogram {
    /// How many observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The buckets that are not empty, in order of their bounds.
    pub buckets: Vec<ShownBucket>,
}

/// A bucket of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShownBucket {
    /// Which bounds are inside: 0 the upper, 1 the lower, 2 none, 3 both.
    pub inside: u8,
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// How many observations.
    pub count: f64,
}

impl ShownHistogram {
    /// How a histogram is shown.
    pub fn new(h: &Histogram) -> Self {
        let mut shown = Self {
            count: h.count(),
            sum: h.sum,
            buckets: Vec::new(),
        };
        let Counts::Float {
            zero,
            positive,
            negative,
            ..
        } = h.to_float().counts
        else {
            return shown;
        };
        let mut below = compact_buckets(&h.negative_spans, &negative);
        below.reverse();
        for (index, count) in below {
            shown.buckets.push(ShownBucket {
                inside: 1,
                lower: -upper_bound(h, index),
                upper: -upper_bound(h, index - 1),
                count,
            });
        }
        if zero > 0.0 {
            shown.buckets.push(ShownBucket {
                inside: 3,
                lower: -h.zero_threshold,
                upper: h.zero_threshold,
                count: zero,
            });
        }
        for (index, count) in compact_buckets(&h.positive_spans, &positive) {
            // The lowest custom bucket has no bound below, and holds -Inf itself.
            let open_below = h.has_custom_buckets() && index == 0;
            shown.buckets.push(ShownBucket {
                inside: if open_below { 3 } else { 0 },
                lower: if open_below {
                    f64::NEG_INFINITY
                } else {
                    upper_bound(h, index - 1)
                },
                upper: upper_bound(h, index),
                count,
            });
        }
        shown
    }

    /// Whether `got` shows the same, numbers within the scripts' tolerance.
    pub fn agrees(&self, got: &Self) -> bool {
        let bucket = |(a, b): (&ShownBucket, &ShownBucket)| {
            a.inside == b.inside
                && floats_agree(a.lower, b.lower)
                && floats_agree(a.upper, b.upper)
                && floats_agree(a.count, b.count)
        };
        floats_agree(self.count, got.count)
            && floats_agree(self.sum, got.sum)
            && self.buckets.len() == got.buckets.len()
            && self.buckets.iter().zip(&got.buckets).all(bucket)
    }
}

fn upper_bound(h: &Histogram, index: i32) -> f64 {
    if h.has_custom_buckets() {
        let bound = usize::try_from(index).ok();
        let bound = bound.and_then(|i| h.custom_values.get(i));
        return bound.copied().unwrap_or(f64::INFINITY);
    }
    let exponent = f64::from(index) / 2f64.powi(i32::from(h.schema));
    // The bucket that would end at 2^1024, which is no double, ends at the largest one.
    if exponent == 1024.0 {
        f64::MAX
    } else {
        exponent.exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, parse_series};

    fn shown(literal: &str) -> ShownHistogram {
        let line = parse_series(&format!("h {literal}")).expect("a series");
        match line.values.as_slice() {
            [Some(Item::Histogram(h, _))] => ShownHistogram::new(h),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn buckets_go_up() {
        let h = shown(
            "{{count:7 sum:3 z_bucket:1 z_bucket_w:0.5 buckets:[2 0 1] n_buckets:[1 2] n_offset:1}}",
        );
        let buckets: Vec<_> = h
            .buckets
            .iter()
            .map(|b| (b.inside, b.lower, b.upper, b.count))
            .collect();
        let expected = [
            (1, -4.0, -2.0, 2.0),
            (1, -2.0, -1.0, 1.0),
            (3, -0.5, 0.5, 1.0),
            (0, 0.5, 1.0, 2.0),
            (0, 2.0, 4.0, 1.0),
        ];
        assert_eq!(buckets, expected);
    }

    #[test]
    fn custom_bounds_are_open_at_both_ends() {
        let h = shown("{{schema:-53 count:3 sum:3 custom_values:[5] buckets:[1 2]}}");
        let edges: Vec<_> = h
            .buckets
            .iter()
            .map(|b| (b.inside, b.lower, b.upper))
            .collect();
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(edges, [(3, low, 5.0), (0, 5.0, high)]);
        let other = shown("{{schema:-53 count:3 sum:3 custom_values:[6] buckets:[1 2]}}");
        assert!(h.agrees(&h) && !h.agrees(&other));
    }
}
