//! A store that keeps series in a sorted map and answers by looking at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferula_model::{CounterReset, Counts, Histogram, Labels, Range, Timestamp, Value};
use ferula_storage::{
    Columns, HistogramPoint, LabelQuery, Select, SelectError, SelectRequest, Selected,
    SelectedSeries, SeriesSource,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::compact_buckets;
use crate::notation::{Item, SeriesLine};

/// A sample as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    value: Value,
    /// When its counting began; 0 if that is not known.
    start: Timestamp,
}

/// The naive store. Cloning shares the samples.
#[derive(Clone, Debug, Default)]
pub struct MemStore {
    series: BTreeMap<Labels, Arc<BTreeMap<Timestamp, Kept>>>,
}

impl MemStore {
    /// A store without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a float sample; the first sample of a timestamp stays.
    pub fn push(&mut self, labels: &Labels, timestamp: Timestamp, value: f64) {
        self.push_started(labels, timestamp, Value::Float(value), 0);
    }

    /// Adds a histogram sample; the first sample of a timestamp stays.
    pub fn push_histogram(&mut self, labels: &Labels, timestamp: Timestamp, h: Histogram) {
        self.push_started(labels, timestamp, Value::Histogram(Arc::new(h)), 0);
    }

    /// Adds a sample whose counting began at `start`, 0 if that is not known; the first sample of a
    /// timestamp stays.
    pub fn push_started(&mut self, labels: &Labels, at: Timestamp, value: Value, start: Timestamp) {
        self.samples(labels)
            .entry(at)
            .or_insert(Kept { value, start });
    }

    /// Adds a series whose first value stands at time 0, and each next one `step_ms` later.
    pub fn load(&mut self, line: &SeriesLine, step_ms: i64) {
        for (i, item) in line.values.iter().enumerate() {
            let timestamp = step_ms * i as i64;
            let value = match item {
                None => continue,
                Some(Item::Float(value)) => Value::Float(*value),
                Some(Item::Histogram(h, _)) => Value::Histogram(Arc::new((**h).clone())),
            };
            let start = line.starts.get(i).copied().flatten();
            let start = start.map_or(0, |later| timestamp + later);
            self.push_started(&line.labels, timestamp, value, start);
        }
    }

    /// Adds what another store holds.
    pub fn absorb(&mut self, other: &Self) {
        for (labels, samples) in &other.series {
            let mine = self.samples(labels);
            for (timestamp, kept) in samples.iter() {
                mine.entry(*timestamp).or_insert_with(|| kept.clone());
            }
        }
    }

    /// The label sets of all series, sorted.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.series.keys()
    }

    /// The floats of a series, in order of time.
    pub fn floats(&self, labels: &Labels) -> Vec<(Timestamp, f64)> {
        let samples = self.series.get(labels);
        samples
            .into_iter()
            .flat_map(|samples| samples.iter())
            .filter_map(|(t, kept)| match kept.value {
                Value::Float(v) => Some((*t, v)),
                Value::Histogram(_) => None,
            })
            .collect()
    }

    /// Every series with its samples in order of time, as they were loaded.
    pub fn loaded(&self) -> impl Iterator<Item = (&Labels, Vec<(Timestamp, &Value)>)> {
        self.series.iter().map(|(labels, samples)| {
            let samples = samples.iter().map(|(t, kept)| (*t, &kept.value));
            (labels, samples.collect())
        })
    }

    fn samples(&mut self, labels: &Labels) -> &mut BTreeMap<Timestamp, Kept> {
        Arc::make_mut(self.series.entry(labels.clone()).or_default())
    }

    fn matching<'a>(
        &'a self,
        matchers: &'a [ferula_model::Matcher],
    ) -> impl Iterator<Item = (&'a Labels, &'a Arc<BTreeMap<Timestamp, Kept>>)> {
        self.series.iter().filter(move |(labels, _)| {
            matchers
                .iter()
                .all(|matcher| matcher.matches(labels.value(matcher.name())))
        })
    }

    fn query<'a>(&'a self, query: &'a LabelQuery) -> BTreeSet<&'a Labels> {
        let sets: Vec<&[ferula_model::Matcher]> = if query.matchers.is_empty() {
            vec![&[]]
        } else {
            query.matchers.iter().map(Vec::as_slice).collect()
        };
        sets.into_iter()
            .flat_map(|matchers| self.matching(matchers))
            .filter(|(_, samples)| samples.keys().any(|&t| query.range.contains(t)))
            .map(|(labels, _)| labels)
            .collect()
    }
}

/// The first `limit` of them; 0 means all.
fn limited<T>(items: impl IntoIterator<Item = T>, limit: usize) -> Vec<T> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    items.into_iter().take(limit).collect()
}

impl Select for MemStore {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        let series = self
            .matching(&request.matchers)
            .filter(|(_, samples)| samples.keys().any(|&t| request.range.contains(t)))
            .map(|(labels, samples)| SelectedSeries {
                // Whoever says which labels are looked at gets no others.
                labels: match &request.hints.labels {
                    Some(names) => labels.filter(|name| names.iter().any(|n| n == name)),
                    None => labels.clone(),
                },
                source: Arc::new(MemSource(Arc::clone(samples))),
            })
            .collect();
        futures::future::ready(Ok(Selected {
            series,
            warnings: Vec::new(),
        }))
        .boxed()
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        let labels = limited(self.query(&query).into_iter().cloned(), query.limit);
        futures::future::ready(Ok(labels)).boxed()
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        let series = self.query(&query);
        let names: BTreeSet<&str> = series
            .into_iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| name))
            .collect();
        let names = limited(names.into_iter().map(str::to_owned), query.limit);
        futures::future::ready(Ok(names)).boxed()
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        let series = self.query(&query);
        let values: BTreeSet<&str> = series
            .into_iter()
            .filter_map(|labels| labels.get(&name))
            .collect();
        let values = limited(values.into_iter().map(str::to_owned), query.limit);
        futures::future::ready(Ok(values)).boxed()
    }
}

