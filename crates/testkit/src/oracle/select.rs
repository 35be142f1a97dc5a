//! Which samples selectors and subqueries see (§3, §4, §5).

use ferula_model::{Labels, Matcher, Range, TenantId, Timestamp, is_stale};
use ferula_promql::syntax::ast::{At, Modifiers, RangeSelector, Selector, Subquery};
use ferula_storage::{Columns, SelectRequest};
use futures::FutureExt;

use super::Result;
use super::eval::Eval;
use super::hist::Hist;
use super::value::{Element, Ranged, Sample, Val, Window};

/// A stored series, in order of time; staleness markers included.
pub(super) struct Stored {
    pub(super) labels: Labels,
    pub(super) samples: Vec<Sample>,
}

/// Whether a sample is the staleness marker, which for histograms sits in the sum (§1).
fn is_marker(val: &Val) -> bool {
    match val {
        Val::Float(v) => is_stale(*v),
        Val::Hist(h) => is_stale(h.sum),
    }
}

impl Stored {
    /// The newest sample in `(start, end]`, unless it is a staleness marker (§3.1).
    pub(super) fn newest(&self, start: Timestamp, end: Timestamp) -> Option<&Sample> {
        self.samples
            .iter()
            .rfind(|s| start < s.t && s.t <= end)
            .filter(|s| !is_marker(&s.val))
    }

    /// The samples in `(start, end]` but for staleness markers (§3.2).
    pub(super) fn within(&self, start: Timestamp, end: Timestamp) -> Vec<Sample> {
        let samples = self.samples.iter();
        samples
            .filter(|s| start < s.t && s.t <= end && !is_marker(&s.val))
            .cloned()
            .collect()
    }
}

