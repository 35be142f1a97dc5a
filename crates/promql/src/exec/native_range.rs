//! Functions of range vectors over windows of native histograms.

use std::sync::Arc;

use ferula_model::{CounterReset, Histogram, Timestamp};
use ferula_storage::HistogramPoint;

use super::native::{Folded, kept};
use crate::functions::rate::{Extrapolated, Window};
use crate::functions::starts::Stamps;
use crate::histogram::{FloatHistogram, Incompatible, Merged, Sign, same_histogram};

/// The floats of a window.
#[derive(Clone, Copy)]
pub(super) struct Floats<'c> {
    pub(super) timestamps: &'c [Timestamp],
    /// When the counting of each began, if that is looked at.
    pub(super) starts: &'c [Timestamp],
    pub(super) values: &'c [f64],
}

impl Floats<'_> {
    fn stamps(&self, i: usize) -> Stamps {
        Stamps {
            at: self.timestamps[i],
            start: self.starts.get(i).copied().unwrap_or(0),
        }
    }
}

/// The histograms of a window.
#[derive(Clone, Copy)]
pub(super) struct Points<'c> {
    pub(super) points: &'c [HistogramPoint],
    /// Whether their start timestamps are looked at.
    pub(super) use_starts: bool,
    /// Whether each is known to have plainly grown out of the one before.
    pub(super) plain: bool,
}

impl<'c> Points<'c> {
    pub(super) fn without_starts(points: &'c [HistogramPoint]) -> Self {
        Self {
            points,
            use_starts: false,
            plain: false,
        }
    }

    /// The newest two, if there are two.
    pub(super) fn last_two(&self) -> Self {
        Self {
            points: &self.points[self.points.len().saturating_sub(2)..],
            ..*self
        }
    }

    fn stamps(&self, i: usize) -> Stamps {
        let point = &self.points[i];
        Stamps {
            at: point.timestamp,
            start: if self.use_starts {
                point.start_timestamp
            } else {
                0
            },
        }
    }

    /// Whether point `i` counts anew by what its start timestamp says.
    fn restarts_at(&self, i: usize) -> bool {
        self.use_starts && self.stamps(i).is_restart_after(self.stamps(i - 1))
    }

    /// Whether the counting of any point overlaps that of the one before it.
    fn any_overlaps(&self) -> bool {
        let overlaps = |i: usize| self.stamps(i).overlaps(self.stamps(i - 1));
        self.use_starts && (1..self.points.len()).any(overlaps)
    }
}

/// What went by in a series that the user should hear of.
#[derive(Default)]
pub(super) struct Notes {
    /// Windows with floats and histograms had no result.
    pub(super) mixed: bool,
    /// Histograms beside floats were left out.
    pub(super) ignored: bool,
    /// Windows with exponential and custom buckets had no result.
    pub(super) mixed_buckets: bool,
    /// Gauge histograms were taken for counters.
    pub(super) no_counter: bool,
    /// Counter histograms were taken for gauges.
    pub(super) no_gauge: bool,
    /// Windows with samples whose counting overlaps that of the one before.
    pub(super) overlapping: u64,
    /// What combining histograms took.
    pub(super) added: Merged,
    pub(super) subtracted: Merged,
    pub(super) aggregated: Merged,
}

/// A subquery's samples need not be neighbours: what one knew of the sample before is void.
pub(super) fn without_hint(h: &Arc<Histogram>) -> Arc<Histogram> {
    match h.reset {
        CounterReset::Reset | CounterReset::NotReset => Arc::new(Histogram {
            reset: CounterReset::Unknown,
            ..(**h).clone()
        }),
        CounterReset::Unknown | CounterReset::Gauge => Arc::clone(h),
    }
}

/// The sum or the mean of a window.
pub(super) fn fold(
    points: &[HistogramPoint],
    mean: bool,
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
    let (first, rest) = points.split_first()?;
    let mut folded = Folded::new(&first.histogram, mean);
    for point in rest {
        if folded.add(&point.histogram).is_err() {
            notes.mixed_buckets = true;
            return None;
        }
    }
    notes.aggregated.and(folded.merged());
    folded.finish()
}

fn is_gauge(point: &HistogramPoint) -> bool {
    point.histogram.reset == CounterReset::Gauge
}

/// `rate`, `increase` or `delta` of a window: its edges and its width in milliseconds.
pub(super) fn extrapolate(
    kind: Extrapolated,
    window: Points<'_>,
    (edges, width_ms): ((Timestamp, Timestamp), i64),
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
    let points = window.points;
    let (first, last) = (points.first()?, points.last()?);
    let zero_at = window.stamps(0).zero_after(edges.0);
    if points.len() < 2 && zero_at.is_none() {
        return None;
    }
    if kind.is_counter() {
        let plain = window.plain && points.len() > 1;
        notes.no_counter |= !plain && points.iter().any(is_gauge);
    } else {
        notes.no_gauge |= !(is_gauge(first) && is_gauge(last));
    }
    notes.overlapping += u64::from(window.any_overlaps());
    let from_zero = zero_at.is_some();
    let Ok(mut change) = change(kind.is_counter(), window, from_zero, notes) else {
        notes.mixed_buckets = true;
        return None;
    };
    change.reset = CounterReset::Gauge;
    let window = Window {
        edges,
        samples: (first.timestamp, last.timestamp),
        count: points.len(),
    };
    let factor = match zero_at {
        Some(zero_at) => window.factor_since(zero_at),
        None => {
            let counts = (first.histogram.count(), change.count());
            window.factor(kind.is_counter().then_some(counts))
        }
    };
    change.scale(kind.scale(factor, width_ms));
    Some(kept(&change))
}

