//! Native histograms on their way: what is computed of them, and what the user hears of it.

use std::sync::Arc;

use ferula_diag::Span;
use ferula_model::text::quote::quoted;
use ferula_model::{CounterReset, Histogram};

use super::Exec;
use crate::histogram::{FloatHistogram, HistogramMean, Incompatible, Merged, Side, Sign};
use crate::plan::HistogramStat;
use crate::syntax::ast::BinaryOp;

/// What histograms are combined for, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Addition,
    Subtraction,
    Aggregation,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// A histogram as rows keep it.
pub(super) fn kept(h: &FloatHistogram) -> Arc<Histogram> {
    Arc::new(h.to_model())
}

impl Exec<'_> {
    /// Tells what combining histograms took.
    pub(super) fn note_merged(&self, merged: Merged, purpose: Purpose, span: Span) {
        let purpose = purpose.as_str();
        if merged.reconciled {
            let message = format!("mismatched custom buckets were reconciled during {purpose}");
            self.notes.info(message, span);
        }
        if merged.conflict {
            let message = format!("conflicting counter resets during histogram {purpose}");
            self.notes.warn(message, span);
        }
    }

    /// Tells that exponential and custom buckets met.
    pub(super) fn note_mixed_buckets(&self, name: &str, span: Span) {
        self.notes.warn(
            format!("vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}", quoted(name)),
            span,
        );
    }

    /// `+` or `-` of two histograms.
    pub(super) fn histogram_sum(
        &self,
        op: BinaryOp,
        a: &Histogram,
        b: &Histogram,
        span: Span,
    ) -> Option<Arc<Histogram>> {
        let (sign, purpose) = match op {
            BinaryOp::Sub => (Sign::Minus, Purpose::Subtraction),
            _ => (Sign::Plus, Purpose::Addition),
        };
        let mut sum = FloatHistogram::from(a);
        match sum.combine(&FloatHistogram::from(b), sign) {
            Ok(merged) => {
                self.note_merged(merged, purpose, span);
                (!merged.conflict).then(|| kept(&sum))
            }
            Err(Incompatible) => {
                let op = op.as_str();
                let message =
                    format!("incompatible bucket layout encountered for binary operator {op}");
                self.notes.warn(message, span);
                None
            }
        }
    }
}

/// An operator between a histogram and a number, where there is one.
pub(super) fn with_number(
    op: BinaryOp,
    h: &Histogram,
    x: f64,
    number_left: bool,
) -> Option<Arc<Histogram>> {
    let mut h = FloatHistogram::from(h);
    match (op, number_left) {
        (BinaryOp::Mul, _) => h.scale(x),
        (BinaryOp::Div, false) => h.divide(x),
        (BinaryOp::TrimUpper, false) => h.trim(Side::Below, x),
        (BinaryOp::TrimLower, false) => h.trim(Side::Above, x),
        _ => return None,
    }
    Some(kept(&h))
}

/// The negative of a histogram.
pub(super) fn negative(h: &Histogram) -> Arc<Histogram> {
    let mut h = FloatHistogram::from(h);
    h.scale(-1.0);
    kept(&h)
}

/// A number of a histogram.
pub(super) fn stat(stat: HistogramStat, h: &Histogram) -> f64 {
    match stat {
        HistogramStat::Count => h.count(),
        HistogramStat::Sum => h.sum,
        HistogramStat::Avg => h.sum / h.count(),
        HistogramStat::Stdvar => FloatHistogram::from(h).variance(),
        HistogramStat::Stddev => FloatHistogram::from(h).variance().sqrt(),
    }
}

/// The sum or the mean of histograms.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    acc: Accumulator,
    /// Whether the first and any other said what they knew of a reset.
    saw_reset: bool,
    saw_no_reset: bool,
    merged: Merged,
    /// Exponential and custom buckets met: there is no result.
    incompatible: bool,
}

#[derive(Clone, Debug)]
enum Accumulator {
    Sum(FloatHistogram),
    Mean(HistogramMean),
}

impl Folded {
    /// Starts with a first histogram.
    pub(super) fn new(first: &Histogram, mean: bool) -> Self {
        let h = FloatHistogram::from(first);
        Self {
            saw_reset: first.reset == CounterReset::Reset,
            saw_no_reset: first.reset == CounterReset::NotReset,
            acc: if mean {
                Accumulator::Mean(HistogramMean::new(h))
            } else {
                Accumulator::Sum(h)
            },
            merged: Merged::default(),
            incompatible: false,
        }
    }

    /// Takes another histogram in; fails at the first that does not go with the others.
    pub(super) fn add(&mut self, h: &Histogram) -> Result<(), Incompatible> {
        if self.incompatible {
            return Ok(());
        }
        self.saw_reset |= h.reset == CounterReset::Reset;
        self.saw_no_reset |= h.reset == CounterReset::NotReset;
        let h = FloatHistogram::from(h);
        let merged = match &mut self.acc {
            Accumulator::Sum(sum) => sum.accumulate(&h, Sign::Plus),
            Accumulator::Mean(mean) => mean.add(&h),
        };
        match merged {
            Ok(merged) => self.merged.and(merged),
            Err(Incompatible) => {
                self.incompatible = true;
                return Err(Incompatible);
            }
        }
        Ok(())
    }

    /// Whether histograms met that do not go together.
    pub(super) fn is_incompatible(&self) -> bool {
        self.incompatible
    }

    /// What combining took; hints that contradict each other count wherever they were.
    pub(super) fn merged(&self) -> Merged {
        Merged {
            conflict: self.saw_reset && self.saw_no_reset,
            ..self.merged
        }
    }

    /// The result.
    pub(super) fn finish(self) -> Option<Arc<Histogram>> {
        if self.incompatible {
            return None;
        }
        let mut h = match self.acc {
            Accumulator::Sum(sum) => sum,
            Accumulator::Mean(mean) => mean.finish(),
        };
        h.settle();
        Some(kept(&h))
    }
}
