//! Evaluation steps.

use ferula_model::Timestamp;

/// Evenly spaced evaluation times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first step.
    pub(crate) start: Timestamp,
    /// Milliseconds from step to step; 0 if there is only one.
    pub(crate) step: i64,
    /// How many steps there are.
    pub(crate) count: usize,
}

impl Grid {
    /// `start`, `start + step`, ... up to `end`; none if `end` comes first. A step of 0 makes
    /// `start` the only one.
    pub(crate) fn range(start: Timestamp, end: Timestamp, step: i64) -> Self {
        let count = if end < start {
            0
        } else if step <= 0 {
            1
        } else {
            let steps = (i128::from(end) - i128::from(start)) / i128::from(step) + 1;
            usize::try_from(steps).unwrap_or(usize::MAX)
        };
        Self { start, step, count }
    }

    /// The grid of a subquery: multiples of `step` in `(first − width, last]`, where `first` and
    /// `last` are the times it is looked at from.
    pub(crate) fn subquery(first: Timestamp, last: Timestamp, width: i64, step: i64) -> Self {
        let after = first.saturating_sub(width);
        let start = after
            .div_euclid(step)
            .saturating_add(1)
            .saturating_mul(step);
        Self::range(start, last, step)
    }

    /// The time of step `i`.
    #[inline]
    pub(crate) fn at(self, i: usize) -> Timestamp {
        self.start
            .saturating_add(self.step.saturating_mul(i as i64))
    }

    /// The first step alone.
    pub(crate) fn first_step(self) -> Self {
        Self {
            count: self.count.min(1),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_need_not_be_aligned() {
        assert_eq!(Grid::range(0, 59, 20).at(2), 40);
        assert_eq!(Grid::range(0, 59, 20).count, 3);
        assert_eq!(Grid::range(0, 60, 20).count, 4);
        assert_eq!(Grid::range(1, 0, 20).count, 0);
        assert!(Grid::range(i64::MIN, i64::MAX, 1).count > 0);
    }

    #[test]
    fn subqueries_stand_on_absolute_time() {
        let times = |g: Grid| (0..g.count).map(|i| g.at(i)).collect::<Vec<_>>();
        assert_eq!(times(Grid::subquery(50, 50, 60, 20)), [0, 20, 40]);
        assert_eq!(times(Grid::subquery(60, 60, 40, 20)), [40, 60]);
        assert_eq!(times(Grid::subquery(-5, -5, 10, 10)), [-10]);
        assert_eq!(times(Grid::subquery(0, 30, 20, 10)), [-10, 0, 10, 20, 30]);
    }
}
