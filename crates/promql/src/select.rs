//! Which samples an evaluation step sees: lookback, staleness, `@` and `offset`.
//!
//! The one place that knows that windows are open on the left and closed on the right. A step's
//! *reference time* is the time a selector looks at: the step's own time, or that of `@`, less
//! the offset.

use ferula_model::{Range, Timestamp, is_stale};
use ferula_storage::Columns;

use crate::budget::histogram_weight;
use crate::exec::{ABSENT, Looked, Row};
use crate::plan::Grid;

/// The reference times of all steps; they never fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refs {
    first: Timestamp,
    step: i64,
    count: usize,
}

impl Refs {
    /// The reference times of a grid's steps. `at` is the time of `@`.
    pub(crate) fn new(grid: Grid, at: Option<Timestamp>, offset_ms: i64) -> Self {
        Self {
            first: at.unwrap_or(grid.start).saturating_sub(offset_ms),
            step: if at.is_some() { 0 } else { grid.step },
            count: grid.count,
        }
    }

    /// The reference time of step `i`.
    #[inline]
    pub(crate) fn get(self, i: usize) -> Timestamp {
        self.first
            .saturating_add(self.step.saturating_mul(i as i64))
    }

    /// How many steps there are.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Everything the steps see through windows of `width_ms`, as a store is asked for it.
    pub(crate) fn reach(self, width_ms: i64) -> Range {
        if self.count == 0 {
            return Range { start: 0, end: 0 };
        }
        let start = self.first.saturating_sub(width_ms).saturating_add(1);
        Range::closed(start, self.get(self.count - 1))
    }
}

/// The windows `(reference − width, reference]` of all steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Windows {
    pub(crate) refs: Refs,
    pub(crate) width_ms: i64,
}

impl Windows {
    /// The edges of step `i`'s window: the first is outside, the second inside.
    #[inline]
    pub(crate) fn edges(self, i: usize) -> (Timestamp, Timestamp) {
        let end = self.refs.get(i);
        (end.saturating_sub(self.width_ms), end)
    }

    /// Calls `f(step, lo, hi)` for each step: samples `lo..hi` are in its window.
    #[inline]
    pub(crate) fn each(self, timestamps: &[Timestamp], mut f: impl FnMut(usize, usize, usize)) {
        if self.refs.count == 1 {
            let (start, end) = self.edges(0);
            let hi = timestamps.partition_point(|&t| t <= end);
            let lo = timestamps[..hi].partition_point(|&t| t <= start);
            return f(0, lo, hi);
        }
        let (mut lo, mut hi) = (0, 0);
        for step in 0..self.refs.count {
            let (start, end) = self.edges(step);
            while hi < timestamps.len() && timestamps[hi] <= end {
                hi += 1;
            }
            while lo < hi && timestamps[lo] <= start {
                lo += 1;
            }
            f(step, lo, hi);
        }
    }
}

/// Which samples of a series are in the window of each step: from the first index to before the
/// second.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<(u32, u32)>,
    /// The steps [`Spans::each`] visits.
    steps: std::ops::Range<usize>,
}

impl Spans {
    /// Finds the samples of each window; gives back what the windows hold together.
    pub(crate) fn find(&mut self, windows: Windows, timestamps: &[Timestamp]) -> Looked {
        self.spans.clear();
        let (mut looked, mut newest) = (Looked::default(), 0);
        windows.each(timestamps, |_, lo, hi| {
            looked.add(Looked {
                at: (hi - lo) as u64,
                read: (hi - lo.max(newest)) as u64,
            });
            newest = hi;
            self.spans.push((lo as u32, hi as u32));
        });
        self.steps = 0..self.spans.len();
        looked
    }

    /// What each window holds.
    pub(crate) fn looked(&self) -> Vec<Looked> {
        let mut newest = 0;
        let of = |&(lo, hi): &(u32, u32)| {
            let read = u64::from(hi - lo.max(newest));
            newest = hi;
            let at = u64::from(hi - lo);
            Looked { at, read }
        };
        self.spans.iter().map(of).collect()
    }

