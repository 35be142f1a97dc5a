//! `anchored` and `smoothed`: what series have at the very edges of a window.
//!
//! Both look beyond the window, by the lookback: `anchored` before it, for the sample that held
//! when the window began, `smoothed` on both sides, to interpolate. Nothing is extrapolated.

use std::sync::Arc;

use ferula_model::text::quote::quoted;
use ferula_model::{CounterReset, Histogram, Timestamp};
use ferula_storage::{Columns, HistogramPoint};

use super::native::{Purpose, kept};
use super::native_range::{self, Floats, Notes, Points};
use super::{ABSENT, Exec, Looked, Meta, Row, Sink};
use crate::budget::{Amount, Budget, Patience, histogram_weight};
use crate::error::QueryError;
use crate::functions::rate::Extrapolated;
use crate::histogram::{FloatHistogram, Incompatible, Sign};
use crate::plan::{Grid, NodeId, RangeFunc, Source};
use crate::select::{Windows, drop_stale};
use crate::syntax::ast::Extended;

/// How a range function sees its windows.
#[derive(Clone, Copy)]
pub(super) struct Edges {
    pub(super) extended: Extended,
    pub(super) windows: Windows,
    /// How far beyond the window samples count.
    pub(super) lookback_ms: i64,
}

/// Samples from the one that holds at a window's start to the one that holds at its end.
struct Reached {
    first: usize,
    last: usize,
    /// Whether the value at the start lies between the first sample and the next one.
    left_between: bool,
    /// Whether the value at the end lies between the last sample and the one before.
    right_between: bool,
}

impl Edges {
    /// Fills `row` with `func` of each window; gives back how many samples the windows hold
    /// together.
    pub(super) fn series(
        self,
        (func, budget): (RangeFunc, &Budget),
        columns: &Columns,
        row: &mut Row,
        notes: &mut Notes,
    ) -> Result<Vec<Looked>, QueryError> {
        let mut patience = Patience::new(budget);
        let mut looked = Vec::with_capacity(self.windows.refs.count());
        let mut newest = Timestamp::MIN;
        for step in 0..self.windows.refs.count() {
            let (start, end) = self.windows.edges(step);
            let (floats, histograms) = self.reachable(columns, (start, end));
            let at_step = new_since(&mut newest, floats, histograms);
            patience.spend(at_step.at)?;
            looked.push(at_step);
            match func {
                RangeFunc::Changes | RangeFunc::Resets => {
                    row.values[step] = count(func, floats, histograms, start);
                }
                RangeFunc::Extrapolated(_)
                    if !floats.values.is_empty() && !histograms.is_empty() =>
                {
                    notes.mixed = true;
                }
                RangeFunc::Extrapolated(kind) if histograms.is_empty() => {
                    let change = self.float_change(kind, floats, (start, end));
                    row.values[step] = change.unwrap_or(ABSENT);
                }
                RangeFunc::Extrapolated(kind) => {
                    let change = self.histogram_change(kind, histograms, (start, end), notes);
                    row.histograms.extend(change.map(|h| (step as u32, h)));
                }
                // The plan refuses the others.
                _ => {}
            }
        }
        Ok(looked)
    }

    /// Which of the samples make the change from `start` to `end`, if any.
    fn reached(
        self,
        count: usize,
        at: impl Fn(usize) -> Timestamp,
        (start, end): (Timestamp, Timestamp),
    ) -> Option<Reached> {
        let newest = count.checked_sub(1)?;
        let first = partition(count, |i| at(i) <= start).saturating_sub(1);
        let last = match self.extended {
            Extended::Anchored => newest,
            Extended::Smoothed => partition(count, |i| at(i) < end).min(newest),
        };
        if at(last) <= start || at(first) > end {
            return None;
        }
        let smoothed = self.extended == Extended::Smoothed;
        Some(Reached {
            first,
            last,
            left_between: smoothed && at(first) < start,
            right_between: smoothed && at(last) > end,
        })
    }

