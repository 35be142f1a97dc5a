//! Native histograms as PromQL computes with them: float populations by bucket index.
//!
//! Pure: knows no series, no steps and no annotations; what the user should hear of is in return
//! values. A [`FloatHistogram`] is made from a stored histogram, changed in place, and turned
//! back with [`FloatHistogram::to_model`], which leaves empty buckets out. Start with `combine`
//! for sums, `estimate` for quantiles.

mod bounds;
mod combine;
mod estimate;
mod mean;
mod reset;
mod text;
mod trim;

#[cfg(test)]
mod tests;

pub(crate) use combine::{Incompatible, Merged, Sign};
pub(crate) use estimate::NanNote;
pub(crate) use mean::HistogramMean;
pub(crate) use trim::Side;

use ferula_model::{CounterReset, Counts, Histogram, SCHEMA_CUSTOM, Span};

use crate::functions::sum::Compensated;

/// The populated buckets of one side by index, ascending. Numbers keep what rounding took from
/// them until [`FloatHistogram::settle`].
type Cells = Vec<(i64, Compensated)>;

/// A native histogram in a form suited to computing.
#[derive(Clone, Debug)]
pub(crate) struct FloatHistogram {
    pub(crate) reset: CounterReset,
    schema: i8,
    zero_threshold: f64,
    count: Compensated,
    sum: Compensated,
    zero: Compensated,
    positive: Cells,
    negative: Cells,
    custom_values: Vec<f64>,
}

/// A number nothing was lost of.
fn exact(value: f64) -> Compensated {
    Compensated {
        sum: value,
        lost: 0.0,
    }
}

impl From<&Histogram> for FloatHistogram {
    fn from(h: &Histogram) -> Self {
        let (zero, positive, negative) = match &h.counts {
            Counts::Float {
                zero,
                positive,
                negative,
                ..
            } => (
                *zero,
                cells(&h.positive_spans, positive, |&c| c),
                cells(&h.negative_spans, negative, |&c| c),
            ),
            Counts::Integer {
                zero,
                positive,
                negative,
                ..
            } => (
                *zero as f64,
                cells(&h.positive_spans, positive, |&c| c as f64),
                cells(&h.negative_spans, negative, |&c| c as f64),
            ),
        };
        Self {
            reset: h.reset,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            count: exact(h.count()),
            sum: exact(h.sum),
            zero: exact(zero),
            positive,
            negative,
            custom_values: h.custom_values.clone(),
        }
    }
}

fn cells<T>(spans: &[Span], populations: &[T], float: impl Fn(&T) -> f64) -> Cells {
    let mut next = 0;
    let indices = spans.iter().flat_map(|span| {
        let first: i64 = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indices
        .zip(populations)
        .map(|(index, population)| (index, exact(float(population))))
        .collect()
}

/// Spans and populations without empty buckets.
fn spans(cells: &Cells) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut populations = Vec::with_capacity(cells.len());
    let mut next = 0;
    for (index, population) in cells {
        let population = population.value();
        if population == 0.0 {
            continue;
        }
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span {
                offset: (index - next).clamp(i32::MIN.into(), i32::MAX.into()) as i32,
                length: 1,
            }),
        }
        next = index + 1;
        populations.push(population);
    }
    (spans, populations)
}

impl FloatHistogram {
    /// A histogram without observations in the layout of `other`.
    pub(crate) fn empty_like(other: &Self) -> Self {
        Self {
            reset: CounterReset::Unknown,
            schema: other.schema,
            zero_threshold: 0.0,
            count: exact(0.0),
            sum: exact(0.0),
            zero: exact(0.0),
            positive: Vec::new(),
            negative: Vec::new(),
            custom_values: other.custom_values.clone(),
        }
    }

    /// The model's form, all empty buckets left out.
    pub(crate) fn to_model(&self) -> Histogram {
        let (positive_spans, positive) = spans(&self.positive);
        let (negative_spans, negative) = spans(&self.negative);
        Histogram {
            reset: self.reset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum.signed_value(),
            positive_spans,
            negative_spans,
            custom_values: self.custom_values.clone(),
            counts: Counts::Float {
                count: self.count.signed_value(),
                zero: self.zero.signed_value(),
                positive,
                negative,
            },
        }
    }

    /// Whether the buckets have custom bounds.
    pub(crate) fn has_custom_buckets(&self) -> bool {
        self.schema == SCHEMA_CUSTOM
    }

    /// All observations.
    pub(crate) fn count(&self) -> f64 {
        self.count.signed_value()
    }

    /// The resolution.
    pub(crate) fn schema(&self) -> i8 {
        self.schema
    }

    /// Adds what rounding took to every number, once.
    pub(crate) fn settle(&mut self) {
        self.each(|number| *number = exact(number.signed_value()));
    }

    fn each(&mut self, mut f: impl FnMut(&mut Compensated)) {
        f(&mut self.count);
        f(&mut self.sum);
        f(&mut self.zero);
        for (_, number) in self.positive.iter_mut().chain(&mut self.negative) {
            f(number);
        }
    }

    fn any(&self, mut f: impl FnMut(f64) -> bool) -> bool {
        let buckets = self.positive.iter().chain(&self.negative);
        f(self.count.sum)
            || f(self.sum.sum)
            || f(self.zero.sum)
            || buckets.into_iter().any(|(_, number)| f(number.sum))
    }

    /// Multiplies every number. A negative factor makes a gauge.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.each(|number| {
            number.sum *= factor;
            // Nothing lost stays nothing, also times infinity.
            if number.lost != 0.0 {
                number.lost *= factor;
            }
        });
        self.note_sign(factor);
    }

    /// Divides every number. Division by zero leaves no buckets.
    pub(crate) fn divide(&mut self, divisor: f64) {
        self.each(|number| {
            number.sum /= divisor;
            // Nothing lost stays nothing, also of something infinite.
            if number.lost != 0.0 {
                number.lost /= divisor;
            }
        });
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        self.note_sign(divisor);
    }

    fn note_sign(&mut self, factor: f64) {
        if factor < 0.0 {
            self.reset = CounterReset::Gauge;
        }
    }
}

/// Whether two histograms are the same, hints aside.
pub(crate) fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let plain = |h: &Histogram| Histogram {
        reset: CounterReset::Unknown,
        ..h.to_float()
    };
    plain(a) == plain(b)
}
