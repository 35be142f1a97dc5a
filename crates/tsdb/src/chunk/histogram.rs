//! Native histograms, without loss: the layout once, then what changed.
//!
//! A histogram is written against the one before it, if there is one:
//!
//! ```text
//! histogram := head u8 | [layout] | sum | count | zero | buckets
//! head      := bits 0-1 kind (0 integer, 1 float, 2 stale: nothing follows)
//!              bit 2 layout follows | bits 3-4 counter reset hint
//! layout    := schema u8 | zero_threshold f64 | spans | spans | n uv | n × bound f64
//! spans     := n uv | n × (offset zz, length uv)
//! ```
//!
//! Without a layout the one before stands, and numbers are differences to it: integers
//! wrapping and zig-zagged, floats the XOR of their bits with the bytes reversed, since it is
//! the low ones that are zero. Of the differences, `0 uv` stands for `uv + 1` zeros.

use ferula_model::{CounterReset, Counts, Histogram, Span};

use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz, un_zig_zag, zig_zag};

const KIND: u8 = 0b11;
const INTEGER: u8 = 0;
const FLOAT: u8 = 1;
const STALE: u8 = 2;
const LAYOUT: u8 = 0b100;
const RESET_SHIFT: u8 = 3;

/// The most buckets both sides may have together; what was written was checked against less.
const BUCKETS_MAX: u64 = 1 << 17;

/// Appends `histogram`, written against `before`.
pub(crate) fn encode(out: &mut Vec<u8>, before: Option<&Histogram>, histogram: &Histogram) {
    if histogram.is_stale() {
        return out.push(STALE);
    }
    let before = before.filter(|b| !b.is_stale() && same_layout(b, histogram));
    let kind = match histogram.counts {
        Counts::Integer { .. } => INTEGER,
        Counts::Float { .. } => FLOAT,
    };
    let layout = if before.is_none() { LAYOUT } else { 0 };
    out.push(kind | layout | reset_code(histogram.reset) << RESET_SHIFT);
    if before.is_none() {
        put_layout(out, histogram);
    }
    let mut differences = Differences { out, zeros: 0 };
    let sum_before = before.map_or(0.0, |b| b.sum);
    differences.put(float_difference(sum_before, histogram.sum));
    match (&histogram.counts, before.map(|b| &b.counts)) {
        (Counts::Integer { .. }, before) => {
            let mut old = before.into_iter().flat_map(integers);
            for new in integers(&histogram.counts) {
                let old = old.next().unwrap_or(0);
                differences.put(zig_zag(new.wrapping_sub(old) as i64));
            }
        }
        (Counts::Float { .. }, before) => {
            let mut old = before.into_iter().flat_map(floats);
            for new in floats(&histogram.counts) {
                let old = old.next().unwrap_or(0.0);
                differences.put(float_difference(old, new));
            }
        }
    }
    differences.finish();
}

/// Takes one histogram, written against `before`.
pub(crate) fn decode(r: &mut Reader<'_>, before: Option<&Histogram>) -> Result<Histogram, Damaged> {
    let head = r.u8()?;
    if head & KIND == STALE {
        return Ok(Histogram::stale());
    }
    let before = before.filter(|b| !b.is_stale() && head & LAYOUT == 0);
    let mut histogram = match before {
        Some(before) => before.clone(),
        None if head & LAYOUT != 0 => take_layout(r, head & KIND == FLOAT)?,
        None => return Err(Damaged("a histogram refers to a layout not yet given")),
    };
    histogram.reset = reset_of(head >> RESET_SHIFT & 0b11);
    let mut zeros = 0;
    let mut next = || take_difference(r, &mut zeros);
    histogram.sum = apply_float(histogram.sum, next()?);
    match (&mut histogram.counts, head & KIND) {
        (
            Counts::Integer {
                count,
                zero,
                positive,
                negative,
            },
            INTEGER,
        ) => {
            for n in [count, zero].into_iter().chain(positive).chain(negative) {
                *n = n.wrapping_add(un_zig_zag(next()?) as u64);
            }
        }
        (
            Counts::Float {
                count,
                zero,
                positive,
                negative,
            },
            FLOAT,
        ) => {
            for n in [count, zero].into_iter().chain(positive).chain(negative) {
                *n = apply_float(*n, next()?);
            }
        }
        _ => return Err(Damaged("a histogram's kind is not that of its layout")),
    }
    if zeros > 0 {
        return Err(Damaged("a histogram has more numbers than buckets"));
    }
    Ok(histogram)
}