/// The change from the first, or from zero, to the last, at the coarsest resolution there is.
fn change(
    counter: bool,
    window: Points<'_>,
    from_zero: bool,
    notes: &mut Notes,
) -> Result<FloatHistogram, Incompatible> {
    let float = |point: &HistogramPoint| FloatHistogram::from(&*point.histogram);
    let [first, .., last] = window.points else {
        // A lone sample, counted from zero.
        return window.points.first().map(float).ok_or(Incompatible);
    };
    if counter && window.plain && !window.use_starts {
        let mut change = float(last);
        change.combine(&float(first), Sign::Minus)?;
        return Ok(change);
    }
    let (mut previous, mut sum) = (float(first), float(last));
    let rest: Vec<FloatHistogram> = if counter {
        window.points.iter().skip(1).map(float).collect()
    } else {
        Vec::new()
    };
    // After a reset, it does not matter what the first one looked like.
    if let Some(second) = rest.first()
        && !from_zero
        && (second.is_reset_after(&previous) || window.restarts_at(1))
    {
        previous = FloatHistogram::empty_like(second);
    }
    let custom = previous.has_custom_buckets();
    if rest.iter().any(|h| h.has_custom_buckets() != custom) {
        return Err(Incompatible);
    }
    if sum.has_custom_buckets() == custom {
        let schemas = rest.iter().map(FloatHistogram::schema);
        sum.coarsen_to(schemas.fold(previous.schema(), i8::min));
    }
    // Resets are dealt with here, so that hints contradict each other means nothing.
    let harmless = |merged: Merged| Merged {
        conflict: false,
        ..merged
    };
    if !from_zero {
        let merged = sum.combine(&previous, Sign::Minus)?;
        notes.subtracted.and(harmless(merged));
    }
    for (i, h) in rest.iter().enumerate() {
        if h.is_reset_after(&previous) || window.restarts_at(i + 1) {
            let merged = sum.combine(&previous, Sign::Plus)?;
            notes.added.and(harmless(merged));
        }
        previous = h.clone();
    }
    Ok(sum)
}

/// The change between two histograms: of a gauge, or of a counter per second.
pub(super) fn between(
    per_second: bool,
    pair: Points<'_>,
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
    let [before, last] = pair.points else {
        return None;
    };
    let elapsed_ms = last.timestamp.saturating_sub(before.timestamp);
    if elapsed_ms == 0 {
        return None;
    }
    if per_second {
        notes.no_counter |= is_gauge(before) || is_gauge(last);
    } else {
        notes.no_gauge |= !(is_gauge(before) && is_gauge(last));
    }
    let mut change = FloatHistogram::from(&*last.histogram);
    let before = FloatHistogram::from(&*before.histogram);
    let reset = change.is_reset_after(&before) || pair.restarts_at(1);
    if !per_second || !reset {
        match change.combine(&before, Sign::Minus) {
            Ok(mut merged) => {
                merged.conflict = false;
                notes.subtracted.and(merged);
            }
            Err(Incompatible) => {
                notes.mixed_buckets = true;
                return None;
            }
        }
    }
    change.reset = CounterReset::Gauge;
    if per_second {
        change.divide(elapsed_ms as f64 / 1000.0);
    }
    Some(kept(&change))
}

/// A sample of either kind, and its times.
#[derive(Clone, Copy)]
enum Sample<'c> {
    Float(f64, Stamps),
    Histogram(&'c Histogram, Stamps),
}

/// How many neighbours, in order of time, `differ`.
fn count_pairs(
    floats: Floats<'_>,
    histograms: Points<'_>,
    differ: impl Fn(Sample<'_>, Sample<'_>) -> bool,
) -> f64 {
    let (mut float, mut histogram) = (0, 0);
    let mut next = || {
        let point = histograms.points.get(histogram);
        let float_first = match (floats.timestamps.get(float), point) {
            (Some(&t), Some(point)) => t <= point.timestamp,
            (t, _) => t.is_some(),
        };
        if float_first {
            float += 1;
            let i = float - 1;
            return Some(Sample::Float(floats.values[i], floats.stamps(i)));
        }
        let point = point?;
        histogram += 1;
        let stamps = histograms.stamps(histogram - 1);
        Some(Sample::Histogram(&point.histogram, stamps))
    };
    let mut count = 0.0;
    let mut before = next();
    while let (Some(previous), Some(sample)) = (before, next()) {
        if differ(previous, sample) {
            count += 1.0;
        }
        before = Some(sample);
    }
    count
}

/// How often neighbours differ.
pub(super) fn changes(floats: Floats<'_>, histograms: &[HistogramPoint]) -> f64 {
    let histograms = Points::without_starts(histograms);
    count_pairs(floats, histograms, |before, now| match (before, now) {
        (Sample::Float(a, _), Sample::Float(b, _)) => a != b && !(a.is_nan() && b.is_nan()),
        (Sample::Histogram(a, _), Sample::Histogram(b, _)) => !same_histogram(a, b),
        _ => true,
    })
}

/// How often a counter starts anew; a change of kind is a new start.
pub(super) fn resets(floats: Floats<'_>, histograms: Points<'_>) -> f64 {
    count_pairs(floats, histograms, |before, now| match (before, now) {
        (Sample::Float(a, at), Sample::Float(b, then)) => b < a || then.is_restart_after(at),
        (Sample::Histogram(a, at), Sample::Histogram(b, then)) => {
            FloatHistogram::from(b).is_reset_after(&FloatHistogram::from(a))
                || then.is_restart_after(at)
        }
        _ => true,
    })
}
