//! Where buckets begin and end.

use ferula_model::exponential_bound;

use super::FloatHistogram;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) count: f64,
    pub(super) place: Place,
}

/// Which number of the histogram a bucket's population is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This cell of the negative side.
    Negative(usize),
    Zero,
    /// This cell of the positive side.
    Positive(usize),
}

/// The bucket that holds bucket `index` once the resolution is halved `shift` times.
pub(super) fn coarser(index: i64, shift: u32) -> i64 {
    ((index - 1) >> shift) + 1
}

impl FloatHistogram {
    /// The distances from zero at which a bucket begins and ends; with custom buckets, its bounds.
    pub(super) fn edges(&self, index: i64) -> (f64, f64) {
        if !self.has_custom_buckets() {
            return (
                exponential_bound(self.schema, index - 1),
                exponential_bound(self.schema, index),
            );
        }
        let bound = |index: i64| {
            if index < 0 {
                return f64::NEG_INFINITY;
            }
            let known = usize::try_from(index).ok();
            known
                .and_then(|i| self.custom_values.get(i))
                .copied()
                .unwrap_or(f64::INFINITY)
        };
        (bound(index - 1), bound(index))
    }

    /// The populated buckets from the lowest to the highest, cut where the zero bucket ends. One
    /// that ends inside it, too, comes to begin after its end, as in Prometheus.
    pub(super) fn buckets(&self) -> Vec<Bucket> {
        let mut buckets = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        let zero_threshold = self.zero_threshold;
        for (i, (index, number)) in self.negative.iter().enumerate().rev() {
            let (begin, end) = self.edges(*index);
            buckets.push(Bucket {
                lower: -end,
                upper: -begin.max(zero_threshold),
                count: number.value(),
                place: Place::Negative(i),
            });
        }
        // Prometheus does not see a zero bucket with a negative population.
        if self.zero.value() > 0.0 {
            buckets.push(Bucket {
                lower: -zero_threshold,
                upper: zero_threshold,
                count: self.zero.value(),
                place: Place::Zero,
            });
        }
        for (i, (index, number)) in self.positive.iter().enumerate() {
            let (mut lower, upper) = self.edges(*index);
            if !self.has_custom_buckets() {
                lower = lower.max(zero_threshold);
            }
            buckets.push(Bucket {
                lower,
                upper,
                count: number.value(),
                place: Place::Positive(i),
            });
        }
        buckets.retain(|bucket| bucket.count != 0.0);
        buckets
    }

    /// The zero bucket holds only one sign if all other buckets have that.
    pub(super) fn narrow_zero(&self, bucket: &mut Bucket) {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            match (self.negative.is_empty(), self.positive.is_empty()) {
                (true, false) => bucket.lower = 0.0,
                (false, true) => bucket.upper = 0.0,
                _ => {}
            }
        }
    }
}
