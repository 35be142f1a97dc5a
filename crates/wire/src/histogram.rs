//! The wire's `Histogram` as the model's.

use ferula_model::{
    BUCKETS_MAX, BucketSide, CounterReset, Counts, Histogram, HistogramError, Span,
};

use crate::error::WireError;
use crate::protobuf::{Field, Reader};
use crate::remote_write::HistogramSample;

/// The finest exponential schema that is stored.
const SCHEMA_FINEST: i32 = 8;

/// Schemas that senders may use and that are stored as the finest one.
const SCHEMA_TOO_FINE: std::ops::RangeInclusive<i32> = 9..=52;

/// The fields as they come, each last one counting.
#[derive(Default)]
struct Message {
    timestamp: i64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    reset_hint: i32,
    count: Number,
    zero: Number,
    negative: Side,
    positive: Side,
    custom_values: Bounded<f64>,
}

/// A `oneof` of an integer and a double.
#[derive(Clone, Copy)]
enum Number {
    Integer(u64),
    Float(f64),
}

impl Default for Number {
    fn default() -> Self {
        Self::Integer(0)
    }
}

/// The buckets on one side of zero, in both ways to write them.
#[derive(Default)]
struct Side {
    spans: Bounded<Span>,
    /// Absolute counts, summed up from differences.
    integers: Bounded<u64>,
    latest: i64,
    below_zero: bool,
    floats: Bounded<f64>,
}

/// A list that stops growing, but goes on counting, beyond the buckets that a histogram may have.
struct Bounded<T> {
    items: Vec<T>,
    overflows: bool,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            overflows: false,
        }
    }
}

impl<T> Bounded<T> {
    fn push(&mut self, item: T) {
        match self.items.len() < BUCKETS_MAX {
            true => self.items.push(item),
            false => self.overflows = true,
        }
    }

    fn take(self) -> Result<Vec<T>, HistogramError> {
        match self.overflows {
            true => Err(HistogramError::TooManyBuckets),
            false => Ok(self.items),
        }
    }
}

impl Side {
    fn read_span(&mut self, field: &Field<'_>) -> Result<(), WireError> {
        let mut span = Span {
            offset: 0,
            length: 0,
        };
        let mut fields = field.message()?;
        while let Some(field) = fields.next()? {
            match field.number {
                1 => span.offset = field.sint32()?,
                2 => span.length = field.uint64()? as u32,
                _ => {}
            }
        }
        self.spans.push(span);
        Ok(())
    }

    fn read_deltas(&mut self, field: &Field<'_>) -> Result<(), WireError> {
        field.each_sint64(|delta| {
            // An overflow is as impossible a count as a negative one.
            let count = self.latest.checked_add(delta).unwrap_or(-1);
            self.below_zero |= count < 0;
            self.latest = count;
            self.integers.push(count.max(0) as u64);
        })
    }

    fn read_counts(&mut self, field: &Field<'_>) -> Result<(), WireError> {
        field.each_double(|count| self.floats.push(count))
    }
}

pub(crate) fn read(mut fields: Reader<'_>) -> Result<HistogramSample, WireError> {
    let mut m = Message::default();
    while let Some(field) = fields.next()? {
        match field.number {
            1 => m.count = Number::Integer(field.uint64()?),
            2 => m.count = Number::Float(field.double()?),
            3 => m.sum = field.double()?,
            4 => m.schema = field.sint32()?,
            5 => m.zero_threshold = field.double()?,
            6 => m.zero = Number::Integer(field.uint64()?),
            7 => m.zero = Number::Float(field.double()?),
            8 => m.negative.read_span(&field)?,
            9 => m.negative.read_deltas(&field)?,
            10 => m.negative.read_counts(&field)?,
            11 => m.positive.read_span(&field)?,
            12 => m.positive.read_deltas(&field)?,
            13 => m.positive.read_counts(&field)?,
            14 => m.reset_hint = field.int64()? as i32,
            15 => m.timestamp = field.int64()?,
            16 => field.each_double(|bound| m.custom_values.push(bound))?,
            _ => {}
        }
    }
    Ok(HistogramSample {
        timestamp: m.timestamp,
        histogram: m.histogram(),
    })
}

