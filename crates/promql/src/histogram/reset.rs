//! Counter resets: whether a histogram cannot have grown out of the one before.

use ferula_model::CounterReset;

use super::combine::common_bounds;
use super::{Cells, FloatHistogram};

impl FloatHistogram {
    /// Whether the counter started anew between `previous` and this histogram.
    pub(crate) fn is_reset_after(&self, previous: &Self) -> bool {
        match self.reset {
            CounterReset::Reset => return true,
            CounterReset::NotReset => return false,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        if self.count() < previous.count() {
            return true;
        }
        if self.has_custom_buckets() {
            return !previous.has_custom_buckets() || self.custom_fell(previous);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        self.exponential_fell(previous)
    }

    fn custom_fell(&self, previous: &Self) -> bool {
        if self.custom_values == previous.custom_values {
            return any_fell(&self.positive, &previous.positive);
        }
        let common = common_bounds(&self.custom_values, &previous.custom_values);
        let (mut now, mut before) = (self.clone(), previous.clone());
        now.reduce_to(&common);
        before.reduce_to(&common);
        any_fell(&now.positive, &before.positive)
    }

    fn exponential_fell(&self, previous: &Self) -> bool {
        let threshold = self.zero_threshold;
        if threshold == previous.zero_threshold && self.schema == previous.schema {
            return self.numbers_fell(previous);
        }
        if previous.whole_zero_threshold(threshold) > threshold {
            return true;
        }
        let mut before = previous.clone();
        if threshold > before.zero_threshold {
            before.widen_zero(threshold);
        }
        before.coarsen_to(self.schema);
        self.numbers_fell(&before)
    }

    /// The same of two histograms with one layout.
    fn numbers_fell(&self, before: &Self) -> bool {
        self.zero.value() < before.zero.value()
            || any_fell(&self.positive, &before.positive)
            || any_fell(&self.negative, &before.negative)
    }
}

/// Whether any bucket is smaller than it was; one that is not listed is empty.
fn any_fell(now: &Cells, before: &Cells) -> bool {
    let mut now = now.iter().peekable();
    for (index, was) in before {
        while let Some((_, appeared)) = now.next_if(|cell| cell.0 < *index) {
            if appeared.value() < 0.0 {
                return true;
            }
        }
        let is = now
            .next_if(|cell| cell.0 == *index)
            .map_or(0.0, |(_, number)| number.value());
        if is < was.value() {
            return true;
        }
    }
    now.any(|(_, appeared)| appeared.value() < 0.0)
}
