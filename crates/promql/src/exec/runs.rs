//! What is known of a series' native histograms before any window is looked at.
//!
//! Windows of neighbouring steps share most of their histograms. So what each weighs, and whether
//! it grew out of the one before, is found once for all windows.

use ferula_model::{CounterReset, Counts, Histogram};
use ferula_storage::HistogramPoint;

use crate::budget::histogram_weight;

/// The histograms of a series, and where their growing is interrupted.
#[derive(Default)]
pub(super) struct Runs {
    /// What all histograms before each weigh together, and at the end all of them.
    weights: Vec<u64>,
    /// Indices of histograms that did not plainly grow out of the one before.
    breaks: Vec<usize>,
}

impl Runs {
    /// Looks at all histograms of a series; at how they grow only if `growth` matters.
    pub(super) fn find(&mut self, points: &[HistogramPoint], growth: bool) {
        self.weights.clear();
        self.weights.push(0);
        let mut total = 0;
        for point in points {
            total += histogram_weight(&point.histogram);
            self.weights.push(total);
        }
        self.breaks.clear();
        if growth {
            let pairs = points.windows(2).enumerate();
            let broken = pairs.filter(|(_, p)| !grew(&p[0].histogram, &p[1].histogram));
            self.breaks.extend(broken.map(|(i, _)| i + 1));
        }
    }

    /// What the histograms from `lo` to before `hi` weigh together.
    pub(super) fn weight(&self, lo: usize, hi: usize) -> u64 {
        self.weights[hi] - self.weights[lo]
    }

    /// Whether each of the histograms from `lo` to before `hi` plainly grew out of the one before.
    pub(super) fn is_plain(&self, lo: usize, hi: usize) -> bool {
        let next = self.breaks.partition_point(|&at| at <= lo);
        self.breaks.get(next).is_none_or(|&at| at >= hi)
    }
}

/// Whether two counter histograms have the same buckets, none of which fell. If not, they may
/// still belong together; that is for a closer look.
fn grew(before: &Histogram, after: &Histogram) -> bool {
    let counters = before.reset != CounterReset::Gauge
        && !matches!(after.reset, CounterReset::Gauge | CounterReset::Reset);
    counters
        && before.schema == after.schema
        && before.zero_threshold == after.zero_threshold
        && before.positive_spans == after.positive_spans
        && before.negative_spans == after.negative_spans
        && before.custom_values == after.custom_values
        && counts_grew(&before.counts, &after.counts)
}

fn counts_grew(before: &Counts, after: &Counts) -> bool {
    match (before, after) {
        (
            Counts::Integer {
                count: c1,
                zero: z1,
                positive: p1,
                negative: n1,
            },
            Counts::Integer {
                count: c2,
                zero: z2,
                positive: p2,
                negative: n2,
            },
        ) => c1 <= c2 && z1 <= z2 && none_fell(p1, p2) && none_fell(n1, n2),
        (
            Counts::Float {
                count: c1,
                zero: z1,
                positive: p1,
                negative: n1,
            },
            Counts::Float {
                count: c2,
                zero: z2,
                positive: p2,
                negative: n2,
            },
        ) => c1 <= c2 && z1 <= z2 && none_fell(p1, p2) && none_fell(n1, n2),
        _ => false,
    }
}

fn none_fell<T: PartialOrd>(before: &[T], after: &[T]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(a, b)| a <= b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::Span;
    use std::sync::Arc;

    fn points(counts: &[(u64, u64)]) -> Vec<HistogramPoint> {
        let histogram = |&(zero, bucket): &(u64, u64)| Histogram {
            reset: CounterReset::Unknown,
            schema: 0,
            zero_threshold: 0.001,
            sum: 1.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 1,
            }],
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Integer {
                count: zero + bucket,
                zero,
                positive: vec![bucket],
                negative: Vec::new(),
            },
        };
        let point = |(i, counts): (usize, _)| HistogramPoint {
            timestamp: i as i64,
            start_timestamp: 0,
            histogram: Arc::new(histogram(counts)),
        };
        counts.iter().enumerate().map(point).collect()
    }

    #[test]
    fn windows_across_a_fall_are_not_plain() {
        let mut points = points(&[(1, 1), (1, 2), (2, 1), (3, 4), (3, 5)]);
        let mut runs = Runs::default();
        runs.find(&points, true);
        let plain = |runs: &Runs, lo, hi| runs.is_plain(lo, hi);
        assert!(plain(&runs, 0, 2) && plain(&runs, 2, 5));
        assert!(!plain(&runs, 0, 3) && !plain(&runs, 1, 5));
        assert_eq!(
            runs.weight(1, 3),
            2 * histogram_weight(&points[0].histogram)
        );

        Arc::make_mut(&mut points[4].histogram).reset = CounterReset::Reset;
        runs.find(&points, true);
        assert!(plain(&runs, 2, 4) && !plain(&runs, 3, 5));
        assert!(
            plain(&runs, 4, 5),
            "what was before the window does not matter"
        );
    }
}
