//! `histogram_quantile` and `histogram_fraction` over classic buckets.

use ferula_model::text::number::Form;
use ferula_model::text::quote::quoted;

use super::grouping::{Ordinals, push_text};
use super::row::{Key, Row};
use super::{Column, Exec, Frame, is_absent};
use crate::annotations::Repair;
use crate::error::QueryError;
use crate::functions::histogram_classic::{Bucket, Raised, fraction, parse_bound, quantile};
use crate::plan::{Grid, HistogramCall, HistogramWanted};

/// The label with a bucket's upper bound.
const BOUND: &str = "le";

/// What is wanted, for all steps.
enum Wanted {
    Quantile(Column),
    Fraction(Column, Column),
}

/// The buckets of one histogram: rows of the frame, sorted by bound.
struct Classic {
    buckets: Vec<(f64, usize)>,
}

impl<'q> Exec<'q> {
    /// A quantile or a fraction of each histogram.
    pub(super) fn histogram(
        &self,
        call: &HistogramCall,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let wanted = match &call.wanted {
            HistogramWanted::Quantile { phi, span } => {
                let phi = self.scalar(phi, grid)?;
                for &phi in phi.distinct() {
                    super::aggregate::note_quantile(self, phi, *span);
                }
                Wanted::Quantile(phi)
            }
            HistogramWanted::Fraction { lower, upper } => {
                Wanted::Fraction(self.scalar(lower, grid)?, self.scalar(upper, grid)?)
            }
        };
        let frame = self.frame(&call.child, grid)?;
        let mut out = Frame::new(self.budget, grid.count)?;
        let mut row = Row::default();
        let mut buckets = Vec::new();
        for histogram in self.classic_histograms(call, &frame)? {
            self.check()?;
            row.reset(grid.count);
            for step in 0..grid.count {
                gather(&histogram, &frame, step, &mut buckets);
                if buckets.is_empty() {
                    continue;
                }
                row.values[step] = match &wanted {
                    Wanted::Quantile(phi) => {
                        let (value, raised) = quantile(phi.get(step), &mut buckets);
                        if let Some(raised) = raised {
                            self.note_raised(raised, call, grid.at(step));
                        }
                        value
                    }
                    Wanted::Fraction(lower, upper) => {
                        fraction(lower.get(step), upper.get(step), &mut buckets)
                    }
                };
            }
            let Some(&(_, any)) = histogram.buckets.first() else {
                continue;
            };
            let meta = frame.meta(any).dropping(true);
            let key = meta.resolve(self.delayed_names);
            let labels = key.labels.filter(|name| name != BOUND);
            out.push(Key { labels, ..key }, &row)?;
        }
        out.merge_same_labels()
    }

    /// Finds the rows that are buckets of the same histogram.
    fn classic_histograms(
        &self,
        call: &HistogramCall,
        frame: &Frame<'_>,
    ) -> Result<Vec<Classic>, QueryError> {
        let mut ordinals = Ordinals::default();
        let mut histograms: Vec<Classic> = Vec::new();
        let mut key = Vec::new();
        for i in 0..frame.len() {
            let labels = frame.labels(i);
            if !frame.histograms(i).is_empty() {
                let what = match call.wanted {
                    HistogramWanted::Quantile { .. } => "histogram_quantile()",
                    HistogramWanted::Fraction { .. } => "histogram_fraction()",
                };
                return Err(QueryError::native_histogram(what));
            }
            let Some(bound) = parse_bound(labels.value(BOUND)) else {
                self.note_bad_bound(call, frame, i);
                continue;
            };
            key.clear();
            for (name, value) in labels.iter().filter(|(name, _)| *name != BOUND) {
                push_text(&mut key, name);
                push_text(&mut key, value);
            }
            let (number, new) = ordinals.of(&key);
            if new {
                histograms.push(Classic {
                    buckets: Vec::new(),
                });
            }
            histograms[number].buckets.push((bound, i));
        }
        for histogram in &mut histograms {
            histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Ok(histograms)
    }

    fn note_bad_bound(&self, call: &HistogramCall, frame: &Frame<'_>, i: usize) {
        let labels = frame.labels(i);
        let mut message = format!(
            "bucket label \"{BOUND}\" is missing or has a malformed value of {}",
            quoted(labels.value(BOUND))
        );
        if self.delayed_names {
            message.push_str(&format!(
                " for metric name {}",
                quoted(labels.metric_name())
            ));
        }
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
fn gather(histogram: &Classic, frame: &Frame<'_>, step: usize, buckets: &mut Vec<Bucket>) {
    buckets.clear();
    for &(upper, row) in &histogram.buckets {
        let count = frame.values(row)[step];
        if !is_absent(count) {
            buckets.push(Bucket { upper, count });
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
