//! `histogram_quantile` and `histogram_fraction` over classic buckets and native histograms.

use std::sync::Arc;

use ferula_model::text::number::Form;
use ferula_model::text::quote::quoted;

use super::grouping::{Ordinals, push_text};
use super::row::{Key, Row};
use super::{Column, Exec, Frame, is_absent};
use crate::annotations::Repair;
use crate::budget::Amount;
use crate::error::QueryError;
use crate::functions::histogram_classic::{Bucket, Raised, fraction, parse_bound, quantile};
use crate::histogram::{FloatHistogram, NanNote};
use crate::plan::{Grid, HistogramCall, HistogramWanted, Node};

/// The label with a bucket's upper bound.
const BOUND: &str = "le";

/// What is wanted, for all steps.
enum Wanted {
    Quantile(Arc<Column>),
    Fraction(Column, Column),
}

/// A series that each histogram yields.
struct Output {
    wanted: Wanted,
    /// A label that says which quantile it is: its name and its value, and the steps' quantile.
    label: Option<(String, String, f64)>,
}

impl Output {
    fn plain(wanted: Wanted) -> Self {
        Self {
            wanted,
            label: None,
        }
    }

    /// Whether the series has a value at `step`: a quantile that changes is several series.
    fn is_at(&self, step: usize) -> bool {
        match (&self.wanted, &self.label) {
            (Wanted::Quantile(phi), Some((_, _, value))) => {
                phi.get(step).to_bits() == value.to_bits()
            }
            _ => true,
        }
    }
}

/// One histogram, in rows of the frame. At a step it should be classic or native, not both.
#[derive(Default)]
struct Rows {
    /// Classic buckets, sorted by bound.
    buckets: Vec<(f64, usize)>,
    /// The row with native histograms.
    native: Option<usize>,
}

/// A histogram at one step.
enum Input<'b> {
    Classic(&'b mut Vec<Bucket>),
    Native(FloatHistogram),
}

impl<'q> Exec<'q> {
    /// A quantile or a fraction of each histogram.
    pub(super) fn histogram(
        &self,
        call: &HistogramCall,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let outputs = self.outputs(&call.wanted, grid)?;
        let _room = self.budget.charge(Amount::cells(
            (outputs.len() as u64).saturating_mul(grid.count as u64),
        ))?;
        let frame = self.frame(&call.child, grid)?;
        let mut out = Frame::new(self.budget, grid.count)?;
        let mut rows = vec![Row::default(); outputs.len()];
        let mut buckets = Vec::new();
        for histogram in self.histogram_rows(call, &frame) {
            self.check()?;
            let any = histogram.buckets.first().map(|&(_, row)| row);
            let Some(any) = any.or(histogram.native) else {
                continue;
            };
            rows.iter_mut().for_each(|row| row.reset(grid.count));
            for step in 0..grid.count {
                gather(&histogram, &frame, step, &mut buckets);
                let native = histogram.native.and_then(|i| frame.histogram(i, step));
                let mut input = match native {
                    Some(_) if !buckets.is_empty() => {
                        let mix = "vector contains a mix of classic and native histograms";
                        let message = self.with_name(mix, frame.labels(any).metric_name());
                        self.notes.warn(message, call.child_span);
                        continue;
                    }
                    Some(native) => Input::Native(FloatHistogram::from(&**native)),
                    None if buckets.is_empty() => continue,
                    None => Input::Classic(&mut buckets),
                };
                let name = frame.labels(any).metric_name();
                for (output, row) in outputs.iter().zip(&mut rows) {
                    if output.is_at(step) {
                        row.values[step] = match &mut input {
                            Input::Native(h) => self.of_native(&output.wanted, h, step, name, call),
                            Input::Classic(buckets) => {
                                self.of_classic(&output.wanted, buckets, (step, grid), call)
                            }
                        };
                    }
                }
            }
            let meta = frame.meta(any).dropping(true);
            let key = meta.resolve(self.delayed_names);
            let labels = key.labels.filter(|name| name != BOUND);
            for (output, row) in outputs.iter().zip(&rows) {
                let labels = match &output.label {
                    Some((name, value, _)) => labels.with(name, value),
                    None => labels.clone(),
                };
                out.push(Key { labels, ..key }, row)?;
            }
        }
        out.merge_same_labels()
    }

    /// Evaluates what is wanted, and warns of quantiles that are none.
    fn outputs(&self, wanted: &HistogramWanted, grid: Grid) -> Result<Vec<Output>, QueryError> {
        let quantile = |phi: &Node, span| {
            let phi = self.scalar(phi, grid)?;
            for &phi in phi.distinct() {
                super::aggregate::note_quantile(self, phi, span);
            }
            Ok::<_, QueryError>(Arc::new(phi))
        };
        match wanted {
            HistogramWanted::Quantile { phi, span } => {
                Ok(vec![Output::plain(Wanted::Quantile(quantile(phi, *span)?))])
            }
            HistogramWanted::Fraction { lower, upper } => Ok(vec![Output::plain(
                Wanted::Fraction(self.scalar(lower, grid)?, self.scalar(upper, grid)?),
            )]),
            HistogramWanted::Quantiles { label, phis } => {
                let mut outputs = Vec::new();
                for (phi, span) in phis {
                    let phi = quantile(phi, *span)?;
                    let mut values = phi.distinct().to_vec();
                    values.sort_by(f64::total_cmp);
                    values.dedup_by_key(|value| value.to_bits());
                    outputs.extend(values.into_iter().map(|value| Output {
                        wanted: Wanted::Quantile(Arc::clone(&phi)),
                        label: Some((
                            label.clone(),
                            Form::OpenMetrics.show(value).to_string(),
                            value,
                        )),
                    }));
                }
                Ok(outputs)
            }
        }
    }

