//! What an engine counts, and how long the parts of its queries take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ferula_env::Clock;
use parking_lot::Mutex;

/// A part of a query's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// Waiting for a turn.
    QueueTime,
    /// Planning and selecting series.
    PrepareTime,
    /// Computing.
    InnerEval,
    /// Sorting the result of a range query.
    ResultSort,
}

impl Slice {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::QueueTime,
        Self::PrepareTime,
        Self::InnerEval,
        Self::ResultSort,
    ];

    /// The value of the label `slice`.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueTime => "queue_time",
            Self::PrepareTime => "prepare_time",
            Self::InnerEval => "inner_eval",
            Self::ResultSort => "result_sort",
        }
    }
}

/// Upper bounds of the duration buckets, in seconds.
pub const DURATION_BOUNDS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];

/// The quantiles that are told of durations.
pub const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// What an engine counts.
#[derive(Debug)]
pub struct EngineMetrics {
    /// Samples looked at by all queries.
    pub samples_total: AtomicU64,
    /// Samples read by all queries.
    pub samples_read_total: AtomicU64,
    clock: Arc<dyn Clock>,
    slices: [Mutex<Durations>; Slice::ALL.len()],
}

/// How long one slice took, over all queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DurationSnapshot {
    /// Seconds at each of [`QUANTILES`], of the queries of the last ten minutes; NaN without any.
    pub quantiles: [f64; QUANTILES.len()],
    /// Queries per bucket of [`DURATION_BOUNDS`], the last one without bound.
    pub buckets: [u64; DURATION_BOUNDS.len() + 1],
    /// Seconds in all.
    pub sum: f64,
    /// How many queries there were.
    pub count: u64,
}

impl EngineMetrics {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            samples_total: AtomicU64::new(0),
            samples_read_total: AtomicU64::new(0),
            clock,
            slices: Default::default(),
        }
    }

    /// Notes how long a part of a query took.
    pub(crate) fn observe(&self, slice: Slice, took: Duration) {
        let now = self.clock.monotonic();
        self.slices[slice as usize].lock().observe(now, took);
    }

    pub(crate) fn count_samples(&self, looked_at: u64, read: u64) {
        self.samples_total.fetch_add(looked_at, Relaxed);
        self.samples_read_total.fetch_add(read, Relaxed);
    }

    /// How long a part of queries takes.
    pub fn durations(&self, slice: Slice) -> DurationSnapshot {
        let now = self.clock.monotonic();
        self.slices[slice as usize].lock().snapshot(now)
    }
}

/// How long an observation counts for quantiles, and in how many steps it is forgotten: as the
/// client libraries of the reference do it.
const AGE_MAX: Duration = Duration::from_secs(600);
const AGES: usize = 5;

/// Bins of a power of two: quantiles are off by 1/16 of themselves at most.
const BINS_PER_OCTAVE: u64 = 16;

/// From below a microsecond to beyond an hour: 32 octaves above 16 × 64 ns.
const BINS: usize = 33 * BINS_PER_OCTAVE as usize;

/// The width of the first bins, in nanoseconds, as a shift.
const UNIT_SHIFT: u32 = 6;

#[derive(Debug)]
struct Durations {
    buckets: [u64; DURATION_BOUNDS.len() + 1],
    sum: Duration,
    /// Observations of one age each, a ring.
    ages: [Box<[u32; BINS]>; AGES],
    /// Which of them is filled now, counted on for ever.
    age: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            buckets: Default::default(),
            sum: Duration::ZERO,
            ages: std::array::from_fn(|_| Box::new([0; BINS])),
            age: 0,
        }
    }
}

impl Durations {
    fn observe(&mut self, now: Duration, took: Duration) {
        self.forget(now);
        let bucket = DURATION_BOUNDS.partition_point(|&bound| bound < took.as_secs_f64());
        self.buckets[bucket] += 1;
        self.sum += took;
        let count = &mut self.ages[self.age as usize % AGES][bin(took)];
        *count = count.saturating_add(1);
    }

    /// Empties the bins of ages that are over.
    fn forget(&mut self, now: Duration) {
        let age = (now.as_nanos() / (AGE_MAX.as_nanos() / AGES as u128)) as u64;
        let over = age.saturating_sub(self.age).min(AGES as u64);
        for older in 0..over {
            self.ages[(age - older) as usize % AGES].fill(0);
        }
        self.age = self.age.max(age);
    }

