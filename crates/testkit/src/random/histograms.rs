//! Native histograms that follow each other as those of one series do.

use std::collections::BTreeMap;

use ferula_model::{CounterReset, Counts, Histogram, SCHEMA_CUSTOM};

use super::seed::Random;
use crate::histogram::Literal;

/// Bounds that custom buckets have; a series may move from one list to another.
const BOUNDS: [&[f64]; 5] = [
    &[0.1, 0.5, 1.0, 2.5],
    &[0.1, 1.0, 2.5, 10.0],
    &[-1.0, 0.0, 1.0, 5.0],
    &[1.0],
    &[-5.0, -2.0, 3.0],
];

/// Exponential buckets.
pub(super) struct ExponentialWalk {
    histogram: Literal,
    gauge: bool,
    floats: bool,
    negatives: bool,
    reset_permille: u64,
    nans: bool,
}

impl ExponentialWalk {
    pub(super) fn new(random: &mut Random, gauge: bool) -> Self {
        let histogram = Literal {
            schema: random.pick(&[-1, 0, 0, 1, 2, 3]),
            zero_threshold: random.pick(&[0.0, 0.001, 0.001, 0.01]),
            ..Literal::default()
        };
        Self {
            histogram,
            gauge,
            floats: random.chance(40),
            negatives: random.chance(35),
            reset_permille: random.pick(&[0, 10, 40]),
            nans: random.chance(5),
        }
    }

    pub(super) fn next(&mut self, random: &mut Random) -> Histogram {
        if random.below(1000) < self.reset_permille {
            self.restart(random);
        }
        if self.gauge && random.chance(30) {
            self.forget(random);
        }
        for _ in 0..random.below(5) {
            self.observe(random);
        }
        let mut histogram = self.histogram.build();
        if self.gauge {
            histogram.reset = CounterReset::Gauge;
        }
        finished(histogram, self.floats)
    }

    /// Starts from nothing, perhaps with another resolution.
    fn restart(&mut self, random: &mut Random) {
        let (schema, zero_threshold) = (self.histogram.schema, self.histogram.zero_threshold);
        self.histogram = Literal {
            schema: random.pick(&[schema, schema, 0, 1, 2]),
            zero_threshold: random.pick(&[zero_threshold, 0.001, 0.01]),
            ..Literal::default()
        };
    }

    /// Halves what one bucket holds.
    fn forget(&mut self, random: &mut Random) {
        let nth = random.below(8) as usize;
        let Some((_, population)) = self.histogram.positive.iter_mut().nth(nth) else {
            return;
        };
        let gone = (*population / 2.0).floor();
        *population -= gone;
        self.histogram.count -= gone;
    }

    fn observe(&mut self, random: &mut Random) {
        let times = random.between(1, 4) as f64;
        let times = if self.floats { times * 0.75 } else { times };
        let h = &mut self.histogram;
        h.count += times;
        if self.nans && random.chance(10) {
            // An observation of NaN is counted, but lies in no bucket.
            h.sum = f64::NAN;
            return;
        }
        if random.chance(10) {
            h.zero_count += times;
            return;
        }
        // Values between about 1/8 and 64, whatever the resolution.
        let value = random.between(-3, 6);
        let index = if h.schema >= 0 {
            (value << h.schema) as i32 + random.between(0, (1 << h.schema) - 1) as i32
        } else {
            (value >> 1) as i32
        };
        let middle = if value >= 0 {
            (1 << value) as f64
        } else {
            1.0 / (1 << -value) as f64
        };
        let (side, sign) = if self.negatives && random.chance(30) {
            (&mut h.negative, -1.0)
        } else {
            (&mut h.positive, 1.0)
        };
        *side.entry(index).or_default() += times;
        h.sum += sign * middle * times;
    }
}

/// Custom buckets.
pub(super) struct CustomWalk {
    bounds: &'static [f64],
    populations: BTreeMap<i32, f64>,
    sum: f64,
    floats: bool,
    change_permille: u64,
}

impl CustomWalk {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            bounds: random.pick(&[
                BOUNDS[0], BOUNDS[0], BOUNDS[1], BOUNDS[2], BOUNDS[3], BOUNDS[4],
            ]),
            populations: BTreeMap::new(),
            sum: 0.0,
            floats: random.chance(40),
            change_permille: random.pick(&[0, 10, 40]),
        }
    }

    pub(super) fn next(&mut self, random: &mut Random) -> Histogram {
        if random.below(1000) < self.change_permille {
            if random.chance(50) {
                self.bounds = random.pick(&BOUNDS);
            }
            self.populations.clear();
            self.sum = 0.0;
        }
        for _ in 0..random.below(5) {
            let times = random.between(1, 4) as f64;
            let times = if self.floats { times * 0.75 } else { times };
            let index = random.below(self.bounds.len() as u64 + 1) as i32;
            *self.populations.entry(index).or_default() += times;
            let upper = self.bounds.get(index as usize).copied().unwrap_or(20.0);
            self.sum += (upper - 0.05) * times;
        }
        let literal = Literal {
            schema: SCHEMA_CUSTOM,
            // Not `sum`, which makes −0 of nothing.
            count: self
                .populations
                .values()
                .fold(0.0, |sum, count| sum + count),
            sum: self.sum,
            positive: self.populations.clone(),
            custom_values: self.bounds.to_vec(),
            ..Literal::default()
        };
        finished(literal.build(), self.floats)
    }
}

/// The histogram with whole counts where the series has those.
fn finished(histogram: Histogram, floats: bool) -> Histogram {
    let Counts::Float {
        count,
        zero,
        positive,
        negative,
    } = &histogram.counts
    else {
        return histogram;
    };
    if floats {
        return histogram;
    }
    let whole = |counts: &[f64]| counts.iter().map(|&count| count as u64).collect();
    let counts = Counts::Integer {
        count: *count as u64,
        zero: *zero as u64,
        positive: whole(positive),
        negative: whole(negative),
    };
    Histogram {
        counts,
        ..histogram
    }
}
