//! A series' samples as a row of chunks, cut where the reference would have to cut.
//!
//! A chunk holds one kind of sample. Of histograms, one layout: the reference would write
//! a chunk with more buckets than its histograms had, which read back as other histograms.

use ferula_model::{CounterReset, Counts, Histogram, Timestamp};
use ferula_storage::{Columns, HistogramPoint};

use super::chunk::{FLOAT_HISTOGRAM, HISTOGRAM, XOR};
use super::encode_histograms::encode;
use super::floats::encode_xor;
use super::histograms::GAUGE;

/// The most samples of a chunk.
const SAMPLES_MAX: usize = 120;

/// Chunks of histograms have at least this many samples before their bytes count.
const HISTOGRAMS_MIN: usize = 10;

/// Chunks of histograms should not have more bytes.
const BYTES_MAX: usize = 1_024;

const RESET: u8 = 0b10;
const NO_RESET: u8 = 0b01;
const UNKNOWN: u8 = 0b00;

/// An encoded chunk.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) encoding: u8,
    /// Timestamp of the first sample.
    pub(crate) min: Timestamp,
    /// Timestamp of the last sample.
    pub(crate) max: Timestamp,
    pub(crate) data: Vec<u8>,
}

/// Encodes all samples, which must be in order of time and have one timestamp each.
pub(crate) fn cut(columns: &Columns) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut f, mut h) = (0, 0);
    let floats = &columns.timestamps;
    let histograms = &columns.histograms;
    while f < floats.len() || h < histograms.len() {
        let until = histograms.get(h).map_or(Timestamp::MAX, |p| p.timestamp);
        let run = floats[f..].iter().take_while(|&&t| t < until).count();
        let run = match histograms.len() == h {
            true => floats.len() - f,
            false => run,
        };
        cut_floats(columns, f..f + run, &mut chunks);
        f += run;
        let until = floats.get(f).copied();
        let before = |p: &&HistogramPoint| until.is_none_or(|until| p.timestamp < until);
        let run = histograms[h..].iter().take_while(before).count();
        cut_histograms(&histograms[h..h + run], &mut chunks);
        h += run;
    }
    chunks
}

fn cut_floats(columns: &Columns, run: std::ops::Range<usize>, chunks: &mut Vec<Chunk>) {
    let timestamps = columns.timestamps[run.clone()].chunks(SAMPLES_MAX);
    let values = columns.values[run].chunks(SAMPLES_MAX);
    for (timestamps, values) in timestamps.zip(values) {
        if let [min, ..] = *timestamps {
            chunks.push(Chunk {
                encoding: XOR,
                min,
                max: timestamps.last().copied().unwrap_or(min),
                data: encode_xor(timestamps, values),
            });
        }
    }
}

fn cut_histograms(points: &[HistogramPoint], chunks: &mut Vec<Chunk>) {
    let mut rest = points;
    let mut before: Option<&Histogram> = None;
    while let Some(first) = rest.first() {
        let header = header(before, &first.histogram);
        let most = rest.len().min(SAMPLES_MAX);
        let fits = |i: &usize| goes_on(&rest[*i - 1].histogram, &rest[*i].histogram);
        let mut run = 1 + (1..most).take_while(fits).count();
        let data = loop {
            let samples: Vec<_> = rest[..run]
                .iter()
                .map(|p| (p.timestamp, &*p.histogram))
                .collect();
            let data = encode(&samples, header);
            if data.len() <= BYTES_MAX || run <= HISTOGRAMS_MIN {
                break data;
            }
            run = (run / 2).max(HISTOGRAMS_MIN);
        };
        let (this, after) = rest.split_at(run);
        let encoding = match first.histogram.counts {
            Counts::Integer { .. } => HISTOGRAM,
            Counts::Float { .. } => FLOAT_HISTOGRAM,
        };
        let last = this.last().unwrap_or(first);
        chunks.push(Chunk {
            encoding,
            min: first.timestamp,
            max: last.timestamp,
            data,
        });
        before = Some(&last.histogram);
        rest = after;
    }
}

/// What the header of a chunk says that begins with `first`.
fn header(before: Option<&Histogram>, first: &Histogram) -> u8 {
    match (first.reset, before) {
        (CounterReset::Gauge, _) => GAUGE,
        (CounterReset::Reset, _) => RESET,
        (_, Some(before)) if !before.is_stale() && !first.is_stale() => {
            if before.count() > first.count() {
                RESET
            } else if !same_layout(before, first) {
                UNKNOWN
            } else if falls(&before.counts, &first.counts) {
                RESET
            } else {
                NO_RESET
            }
        }
        _ => UNKNOWN,
    }
}

/// Whether `next` may follow `last` in one chunk.
fn goes_on(last: &Histogram, next: &Histogram) -> bool {
    let gauge = |h: &Histogram| h.reset == CounterReset::Gauge;
    if next.is_stale() {
        return true;
    }
    if last.is_stale() || gauge(last) != gauge(next) || next.reset == CounterReset::Reset {
        return false;
    }
    same_layout(last, next) && (gauge(next) || !falls(&last.counts, &next.counts))
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let same = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    std::mem::discriminant(&a.counts) == std::mem::discriminant(&b.counts)
        && a.schema == b.schema
        && same(&[a.zero_threshold], &[b.zero_threshold])
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && same(&a.custom_values, &b.custom_values)
}

/// Whether a total or a bucket is smaller than before: a counter began anew.
fn falls(before: &Counts, after: &Counts) -> bool {
    match (before, after) {
        (
            Counts::Integer {
                count: c1,
                zero: z1,
                positive: p1,
                negative: n1,
            },
            Counts::Integer {
                count: c2,
                zero: z2,
                positive: p2,
                negative: n2,
            },
        ) => c2 < c1 || z2 < z1 || any_falls(p1, p2) || any_falls(n1, n2),
        (
            Counts::Float {
                count: c1,
                zero: z1,
                positive: p1,
                negative: n1,
            },
            Counts::Float {
                count: c2,
                zero: z2,
                positive: p2,
                negative: n2,
            },
        ) => c2 < c1 || z2 < z1 || any_falls(p1, p2) || any_falls(n1, n2),
        _ => true,
    }
}

fn any_falls<T: PartialOrd>(before: &[T], after: &[T]) -> bool {
    before
        .iter()
        .zip(after)
        .any(|(before, after)| after < before)
}
