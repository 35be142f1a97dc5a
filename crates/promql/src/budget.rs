//! What a query may use: samples and bytes held, time, and the patience of whoever asked.
//!
//! [`Budget::charge`] is the one place where memory is counted. It is called before memory is
//! taken, so a query cannot take what it may not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ferula_env::Clock;
use ferula_model::{Counts, Histogram};

use crate::cancel::CancelToken;
use crate::error::{MemoryLimit, QueryError, Stage};

/// The bytes of a sample with its time.
const SAMPLE_BYTES: u64 = 16;

/// The bytes of a float whose time is known from its place.
const CELL_BYTES: u64 = 8;

/// Queries take memory from that of the process in pieces of this size, 1 MiB, so that they seldom
/// meet there.
const PIECE_BYTES: u64 = 1 << 20;

/// What all queries of a process may hold together.
#[derive(Debug)]
pub(crate) struct MemoryPool {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl MemoryPool {
    /// A pool of `bytes_max` bytes.
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicU64::new(0),
            bytes_max,
        })
    }

    /// How many bytes queries hold.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// A part of a pool, given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    pool: Arc<MemoryPool>,
    bytes: AtomicU64,
}

impl Taken {
    /// Takes more, in whole pieces, until `bytes` are taken.
    fn cover(&self, bytes: u64) -> Result<(), ()> {
        let taken = self.bytes.load(Relaxed);
        if bytes <= taken {
            return Ok(());
        }
        let more = (bytes - taken).next_multiple_of(PIECE_BYTES);
        self.bytes.fetch_add(more, Relaxed);
        let held = self.pool.bytes.fetch_add(more, Relaxed) + more;
        if held > self.pool.bytes_max {
            return Err(());
        }
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.pool.bytes.fetch_sub(*self.bytes.get_mut(), Relaxed);
    }
}

/// How much room something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    samples: u64,
    bytes: u64,
}

impl Amount {
    /// Nothing yet.
    pub(crate) const NONE: Self = Self {
        samples: 0,
        bytes: 0,
    };

    /// Samples with their times.
    pub(crate) fn samples(samples: u64) -> Self {
        Self {
            samples,
            bytes: samples.saturating_mul(SAMPLE_BYTES),
        }
    }

    /// One float per step and series.
    pub(crate) fn cells(cells: u64) -> Self {
        Self {
            samples: cells,
            bytes: cells.saturating_mul(CELL_BYTES),
        }
    }

    /// The same and `bytes` more, which are no samples.
    pub(crate) fn and_bytes(self, bytes: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_add(bytes),
            ..self
        }
    }

    /// The same `times` over.
    pub(crate) fn times(self, times: u64) -> Self {
        Self {
            samples: self.samples.saturating_mul(times),
            bytes: self.bytes.saturating_mul(times),
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            samples: self.samples.saturating_add(other.samples),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// How much a query may use.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// On the monotonic clock.
    pub(crate) deadline: Duration,
    /// The token the caller holds, and the one that stops the work when the caller is gone.
    pub(crate) cancel: [CancelToken; 2],
    /// How many samples it may hold at once.
    pub(crate) samples_max: u64,
    /// How many bytes it may hold at once.
    pub(crate) bytes_max: u64,
}

/// What one query may use and has used.
#[derive(Debug)]
pub(crate) struct Budget {
    clock: Arc<dyn Clock>,
    limits: Limits,
    samples: AtomicU64,
    samples_peak: AtomicU64,
    samples_total: AtomicU64,
    series: AtomicU64,
    bytes: AtomicU64,
    bytes_peak: AtomicU64,
    taken: Arc<Taken>,
}

impl Budget {
    pub(crate) fn new(clock: Arc<dyn Clock>, limits: Limits, pool: Arc<MemoryPool>) -> Self {
        Self {
            clock,
            limits,
            samples: AtomicU64::new(0),
            samples_peak: AtomicU64::new(0),
            samples_total: AtomicU64::new(0),
            series: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_peak: AtomicU64::new(0),
            taken: Arc::new(Taken {
                pool,
                bytes: AtomicU64::new(0),
            }),
        }
    }

    /// Takes room until the returned charge is dropped.
    pub(crate) fn charge(&self, amount: Amount) -> Result<Charge<'_>, QueryError> {
        let mut charge = Charge {
            budget: self,
            held: Amount::NONE,
        };
        charge.grow(amount)?;
        Ok(charge)
    }

    /// Counts series selected.
    pub(crate) fn count_series(&self, series: u64) {
        self.series.fetch_add(series, Relaxed);
    }

    /// Series selected.
    pub(crate) fn series(&self) -> u64 {
        self.series.load(Relaxed)
    }

    /// Counts samples looked at.
    pub(crate) fn count(&self, samples: u64) {
        self.samples_total.fetch_add(samples, Relaxed);
    }

    /// The time, on the clock of the deadline.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Whether to go on; asked once per series.
    pub(crate) fn check(&self, stage: Stage) -> Result<(), QueryError> {
        if self.limits.cancel.iter().any(CancelToken::is_canceled) {
            return Err(QueryError::Canceled(stage));
        }
        if self.clock.monotonic() >= self.limits.deadline {
            return Err(QueryError::Timeout(stage));
        }
        Ok(())
    }

    /// Samples held at this moment.
    pub(crate) fn held(&self) -> u64 {
        self.samples.load(Relaxed)
    }

    /// Bytes held at this moment.
    pub(crate) fn bytes_held(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The most samples held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.samples_peak.load(Relaxed)
    }

    /// The most bytes held at once.
    pub(crate) fn bytes_peak(&self) -> u64 {
        self.bytes_peak.load(Relaxed)
    }

    /// What is left of the process's memory to whoever keeps the result: as much as the query
    /// still holds. The rest is given back.
    pub(crate) fn taken_by_result(&self) -> Arc<Taken> {
        let taken = &self.taken;
        let held = self.bytes.load(Relaxed);
        let spare = taken.bytes.load(Relaxed).saturating_sub(held);
        taken.bytes.fetch_sub(spare, Relaxed);
        taken.pool.bytes.fetch_sub(spare, Relaxed);
        Arc::clone(taken)
    }

    /// Samples looked at.
    pub(crate) fn total(&self) -> u64 {
        self.samples_total.load(Relaxed)
    }
}

