//! Native histograms of a chunk, without their timestamps.
//!
//! ```text
//! histograms := 00 | n x histogram                       each against the one before
//!             | 01 | histogram | columns                 all of the layout of the one, which is empty
//! columns    := ints (reset hints) | values (sums)
//!             | ints (zero counts) | ints (counts) | ints, per bucket       integer histograms
//!             | values             | values        | values, per bucket     float histograms
//! ```
//!
//! `histogram` is that of `chunk/histogram.rs`. Of an integer histogram, the column of counts
//! holds what the count has more than zero bucket and buckets together, which is 0 unless there
//! were observations of NaN.

use std::sync::Arc;

use ferula_model::{CounterReset, Counts, Histogram, Timestamp};
use ferula_storage::HistogramPoint;

use super::ints;
use super::page::CHUNK_SAMPLES_MAX;
use super::values::{self, Scratch};
use crate::Damaged;
use crate::bytes::Reader;
use crate::chunk::histogram::{self, reset_code, reset_of, same_layout};

const ONE_BY_ONE: u8 = 0;
const COLUMNS: u8 = 1;

/// So many histograms of one layout are worth columns.
const COLUMNS_FROM: usize = 16;

/// A chunk's histograms have at most so many buckets together, unless it is one alone: what
/// decoding takes, however few bytes say so.
const CHUNK_BUCKETS_MAX: usize = 1 << 20;

/// Cuts a series' histograms into chunks, so that many of one layout are among themselves.
pub(super) fn chunks(mut points: &[HistogramPoint]) -> Vec<&[HistogramPoint]> {
    let mut chunks = Vec::new();
    while !points.is_empty() {
        let mut len = run(points);
        if len < COLUMNS_FROM {
            let mut buckets: usize = points[..len].iter().map(|p| buckets_of(&p.histogram)).sum();
            // Those of other layouts join, up to where a long run begins.
            while let Some(next) = points.get(len) {
                buckets += buckets_of(&next.histogram);
                let full = len == CHUNK_SAMPLES_MAX || buckets > CHUNK_BUCKETS_MAX;
                if full || run(&points[len..]) >= COLUMNS_FROM {
                    break;
                }
                len += 1;
            }
        }
        let (chunk, rest) = points.split_at(len);
        chunks.push(chunk);
        points = rest;
    }
    chunks
}

/// How many at the beginning have one layout, as far as a chunk takes them; at least one.
fn run(points: &[HistogramPoint]) -> usize {
    let first = &points[0].histogram;
    let max = (CHUNK_BUCKETS_MAX / buckets_of(first).max(1)).clamp(1, CHUNK_SAMPLES_MAX);
    let same = |p: &&HistogramPoint| !p.histogram.is_stale() && same_layout(first, &p.histogram);
    match first.is_stale() {
        true => 1,
        false => 1 + points[1..].iter().take(max - 1).take_while(same).count(),
    }
}

fn buckets_of(histogram: &Histogram) -> usize {
    match &histogram.counts {
        Counts::Integer {
            positive, negative, ..
        } => positive.len() + negative.len(),
        Counts::Float {
            positive, negative, ..
        } => positive.len() + negative.len(),
    }
}

/// Appends the histograms of a chunk.
pub(super) fn put(points: &[HistogramPoint], scratch: &mut Scratch, out: &mut Vec<u8>) {
    if points.len() >= COLUMNS_FROM && run(points) == points.len() {
        out.push(COLUMNS);
        return put_columns(points, scratch, out);
    }
    out.push(ONE_BY_ONE);
    let mut before: Option<&Histogram> = None;
    for point in points {
        histogram::encode(out, before, &point.histogram);
        before = Some(&point.histogram);
    }
}

fn put_columns(points: &[HistogramPoint], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let first = &points[0].histogram;
    histogram::encode(out, None, &emptied(first));
    let histograms = || points.iter().map(|p| &*p.histogram);
    let resets: Vec<i64> = histograms().map(|h| reset_code(h.reset).into()).collect();
    ints::put(&resets, out);
    let sums: Vec<f64> = histograms().map(|h| h.sum).collect();
    values::put(&sums, scratch, out);
    match &first.counts {
        Counts::Integer { .. } => {
            let mut column = Vec::new();
            for number in 0..2 + buckets_of(first) {
                column.clear();
                column.extend(histograms().map(|h| integer(&h.counts, number) as i64));
                ints::put(&column, out);
            }
        }
        Counts::Float { .. } => {
            let mut column = Vec::new();
            for number in 0..2 + buckets_of(first) {
                column.clear();
                column.extend(histograms().map(|h| float(&h.counts, number)));
                values::put(&column, scratch, out);
            }
        }
    }
}

