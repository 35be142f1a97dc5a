//! Chunks of native histograms are read: encodings 2 (integers) and 3 (floats), and 5 and 6,
//! which are the same with start timestamps.

use std::sync::Arc;

use ferula_model::{
    BUCKETS_MAX, CounterReset, Counts, Histogram, SCHEMA_CUSTOM, Span, Timestamp, is_stale,
};
use ferula_storage::{Columns, HistogramPoint};

use super::start::StartTimes;
use super::varbit::{Window, take_int, take_uint};
use crate::Damaged;
use crate::chunk::bits::BitReader;

/// The chunk holds gauges.
pub(crate) const GAUGE: u8 = 0b11;

/// The schemas of exponential buckets.
const SCHEMAS: std::ops::RangeInclusive<i64> = -4..=8;

/// Zero thresholds of one byte are powers of two with exponents from here on.
pub(crate) const THRESHOLD_EXPONENT: i32 = -244;

const TOO_SHORT: Damaged = Damaged("a chunk is too short for its samples");

/// Appends the samples of a chunk of integer (`float` false) or float histograms.
pub(crate) fn decode(
    data: &[u8],
    float: bool,
    with_starts: bool,
    columns: &mut Columns,
) -> Result<(), Damaged> {
    let [first, second, third, ..] = *data else {
        return Err(Damaged("a chunk has no header"));
    };
    let count = u16::from_be_bytes([first, second]);
    let (count, resets, starts) = match with_starts {
        true => (count & 0x3fff, first >> 6, third),
        false => (count, third >> 6, 0),
    };
    if usize::from(count) > data.len() * 8 {
        return Err(TOO_SHORT);
    }
    let mut r = BitReader::new(data);
    r.skip(24);
    let mut starts = StartTimes::new(starts);
    let mut samples = Samples::new(float, data.len() * 8);
    for i in 0..usize::from(count) {
        let before = samples.timestamp;
        let mut histogram = samples.next(&mut r, i)?;
        // Of the first sample nothing is known, whatever the header says: the chunk before it
        // may be gone, or have come later.
        histogram.reset = match (resets, i) {
            (GAUGE, _) => CounterReset::Gauge,
            (_, 0) => CounterReset::Unknown,
            _ => CounterReset::NotReset,
        };
        if histogram.is_stale() {
            histogram = Histogram::stale();
        }
        let timestamp = samples.timestamp;
        columns.histograms.push(HistogramPoint {
            timestamp,
            start_timestamp: starts.take(&mut r, i, timestamp, before)?,
            histogram: Arc::new(histogram),
        });
        if r.overran() {
            return Err(TOO_SHORT);
        }
    }
    Ok(())
}

/// What the next sample of a chunk refers to.
struct Samples {
    float: bool,
    /// Bits of the whole chunk: buckets take one or more each.
    bits: usize,
    timestamp: Timestamp,
    delta: i64,
    layout: Histogram,
    sum: (u64, Window),
    stale: bool,
    integers: Integers,
    floats: Vec<(u64, Window)>,
}

/// Count, zero count and buckets (as differences to the bucket before), and how each changed.
#[derive(Default)]
struct Integers {
    values: Vec<i64>,
    deltas: Vec<i64>,
}

impl Samples {
    fn new(float: bool, bits: usize) -> Self {
        Self {
            float,
            bits,
            timestamp: 0,
            delta: 0,
            layout: Histogram::stale(),
            sum: (0, Window::NONE),
            stale: false,
            integers: Integers::default(),
            floats: Vec::new(),
        }
    }

    fn next(&mut self, r: &mut BitReader<'_>, i: usize) -> Result<Histogram, Damaged> {
        if i == 0 {
            self.layout = take_layout(r, self.bits)?;
            self.timestamp = take_int(r);
        } else {
            self.delta = self.delta.wrapping_add(take_int(r));
            self.timestamp = self.timestamp.wrapping_add(self.delta);
        }
        match self.float {
            true => self.next_floats(r, i)?,
            false => self.next_integers(r, i)?,
        }
        let sum = f64::from_bits(self.sum.0);
        if self.stale && !is_stale(sum) {
            return Err(Damaged(
                "a histogram follows a staleness marker in its chunk",
            ));
        }
        self.stale = is_stale(sum);
        let counts = match () {
            () if self.stale => Histogram::stale().counts,
            () if self.float => self.float_counts(),
            () => self.integer_counts()?,
        };
        Ok(Histogram {
            sum,
            counts,
            ..self.layout.clone()
        })
    }

    fn buckets(&self) -> (usize, usize) {
        let sum = |spans: &[Span]| spans.iter().map(|s| s.length as usize).sum();
        (
            sum(&self.layout.positive_spans),
            sum(&self.layout.negative_spans),
        )
    }

