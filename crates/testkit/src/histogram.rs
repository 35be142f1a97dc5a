//! Histogram literals: `{{schema:0 count:3 sum:5 buckets:[1 2]}}`, their sums and comparison.

use std::collections::BTreeMap;

use ferula_model::{CounterReset, Counts, Histogram, SCHEMA_CUSTOM, Span};

use crate::cursor::Cursor;
use crate::{NotationError, store::floats_agree};

/// The most buckets a literal may have on one side.
const BUCKETS_MAX: usize = 10_000;

/// A histogram while it is computed with: populations by bucket index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Literal {
    pub(crate) schema: i8,
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) zero_count: f64,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: BTreeMap<i32, f64>,
    pub(crate) negative: BTreeMap<i32, f64>,
    pub(crate) custom_values: Vec<f64>,
    pub(crate) reset: Option<CounterReset>,
}

impl Literal {
    /// Parses from `{{` to `}}`.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, NotationError> {
        cursor.expect("{{")?;
        let mut literal = Self::default();
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let (mut offset, mut negative_offset) = (0, 0);
        let mut seen = Vec::new();
        loop {
            cursor.skip_space();
            if cursor.eat("}}") {
                break;
            }
            let key = cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            if seen.contains(&key) {
                return Err(cursor.error(format!("duplicate key {key:?} in histogram")));
            }
            seen.push(key);
            cursor.expect(":")?;
            match key {
                "schema" => literal.schema = cursor.number()? as i8,
                "sum" => literal.sum = cursor.number()?,
                "count" => literal.count = cursor.number()?,
                "z_bucket" => literal.zero_count = cursor.number()?,
                "z_bucket_w" => literal.zero_threshold = cursor.number()?,
                "buckets" => positive = numbers(cursor)?,
                "n_buckets" => negative = numbers(cursor)?,
                "offset" => offset = cursor.number()? as i32,
                "n_offset" => negative_offset = cursor.number()? as i32,
                "custom_values" => literal.custom_values = numbers(cursor)?,
                "counter_reset_hint" => literal.reset = Some(reset_hint(cursor)?),
                _ => return Err(cursor.error(format!("unknown histogram key {key:?}"))),
            }
        }
        literal.positive = (offset..).zip(positive).collect();
        literal.negative = (negative_offset..).zip(negative).collect();
        Ok(literal)
    }

    /// Adds `other` times `factor` (1 or −1).
    pub(crate) fn add(&mut self, other: &Self, factor: f64) -> Result<(), String> {
        let custom = SCHEMA_CUSTOM;
        if (self.schema == custom) != (other.schema == custom) || other.schema < self.schema {
            return Err(format!(
                "error combining histograms: cannot merge from schema {} to {}",
                self.schema, other.schema
            ));
        }
        let shift = if self.schema == custom {
            0
        } else {
            i32::from(other.schema) - i32::from(self.schema)
        };
        self.count += factor * other.count;
        self.sum += factor * other.sum;
        self.zero_count += factor * other.zero_count;
        for (mine, theirs) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            for (&index, &population) in theirs {
                *mine.entry(merged_index(index, shift)).or_default() += factor * population;
            }
        }
        Ok(())
    }

    /// The model's form; the hint is unknown unless stated.
    pub(crate) fn build(&self) -> Histogram {
        let (positive_spans, positive) = side(&self.positive);
        let (negative_spans, negative) = side(&self.negative);
        Histogram {
            reset: self.reset.unwrap_or_default(),
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans,
            negative_spans,
            custom_values: self.custom_values.clone(),
            counts: Counts::Float {
                count: self.count,
                zero: self.zero_count,
                positive,
                negative,
            },
        }
    }
}

/// The bucket that holds bucket `index` once the resolution is halved `shift` times.
fn merged_index(index: i32, shift: i32) -> i32 {
    ((index - 1) >> shift) + 1
}

fn numbers(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, NotationError> {
    cursor.expect("[")?;
    let mut numbers = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.eat("]") {
            return Ok(numbers);
        }
        if numbers.len() == BUCKETS_MAX {
            return Err(cursor.error("too many buckets"));
        }
        numbers.push(cursor.number()?);
    }
}

fn reset_hint(cursor: &mut Cursor<'_>) -> Result<CounterReset, NotationError> {
    match cursor.take_while(|c| c.is_ascii_alphabetic() || c == '_') {
        "unknown" => Ok(CounterReset::Unknown),
        "reset" => Ok(CounterReset::Reset),
        "not_reset" => Ok(CounterReset::NotReset),
        "gauge" => Ok(CounterReset::Gauge),
        other => Err(cursor.error(format!("unknown counter reset hint {other:?}"))),
    }
}

/// Spans and populations of one side; every bucket between the first and the last is written.
fn side(buckets: &BTreeMap<i32, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for &index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
    }
    (spans, buckets.values().copied().collect())
}

/// The non-empty buckets of one side, by index.
pub fn compact_buckets(spans: &[Span], populations: &[f64]) -> Vec<(i32, f64)> {
    let mut index = 0;
    let indexes = spans.iter().flat_map(|span| {
        let first = index + span.offset;
        index = first + span.length as i32;
        first..index
    });
    indexes
        .zip(populations.iter().copied())
        .filter(|(_, population)| *population != 0.0)
        .collect()
}

/// Whether `got` is the histogram a script expects: layout exactly, numbers within the
/// scripts' tolerance, the reset hint only if `hint` states one.
pub fn histograms_agree(expected: &Histogram, hint: Option<CounterReset>, got: &Histogram) -> bool {
    let (expected, got) = (expected.to_float(), got.to_float());
    let (
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
    ) = (&expected.counts, &got.counts)
    else {
        return false;
    };
    let buckets_agree = |a: Vec<(i32, f64)>, b: Vec<(i32, f64)>| {
        a.len() == b.len()
            && a.iter()
                .zip(&b)
                .all(|((i, x), (j, y))| i == j && floats_agree(*x, *y))
    };
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    hint.is_none_or(|hint| hint == got.reset)
        && expected.schema == got.schema
        && expected.zero_threshold == got.zero_threshold
        && bits(&expected.custom_values) == bits(&got.custom_values)
        && floats_agree(*c1, *c2)
        && floats_agree(expected.sum, got.sum)
        && floats_agree(*z1, *z2)
        && buckets_agree(
            compact_buckets(&expected.positive_spans, p1),
            compact_buckets(&got.positive_spans, p2),
        )
        && buckets_agree(
            compact_buckets(&expected.negative_spans, n1),
            compact_buckets(&got.negative_spans, n2),
        )
}