    fn snapshot(&mut self, now: Duration) -> DurationSnapshot {
        self.forget(now);
        let mut bins = [0u64; BINS];
        for (bin, all) in bins.iter_mut().enumerate() {
            *all = self.ages.iter().map(|age| u64::from(age[bin])).sum();
        }
        DurationSnapshot {
            quantiles: QUANTILES.map(|quantile| quantile_of(&bins, quantile)),
            buckets: self.buckets,
            sum: self.sum.as_secs_f64(),
            count: self.buckets.iter().sum(),
        }
    }
}

/// Bins are as wide as the unit up to 16 units; from there on, 16 to each doubling.
fn bin(took: Duration) -> usize {
    let units = u64::try_from(took.as_nanos() >> UNIT_SHIFT).unwrap_or(u64::MAX);
    if units < BINS_PER_OCTAVE {
        return units as usize;
    }
    let octave = units.ilog2() - BINS_PER_OCTAVE.ilog2();
    let within = (units >> octave) - BINS_PER_OCTAVE;
    let bin = u64::from(octave + 1) * BINS_PER_OCTAVE + within;
    (bin as usize).min(BINS - 1)
}

/// The middle of a bin, in seconds.
fn middle(bin: usize) -> f64 {
    let (octave, within) = (
        bin as u64 / BINS_PER_OCTAVE,
        (bin as u64 % BINS_PER_OCTAVE) as f64,
    );
    let units = if octave == 0 {
        within + 0.5
    } else {
        (BINS_PER_OCTAVE as f64 + within + 0.5) * 2f64.powi(octave as i32 - 1)
    };
    units * f64::from(1 << UNIT_SHIFT) / 1e9
}

/// The smallest bin that as much as `quantile` of all observations does not exceed.
fn quantile_of(bins: &[u64], quantile: f64) -> f64 {
    let total: u64 = bins.iter().sum();
    let rank = ((total as f64 * quantile).ceil() as u64).max(1);
    let mut below = 0;
    for (bin, count) in bins.iter().enumerate() {
        below += count;
        if below >= rank {
            return middle(bin);
        }
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::ManualClock;

    #[test]
    fn bins_hold_what_they_stand_for() {
        let mut last = 0;
        for shift in 0..42 {
            for part in 0..7 {
                let took = Duration::from_nanos((1 << shift) + part * (1 << shift) / 7);
                let (bin, seconds) = (bin(took), took.as_secs_f64());
                assert!(bin >= last, "{took:?} is in bin {bin} after {last}");
                last = bin;
                let off = (middle(bin) - seconds).abs();
                assert!(
                    off <= seconds / 16.0 || off < 64e-9,
                    "{took:?}: {off} s off"
                );
            }
        }
        assert_eq!(bin(Duration::MAX), BINS - 1);
        assert_eq!(bin(Duration::ZERO), 0);
    }

    #[test]
    fn durations_are_counted_and_forgotten() {
        let clock = ManualClock::at(0);
        let metrics = EngineMetrics::new(Arc::clone(&clock) as Arc<dyn Clock>);
        assert!(metrics.durations(Slice::QueueTime).quantiles[0].is_nan());
        for ms in 1..=100 {
            metrics.observe(Slice::InnerEval, Duration::from_millis(ms * 2));
        }
        let near = |a: f64, b: f64| (a - b).abs() <= b / 16.0;
        let seen = metrics.durations(Slice::InnerEval);
        assert_eq!(
            (seen.buckets, seen.count, seen.sum.round()),
            ([5, 45, 50, 0, 0], 100, 10.0)
        );
        for (got, wanted) in seen.quantiles.into_iter().zip([0.1, 0.18, 0.198]) {
            assert!(near(got, wanted), "{got} is not about {wanted}");
        }
        clock.advance(Duration::from_secs(480));
        metrics.observe(Slice::InnerEval, Duration::from_secs(5));
        assert!(near(
            metrics.durations(Slice::InnerEval).quantiles[0],
            0.102
        ));
        clock.advance(Duration::from_secs(120));
        let seen = metrics.durations(Slice::InnerEval);
        assert!(near(seen.quantiles[0], 5.0), "{seen:?}");
        assert_eq!(seen.count, 101);
        clock.advance(Duration::from_secs(6000));
        assert!(metrics.durations(Slice::InnerEval).quantiles[0].is_nan());
    }
}