/// The layout alone.
fn emptied(histogram: &Histogram) -> Histogram {
    let counts = match &histogram.counts {
        Counts::Integer {
            positive, negative, ..
        } => Counts::Integer {
            count: 0,
            zero: 0,
            positive: vec![0; positive.len()],
            negative: vec![0; negative.len()],
        },
        Counts::Float {
            positive, negative, ..
        } => Counts::Float {
            count: 0.0,
            zero: 0.0,
            positive: vec![0.0; positive.len()],
            negative: vec![0.0; negative.len()],
        },
    };
    Histogram {
        reset: CounterReset::Unknown,
        sum: 0.0,
        counts,
        ..histogram.clone()
    }
}

/// A number of an integer histogram in the order of the columns.
fn integer(counts: &Counts, number: usize) -> u64 {
    let Counts::Integer {
        count,
        zero,
        positive,
        negative,
    } = counts
    else {
        return 0;
    };
    match number {
        0 => *zero,
        1 => {
            let all = positive.iter().chain(negative);
            all.fold(count.wrapping_sub(*zero), |left, n| left.wrapping_sub(*n))
        }
        _ => *of_both(positive, negative, number - 2),
    }
}

/// A number of a float histogram in the order of the columns.
fn float(counts: &Counts, number: usize) -> f64 {
    let Counts::Float {
        count,
        zero,
        positive,
        negative,
    } = counts
    else {
        return 0.0;
    };
    match number {
        0 => *zero,
        1 => *count,
        _ => *of_both(positive, negative, number - 2),
    }
}

fn of_both<'a, T>(positive: &'a [T], negative: &'a [T], i: usize) -> &'a T {
    positive
        .get(i)
        .unwrap_or_else(|| &negative[i - positive.len()])
}

/// Appends a chunk's histograms, one for each timestamp.
pub(super) fn take(
    r: &mut Reader<'_>,
    timestamps: &[Timestamp],
    out: &mut Vec<HistogramPoint>,
) -> Result<(), Damaged> {
    let point = |(&timestamp, histogram)| HistogramPoint {
        timestamp,
        start_timestamp: 0,
        histogram: Arc::new(histogram),
    };
    match r.u8()? {
        ONE_BY_ONE => {
            let (before, mut buckets) = (out.len(), 0);
            for timestamp in timestamps {
                let previous = out[before..].last();
                let histogram = histogram::decode(r, previous.map(|p| &*p.histogram))?;
                buckets += buckets_of(&histogram);
                check_buckets(buckets, timestamps.len())?;
                out.push(point((timestamp, histogram)));
            }
            Ok(())
        }
        COLUMNS => {
            let histograms = take_columns(r, timestamps.len())?;
            out.extend(timestamps.iter().zip(histograms).map(point));
            Ok(())
        }
        _ => Err(Damaged("histograms are of no known form")),
    }
}

fn check_buckets(buckets: usize, histograms: usize) -> Result<(), Damaged> {
    match buckets > CHUNK_BUCKETS_MAX && histograms > 1 {
        true => Err(Damaged(
            "a chunk's histograms have more buckets than they can",
        )),
        false => Ok(()),
    }
}

fn take_columns(r: &mut Reader<'_>, n: usize) -> Result<Vec<Histogram>, Damaged> {
    let layout = histogram::decode(r, None)?;
    check_buckets(buckets_of(&layout).saturating_mul(n), n)?;
    let (mut resets, mut sums) = (Vec::new(), Vec::new());
    ints::take(r, n, &mut resets, |reset| reset_of(reset as u8))?;
    values::take(r, n, &mut sums)?;
    let columns = 2 + buckets_of(&layout);
    let counts: Vec<Counts> = match &layout.counts {
        Counts::Integer { positive, .. } => {
            let (mut all, positive) = (Vec::new(), positive.len());
            for _ in 0..columns {
                ints::take(r, n, &mut all, |v| v as u64)?;
            }
            let row = |i: usize| integers(all[i..].iter().step_by(n).copied(), positive);
            (0..n).map(row).collect()
        }
        Counts::Float { positive, .. } => {
            let (mut all, positive) = (Vec::new(), positive.len());
            for _ in 0..columns {
                values::take(r, n, &mut all)?;
            }
            let row = |i: usize| floats(all[i..].iter().step_by(n).copied(), positive);
            (0..n).map(row).collect()
        }
    };
    let rows = counts.into_iter().zip(resets).zip(sums);
    let histogram = |((counts, reset), sum)| Histogram {
        reset,
        schema: layout.schema,
        zero_threshold: layout.zero_threshold,
        sum,
        positive_spans: layout.positive_spans.clone(),
        negative_spans: layout.negative_spans.clone(),
        custom_values: layout.custom_values.clone(),
        counts,
    };
    Ok(rows.map(histogram).collect())
}