    fn float_change(
        self,
        kind: Extrapolated,
        floats: Floats<'_>,
        (start, end): (Timestamp, Timestamp),
    ) -> Option<f64> {
        let (t, v) = (floats.timestamps, floats.values);
        let reached = self.reached(t.len(), |i| t[i], (start, end))?;
        let counter = kind.is_counter();
        let (left, right) = float_edges(counter, floats, &reached, (start, end));
        let mut change = right - left;
        if counter {
            let pairs = reached.pairs().filter(|&i| v[i + 1] < v[i]);
            change += pairs.map(|i| v[i]).sum::<f64>();
        }
        Some(match kind {
            Extrapolated::Rate => change / self.width_seconds(),
            Extrapolated::Increase | Extrapolated::Delta => change,
        })
    }

    fn histogram_change(
        self,
        kind: Extrapolated,
        points: &[HistogramPoint],
        edges: (Timestamp, Timestamp),
        notes: &mut Notes,
    ) -> Option<Arc<Histogram>> {
        let reached = self.reached(points.len(), |i| points[i].timestamp, edges)?;
        let is_gauge = |i: usize| points[i].histogram.reset == CounterReset::Gauge;
        if kind.is_counter() {
            notes.no_counter |= (reached.first..=reached.last).any(is_gauge);
        } else {
            notes.no_gauge |= !(is_gauge(reached.first) && is_gauge(reached.last));
        }
        let Ok(mut change) = combined(kind.is_counter(), points, &reached, edges, notes) else {
            notes.mixed_buckets = true;
            return None;
        };
        change.reset = CounterReset::Gauge;
        if kind == Extrapolated::Rate {
            change.divide(self.width_seconds());
        }
        Some(kept(&change))
    }

    /// What there is at both edges of the first window, and the samples inside it.
    pub(super) fn first_window(self, columns: &Columns) -> Result<Columns, QueryError> {
        let (start, end) = self.windows.edges(0);
        let (floats, histograms) = self.reachable(columns, (start, end));
        if !histograms.is_empty() {
            return Err(QueryError::execution(format!(
                "{} modifier is not supported with histograms",
                self.extended.as_str()
            )));
        }
        let (t, v) = (floats.timestamps, floats.values);
        let Some(reached) = self.reached(t.len(), |i| t[i], (start, end)) else {
            return Ok(Columns::default());
        };
        let (left, right) = float_edges(false, floats, &reached, (start, end));
        let lo = t.partition_point(|&t| t <= start);
        let hi = t.partition_point(|&t| t < end);
        Ok(Columns {
            timestamps: [&[start], &t[lo..hi], &[end]].concat(),
            values: [&[left], &v[lo..hi], &[right]].concat(),
            ..Columns::default()
        })
    }

    /// The samples a window and its surroundings hold.
    fn reachable(
        self,
        columns: &Columns,
        (start, end): (Timestamp, Timestamp),
    ) -> (Floats<'_>, &[HistogramPoint]) {
        let from = start.saturating_sub(self.lookback_ms);
        let to = match self.extended {
            Extended::Anchored => end,
            Extended::Smoothed => end.saturating_add(self.lookback_ms),
        };
        within(columns, from, to)
    }

    fn width_seconds(self) -> f64 {
        self.windows.width_ms as f64 / 1000.0
    }
}

impl Reached {
    /// Where neighbours begin between which a counter's reset is to be made good. An interpolated
    /// start comes after whatever happened between the first two samples.
    fn pairs(&self) -> std::ops::Range<usize> {
        self.first + usize::from(self.left_between)..self.last
    }
}

/// The values at the start and at the end of a window.
fn float_edges(
    counter: bool,
    floats: Floats<'_>,
    reached: &Reached,
    (start, end): (Timestamp, Timestamp),
) -> (f64, f64) {
    let (t, v) = (floats.timestamps, floats.values);
    let between = |i: usize, at: Timestamp| {
        let before = if counter && v[i + 1] < v[i] {
            0.0
        } else {
            v[i]
        };
        interpolate((t[i], before), (t[i + 1], v[i + 1]), at)
    };
    let left = match reached.left_between {
        true => between(reached.first, start),
        false => v[reached.first],
    };
    let right = match reached.right_between {
        true => between(reached.last - 1, end),
        false => v[reached.last],
    };
    (left, right)
}

/// The first index below `count` for which `holds` does not, as it does for all before.
fn partition(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut lo, mut hi) = (0, count);
    while lo < hi {
        let middle = lo + (hi - lo) / 2;
        if holds(middle) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    lo
}

