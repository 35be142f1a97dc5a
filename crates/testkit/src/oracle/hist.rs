//! Native histograms as maps from bucket index to population (§1), and how two of them are
//! brought to one layout (§6.3).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ferula_model::text::number::Form;
use ferula_model::{CounterReset, Counts, Histogram, SCHEMA_CUSTOM, Span, exponential_bound};

type Populations = BTreeMap<i32, f64>;

/// A native histogram.
#[derive(Clone, Debug)]
pub(super) struct Hist {
    pub(super) reset: CounterReset,
    pub(super) schema: i8,
    pub(super) zero_threshold: f64,
    pub(super) zero: f64,
    pub(super) count: f64,
    pub(super) sum: f64,
    /// Upper bounds of custom buckets.
    pub(super) bounds: Vec<f64>,
    pub(super) positive: Populations,
    pub(super) negative: Populations,
}

/// A bucket with its place on the number line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) count: f64,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Negative(i32),
    #[default]
    Zero,
    Positive(i32),
}

/// Exponential and custom buckets do not go together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixed;

/// The layout two histograms have in common.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    schema: i8,
    zero_threshold: f64,
    bounds: Vec<f64>,
    /// Whether the bounds of custom buckets differ.
    pub(super) reconciled: bool,
}

impl Hist {
    pub(super) fn from_model(h: &Histogram) -> Self {
        let h = h.to_float();
        let (count, zero, positive, negative) = match &h.counts {
            Counts::Float {
                count,
                zero,
                positive,
                negative,
            } => (*count, *zero, positive.clone(), negative.clone()),
            // `to_float` gives floats.
            Counts::Integer { .. } => (h.count(), 0.0, Vec::new(), Vec::new()),
        };
        Self {
            reset: h.reset,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero,
            count,
            sum: h.sum,
            bounds: h.custom_values.clone(),
            positive: from_spans(&h.positive_spans, &positive),
            negative: from_spans(&h.negative_spans, &negative),
        }
    }

    pub(super) fn to_model(&self) -> Histogram {
        Histogram {
            reset: self.reset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans: to_spans(&self.positive),
            negative_spans: to_spans(&self.negative),
            custom_values: self.bounds.clone(),
            counts: Counts::Float {
                count: self.count,
                zero: self.zero,
                positive: self.positive.values().copied().collect(),
                negative: self.negative.values().copied().collect(),
            },
        }
    }

    pub(super) fn is_custom(&self) -> bool {
        self.schema == SCHEMA_CUSTOM
    }

    pub(super) fn is_gauge(&self) -> bool {
        self.reset == CounterReset::Gauge
    }

    /// Without empty buckets, wherever they are.
    pub(super) fn compact(mut self) -> Self {
        self.positive.retain(|_, v| *v != 0.0);
        self.negative.retain(|_, v| *v != 0.0);
        self
    }

    /// The empty histogram of the same layout.
    pub(super) fn emptied(&self) -> Self {
        self.map(|_| 0.0)
    }

