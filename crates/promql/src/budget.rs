//! What a query may use: samples held, time, and the patience of whoever asked.
//!
//! [`Budget::charge`] is the one place where memory is counted. It is called before memory is
//! taken, so a query cannot take what it may not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ferula_env::Clock;
use ferula_model::{Counts, Histogram};

use crate::cancel::CancelToken;
use crate::error::{QueryError, Stage};

/// What one query may use and has used.
#[derive(Debug)]
pub(crate) struct Budget {
    clock: Arc<dyn Clock>,
    /// On the monotonic clock.
    deadline: Duration,
    /// The token the caller holds, and the one that stops the work when the caller is gone.
    cancel: [CancelToken; 2],
    samples_max: u64,
    samples: AtomicU64,
    samples_peak: AtomicU64,
    samples_total: AtomicU64,
}

impl Budget {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        deadline: Duration,
        cancel: [CancelToken; 2],
        samples_max: u64,
    ) -> Self {
        Self {
            clock,
            deadline,
            cancel,
            samples_max,
            samples: AtomicU64::new(0),
            samples_peak: AtomicU64::new(0),
            samples_total: AtomicU64::new(0),
        }
    }

    /// Takes room for `samples` until the returned charge is dropped.
    pub(crate) fn charge(&self, samples: u64) -> Result<Charge<'_>, QueryError> {
        let mut charge = Charge {
            budget: self,
            samples: 0,
        };
        charge.grow(samples)?;
        Ok(charge)
    }

    /// Counts samples looked at.
    pub(crate) fn count(&self, samples: u64) {
        self.samples_total.fetch_add(samples, Relaxed);
    }

    /// Whether to go on; asked once per series.
    pub(crate) fn check(&self, stage: Stage) -> Result<(), QueryError> {
        if self.cancel.iter().any(CancelToken::is_canceled) {
            return Err(QueryError::Canceled(stage));
        }
        if self.clock.monotonic() >= self.deadline {
            return Err(QueryError::Timeout(stage));
        }
        Ok(())
    }

    /// Samples held at this moment.
    pub(crate) fn held(&self) -> u64 {
        self.samples.load(Relaxed)
    }

    /// The most samples held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.samples_peak.load(Relaxed)
    }

    /// Samples looked at.
    pub(crate) fn total(&self) -> u64 {
        self.samples_total.load(Relaxed)
    }
}

/// Room for samples, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge<'b> {
    budget: &'b Budget,
    samples: u64,
}

impl Charge<'_> {
    /// Takes room for `samples` more.
    pub(crate) fn grow(&mut self, samples: u64) -> Result<(), QueryError> {
        let budget = self.budget;
        if samples > budget.samples_max {
            return Err(QueryError::TooManySamples);
        }
        let held = budget.samples.fetch_add(samples, Relaxed) + samples;
        self.samples += samples;
        budget.samples_peak.fetch_max(held, Relaxed);
        if held > budget.samples_max {
            return Err(QueryError::TooManySamples);
        }
        Ok(())
    }

    /// Takes or gives back room so that `samples` are held.
    pub(crate) fn set(&mut self, samples: u64) -> Result<(), QueryError> {
        if samples > self.samples {
            return self.grow(samples - self.samples);
        }
        self.budget
            .samples
            .fetch_sub(self.samples - samples, Relaxed);
        self.samples = samples;
        Ok(())
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.budget.samples.fetch_sub(self.samples, Relaxed);
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

    fn budget(clock: &Arc<ManualClock>) -> Budget {
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Budget::new(clock, Duration::from_secs(10), Default::default(), 100)
    }

    #[test]
    fn samples_are_given_back() {
        let budget = budget(&ManualClock::at(0));
        let mut first = budget.charge(60).unwrap();
        assert!(matches!(budget.charge(41), Err(QueryError::TooManySamples)));
        first.set(10).unwrap();
        assert!(budget.charge(90).is_ok());
        drop(first);
        assert!(budget.charge(100).is_ok());
        assert_eq!(budget.peak(), 101);
    }

    #[test]
    fn time_runs_out() {
        let clock = ManualClock::at(0);
        let budget = budget(&clock);
        assert!(budget.check(Stage::Evaluation).is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(matches!(
            budget.check(Stage::Evaluation),
            Err(QueryError::Timeout(Stage::Evaluation))
        ));
        budget.cancel[1].cancel();
        assert!(matches!(
            budget.check(Stage::Evaluation),
            Err(QueryError::Canceled(_))
        ));
    }
}