struct MemSource(Arc<BTreeMap<Timestamp, Kept>>);

impl SeriesSource for MemSource {
    fn decode(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError> {
        let started = self.0.values().any(|kept| kept.start != 0);
        let mut previous: Option<&Arc<Histogram>> = None;
        for (&timestamp, Kept { value, start }) in self.0.iter() {
            let before = previous.take();
            let inside = range.contains(timestamp);
            match value {
                Value::Float(value) if inside => {
                    columns.timestamps.push(timestamp);
                    columns.values.push(*value);
                    if started {
                        columns.start_timestamps.push(*start);
                    }
                }
                Value::Float(_) => {}
                Value::Histogram(h) => {
                    previous = Some(h);
                    if inside {
                        columns.histograms.push(HistogramPoint {
                            timestamp,
                            start_timestamp: *start,
                            histogram: with_stored_hint(before, h),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn with_stored_hint(previous: Option<&Arc<Histogram>>, h: &Arc<Histogram>) -> Arc<Histogram> {
    let reset = stored_hint(previous.map(|h| &**h), h);
    if reset == h.reset {
        return Arc::clone(h);
    }
    Arc::new(Histogram {
        reset,
        ..(**h).clone()
    })
}

/// The hint a store that compares a histogram with the one before it would keep.
fn stored_hint(previous: Option<&Histogram>, h: &Histogram) -> CounterReset {
    match previous {
        Some(previous)
            if h.reset == CounterReset::Unknown
                && previous.reset != CounterReset::Gauge
                && !h.is_stale()
                && !previous.is_stale() =>
        {
            if previous.has_custom_buckets() && previous.custom_values != h.custom_values {
                // Other bounds say nothing; the engine compares what the bounds have in common.
                CounterReset::Unknown
            } else if is_reset(previous, h) {
                CounterReset::Reset
            } else {
                CounterReset::NotReset
            }
        }
        _ => h.reset,
    }
}

/// Whether populations fell. Coarser than the engine's test: a new layout counts as a reset.
fn is_reset(previous: &Histogram, h: &Histogram) -> bool {
    let (previous, h) = (previous.to_float(), h.to_float());
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
    ) = (&previous.counts, &h.counts)
    else {
        return true;
    };
    let fell = |a: Vec<(i32, f64)>, b: Vec<(i32, f64)>| {
        let b: BTreeMap<i32, f64> = b.into_iter().collect();
        a.into_iter()
            .any(|(index, population)| b.get(&index).is_none_or(|&now| now < population))
    };
    previous.schema != h.schema
        || previous.zero_threshold != h.zero_threshold
        || c2 < c1
        || z2 < z1
        || fell(
            compact_buckets(&previous.positive_spans, p1),
            compact_buckets(&h.positive_spans, p2),
        )
        || fell(
            compact_buckets(&previous.negative_spans, n1),
            compact_buckets(&h.negative_spans, n2),
        )
}

/// The scripts' tolerance: bits, both NaN (but not one stale), or a relative error below 1e-6.
pub(crate) fn floats_agree(expected: f64, got: f64) -> bool {
    use ferula_model::is_stale;
    if is_stale(expected) || is_stale(got) {
        return is_stale(expected) && is_stale(got);
    }
    if expected == got || (expected.is_nan() && got.is_nan()) {
        return true;
    }
    const RELATIVE_ERROR_MAX: f64 = 1e-6;
    let difference = (expected - got).abs();
    let sum = expected.abs() + got.abs();
    if expected == 0.0 || got == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < RELATIVE_ERROR_MAX * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < RELATIVE_ERROR_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_series;
    use ferula_model::Matcher;

    #[test]
    fn loads_and_selects() {
        let mut store = MemStore::new();
        for line in ["a{x=\"1\"} 1 _ 3", "a{x=\"2\"} 5", "b 7"] {
            store.load(&parse_series(line).unwrap(), 1000);
        }
        let request = SelectRequest {
            tenant: ferula_model::TenantId::anonymous(),
            matchers: vec![Matcher::equal("__name__", "a")],
            range: Range::closed(1, 2000),
            hints: Default::default(),
        };
        let selected = futures::executor::block_on(store.select(request)).unwrap();
        assert_eq!(selected.series.len(), 1);
        let mut columns = Columns::default();
        selected.series[0]
            .source
            .decode(Range::ALL, &mut columns)
            .unwrap();
        assert_eq!(columns.timestamps, [0, 2000]);
        assert_eq!(columns.values, [1.0, 3.0]);
    }

    #[test]
    fn tolerance() {
        assert!(floats_agree(1.0, 1.000_000_1));
        assert!(!floats_agree(1.0, 1.000_01));
        assert!(!floats_agree(0.0, 1e-300));
        assert!(floats_agree(f64::NAN, f64::NAN));
        assert!(!floats_agree(f64::NAN, ferula_model::stale_marker()));
        assert!(!floats_agree(f64::INFINITY, f64::NEG_INFINITY));
    }
}
