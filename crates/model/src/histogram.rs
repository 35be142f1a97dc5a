//! Native histograms: exponential or custom buckets, integer or float counts.

use crate::is_stale;

/// The schema of histograms whose bucket bounds are listed in `custom_values`.
pub const SCHEMA_CUSTOM: i8 = -53;

/// The coarsest and finest exponential schemas.
const SCHEMA_EXPONENTIAL: std::ops::RangeInclusive<i8> = -4..=8;

/// The most buckets one side of a histogram may have; a bound against hostile spans.
pub const BUCKETS_MAX: usize = 65_536;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first span's offset is its first bucket's index, a later one's the gap before it.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// What the source knows about a reset between this sample and the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterReset {
    /// Nothing: compare the buckets.
    #[default]
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NotReset,
    /// A gauge histogram: buckets may fall.
    Gauge,
}

/// Bucket populations, absolute (not differences), in the order of the spans.
#[derive(Clone, Debug, PartialEq)]
pub enum Counts {
    /// Whole observations.
    Integer {
        /// All observations.
        count: u64,
        /// Observations in the zero bucket.
        zero: u64,
        /// Observations per positive bucket.
        positive: Vec<u64>,
        /// Observations per negative bucket.
        negative: Vec<u64>,
    },
    /// Counts that may be fractional, as calculations yield them.
    Float {
        /// All observations.
        count: f64,
        /// Observations in the zero bucket.
        zero: f64,
        /// Observations per positive bucket.
        positive: Vec<f64>,
        /// Observations per negative bucket.
        negative: Vec<f64>,
    },
}

/// A native histogram.
///
/// Exponential bucket `i` of schema `s` covers `(2^((i-1)·2^-s), 2^(i·2^-s)]`, mirrored on the
/// negative side; the zero bucket covers `[-zero_threshold, zero_threshold]`. With
/// [`SCHEMA_CUSTOM`], positive bucket `i` covers `(custom_values[i-1], custom_values[i]]`.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// What the source says about resets.
    pub reset: CounterReset,
    /// Resolution: −4 to 8, or [`SCHEMA_CUSTOM`].
    pub schema: i8,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// Sum of the observations; the staleness marker here makes the histogram one.
    pub sum: f64,
    /// Which positive buckets there are.
    pub positive_spans: Vec<Span>,
    /// Which negative buckets there are.
    pub negative_spans: Vec<Span>,
    /// Upper bounds with [`SCHEMA_CUSTOM`], `+Inf` implied; otherwise empty.
    pub custom_values: Vec<f64>,
    /// The populations.
    pub counts: Counts,
}

/// Structural, floats by their bits; the reset hint counts.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let bits = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
        };
        let counts = match (&self.counts, &other.counts) {
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
            ) => bits(&[*c1, *z1], &[*c2, *z2]) && bits(p1, p2) && bits(n1, n2),
            (a, b) => a == b,
        };
        counts
            && self.reset == other.reset
            && self.schema == other.schema
            && bits(
                &[self.zero_threshold, self.sum],
                &[other.zero_threshold, other.sum],
            )
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && bits(&self.custom_values, &other.custom_values)
    }
}

/// Which side of zero a bucket lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketSide {
    /// Above zero.
    Positive,
    /// Below zero.
    Negative,
}

impl std::fmt::Display for BucketSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        })
    }
}

/// Why a histogram cannot be stored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// The schema is none of those that exist.
    #[error("schema {0} is not supported: -4 to 8, or -53 for custom buckets")]
    Schema(i32),
    /// Spans and populations do not describe the same number of buckets.
    #[error("{side} side: spans need {spans} buckets, have {buckets} buckets")]
    SpanMismatch {
        /// The side that is wrong.
        side: BucketSide,
        /// Buckets the spans describe.
        spans: usize,
        /// Populations given.
        buckets: usize,
    },
    /// A gap before a span is negative.
    #[error("{0} side: a span after the first has a negative offset")]
    NegativeGap(BucketSide),
    /// A population is negative.
    #[error("{0} side: a bucket has a negative count")]
    NegativeCount(BucketSide),
    /// The buckets hold more (or, without NaN observations, fewer) than the count says.
    #[error("{buckets} observations found in buckets, but the Count field is {count}")]
    CountMismatch {
        /// Observations in the buckets, the zero bucket included.
        buckets: f64,
        /// What the count field says.
        count: f64,
    },
    /// Custom bounds are not finite and strictly rising.
    #[error("custom bounds must be finite and strictly increasing")]
    CustomBounds,
    /// A custom-bucket histogram has a zero bucket, negative buckets or too many buckets.
    #[error("a histogram with custom buckets has no zero bucket and no negative buckets")]
    CustomShape,
    /// An exponential histogram lists custom bounds.
    #[error("a histogram with exponential buckets has no custom bounds")]
    UnexpectedBounds,
    /// More buckets than a histogram may have.
    #[error("more than {max} buckets", max = BUCKETS_MAX)]
    TooManyBuckets,
}

impl Histogram {
    /// A staleness marker in histogram form.
    pub fn stale() -> Self {
        Self {
            reset: CounterReset::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            sum: crate::stale_marker(),
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Integer {
                count: 0,
                zero: 0,
                positive: Vec::new(),
                negative: Vec::new(),
            },
        }
    }

    /// Whether this is a staleness marker.
    pub fn is_stale(&self) -> bool {
        is_stale(self.sum)
    }