/// The samples in `(from, to]`.
fn within(columns: &Columns, from: Timestamp, to: Timestamp) -> (Floats<'_>, &[HistogramPoint]) {
    let timestamps = &columns.timestamps;
    let hi = timestamps.partition_point(|&t| t <= to);
    let lo = timestamps[..hi].partition_point(|&t| t <= from);
    let floats = Floats {
        timestamps: &timestamps[lo..hi],
        starts: &[],
        values: &columns.values[lo..hi],
    };
    let points = &columns.histograms;
    let hi = points.partition_point(|point| point.timestamp <= to);
    let lo = points[..hi].partition_point(|point| point.timestamp <= from);
    (floats, &points[lo..hi])
}

fn weight(floats: Floats<'_>, histograms: &[HistogramPoint]) -> u64 {
    floats.values.len() as u64 + weight_of(histograms)
}

fn weight_of(histograms: &[HistogramPoint]) -> u64 {
    let weights = histograms.iter().map(|p| histogram_weight(&p.histogram));
    weights.sum()
}

/// What a step looks at, and how much of that no step before it has: what comes after `newest`,
/// which moves on.
fn new_since(newest: &mut Timestamp, floats: Floats<'_>, histograms: &[HistogramPoint]) -> Looked {
    let since = *newest;
    let old_floats = floats.timestamps.partition_point(|&t| t <= since);
    let old = histograms.partition_point(|point| point.timestamp <= since);
    let ends = [
        floats.timestamps.last().copied(),
        histograms.last().map(|point| point.timestamp),
    ];
    *newest = ends.into_iter().flatten().fold(since, Timestamp::max);
    let at = weight(floats, histograms);
    Looked {
        at,
        read: at - old_floats as u64 - weight_of(&histograms[..old]),
    }
}

/// `changes` or `resets` from the newest sample at or before `start` on, of whichever kind.
fn count(
    func: RangeFunc,
    floats: Floats<'_>,
    histograms: &[HistogramPoint],
    start: Timestamp,
) -> f64 {
    let mut lo = floats.timestamps.partition_point(|&t| t <= start);
    let mut histogram_lo = histograms.partition_point(|point| point.timestamp <= start);
    if lo == floats.values.len() && histogram_lo == histograms.len() {
        return ABSENT;
    }
    let float = lo.checked_sub(1).map(|i| floats.timestamps[i]);
    let histogram = histogram_lo.checked_sub(1).map(|i| histograms[i].timestamp);
    if float > histogram {
        lo -= 1;
    } else if histogram.is_some() {
        histogram_lo -= 1;
    }
    let floats = Floats {
        timestamps: &floats.timestamps[lo..],
        starts: &[],
        values: &floats.values[lo..],
    };
    let histograms = &histograms[histogram_lo..];
    match func {
        RangeFunc::Changes => native_range::changes(floats, histograms),
        _ => native_range::resets(floats, Points::without_starts(histograms)),
    }
}

/// The value at a time between two samples, on the line through them.
fn interpolate((t1, v1): (Timestamp, f64), (t2, v2): (Timestamp, f64), at: Timestamp) -> f64 {
    v1 + (v2 - v1) * at.saturating_sub(t1) as f64 / t2.saturating_sub(t1) as f64
}

/// The same of histograms. After a reset, a counter is taken to have started from nothing.
fn interpolate_histograms(
    counter: bool,
    before: &HistogramPoint,
    after: &HistogramPoint,
    at: Timestamp,
    notes: &mut Notes,
) -> Result<FloatHistogram, Incompatible> {
    let [mut h1, mut h2] = [before, after].map(|p| FloatHistogram::from(&*p.histogram));
    if h1.has_custom_buckets() != h2.has_custom_buckets() {
        return Err(Incompatible);
    }
    let fraction = interpolate((before.timestamp, 0.0), (after.timestamp, 1.0), at);
    if counter && h2.is_reset_after(&h1) {
        h2.scale(fraction);
        return Ok(h2);
    }
    let hint = match h1.reset == h2.reset {
        true => h1.reset,
        false => CounterReset::Unknown,
    };
    let mut merged = h2.combine(&h1, Sign::Minus)?;
    merged.conflict = false;
    notes.subtracted.and(merged);
    h2.scale(fraction);
    h1.combine(&h2, Sign::Plus)?;
    h1.reset = hint;
    Ok(h1)
}

