//! Functions of range vectors over windows of native histograms.

use std::sync::Arc;

use ferula_model::{CounterReset, Histogram, Timestamp};
use ferula_storage::HistogramPoint;

use super::native::{Folded, kept};
use crate::functions::rate::{Extrapolated, Window};
use crate::histogram::{FloatHistogram, Incompatible, Merged, Sign, same_histogram};

/// The floats of a window.
#[derive(Clone, Copy)]
pub(super) struct Floats<'c> {
    pub(super) timestamps: &'c [Timestamp],
    pub(super) values: &'c [f64],
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
    points: &[HistogramPoint],
    (edges, width_ms): ((Timestamp, Timestamp), i64),
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
    let [first, .., last] = points else {
        return None;
    };
    if kind.is_counter() {
        notes.no_counter |= points.iter().any(is_gauge);
    } else {
        notes.no_gauge |= !(is_gauge(first) && is_gauge(last));
    }
    let Ok(mut change) = change(kind.is_counter(), points, notes) else {
        notes.mixed_buckets = true;
        return None;
    };
    change.reset = CounterReset::Gauge;
    let window = Window {
        edges,
        samples: (first.timestamp, last.timestamp),
        count: points.len(),
    };
    let counts = (first.histogram.count(), change.count());
    let factor = window.factor(kind.is_counter().then_some(counts));
    change.scale(match kind {
        Extrapolated::Rate => factor / (width_ms as f64 / 1000.0),
        Extrapolated::Increase | Extrapolated::Delta => factor,
    });
    Some(kept(&change))
}

/// The change from the first to the last, at the coarsest resolution there is.
fn change(
    counter: bool,
    points: &[HistogramPoint],
    notes: &mut Notes,
) -> Result<FloatHistogram, Incompatible> {
    let float = |point: &HistogramPoint| FloatHistogram::from(&*point.histogram);
    let [first, between @ .., last] = points else {
        return Err(Incompatible);
    };
    let (mut previous, mut sum) = (float(first), float(last));
    let rest: Vec<FloatHistogram> = if counter {
        between.iter().chain([last]).map(float).collect()
    } else {
        Vec::new()
    };
    // After a reset, it does not matter what the first one looked like.
    if let Some(second) = rest.first()
        && second.is_reset_after(&previous)
    {
        previous = FloatHistogram::empty_like(second);
    }
    let custom = previous.has_custom_buckets();
    if rest.iter().any(|h| h.has_custom_buckets() != custom) {
        return Err(Incompatible);
    }
    if let Some(coarsest) = rest.iter().map(FloatHistogram::schema).min() {
        sum.coarsen_to(coarsest);
    }
    let mut merged = sum.combine(&previous, Sign::Minus)?;
    // Resets are dealt with here, so that hints contradict each other means nothing.
    merged.conflict = false;
    notes.subtracted.and(merged);
    for h in &rest {
        if h.is_reset_after(&previous) {
            let mut merged = sum.combine(&previous, Sign::Plus)?;
            merged.conflict = false;
            notes.added.and(merged);
        }
        previous = h.clone();
    }
    Ok(sum)
}

/// The change between two histograms: of a gauge, or of a counter per second.
pub(super) fn between(
    per_second: bool,
    before: &HistogramPoint,
    last: &HistogramPoint,
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
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
    if !per_second || !change.is_reset_after(&before) {
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

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Sample<'c> {
    Float(f64),
    Histogram(&'c Histogram),
}

/// How many neighbours, in order of time, `differ`.
fn count_pairs(
    floats: Floats<'_>,
    histograms: &[HistogramPoint],
    differ: impl Fn(Sample<'_>, Sample<'_>) -> bool,
) -> f64 {
    let mut floats = floats.timestamps.iter().zip(floats.values).peekable();
    let mut histograms = histograms.iter().peekable();
    let mut next = || {
        let float_first = match (floats.peek(), histograms.peek()) {
            (Some((t, _)), Some(point)) => **t <= point.timestamp,
            (float, _) => float.is_some(),
        };
        if float_first {
            floats.next().map(|(_, &v)| Sample::Float(v))
        } else {
            let point = histograms.next()?;
            Some(Sample::Histogram(&point.histogram))
        }
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
    count_pairs(floats, histograms, |before, now| match (before, now) {
        (Sample::Float(a), Sample::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Sample::Histogram(a), Sample::Histogram(b)) => !same_histogram(a, b),
        _ => true,
    })
}

/// How often a counter starts anew; a change of kind is a new start.
pub(super) fn resets(floats: Floats<'_>, histograms: &[HistogramPoint]) -> f64 {
    count_pairs(floats, histograms, |before, now| match (before, now) {
        (Sample::Float(a), Sample::Float(b)) => b < a,
        (Sample::Histogram(a), Sample::Histogram(b)) => {
            FloatHistogram::from(b).is_reset_after(&FloatHistogram::from(a))
        }
        _ => true,
    })
}