    /// A quantile or a fraction of a classic histogram, whose buckets are merged and repaired.
    fn of_classic(
        &self,
        wanted: &Wanted,
        buckets: &mut Vec<Bucket>,
        (step, grid): (usize, Grid),
        call: &HistogramCall,
    ) -> f64 {
        match wanted {
            Wanted::Quantile(phi) => {
                let (value, raised) = quantile(phi.get(step), buckets);
                if let Some(raised) = raised {
                    self.note_raised(raised, call, grid.at(step));
                }
                value
            }
            Wanted::Fraction(lower, upper) => fraction(lower.get(step), upper.get(step), buckets),
        }
    }

    /// A quantile or a fraction of a native histogram.
    fn of_native(
        &self,
        wanted: &Wanted,
        native: &FloatHistogram,
        step: usize,
        name: &str,
        call: &HistogramCall,
    ) -> f64 {
        match wanted {
            Wanted::Quantile(phi) => {
                let (value, note) = native.quantile(phi.get(step));
                if let Some(note) = note {
                    let message = self.with_name(nan_message(note), name);
                    self.notes.info(message, call.child_span);
                }
                value
            }
            Wanted::Fraction(lower, upper) => {
                let (value, has_nan) = native.fraction(lower.get(step), upper.get(step));
                if has_nan {
                    let message = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                    let message = self.with_name(message, name);
                    self.notes.info(message, call.child_span);
                }
                value
            }
        }
    }

    /// Names the metric if its name is still there.
    fn with_name(&self, message: &str, name: &str) -> String {
        if self.delayed_names {
            format!("{message} for metric name {}", quoted(name))
        } else {
            message.to_owned()
        }
    }

    /// Finds the rows that are parts of the same histogram.
    fn histogram_rows(&self, call: &HistogramCall, frame: &Frame<'_>) -> Vec<Rows> {
        let mut ordinals = Ordinals::default();
        let mut histograms: Vec<Rows> = Vec::new();
        let mut key = Vec::new();
        for i in 0..frame.len() {
            let labels = frame.labels(i);
            let is_native = !frame.histograms(i).is_empty();
            let bound = parse_bound(labels.value(BOUND));
            if bound.is_none() && frame.values(i).iter().any(|&v| !is_absent(v)) {
                self.note_bad_bound(call, frame, i);
            }
            if bound.is_none() && !is_native {
                continue;
            }
            key.clear();
            for (name, value) in labels.iter().filter(|(name, _)| *name != BOUND) {
                push_text(&mut key, name);
                push_text(&mut key, value);
            }
            let (number, new) = ordinals.of(&key);
            if new {
                histograms.push(Rows::default());
            }
            let histogram = &mut histograms[number];
            histogram.buckets.extend(bound.map(|bound| (bound, i)));
            if is_native {
                histogram.native.get_or_insert(i);
            }
        }
        for histogram in &mut histograms {
            histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        histograms
    }

    fn note_bad_bound(&self, call: &HistogramCall, frame: &Frame<'_>, i: usize) {
        let labels = frame.labels(i);
        let message = format!(
            "bucket label \"{BOUND}\" is missing or has a malformed value of {}",
            quoted(labels.value(BOUND))
        );
        let message = self.with_name(&message, labels.metric_name());
        self.notes.warn(message, call.child_span);
    }

    fn note_raised(&self, raised: Raised, call: &HistogramCall, timestamp: i64) {
        let repair = Repair {
            buckets: (raised.first, raised.last),
            max_diff: raised.max_diff,
            samples: 1,
            times: (timestamp, timestamp),
        };
        self.notes.repaired(repair, call.child_span);
    }
}

/// The buckets that have a count at `step`.
fn gather(histogram: &Rows, frame: &Frame<'_>, step: usize, buckets: &mut Vec<Bucket>) {
    buckets.clear();
    for &(upper, row) in &histogram.buckets {
        let count = frame.values(row)[step];
        if !is_absent(count) {
            buckets.push(Bucket { upper, count });
        }
    }
}

/// Text of what NaN observations did to a quantile.
fn nan_message(note: NanNote) -> &'static str {
    match note {
        NanNote::Result => "input to histogram_quantile has NaN observations, result is NaN",
        NanNote::Skewed => {
            "input to histogram_quantile has NaN observations, result is skewed higher"
        }
    }
}

/// Text of a quantile that is none.
pub(super) fn quantile_message(phi: f64) -> String {
    format!(
        "quantile value should be between 0 and 1, got {}",
        Form::General.show(phi)
    )
}