    /// Calls `f(step, lo, hi)` for each step.
    #[inline]
    pub(crate) fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let spans = &self.spans[self.steps.clone()];
        for (step, &(lo, hi)) in self.steps.clone().zip(spans) {
            f(step, lo as usize, hi as usize);
        }
    }

    /// The samples of one step.
    pub(crate) fn get(&self, step: usize) -> std::ops::Range<usize> {
        let (lo, hi) = self.spans[step];
        lo as usize..hi as usize
    }

    /// Restricts [`Spans::each`] to the steps from `first` on whose windows hold about `samples`
    /// together, at least one; gives back the step after them. `None` if there are none left.
    pub(crate) fn restrict(&mut self, first: usize, samples: u64) -> Option<usize> {
        let mut left = samples;
        let spans = self.spans.get(first..).filter(|spans| !spans.is_empty())?;
        let more = spans.iter().skip(1).take_while(|&&(lo, hi)| {
            left = left.saturating_sub(u64::from(hi - lo));
            left > 0
        });
        let end = first + 1 + more.count();
        self.steps = first..end;
        Some(end)
    }
}

/// Removes staleness markers: range windows do not see them.
pub(crate) fn drop_stale(columns: &mut Columns) {
    columns
        .histograms
        .retain(|point| !point.histogram.is_stale());
    if !columns.values.iter().any(|&v| is_stale(v)) {
        return;
    }
    let mut kept = 0;
    for i in 0..columns.values.len() {
        if !is_stale(columns.values[i]) {
            columns.values[kept] = columns.values[i];
            columns.timestamps[kept] = columns.timestamps[i];
            if let Some(&start) = columns.start_timestamps.get(i) {
                columns.start_timestamps[kept] = start;
            }
            kept += 1;
        }
    }
    columns.values.truncate(kept);
    columns.timestamps.truncate(kept);
    columns.start_timestamps.truncate(kept);
}

/// Puts into `row` what an instant selector sees at each step: the newest sample not older than
/// `lookback_ms`, unless that is a staleness marker. Gives back how many samples that are, native
/// histograms counted by their size.
pub(crate) fn latest(columns: &Columns, refs: Refs, lookback_ms: i64, row: &mut Row) -> u64 {
    row.reset(refs.count);
    if !columns.histograms.is_empty() {
        return latest_of_both(columns, refs, lookback_ms, row);
    }
    let windows = Windows {
        refs,
        width_ms: lookback_ms,
    };
    let values = &columns.values;
    let mut seen = 0;
    windows.each(&columns.timestamps, |step, lo, hi| {
        if lo < hi {
            let value = values[hi - 1];
            // A marker is an absent value already.
            row.values[step] = value;
            seen += u64::from(!is_stale(value));
        }
    });
    seen
}

fn latest_of_both(columns: &Columns, refs: Refs, lookback_ms: i64, row: &mut Row) -> u64 {
    let mut seen = 0;
    each_latest(columns, refs, lookback_ms, |step, newest| match newest {
        Newest::Float(i) => {
            row.values[step] = columns.values[i];
            seen += u64::from(!is_stale(columns.values[i]));
        }
        Newest::Histogram(i) => {
            let histogram = &columns.histograms[i].histogram;
            if !histogram.is_stale() {
                seen += histogram_weight(histogram);
                row.histograms.push((step as u32, histogram.clone()));
            }
        }
    });
    seen
}

/// Which time of a sample is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// When it was taken.
    Taken,
    /// When its counting began.
    Started,
}

/// Puts into `row` a time, in seconds, of the samples an instant selector sees. Gives back how
/// many these are.
pub(crate) fn latest_times(
    stamp: Stamp,
    columns: &Columns,
    refs: Refs,
    lookback_ms: i64,
    row: &mut Row,
) -> u64 {
    row.reset(refs.count);
    let mut seen = 0;
    each_latest(columns, refs, lookback_ms, |step, newest| {
        let (taken, started, stale) = match newest {
            Newest::Float(i) => (
                columns.timestamps[i],
                columns.start_timestamps.get(i).copied(),
                is_stale(columns.values[i]),
            ),
            Newest::Histogram(i) => {
                let point = &columns.histograms[i];
                let started = Some(point.start_timestamp);
                (point.timestamp, started, point.histogram.is_stale())
            }
        };
        let time = match stamp {
            Stamp::Taken => taken,
            Stamp::Started => started.unwrap_or(0),
        };
        row.values[step] = if stale { ABSENT } else { time as f64 / 1000.0 };
        seen += u64::from(!stale);
    });
    seen
}