/// Asks a budget whether to go on, now and then, where one series can take long.
pub(crate) struct Patience<'b> {
    budget: &'b Budget,
    spent: u64,
}

impl<'b> Patience<'b> {
    /// How many samples are looked at between two questions: milliseconds for most functions, a
    /// second for those that sort.
    pub(crate) const SAMPLES: u64 = 4 << 20;

    pub(crate) fn new(budget: &'b Budget) -> Self {
        Self { budget, spent: 0 }
    }

    /// Counts samples that are about to be looked at.
    pub(crate) fn spend(&mut self, samples: u64) -> Result<(), QueryError> {
        self.spent += samples;
        if self.spent >= Self::SAMPLES {
            self.spent = 0;
            self.budget.check(Stage::Evaluation)?;
        }
        Ok(())
    }
}

/// Room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge<'b> {
    budget: &'b Budget,
    held: Amount,
}

impl Charge<'_> {
    /// Takes `more` room.
    pub(crate) fn grow(&mut self, more: Amount) -> Result<(), QueryError> {
        let budget = self.budget;
        let limits = &budget.limits;
        if more.samples > limits.samples_max {
            return Err(QueryError::TooManySamples);
        }
        if more.bytes > limits.bytes_max {
            return Err(self.over(MemoryLimit::Query, more.bytes));
        }
        self.held = self.held.and(more);
        let samples = budget.samples.fetch_add(more.samples, Relaxed) + more.samples;
        let bytes = budget.bytes.fetch_add(more.bytes, Relaxed) + more.bytes;
        budget.samples_peak.fetch_max(samples, Relaxed);
        budget.bytes_peak.fetch_max(bytes, Relaxed);
        if samples > limits.samples_max {
            return Err(QueryError::TooManySamples);
        }
        if bytes > limits.bytes_max {
            return Err(self.over(MemoryLimit::Query, 0));
        }
        let covered = budget.taken.cover(bytes);
        covered.map_err(|()| self.over(MemoryLimit::Process, 0))
    }

    /// Takes or gives back room so that `amount` is held.
    pub(crate) fn set(&mut self, amount: Amount) -> Result<(), QueryError> {
        self.give_back();
        self.grow(amount)
    }

    /// Leaves the room taken until the query is done.
    pub(crate) fn keep(mut self) {
        self.held = Amount::NONE;
    }

    fn give_back(&mut self) {
        let held = std::mem::replace(&mut self.held, Amount::NONE);
        self.budget.samples.fetch_sub(held.samples, Relaxed);
        self.budget.bytes.fetch_sub(held.bytes, Relaxed);
    }

    #[cold]
    fn over(&self, limit: MemoryLimit, asked: u64) -> QueryError {
        let budget = self.budget;
        QueryError::TooManyBytes {
            limit,
            bytes: budget.bytes.load(Relaxed).saturating_add(asked),
            bytes_max: match limit {
                MemoryLimit::Query => budget.limits.bytes_max,
                MemoryLimit::Process => budget.taken.pool.bytes_max,
            },
            series: budget.series(),
            samples: budget.total(),
        }
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// How many floats a histogram counts for: its bytes, in units of a float sample's 16.
pub(crate) fn histogram_weight(h: &Histogram) -> u64 {
    let buckets = match &h.counts {
        Counts::Integer {
            positive, negative, ..
        } => positive.len() + negative.len(),
        Counts::Float {
            positive, negative, ..
        } => positive.len() + negative.len(),
    };
    let words = h.positive_spans.len() + h.negative_spans.len() + buckets + h.custom_values.len();
    (168 + 8 * words as u64 + 8) / 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::ManualClock;

    fn budget(clock: &Arc<ManualClock>, pool: &Arc<MemoryPool>) -> Budget {
        let limits = Limits {
            deadline: Duration::from_secs(10),
            cancel: Default::default(),
            samples_max: 100,
            bytes_max: 3 * PIECE_BYTES,
        };
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Budget::new(clock, limits, Arc::clone(pool))
    }

    fn alone() -> Budget {
        budget(&ManualClock::at(0), &MemoryPool::new(u64::MAX))
    }

    #[test]
    fn samples_are_given_back() {
        let budget = alone();
        let mut first = budget.charge(Amount::samples(60)).unwrap();
        let more = budget.charge(Amount::cells(41));
        assert!(matches!(more, Err(QueryError::TooManySamples)));
        first.set(Amount::samples(10)).unwrap();
        assert!(budget.charge(Amount::samples(90)).is_ok());
        drop(first);
        assert!(budget.charge(Amount::samples(100)).is_ok());
        assert_eq!(budget.peak(), 101);
    }

    #[test]
    fn bytes_of_a_query_are_bounded() {
        let budget = alone();
        budget.count_series(7);
        budget.count(5);
        let piece = Amount::NONE.and_bytes(PIECE_BYTES);
        let held: Vec<_> = (0..3).map(|_| budget.charge(piece).unwrap()).collect();
        let error = budget.charge(Amount::NONE.and_bytes(1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the query holds 3.0 MiB of memory, more than the 3MiB that one query may hold (--query.bytes-max), after it selected 7 series and looked at 5 samples: select fewer series, a shorter range or a larger step, or aggregate earlier"
        );
        drop(held);
        assert!(budget.charge(piece).is_ok());
    }

    #[test]
    fn bytes_of_all_queries_are_bounded() {
        let pool = MemoryPool::new(2 * PIECE_BYTES);
        let clock = ManualClock::at(0);
        let (first, second) = (budget(&clock, &pool), budget(&clock, &pool));
        let _held = first.charge(Amount::samples(1)).unwrap();
        assert_eq!(pool.bytes(), PIECE_BYTES);
        let error = second
            .charge(Amount::NONE.and_bytes(PIECE_BYTES + 1))
            .unwrap_err();
        let expected = "queries hold all of the 2MiB of memory that they may hold together (--query.bytes-max-total)";
        assert!(error.to_string().starts_with(expected), "{error}");
        drop(second);
        let third = budget(&clock, &pool);
        drop(third.charge(Amount::NONE.and_bytes(PIECE_BYTES)).unwrap());
        assert_eq!(pool.bytes(), 2 * PIECE_BYTES);
        assert_eq!(third.bytes_peak(), PIECE_BYTES);
        let result = third.taken_by_result();
        drop(third);
        assert_eq!(pool.bytes(), PIECE_BYTES, "what was not kept is given back");
        drop(result);
        assert_eq!(pool.bytes(), PIECE_BYTES);
    }

    #[test]
    fn time_runs_out() {
        let clock = ManualClock::at(0);
        let budget = budget(&clock, &MemoryPool::new(u64::MAX));
        assert!(budget.check(Stage::Evaluation).is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(matches!(
            budget.check(Stage::Evaluation),
            Err(QueryError::Timeout(Stage::Evaluation))
        ));
        budget.limits.cancel[1].cancel();
        assert!(matches!(
            budget.check(Stage::Evaluation),
            Err(QueryError::Canceled(_))
        ));
    }
}
