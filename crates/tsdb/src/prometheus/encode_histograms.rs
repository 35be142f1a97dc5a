//! Chunks of native histograms are written: encodings 2 (integers) and 3 (floats).

use ferula_model::{Counts, Histogram, SCHEMA_CUSTOM, Span, Timestamp};

use super::histograms::{THRESHOLD_EXPONENT, power_of_two};
use super::varbit::{BitWriter, Window};

/// The largest custom bound that is written as thousandths.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;

/// Encodes histograms that share layout and kind; staleness markers may be the last of them.
/// `resets` is the two bits of the header.
pub(crate) fn encode(samples: &[(Timestamp, &Histogram)], resets: u8) -> Vec<u8> {
    let [high, low] = (samples.len() as u16).to_be_bytes();
    let mut out = BitWriter::after(vec![high, low, resets << 6]);
    if let Some((_, first)) = samples.first() {
        put_layout(&mut out, first);
        match first.counts {
            Counts::Integer { .. } => put_integers(&mut out, samples),
            Counts::Float { .. } => put_floats(&mut out, samples),
        }
    }
    out.finish()
}

/// Timestamps: the first as it is, then how differences change.
#[derive(Default)]
struct Times {
    timestamp: Timestamp,
    delta: i64,
}

impl Times {
    fn put(&mut self, out: &mut BitWriter, i: usize, timestamp: Timestamp) {
        if i == 0 {
            out.put_int(timestamp);
        } else {
            let delta = timestamp.wrapping_sub(self.timestamp);
            out.put_int(delta.wrapping_sub(self.delta));
            self.delta = delta;
        }
        self.timestamp = timestamp;
    }
}

fn put_integers(out: &mut BitWriter, samples: &[(Timestamp, &Histogram)]) {
    let (mut times, mut window) = (Times::default(), Window::NONE);
    let (mut before, mut deltas, mut sum) = (Vec::new(), Vec::new(), 0);
    for (i, (timestamp, histogram)) in samples.iter().enumerate() {
        times.put(out, i, *timestamp);
        let numbers = differences(&histogram.counts);
        let bits = histogram.sum.to_bits();
        if i == 0 {
            out.put_uint(numbers[0] as u64);
            out.put_uint(numbers[1] as u64);
            out.put(bits, 64);
            numbers[2..].iter().for_each(|&n| out.put_int(n));
            deltas.resize(numbers.len(), 0);
        } else if histogram.is_stale() {
            out.put_int(0);
            out.put_int(0);
            window.put(out, sum ^ bits);
            sum = bits;
            continue;
        } else {
            for at in 0..numbers.len() {
                let delta = numbers[at].wrapping_sub(before[at]);
                out.put_int(delta.wrapping_sub(deltas[at]));
                deltas[at] = delta;
                if at == 1 {
                    window.put(out, sum ^ bits);
                }
            }
        }
        (before, sum) = (numbers, bits);
    }
}

fn put_floats(out: &mut BitWriter, samples: &[(Timestamp, &Histogram)]) {
    let (mut times, mut sum) = (Times::default(), (0, Window::NONE));
    let mut before: Vec<(u64, Window)> = Vec::new();
    for (i, (timestamp, histogram)) in samples.iter().enumerate() {
        times.put(out, i, *timestamp);
        let numbers = bits(&histogram.counts);
        let sum_bits = histogram.sum.to_bits();
        // A staleness marker has totals of zero and no buckets.
        let len = match histogram.is_stale() {
            true => 2,
            false => numbers.len(),
        };
        if i == 0 {
            before = numbers.iter().map(|&n| (n, Window::NONE)).collect();
            for (at, &number) in numbers[..len].iter().enumerate() {
                out.put(number, 64);
                if at == 1 {
                    out.put(sum_bits, 64);
                }
            }
        } else {
            for (at, &number) in numbers[..len].iter().enumerate() {
                let (old, window) = &mut before[at];
                window.put(out, *old ^ number);
                *old = number;
                if at == 1 {
                    sum.1.put(out, sum.0 ^ sum_bits);
                }
            }
        }
        sum.0 = sum_bits;
    }
}

/// Count, zero count, and buckets as differences to the bucket before, side by side.
fn differences(counts: &Counts) -> Vec<i64> {
    let Counts::Integer {
        count,
        zero,
        positive,
        negative,
    } = counts
    else {
        return vec![0, 0];
    };
    let mut numbers = vec![*count as i64, *zero as i64];
    for side in [positive, negative] {
        let mut before = 0i64;
        for &population in side {
            numbers.push((population as i64).wrapping_sub(before));
            before = population as i64;
        }
    }
    numbers
}

/// The bits of count, zero count and buckets.
fn bits(counts: &Counts) -> Vec<u64> {
    let Counts::Float {
        count,
        zero,
        positive,
        negative,
    } = counts
    else {
        return vec![0, 0];
    };
    let all = [count, zero].into_iter().chain(positive).chain(negative);
    all.map(|n| n.to_bits()).collect()
}

fn put_layout(out: &mut BitWriter, histogram: &Histogram) {
    put_threshold(out, histogram.zero_threshold);
    out.put_int(histogram.schema.into());
    put_spans(out, &histogram.positive_spans);
    put_spans(out, &histogram.negative_spans);
    if histogram.schema == SCHEMA_CUSTOM {
        out.put_uint(histogram.custom_values.len() as u64);
        for &bound in &histogram.custom_values {
            put_bound(out, bound);
        }
    }
}

fn put_threshold(out: &mut BitWriter, threshold: f64) {
    if threshold.to_bits() == 0 {
        return out.put(0, 8);
    }
    let powers = 1..=254;
    let exponent = (threshold.to_bits() >> 52) as i32 - 1_023;
    let power = exponent - THRESHOLD_EXPONENT;
    if powers.contains(&power) && power_of_two(exponent).to_bits() == threshold.to_bits() {
        out.put(power as u64, 8);
    } else {
        out.put(255, 8);
        out.put(threshold.to_bits(), 64);
    }
}

fn put_spans(out: &mut BitWriter, spans: &[Span]) {
    out.put_uint(spans.len() as u64);
    for span in spans {
        out.put_uint(span.length.into());
        out.put_int(span.offset.into());
    }
}

fn put_bound(out: &mut BitWriter, bound: f64) {
    let thousandths = bound * 1_000.0;
    let plain = (0.0..=THOUSANDTHS_MAX).contains(&thousandths)
        && thousandths.fract() == 0.0
        // What is read back must have the same bits, the sign of zero included.
        && (thousandths / 1_000.0).to_bits() == bound.to_bits();
    if plain {
        out.put_uint(thousandths as u64 + 1);
    } else {
        out.put(0, 1);
        out.put(bound.to_bits(), 64);
    }
}
