//! Counter resets: whether a histogram cannot have grown out of the one before.

use ferula_model::CounterReset;

use super::combine::common_bounds;
use super::{Cells, FloatHistogram};
use crate::functions::sum::Compensated;

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
        any_custom_fell(&now.positive, &before.positive)
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

    /// The same of two histograms with one layout. Buckets that end inside the zero bucket do not
    /// count.
    fn numbers_fell(&self, before: &Self) -> bool {
        let outside = |cells: &Cells| {
            let inside = |(index, _): &(i64, _)| self.edges(*index).1 <= self.zero_threshold;
            // Edges are costly, and mostly the first one shows that there is nothing to skip.
            match cells.first().is_some_and(inside) {
                true => cells.partition_point(inside),
                false => 0,
            }
        };
        let fell = |now: &Cells, before: &Cells| {
            any_fell(&now[outside(now)..], &before[outside(before)..])
        };
        self.zero.value() < before.zero.value()
            || fell(&self.positive, &before.positive)
            || fell(&self.negative, &before.negative)
    }
}

/// Whether any bucket is smaller than it was, or was populated and is not there any more.
fn any_fell(now: &[(i64, Compensated)], before: &[(i64, Compensated)]) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|(index, was)| {
        while now.next_if(|cell| cell.0 < *index).is_some() {}
        match now.next_if(|cell| cell.0 == *index) {
            Some((_, is)) => is.value() < was.value(),
            None => was.value() != 0.0,
        }
    })
}

/// Whether any custom bucket is smaller than it was; one that is not listed is empty.
fn any_custom_fell(now: &Cells, before: &Cells) -> bool {
    let population = |cells: &Cells, index: i64| {
        let at = cells.binary_search_by_key(&index, |cell| cell.0);
        at.map_or(0.0, |i| cells[i].1.value())
    };
    let indices = now.iter().chain(before).map(|cell| cell.0);
    indices
        .into_iter()
        .any(|index| population(now, index) < population(before, index))
}