impl Message {
    /// The histogram the fields describe. The count says whether it is an integer or a float
    /// one; what is written the other way does not count.
    fn histogram(self) -> Result<Histogram, HistogramError> {
        let mut positive_spans = self.positive.spans.take()?;
        let mut negative_spans = self.negative.spans.take()?;
        let mut counts = match self.count {
            Number::Integer(count) => {
                for (side, below_zero) in [
                    (BucketSide::Positive, self.positive.below_zero),
                    (BucketSide::Negative, self.negative.below_zero),
                ] {
                    if below_zero {
                        return Err(HistogramError::NegativeCount(side));
                    }
                }
                Counts::Integer {
                    count,
                    zero: match self.zero {
                        Number::Integer(zero) => zero,
                        Number::Float(_) => 0,
                    },
                    positive: self.positive.integers.take()?,
                    negative: self.negative.integers.take()?,
                }
            }
            Number::Float(count) => Counts::Float {
                count,
                zero: match self.zero {
                    Number::Float(zero) => zero,
                    Number::Integer(_) => 0.0,
                },
                positive: self.positive.floats.take()?,
                negative: self.negative.floats.take()?,
            },
        };
        let mut schema = self.schema;
        if SCHEMA_TOO_FINE.contains(&schema) {
            coarsen(
                &mut positive_spans,
                &mut negative_spans,
                &mut counts,
                schema,
            )?;
            schema = SCHEMA_FINEST;
        }
        Ok(Histogram {
            reset: match self.reset_hint {
                1 => CounterReset::Reset,
                2 => CounterReset::NotReset,
                3 => CounterReset::Gauge,
                _ => CounterReset::Unknown,
            },
            schema: schema
                .try_into()
                .map_err(|_| HistogramError::Schema(schema))?,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans,
            negative_spans,
            custom_values: self.custom_values.take()?,
            counts,
        })
    }
}

/// Merges the buckets of `schema` into those of the finest schema stored.
fn coarsen(
    positive_spans: &mut Vec<Span>,
    negative_spans: &mut Vec<Span>,
    counts: &mut Counts,
    schema: i32,
) -> Result<(), HistogramError> {
    use BucketSide::{Negative, Positive};
    match counts {
        Counts::Integer {
            positive, negative, ..
        } => {
            // As wide as the wire's differences: neither side of the sum is larger.
            let add = |a: &mut u64, b: u64| *a = (*a + b).min(i64::MAX as u64);
            coarsen_side(Positive, positive_spans, positive, schema, add)?;
            coarsen_side(Negative, negative_spans, negative, schema, add)
        }
        Counts::Float {
            positive, negative, ..
        } => {
            let add = |a: &mut f64, b: f64| *a += b;
            coarsen_side(Positive, positive_spans, positive, schema, add)?;
            coarsen_side(Negative, negative_spans, negative, schema, add)
        }
    }
}

fn coarsen_side<T: Copy>(
    side: BucketSide,
    spans: &mut Vec<Span>,
    counts: &mut Vec<T>,
    schema: i32,
    add: impl Fn(&mut T, T),
) -> Result<(), HistogramError> {
    let described = spans.iter().map(|s| s.length as usize).sum();
    if described != counts.len() {
        return Err(HistogramError::SpanMismatch {
            side,
            spans: described,
            buckets: counts.len(),
        });
    }
    if spans.iter().skip(1).any(|s| s.offset < 0) {
        return Err(HistogramError::NegativeGap(side));
    }
    let shift = schema - SCHEMA_FINEST;
    let mut merged: Vec<T> = Vec::with_capacity(counts.len());
    let mut merged_spans: Vec<Span> = Vec::with_capacity(spans.len());
    // Both in buckets: where the next one lies, and the last merged one if there is any.
    let (mut index, mut latest) = (0i64, None);
    let mut rest = counts.iter();
    for span in spans.iter() {
        index += i64::from(span.offset);
        for &count in rest.by_ref().take(span.length as usize) {
            let target = ((index - 1) >> shift) + 1;
            index += 1;
            match (latest, merged.last_mut()) {
                (Some(latest), Some(last)) if latest == target => add(last, count),
                _ => {
                    push_bucket(side, &mut merged_spans, latest, target)?;
                    merged.push(count);
                }
            }
            latest = Some(target);
        }
    }
    (*spans, *counts) = (merged_spans, merged);
    Ok(())
}