/// A row of the columns of integer histograms.
fn integers(mut row: impl ExactSizeIterator<Item = u64>, positive: usize) -> Counts {
    let zero = row.next().unwrap_or_default();
    let rest = row.next().unwrap_or_default();
    let positive: Vec<u64> = row.by_ref().take(positive).collect();
    let negative: Vec<u64> = row.collect();
    let all = positive.iter().chain(&negative);
    let count = all.fold(rest.wrapping_add(zero), |sum, n| sum.wrapping_add(*n));
    Counts::Integer {
        count,
        zero,
        positive,
        negative,
    }
}

/// A row of the columns of float histograms.
fn floats(mut row: impl ExactSizeIterator<Item = f64>, positive: usize) -> Counts {
    let zero = row.next().unwrap_or_default();
    let count = row.next().unwrap_or_default();
    Counts::Float {
        count,
        zero,
        positive: row.by_ref().take(positive).collect(),
        negative: row.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::histogram::tests::histogram;
    use proptest::prelude::*;

    fn points(histograms: Vec<Histogram>) -> Vec<HistogramPoint> {
        let numbered = (0..).zip(histograms);
        let points = numbered.map(|(timestamp, histogram)| HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram: Arc::new(histogram),
        });
        points.collect()
    }

    /// Encodes in chunks, checks that they read back, and returns their forms and lengths.
    fn check(points: &[HistogramPoint]) -> Vec<(u8, usize)> {
        let mut forms = Vec::new();
        let mut back = Vec::new();
        for chunk in chunks(points) {
            let mut bytes = Vec::new();
            put(chunk, &mut Scratch::default(), &mut bytes);
            let mut r = Reader::new(&bytes);
            let times: Vec<i64> = chunk.iter().map(|p| p.timestamp).collect();
            take(&mut r, &times, &mut back).unwrap();
            assert!(r.is_empty());
            forms.push((bytes[0], chunk.len()));
        }
        assert_eq!(back, points);
        forms
    }

    proptest! {
        #[test]
        fn take_undoes_put(
            kinds in proptest::collection::vec(histogram(), 1..3),
            runs in proptest::collection::vec((0..3usize, 1..40usize, any::<u8>()), 1..5),
        ) {
            let mut all = Vec::new();
            for (kind, len, bump) in runs {
                let first = kinds.get(kind).cloned().unwrap_or_else(Histogram::stale);
                all.extend((0..len as u64).map(|i| {
                    let mut h = first.clone();
                    match &mut h.counts {
                        Counts::Integer { count, positive, .. } => {
                            *count = count.wrapping_add(i * u64::from(bump));
                            positive.iter_mut().for_each(|n| *n = n.wrapping_add(i));
                        }
                        Counts::Float { zero, .. } => *zero += i as f64,
                    }
                    if first.is_stale() { Histogram::stale() } else { h }
                }));
            }
            check(&points(all));
        }

        #[test]
        fn any_bytes_are_read_without_panic(form in 0..3u8, bytes in proptest::collection::vec(any::<u8>(), 0..100), n in 1..30i64) {
            let bytes = [vec![form], bytes].concat();
            let times: Vec<i64> = (0..n).collect();
            let _ = take(&mut Reader::new(&bytes), &times, &mut Vec::new());
        }
    }

    #[test]
    fn long_runs_of_one_layout_are_columns() {
        let of = |schema: i8, count: u64| Histogram {
            schema,
            sum: count as f64 / 8.0,
            counts: Counts::Integer {
                count,
                zero: count,
                positive: vec![],
                negative: vec![],
            },
            ..Histogram::stale()
        };
        let mut all: Vec<Histogram> = (0..3).map(|i| of(1, i)).collect();
        all.push(Histogram::stale());
        all.extend((0..100).map(|i| of(2, i)));
        all.extend((0..5).flat_map(|i| [of(3, i), of(4, i)]));
        let forms = check(&points(all));
        assert_eq!(forms, [(ONE_BY_ONE, 4), (COLUMNS, 100), (ONE_BY_ONE, 10)]);
    }
}