pub(crate) fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let same_kind = matches!(
        (&a.counts, &b.counts),
        (Counts::Integer { .. }, Counts::Integer { .. })
            | (Counts::Float { .. }, Counts::Float { .. })
    );
    same_kind
        && a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.custom_values.len() == b.custom_values.len()
        && a.custom_values
            .iter()
            .zip(&b.custom_values)
            .all(|(x, y)| x.to_bits() == y.to_bits())
}

/// Count, zero count and buckets of integer counts; nothing of others.
fn integers(counts: &Counts) -> impl Iterator<Item = u64> {
    let (totals, positive, negative): ([u64; 2], &[u64], &[u64]) = match counts {
        Counts::Integer {
            count,
            zero,
            positive,
            negative,
        } => ([*count, *zero], positive, negative),
        Counts::Float { .. } => ([0, 0], &[], &[]),
    };
    totals
        .into_iter()
        .chain(positive.iter().copied())
        .chain(negative.iter().copied())
}

/// The same of float counts.
fn floats(counts: &Counts) -> impl Iterator<Item = f64> {
    let (totals, positive, negative): ([f64; 2], &[f64], &[f64]) = match counts {
        Counts::Float {
            count,
            zero,
            positive,
            negative,
        } => ([*count, *zero], positive, negative),
        Counts::Integer { .. } => ([0.0, 0.0], &[], &[]),
    };
    totals
        .into_iter()
        .chain(positive.iter().copied())
        .chain(negative.iter().copied())
}

fn float_difference(old: f64, new: f64) -> u64 {
    (old.to_bits() ^ new.to_bits()).swap_bytes()
}

fn apply_float(old: f64, difference: u64) -> f64 {
    f64::from_bits(old.to_bits() ^ difference.swap_bytes())
}

/// Writes numbers, runs of zeros as one.
struct Differences<'a> {
    out: &'a mut Vec<u8>,
    zeros: u64,
}

impl Differences<'_> {
    fn put(&mut self, difference: u64) {
        if difference == 0 {
            self.zeros += 1;
            return;
        }
        self.finish();
        put_uv(self.out, difference);
    }

    fn finish(&mut self) {
        if self.zeros > 0 {
            self.out.push(0);
            put_uv(self.out, self.zeros - 1);
            self.zeros = 0;
        }
    }
}

fn take_difference(r: &mut Reader<'_>, zeros: &mut u64) -> Result<u64, Damaged> {
    if *zeros > 0 {
        *zeros -= 1;
        return Ok(0);
    }
    let difference = r.uv()?;
    if difference == 0 {
        *zeros = r.uv()?;
    }
    Ok(difference)
}

fn put_layout(out: &mut Vec<u8>, histogram: &Histogram) {
    out.push(histogram.schema as u8);
    out.extend_from_slice(&histogram.zero_threshold.to_bits().to_le_bytes());
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        put_uv(out, spans.len() as u64);
        for span in spans {
            put_zz(out, span.offset.into());
            put_uv(out, span.length.into());
        }
    }
    put_uv(out, histogram.custom_values.len() as u64);
    for bound in &histogram.custom_values {
        out.extend_from_slice(&bound.to_bits().to_le_bytes());
    }
}

/// A histogram of the layout that follows, every number zero.
fn take_layout(r: &mut Reader<'_>, float: bool) -> Result<Histogram, Damaged> {
    let schema = r.u8()? as i8;
    let zero_threshold = r.f64()?;
    let (positive_spans, positive) = take_spans(r)?;
    let (negative_spans, negative) = take_spans(r)?;
    let bounds = r.uv()?;
    if bounds > r.left() as u64 / 8 {
        return Err(Damaged("too short"));
    }
    let custom_values = (0..bounds).map(|_| r.f64()).collect::<Result<_, _>>()?;
    let counts = if float {
        Counts::Float {
            count: 0.0,
            zero: 0.0,
            positive: vec![0.0; positive],
            negative: vec![0.0; negative],
        }
    } else {
        Counts::Integer {
            count: 0,
            zero: 0,
            positive: vec![0; positive],
            negative: vec![0; negative],
        }
    };
    Ok(Histogram {
        reset: CounterReset::Unknown,
        schema,
        zero_threshold,
        sum: 0.0,
        positive_spans,
        negative_spans,
        custom_values,
        counts,
    })
}