/// An index into one of the columns.
enum Newest {
    Float(usize),
    Histogram(usize),
}

/// Calls `f` for each step that sees a sample, markers included.
fn each_latest(columns: &Columns, refs: Refs, lookback_ms: i64, mut f: impl FnMut(usize, Newest)) {
    let (mut floats, mut histograms) = (0, 0);
    for step in 0..refs.count {
        let end = refs.get(step);
        let start = end.saturating_sub(lookback_ms);
        while floats < columns.timestamps.len() && columns.timestamps[floats] <= end {
            floats += 1;
        }
        while histograms < columns.histograms.len()
            && columns.histograms[histograms].timestamp <= end
        {
            histograms += 1;
        }
        let float = floats.checked_sub(1).map(|i| columns.timestamps[i]);
        let histogram = histograms
            .checked_sub(1)
            .map(|i| columns.histograms[i].timestamp);
        let newest = float.max(histogram);
        if newest.is_none_or(|t| t <= start) {
            continue;
        }
        if histogram == newest {
            f(step, Newest::Histogram(histograms - 1));
        } else {
            f(step, Newest::Float(floats - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::stale_marker;

    fn columns(samples: &[(i64, f64)]) -> Columns {
        Columns {
            timestamps: samples.iter().map(|s| s.0).collect(),
            values: samples.iter().map(|s| s.1).collect(),
            ..Columns::default()
        }
    }

    fn grid(start: i64, step: i64, count: usize) -> Grid {
        Grid { start, step, count }
    }

    #[test]
    fn windows_are_open_on_the_left() {
        let windows = Windows {
            refs: Refs::new(grid(10, 10, 3), None, 0),
            width_ms: 10,
        };
        let mut seen = Vec::new();
        windows.each(&[0, 10, 15, 20, 31], |step, lo, hi| {
            seen.push((step, lo, hi))
        });
        assert_eq!(seen, [(0, 1, 2), (1, 2, 4), (2, 4, 4)]);
    }

    #[test]
    fn spans_in_pieces() {
        let windows = Windows {
            refs: Refs::new(grid(10, 10, 7), None, 0),
            width_ms: 20,
        };
        let timestamps: Vec<i64> = (0..70).collect();
        let mut spans = Spans::default();
        spans.find(windows, &timestamps);
        let mut all = Vec::new();
        spans.each(|step, lo, hi| all.push((step, lo, hi)));
        let (mut next, mut pieces, mut seen) = (0, 0, Vec::new());
        while let Some(end) = spans.restrict(next, 50) {
            spans.each(|step, lo, hi| seen.push((step, lo, hi)));
            (next, pieces) = (end, pieces + 1);
        }
        assert_eq!((seen, pieces), (all, 3));
    }

    #[test]
    fn markers_hide_only_when_newest() {
        let columns = columns(&[(0, 1.0), (10, stale_marker()), (20, 3.0)]);
        let mut row = Row::default();
        latest(&columns, Refs::new(grid(0, 10, 4), None, 0), 15, &mut row);
        let present: Vec<_> = row.values.iter().map(|v| !is_stale(*v)).collect();
        assert_eq!(present, [true, false, true, true]);
        latest(&columns, Refs::new(grid(35, 10, 1), None, 0), 15, &mut row);
        assert!(
            is_stale(row.values[0]),
            "a sample exactly as old as the lookback is not seen"
        );
    }

    #[test]
    fn at_and_offset() {
        let refs = Refs::new(grid(100, 10, 3), Some(50), 20);
        assert_eq!((refs.get(0), refs.get(2)), (30, 30));
        assert_eq!(refs.reach(10), Range { start: 21, end: 31 });
        let far = Refs::new(grid(i64::MAX, i64::MAX, 2), None, i64::MIN);
        assert_eq!(far.get(1), i64::MAX);
    }

    #[test]
    fn stale_samples_are_dropped() {
        let mut columns = columns(&[(0, 1.0), (10, stale_marker()), (20, 3.0)]);
        columns.start_timestamps = vec![-5, 0, 15];
        drop_stale(&mut columns);
        assert_eq!(columns.timestamps, [0, 20]);
        assert_eq!(columns.values, [1.0, 3.0]);
        assert_eq!(columns.start_timestamps, [-5, 15]);
    }
}
