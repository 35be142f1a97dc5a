//! When the counting of samples began, for some of the series: as counters, deltas and broken
//! sources state it.

use std::sync::Arc;

use ferula_model::{Timestamp, Value};

use super::data::{RandomSample, Scenario};
use super::seed::Random;
use crate::MemStore;

/// What a source says about its samples.
#[derive(Clone, Copy)]
enum Source {
    Silent,
    /// Counts from a start that moves when values fall.
    Counter,
    /// Every sample counts from the one before.
    Delta,
    /// Says anything.
    Broken,
}

impl Scenario {
    /// The series in a naive store, most with start timestamps.
    pub fn started_store(&self) -> MemStore {
        let mut store = MemStore::new();
        for (purpose, series) in (1000..).zip(&self.series) {
            let mut random = Random::of(self.seed, purpose);
            let source = random.weighted(&[
                (2, Source::Silent),
                (4, Source::Counter),
                (2, Source::Delta),
                (1, Source::Broken),
            ]);
            let mut before: Option<(Timestamp, f64)> = None;
            let mut counting_since = self.start_ms - random.between(0, 120_000);
            for (time, sample) in &series.samples {
                let (value, height) = match sample {
                    RandomSample::Float(v) => (Value::Float(*v), *v),
                    RandomSample::Histogram(h) => {
                        (Value::Histogram(Arc::new(h.clone())), h.count())
                    }
                };
                let previous = before.map_or(*time - 30_000, |(time, _)| time);
                if before.is_some_and(|(_, before)| height < before) {
                    counting_since = random.between(previous, *time);
                }
                let start = match source {
                    Source::Silent => 0,
                    Source::Counter => counting_since,
                    Source::Delta => previous + random.between(0, 1),
                    Source::Broken => random.pick(&[
                        0,
                        *time,
                        *time + 1000,
                        *time - 1,
                        previous - 500,
                        previous,
                        counting_since,
                    ]),
                };
                store.push_started(&series.labels, *time, value, start);
                before = Some((*time, height));
            }
        }
        store
    }
}