    /// Every number of observations, and their sum, passed through `f`.
    pub(super) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        let mut h = self.clone();
        h.numbers_mut().into_iter().for_each(|v| *v = f(*v));
        h
    }

    fn numbers_mut(&mut self) -> Vec<&mut f64> {
        let mut all = vec![&mut self.count, &mut self.sum, &mut self.zero];
        all.extend(self.positive.values_mut());
        all.extend(self.negative.values_mut());
        all
    }

    /// Whether a number of observations, or their sum, is not finite any more.
    pub(super) fn overflows(&self) -> bool {
        self.clone()
            .numbers_mut()
            .into_iter()
            .any(|v| v.is_infinite())
    }

    /// The lower and the upper bound of positive bucket `index`.
    pub(super) fn edges(&self, index: i32) -> (f64, f64) {
        if self.is_custom() {
            let bound = |i: i32| match usize::try_from(i) {
                Err(_) => f64::NEG_INFINITY,
                Ok(i) => self.bounds.get(i).copied().unwrap_or(f64::INFINITY),
            };
            return (bound(index - 1), bound(index));
        }
        let index = i64::from(index);
        (
            exponential_bound(self.schema, index - 1),
            exponential_bound(self.schema, index),
        )
    }

    /// All buckets in ascending order, those that begin inside the zero bucket cut at its edge,
    /// even where they end inside, too: the reference counts such a bucket backwards.
    pub(super) fn buckets(&self) -> Vec<Bucket> {
        let zt = if self.is_custom() {
            f64::NEG_INFINITY
        } else {
            self.zero_threshold
        };
        let mut all = Vec::new();
        for (&i, &count) in self.negative.iter().rev() {
            let (near, far) = self.edges(i);
            all.push(Bucket {
                lower: -far,
                upper: -near.max(zt),
                count,
                kind: Kind::Negative(i),
            });
        }
        if self.zero > 0.0 {
            all.push(Bucket {
                lower: -self.zero_threshold,
                upper: self.zero_threshold,
                count: self.zero,
                kind: Kind::Zero,
            });
        }
        for (&i, &count) in &self.positive {
            let (near, far) = self.edges(i);
            all.push(Bucket {
                lower: near.max(zt),
                upper: far,
                count,
                kind: Kind::Positive(i),
            });
        }
        all
    }

    /// The threshold, not below `threshold`, at which no populated bucket is cut.
    pub(super) fn uncut_threshold(&self, threshold: f64) -> f64 {
        let mut t = threshold;
        while let Some(far) = self.cut_by(t) {
            t = far;
        }
        t
    }

    /// The far bound of a populated bucket that a threshold falls into.
    fn cut_by(&self, t: f64) -> Option<f64> {
        let both = self.positive.iter().chain(&self.negative);
        both.filter(|(_, count)| **count != 0.0)
            .map(|(&i, _)| self.edges(i))
            .find(|&(near, far)| near < t && t < far)
            .map(|(_, far)| far)
    }

    /// Widens the zero bucket: what begins inside falls into it.
    pub(super) fn widened(&self, threshold: f64) -> Self {
        let mut h = self.clone();
        if threshold > self.zero_threshold {
            h.zero_threshold = threshold;
            for side in [&mut h.positive, &mut h.negative] {
                let inside = |i: i32| self.edges(i).0 < threshold;
                h.zero += side
                    .iter()
                    .filter(|(i, _)| inside(**i))
                    .map(|(_, count)| count)
                    .sum::<f64>();
                side.retain(|&i, _| !inside(i));
            }
        }
        h
    }

    /// Without buckets that end inside the zero bucket.
    pub(super) fn outside_zero(&self) -> Self {
        let mut h = self.clone();
        let outside = |i: &i32| self.edges(*i).1 > self.zero_threshold;
        h.positive.retain(|i, _| outside(i));
        h.negative.retain(|i, _| outside(i));
        h
    }

    /// The same observations in coarser exponential buckets.
    pub(super) fn coarsened(&self, schema: i8) -> Self {
        let shift = i32::from(self.schema) - i32::from(schema);
        let mut h = self.clone();
        if shift > 0 {
            let merged = |i: i32| ((i - 1) >> shift.min(31)) + 1;
            h.schema = schema;
            h.positive = merge(&self.positive, merged);
            h.negative = merge(&self.negative, merged);
        }
        h
    }

    /// The same observations in custom buckets with some of the bounds.
    fn with_bounds(&self, bounds: &[f64]) -> Self {
        let holder = |i: i32| {
            let upper = self.edges(i).1;
            bounds.iter().take_while(|b| **b < upper).count() as i32
        };
        let mut h = self.clone();
        h.positive = merge(&self.positive, holder);
        h.bounds = bounds.to_vec();
        h
    }

    /// In a layout found by [`common_layout`].
    pub(super) fn fit(&self, layout: &Layout) -> Self {
        if self.is_custom() {
            self.with_bounds(&layout.bounds)
        } else {
            self.widened(layout.zero_threshold).coarsened(layout.schema)
        }
    }

    /// Equality as `==` has it: everything but the hint, numbers by their bits.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let bits = |h: &Self| {
            let side = |side: &Populations| {
                side.iter()
                    .map(|(i, v)| (*i, v.to_bits()))
                    .collect::<Vec<_>>()
            };
            let numbers = [h.count, h.sum, h.zero_threshold, h.zero].map(f64::to_bits);
            let bounds: Vec<u64> = h.bounds.iter().map(|b| b.to_bits()).collect();
            (
                h.schema,
                numbers,
                bounds,
                side(&h.positive),
                side(&h.negative),
            )
        };
        bits(self) == bits(other)
    }

    /// As `count_values` writes it into a label.
    pub(super) fn text(&self) -> String {
        let show = |v: f64| Form::General.show(v);
        let mut text = format!("{{count:{}, sum:{}", show(self.count), show(self.sum));
        let mut bucket = |open: char, lower: f64, upper: f64, close: char, count: f64| {
            if count != 0.0 {
                let (lower, upper, count) = (show(lower), show(upper), show(count));
                // Writing to a string cannot fail.
                let _ = write!(text, ", {open}{lower},{upper}{close}:{count}");
            }
        };
        for (&i, &count) in self.negative.iter().rev() {
            let (near, far) = self.edges(i);
            bucket('[', -far, -near, ')', count);
        }
        let zt = self.zero_threshold;
        bucket('[', -zt, zt, ']', self.zero);
        for (&i, &count) in &self.positive {
            let (near, far) = self.edges(i);
            let open = if self.is_custom() && i == 0 { '[' } else { '(' };
            bucket(open, near, far, ']', count);
        }
        text.push('}');
        text
    }
}

/// What `a` and `b` both can be brought to (§6.3).
pub(super) fn common_layout(a: &Hist, b: &Hist) -> Result<Layout, Mixed> {
    if a.is_custom() != b.is_custom() {
        return Err(Mixed);
    }
    let bits = |h: &Hist| h.bounds.iter().map(|b| b.to_bits()).collect::<Vec<_>>();
    let reconciled = a.is_custom() && bits(a) != bits(b);
    let bounds = a.bounds.iter().filter(|x| b.bounds.contains(x)).copied();
    // The smaller threshold is raised to the larger, and beyond, until both agree.
    let (mut ta, mut tb) = (a.zero_threshold, b.zero_threshold);
    while ta < tb || tb < ta {
        if ta < tb {
            ta = a.uncut_threshold(tb);
        } else {
            tb = b.uncut_threshold(ta);
        }
    }
    Ok(Layout {
        schema: a.schema.min(b.schema),
        zero_threshold: ta,
        bounds: bounds.collect(),
        reconciled,
    })
}

fn merge(side: &Populations, index: impl Fn(i32) -> i32) -> Populations {
    let mut merged = Populations::new();
    for (&i, &count) in side {
        *merged.entry(index(i)).or_default() += count;
    }
    merged
}

fn from_spans(spans: &[Span], counts: &[f64]) -> Populations {
    let mut side = Populations::new();
    let mut counts = counts.iter();
    let mut index = 0i32;
    for span in spans {
        index = index.wrapping_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            side.insert(index, *count);
            index = index.wrapping_add(1);
        }
    }
    side
}

fn to_spans(side: &Populations) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for &index in side.keys() {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
    }
    spans
}