/// Adds bucket `target` to the spans, whose last bucket is `latest`.
fn push_bucket(
    side: BucketSide,
    spans: &mut Vec<Span>,
    latest: Option<i64>,
    target: i64,
) -> Result<(), HistogramError> {
    let gap = target - latest.map_or(0, |latest| latest + 1);
    match spans.last_mut() {
        Some(span) if gap == 0 => span.length += 1,
        _ => {
            // Bucket indexes are 32 bits wide; only spans that run past that get here.
            let offset = gap
                .try_into()
                .map_err(|_| HistogramError::NegativeGap(side))?;
            spans.push(Span { offset, length: 1 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Which buckets there are, and what they hold.
    fn buckets(spans: &[Span], counts: &[u64]) -> BTreeMap<i64, u64> {
        let mut next = 0;
        let indexes = spans.iter().flat_map(|s| {
            let start = next + i64::from(s.offset);
            next = start + i64::from(s.length);
            start..next
        });
        indexes.zip(counts.iter().copied()).collect()
    }

    proptest! {
        #[test]
        fn merging_keeps_every_observation_within_its_bounds(
            first in -40..40i32,
            runs in prop::collection::vec((0..9i32, prop::collection::vec(0..9u64, 0..9)), 0..6),
            schema in 9..13i32,
        ) {
            let mut spans: Vec<_> =
                runs.iter().map(|(gap, run)| span(*gap, run.len() as u32)).collect();
            if let Some(span) = spans.first_mut() {
                span.offset = first;
            }
            let mut counts: Vec<u64> = runs.into_iter().flat_map(|(_, run)| run).collect();
            // Bucket i ends at 2^(i·2^-schema), so its bucket of schema 8 is the next whole one.
            let width = f64::from(1 << (schema - 8));
            let mut wanted = BTreeMap::new();
            for (index, count) in buckets(&spans, &counts) {
                *wanted.entry((index as f64 / width).ceil() as i64).or_insert(0) += count;
            }
            let add = |a: &mut u64, b| *a += b;
            coarsen_side(BucketSide::Positive, &mut spans, &mut counts, schema, add).unwrap();
            prop_assert_eq!(buckets(&spans, &counts), wanted);
            prop_assert_eq!(spans.iter().map(|s| s.length as usize).sum::<usize>(), counts.len());
            prop_assert!(spans.iter().skip(1).all(|s| s.offset > 0));
        }
    }

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn too_fine_buckets_are_merged() {
        // At schema 10 four buckets make one of schema 8: -3..=0, 1..=4, 5..=8, …
        let cases = [
            (
                vec![span(1, 4)],
                vec![1, 2, 3, 4],
                vec![span(1, 1)],
                vec![10],
            ),
            (vec![span(0, 2)], vec![1, 2], vec![span(0, 2)], vec![1, 2]),
            (
                vec![span(-3, 5), span(11, 1)],
                vec![1, 1, 1, 1, 5, 7],
                vec![span(0, 2), span(2, 1)],
                vec![4, 5, 7],
            ),
            (
                vec![span(2, 1), span(1, 1)],
                vec![1, 2],
                vec![span(1, 1)],
                vec![3],
            ),
            (vec![], vec![], vec![], vec![]),
        ];
        for (mut spans, mut counts, wanted_spans, wanted) in cases {
            let add = |a: &mut i32, b| *a += b;
            coarsen_side(BucketSide::Positive, &mut spans, &mut counts, 10, add).unwrap();
            assert_eq!((spans, counts), (wanted_spans, wanted));
        }
    }

    #[test]
    fn too_fine_buckets_that_disagree_are_refused() {
        let add = |a: &mut i32, b| *a += b;
        let coarsen = |mut spans: Vec<Span>, mut counts: Vec<i32>| {
            coarsen_side(BucketSide::Negative, &mut spans, &mut counts, 52, add)
        };
        assert!(matches!(
            coarsen(vec![span(0, 2)], vec![1]),
            Err(HistogramError::SpanMismatch {
                spans: 2,
                buckets: 1,
                ..
            })
        ));
        assert_eq!(
            coarsen(vec![span(0, 1), span(-1, 1)], vec![1, 2]),
            Err(HistogramError::NegativeGap(BucketSide::Negative))
        );
        assert_eq!(
            coarsen(vec![span(i32::MAX, 2), span(i32::MAX, 1)], vec![1, 2, 3]),
            Ok(())
        );
    }
}