    /// Whether the buckets have custom bounds.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == SCHEMA_CUSTOM
    }

    /// All observations, as a double.
    pub fn count(&self) -> f64 {
        match &self.counts {
            Counts::Integer { count, .. } => *count as f64,
            Counts::Float { count, .. } => *count,
        }
    }

    /// The same histogram with float counts: what PromQL works on.
    pub fn to_float(&self) -> Self {
        let floats = |counts: &[u64]| counts.iter().map(|&c| c as f64).collect();
        let counts = match &self.counts {
            Counts::Integer {
                count,
                zero,
                positive,
                negative,
            } => Counts::Float {
                count: *count as f64,
                zero: *zero as f64,
                positive: floats(positive),
                negative: floats(negative),
            },
            float => float.clone(),
        };
        Self {
            counts,
            ..self.clone()
        }
    }

    /// Checks everything a stored histogram must satisfy (rules of `tsdb-behaviour.md` A1).
    pub fn validate(&self) -> Result<(), HistogramError> {
        use BucketSide::{Negative, Positive};
        if self.is_stale() {
            return Ok(());
        }
        if self.has_custom_buckets() {
            self.validate_custom()?;
        } else if !SCHEMA_EXPONENTIAL.contains(&self.schema) {
            return Err(HistogramError::Schema(self.schema.into()));
        } else if !self.custom_values.is_empty() {
            return Err(HistogramError::UnexpectedBounds);
        }
        let (positive, negative) = match &self.counts {
            Counts::Integer {
                positive, negative, ..
            } => (positive.len(), negative.len()),
            Counts::Float {
                positive, negative, ..
            } => (positive.len(), negative.len()),
        };
        check_spans(Positive, &self.positive_spans, positive)?;
        check_spans(Negative, &self.negative_spans, negative)?;
        self.validate_counts()
    }

    fn validate_custom(&self) -> Result<(), HistogramError> {
        let rising = self.custom_values.windows(2).all(|w| w[0] < w[1]);
        if !rising || self.custom_values.iter().any(|b| !b.is_finite()) {
            return Err(HistogramError::CustomBounds);
        }
        let zero = match &self.counts {
            Counts::Integer { zero, .. } => *zero as f64,
            Counts::Float { zero, .. } => *zero,
        };
        let last = self.positive_spans.iter().fold(0i64, |at, span| {
            at.saturating_add(span.offset.into())
                .saturating_add(span.length.into())
        });
        let fits = last <= self.custom_values.len() as i64 + 1
            && self.positive_spans.first().is_none_or(|s| s.offset >= 0);
        if zero != 0.0 || self.zero_threshold != 0.0 || !self.negative_spans.is_empty() || !fits {
            return Err(HistogramError::CustomShape);
        }
        Ok(())
    }

    fn validate_counts(&self) -> Result<(), HistogramError> {
        use BucketSide::{Negative, Positive};
        match &self.counts {
            Counts::Integer {
                count,
                zero,
                positive,
                negative,
            } => {
                let buckets: u128 = positive
                    .iter()
                    .chain(negative)
                    .chain([zero])
                    .map(|&c| u128::from(c))
                    .sum();
                let count_wide = u128::from(*count);
                // NaN observations are counted, but fall in no bucket.
                let ok = if self.sum.is_nan() {
                    buckets <= count_wide
                } else {
                    buckets == count_wide
                };
                if !ok {
                    let (buckets, count) = (buckets as f64, *count as f64);
                    return Err(HistogramError::CountMismatch { buckets, count });
                }
            }
            Counts::Float {
                positive, negative, ..
            } => {
                // Float sums are inexact, so float counts are not compared with the buckets.
                for (side, counts) in [(Positive, positive), (Negative, negative)] {
                    if counts.iter().any(|&c| c < 0.0) {
                        return Err(HistogramError::NegativeCount(side));
                    }
                }
            }
        }
        Ok(())
    }
}

fn check_spans(side: BucketSide, spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    if spans.iter().skip(1).any(|s| s.offset < 0) {
        return Err(HistogramError::NegativeGap(side));
    }
    let described = spans.iter().map(|s| s.length as usize).sum::<usize>();
    if described > BUCKETS_MAX {
        return Err(HistogramError::TooManyBuckets);
    }
    if described != buckets {
        return Err(HistogramError::SpanMismatch {
            side,
            spans: described,
            buckets,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(count: u64, positive: Vec<u64>) -> Histogram {
        Histogram {
            positive_spans: vec![Span {
                offset: 0,
                length: positive.len() as u32,
            }],
            sum: 1.0,
            counts: Counts::Integer {
                count,
                zero: 0,
                positive,
                negative: vec![],
            },
            ..Histogram::stale()
        }
    }

    #[test]
    fn counts_must_agree() {
        assert_eq!(integer(6, vec![1, 2, 3]).validate(), Ok(()));
        assert!(matches!(
            integer(5, vec![1, 2, 3]).validate(),
            Err(HistogramError::CountMismatch { .. })
        ));
        let nan = Histogram {
            sum: f64::NAN,
            ..integer(7, vec![1, 2, 3])
        };
        assert_eq!(nan.validate(), Ok(()));
    }

    #[test]
    fn shapes_must_agree() {
        let mut h = integer(3, vec![1, 2]);
        h.positive_spans[0].length = 3;
        assert!(matches!(
            h.validate(),
            Err(HistogramError::SpanMismatch { .. })
        ));
        h.schema = 9;
        assert_eq!(h.validate(), Err(HistogramError::Schema(9)));
        let custom = Histogram {
            schema: SCHEMA_CUSTOM,
            custom_values: vec![1.0, 1.0],
            ..integer(3, vec![1, 2])
        };
        assert_eq!(custom.validate(), Err(HistogramError::CustomBounds));
    }

    #[test]
    fn equality_is_bitwise() {
        let nan = Histogram {
            sum: f64::NAN,
            ..integer(6, vec![1, 2, 3])
        };
        assert_eq!(nan, nan.clone());
        assert!(Histogram::stale().is_stale());
        assert_ne!(Histogram::stale(), nan);
    }
}