/// Spans, and how many buckets they describe.
fn take_spans(r: &mut Reader<'_>) -> Result<(Vec<Span>, usize), Damaged> {
    let n = r.uv()?;
    if n > r.left() as u64 / 2 {
        return Err(Damaged("too short"));
    }
    let mut spans = Vec::with_capacity(n as usize);
    let mut buckets = 0u64;
    for _ in 0..n {
        let offset = i32::try_from(r.zz()?).map_err(|_| Damaged("a span starts too far out"))?;
        let length = r.uv32()?;
        buckets += u64::from(length);
        if buckets > BUCKETS_MAX {
            return Err(Damaged("a histogram has too many buckets"));
        }
        spans.push(Span { offset, length });
    }
    Ok((spans, buckets as usize))
}

pub(crate) fn reset_code(reset: CounterReset) -> u8 {
    match reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    }
}

pub(crate) fn reset_of(code: u8) -> CounterReset {
    match code {
        0 => CounterReset::Unknown,
        1 => CounterReset::Reset,
        2 => CounterReset::NotReset,
        _ => CounterReset::Gauge,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Any histogram at all, consistent only in how many buckets it has.
    pub(crate) fn histogram() -> impl Strategy<Value = Histogram> {
        let spans = || vec((any::<i8>(), 0..5u32), 0..3);
        let shape = (
            any::<bool>(),
            0..4u8,
            -4..9i8,
            spans(),
            spans(),
            vec(any::<f64>(), 0..3),
        );
        let numbers = (
            any::<u64>(),
            any::<u64>(),
            vec(prop_oneof![Just(7), any::<u64>()], 24),
        );
        (shape, numbers).prop_map(
            |((float, reset, schema, p, n, bounds), (sum, zt, numbers))| {
                let spans = |s: &[(i8, u32)]| -> Vec<Span> {
                    s.iter()
                        .map(|&(o, length)| Span {
                            offset: o.into(),
                            length,
                        })
                        .collect()
                };
                let buckets = |s: &[(i8, u32)]| s.iter().map(|x| x.1 as usize).sum::<usize>();
                let (np, nn) = (buckets(&p), buckets(&n));
                let (positive, rest) = numbers.split_at(np);
                let negative = &rest[..nn];
                let f = |v: &[u64]| v.iter().map(|&b| f64::from_bits(b)).collect::<Vec<_>>();
                let counts = if float {
                    let (count, zero) = (f64::from_bits(rest[nn]), 0.5);
                    Counts::Float {
                        count,
                        zero,
                        positive: f(positive),
                        negative: f(negative),
                    }
                } else {
                    let (positive, negative) = (positive.to_vec(), negative.to_vec());
                    Counts::Integer {
                        count: rest[nn],
                        zero: 3,
                        positive,
                        negative,
                    }
                };
                let h = Histogram {
                    reset: reset_of(reset),
                    schema,
                    zero_threshold: f64::from_bits(zt),
                    sum: f64::from_bits(sum),
                    positive_spans: spans(&p),
                    negative_spans: spans(&n),
                    custom_values: bounds,
                    counts,
                };
                if h.is_stale() { Histogram::stale() } else { h }
            },
        )
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(kinds in vec(histogram(), 1..4), picks in vec((0..4usize, any::<u8>()), 1..12)) {
            let mut bytes = Vec::new();
            let mut written: Vec<Histogram> = Vec::new();
            for (pick, bump) in picks {
                let mut h = kinds.get(pick).cloned().unwrap_or_else(Histogram::stale);
                if let Counts::Integer { count, .. } = &mut h.counts && !h.sum.is_nan() {
                    *count = count.wrapping_add(bump.into());
                }
                encode(&mut bytes, written.last(), &h);
                written.push(h);
            }
            let mut r = Reader::new(&bytes);
            let mut before = None;
            for expected in &written {
                let h = decode(&mut r, before).unwrap();
                prop_assert_eq!(&h, expected);
                before = Some(expected);
            }
            prop_assert!(r.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..100)) {
            let mut r = Reader::new(&bytes);
            while !r.is_empty() && decode(&mut r, Some(&Histogram::stale())).is_ok() {}
        }
    }

    #[test]
    fn an_unchanged_histogram_takes_three_bytes() {
        let h = Histogram {
            sum: 1.5,
            positive_spans: vec![Span {
                offset: 0,
                length: 20,
            }],
            counts: Counts::Integer {
                count: 20,
                zero: 0,
                positive: vec![1; 20],
                negative: vec![],
            },
            ..Histogram::stale()
        };
        let mut out = Vec::new();
        encode(&mut out, Some(&h), &h);
        assert_eq!(out, [0, 0, 22]);
    }
}