impl Eval<'_> {
    /// The series that match, in order of labels.
    pub(super) fn stored(&self, matchers: &[Matcher]) -> Result<Vec<Stored>> {
        let request = SelectRequest {
            tenant: TenantId::anonymous(),
            matchers: matchers.to_vec(),
            range: Range::ALL,
            hints: Default::default(),
        };
        let selected = self
            .select
            .select(request)
            .now_or_never()
            .expect("a store in memory answers at once")?;
        let mut all = Vec::new();
        for series in selected.series {
            let mut columns = Columns::default();
            series.source.decode(Range::ALL, &mut columns)?;
            let mut samples = Vec::new();
            for (i, &t) in columns.timestamps.iter().enumerate() {
                samples.push(Sample {
                    t,
                    val: Val::Float(columns.values[i]),
                    start: columns.start_timestamps.get(i).copied().unwrap_or(0),
                });
            }
            for point in &columns.histograms {
                samples.push(Sample {
                    t: point.timestamp,
                    val: Hist::from_model(&point.histogram).into(),
                    start: point.start_timestamp,
                });
            }
            samples.sort_by_key(|s| s.t);
            all.push(Stored {
                labels: series.labels,
                samples,
            });
        }
        Ok(all)
    }

    /// The time a selector or subquery looks at from step `t` (§5).
    pub(super) fn reference(&self, modifiers: &Modifiers, t: Timestamp) -> Timestamp {
        let from = match modifiers.at {
            None => t,
            Some(At::Time(time)) => time,
            Some(At::Start) => self.span.start,
            Some(At::End) => self.span.end,
        };
        from.saturating_sub(modifiers.offset_ms)
    }

    /// An instant selector (§3.1).
    pub(super) fn instant(
        &self,
        selector: &Selector,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        if selector.extended.is_some() {
            return self.extended_instant(selector, steps);
        }
        self.stored_instant(selector, steps)
    }

    /// What an instant selector finds in the store.
    pub(super) fn stored_instant(
        &self,
        selector: &Selector,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let series = self.stored(&selector.matchers)?;
        let at = |t: Timestamp| {
            let end = self.reference(&selector.modifiers, t);
            let start = end.saturating_sub(self.lookback_ms());
            series
                .iter()
                .filter_map(|s| {
                    let Sample { t, val, start } = s.newest(start, end)?.clone();
                    Some(Element {
                        labels: s.labels.clone(),
                        drop_name: false,
                        val,
                        stored: t,
                        start,
                    })
                })
                .collect()
        };
        Ok(steps.iter().map(|&t| at(t)).collect())
    }

    /// A range selector (§3.2). With `anchored` and `smoothed`, samples up to the lookback beyond
    /// the window come along (§9.5).
    pub(super) fn range(&self, range: &RangeSelector, steps: &[Timestamp]) -> Result<Vec<Ranged>> {
        let selector = &range.selector;
        let series = self.stored(&selector.matchers)?;
        let (before, after) = self.reach(selector.extended);
        let at = |t: Timestamp| {
            let end = self.reference(&selector.modifiers, t);
            let start = end.saturating_sub(range.range_ms);
            let windows = series.iter().map(|s| Window {
                labels: s.labels.clone(),
                drop_name: false,
                samples: s.within(start.saturating_sub(before), end.saturating_add(after)),
            });
            Ranged {
                start,
                end,
                series: windows.filter(|w| !w.samples.is_empty()).collect(),
            }
        };
        Ok(steps.iter().map(|&t| at(t)).collect())
    }

    /// `expr[range:step]` (§4).
    pub(super) fn subquery(&self, subquery: &Subquery, steps: &[Timestamp]) -> Result<Vec<Ranged>> {
        let default = self.options.subquery_step.as_millis() as i64;
        let step = subquery.step_ms.unwrap_or(default);
        let ends: Vec<Timestamp> = steps
            .iter()
            .map(|&t| self.reference(&subquery.modifiers, t))
            .collect();
        let start = ends[0].saturating_sub(subquery.range_ms);
        let end = ends[ends.len() - 1];
        // The multiples of the step after the first window's start, up to the last one's end.
        let first = (start.div_euclid(step) + 1).saturating_mul(step);
        let grid: Vec<Timestamp> = (0..)
            .map(|i| first.saturating_add(step * i))
            .take_while(|&t| t <= end)
            .collect();
        let points = if grid.is_empty() {
            Vec::new()
        } else {
            self.vector(&subquery.expr, &grid)?
        };
        let series = by_series(&grid, points);
        let at = |end: Timestamp| {
            let start = end.saturating_sub(subquery.range_ms);
            let windows = series.iter().map(|w| Window {
                samples: w
                    .samples
                    .iter()
                    .filter(|s| start < s.t && s.t <= end)
                    .cloned()
                    .collect(),
                ..w.clone()
            });
            Ranged {
                start,
                end,
                series: windows.filter(|w| !w.samples.is_empty()).collect(),
            }
        };
        Ok(ends.into_iter().map(at).collect())
    }
}

/// Vectors at some times as series, in the order of first appearance.
pub(super) fn by_series(times: &[Timestamp], vectors: Vec<Vec<Element>>) -> Vec<Window> {
    let mut series: Vec<Window> = Vec::new();
    for (&time, vector) in times.iter().zip(vectors) {
        for element in vector {
            let sample = Sample {
                t: time,
                val: unhinted(element.val),
                start: 0,
            };
            match series.iter_mut().find(|s| s.labels == element.labels) {
                Some(known) => known.samples.push(sample),
                None => series.push(Window {
                    labels: element.labels,
                    drop_name: element.drop_name,
                    samples: vec![sample],
                }),
            }
        }
    }
    series
}

/// Between the points of a subquery nobody has watched for resets (§4).
fn unhinted(val: Val) -> Val {
    use ferula_model::CounterReset::{NotReset, Reset, Unknown};
    match val {
        Val::Hist(mut h) if matches!(h.reset, Reset | NotReset) => {
            h.reset = Unknown;
            Val::Hist(h)
        }
        val => val,
    }
}