    fn next_integers(&mut self, r: &mut BitReader<'_>, i: usize) -> Result<(), Damaged> {
        let (positive, negative) = self.buckets();
        let Integers { values, deltas } = &mut self.integers;
        if i == 0 {
            values.push(take_uint(r) as i64);
            values.push(take_uint(r) as i64);
            self.sum.0 = r.take(64);
            values.extend((0..positive + negative).map(|_| take_int(r)));
            deltas.resize(values.len(), 0);
            return Ok(());
        }
        let mut advance = |r: &mut BitReader<'_>, n: std::ops::Range<usize>| {
            for (value, delta) in values[n.clone()].iter_mut().zip(&mut deltas[n]) {
                *delta = delta.wrapping_add(take_int(r));
                *value = value.wrapping_add(*delta);
            }
        };
        advance(r, 0..2);
        self.sum.0 ^= self.sum.1.take(r)?;
        // A staleness marker has no buckets.
        if !is_stale(f64::from_bits(self.sum.0)) {
            advance(r, 2..2 + positive + negative);
        }
        Ok(())
    }

    fn next_floats(&mut self, r: &mut BitReader<'_>, i: usize) -> Result<(), Damaged> {
        let (positive, negative) = self.buckets();
        if i == 0 {
            let totals = [r.take(64), r.take(64)];
            self.sum.0 = r.take(64);
            let buckets = (0..positive + negative).map(|_| r.take(64));
            let all = totals.into_iter().chain(buckets);
            self.floats = all.map(|bits| (bits, Window::NONE)).collect();
            return Ok(());
        }
        let (totals, buckets) = self.floats.split_at_mut(2);
        for (bits, window) in totals {
            *bits ^= window.take(r)?;
        }
        self.sum.0 ^= self.sum.1.take(r)?;
        if !is_stale(f64::from_bits(self.sum.0)) {
            for (bits, window) in buckets {
                *bits ^= window.take(r)?;
            }
        }
        Ok(())
    }

    fn integer_counts(&self) -> Result<Counts, Damaged> {
        let (positive, _) = self.buckets();
        let (totals, buckets) = self.integers.values.split_at(2);
        let (positive, negative) = buckets.split_at(positive);
        Ok(Counts::Integer {
            count: totals[0] as u64,
            zero: totals[1] as u64,
            positive: populations(positive)?,
            negative: populations(negative)?,
        })
    }

    fn float_counts(&self) -> Counts {
        let (positive, _) = self.buckets();
        let all: Vec<f64> = self.floats.iter().map(|f| f64::from_bits(f.0)).collect();
        let (positive, negative) = all[2..].split_at(positive);
        Counts::Float {
            count: all[0],
            zero: all[1],
            positive: positive.to_vec(),
            negative: negative.to_vec(),
        }
    }
}

/// Populations of buckets that are given as differences to the bucket before.
pub(crate) fn populations(differences: &[i64]) -> Result<Vec<u64>, Damaged> {
    let mut population = 0i64;
    differences
        .iter()
        .map(|difference| {
            population = population.wrapping_add(*difference);
            u64::try_from(population).map_err(|_| Damaged("a bucket has a negative population"))
        })
        .collect()
}

/// What all histograms of a chunk share. `bits` bounds how many buckets there can be.
fn take_layout(r: &mut BitReader<'_>, bits: usize) -> Result<Histogram, Damaged> {
    let zero_threshold = match r.take(8) {
        0 => 0.0,
        255 => f64::from_bits(r.take(64)),
        // As bits: the library's power function may be off by one.
        power => power_of_two(power as i32 + THRESHOLD_EXPONENT),
    };
    let schema = take_int(r);
    if schema != i64::from(SCHEMA_CUSTOM) && !SCHEMAS.contains(&schema) {
        return Err(Damaged("a histogram has a schema that is not known"));
    }
    let positive_spans = take_spans(r, bits)?;
    let negative_spans = take_spans(r, bits)?;
    let mut custom_values = Vec::new();
    if schema == i64::from(SCHEMA_CUSTOM) {
        let n = take_uint(r);
        if n > bits as u64 {
            return Err(TOO_SHORT);
        }
        for _ in 0..n {
            custom_values.push(match take_uint(r) {
                0 => f64::from_bits(r.take(64)),
                thousandths => (thousandths - 1) as f64 / 1_000.0,
            });
        }
    }
    Ok(Histogram {
        schema: schema as i8,
        zero_threshold,
        positive_spans,
        negative_spans,
        custom_values,
        ..Histogram::stale()
    })
}

/// 2^exponent, for exponents of normal doubles.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1_023) as u64) << 52)
}

fn take_spans(r: &mut BitReader<'_>, bits: usize) -> Result<Vec<Span>, Damaged> {
    let n = take_uint(r);
    if n > bits as u64 {
        return Err(TOO_SHORT);
    }
    let (mut spans, mut buckets) = (Vec::new(), 0);
    for _ in 0..n {
        let length = take_uint(r);
        let offset = take_int(r);
        buckets += length.min(1 << 32);
        if buckets > bits.min(BUCKETS_MAX) as u64 {
            return Err(Damaged(
                "a histogram has more buckets than its chunk has bits",
            ));
        }
        spans.push(Span {
            offset: i32::try_from(offset).map_err(|_| Damaged("a span starts too far out"))?,
            length: length as u32,
        });
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two() {
        assert_eq!(power_of_two(-128), 2f64.powi(-128));
        assert_eq!(power_of_two(1 + THRESHOLD_EXPONENT), 2f64.powi(-243));
        assert_eq!(power_of_two(254 + THRESHOLD_EXPONENT), 1_024.0);
    }
}