/// The change from one edge to the other, resets made good.
fn combined(
    counter: bool,
    points: &[HistogramPoint],
    reached: &Reached,
    (start, end): (Timestamp, Timestamp),
    notes: &mut Notes,
) -> Result<FloatHistogram, Incompatible> {
    let float = |i: usize| FloatHistogram::from(&*points[i].histogram);
    if counter {
        let custom = float(reached.first).has_custom_buckets();
        if (reached.first..=reached.last).any(|i| float(i).has_custom_buckets() != custom) {
            return Err(Incompatible);
        }
    }
    let left = if reached.left_between {
        let (before, after) = (&points[reached.first], &points[reached.first + 1]);
        interpolate_histograms(counter, before, after, start, notes)?
    } else {
        float(reached.first)
    };
    let mut sum = if reached.right_between {
        let (before, after) = (&points[reached.last - 1], &points[reached.last]);
        interpolate_histograms(counter, before, after, end, notes)?
    } else {
        float(reached.last)
    };
    // Resets are dealt with here, so that hints contradict each other means nothing.
    let mut merged = sum.combine(&left, Sign::Minus)?;
    merged.conflict = false;
    notes.subtracted.and(merged);
    if counter {
        for i in reached.pairs() {
            let before = float(i);
            if float(i + 1).is_reset_after(&before) {
                let mut merged = sum.combine(&before, Sign::Plus)?;
                merged.conflict = false;
                notes.added.and(merged);
            }
        }
    }
    Ok(sum)
}

impl Exec<'_> {
    /// A smoothed instant selector: at each step the sample there is, else the value between the
    /// neighbours, else the last one.
    pub(super) fn smoothed_selector(
        &self,
        (id, source): (NodeId, &Source),
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.budget.charge(Amount::cells(grid.count as u64))?;
        let refs = source.refs(grid);
        let lookback_ms = self.data[source.selection].lookback_ms;
        let (mut row, mut looked) = (Row::default(), Vec::new());
        self.decode_each((id, source), |series, columns| {
            drop_stale(columns);
            row.reset(grid.count);
            let mut notes = Notes::default();
            looked.clear();
            for step in 0..refs.count() {
                let at = refs.get(step);
                let (from, to) = (
                    at.saturating_sub(lookback_ms),
                    at.saturating_add(lookback_ms),
                );
                let (floats, histograms) = within(columns, from, to);
                looked.push(Looked::once(weight(floats, histograms)));
                if histograms.is_empty() {
                    row.values[step] = smoothed_float(floats, at).unwrap_or(ABSENT);
                } else if floats.values.is_empty() {
                    let smoothed = smoothed_histogram(histograms, at, &mut notes);
                    row.histograms.extend(smoothed.map(|h| (step as u32, h)));
                } else {
                    notes.mixed = true;
                }
            }
            self.look_steps(id, &looked)?;
            let name = series.labels.metric_name();
            if notes.mixed {
                let message = format!(
                    "encountered a mix of histograms and floats for metric name {}",
                    quoted(name)
                );
                self.notes.warn(message, source.span);
            }
            if notes.mixed_buckets {
                self.note_mixed_buckets(name, source.span);
            }
            self.note_merged(notes.subtracted, Purpose::Subtraction, source.span);
            sink(Meta::named(&series.labels), &mut row)
        })
    }
}

fn smoothed_float(floats: Floats<'_>, at: Timestamp) -> Option<f64> {
    let (t, v) = (floats.timestamps, floats.values);
    let next = t.partition_point(|&t| t <= at);
    let before = next.checked_sub(1)?;
    if t[before] == at || next == t.len() {
        return Some(v[before]);
    }
    Some(interpolate((t[before], v[before]), (t[next], v[next]), at))
}

fn smoothed_histogram(
    points: &[HistogramPoint],
    at: Timestamp,
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
    let next = points.partition_point(|point| point.timestamp <= at);
    let before = &points[next.checked_sub(1)?];
    let Some(after) = points.get(next).filter(|_| before.timestamp != at) else {
        return Some(Arc::clone(&before.histogram));
    };
    let gauges = [before, after].map(|p| p.histogram.reset == CounterReset::Gauge);
    let counter = gauges != [true, true];
    match interpolate_histograms(counter, before, after, at, notes) {
        Ok(h) => Some(kept(&h)),
        Err(Incompatible) => {
            notes.mixed_buckets = true;
            None
        }
    }
}
