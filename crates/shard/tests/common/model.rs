//! What a store with unlimited time and memory would do.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferula_model::{
    Counts, Histogram, Labels, Matcher, Range, Span, Timestamp, Value, is_stale, stale_marker,
};
use ferula_shard::Shard;
use ferula_storage::{Batch, Columns, Deletion, Select, SelectedSeries, SeriesKey};
use futures::executor::block_on;

use super::{HOUR, select_request};

/// Every series with its samples, in order.
pub(crate) type Stored = Vec<(Labels, Vec<(Timestamp, Value)>)>;

/// What a store with unlimited time would do.
#[derive(Clone)]
pub(crate) struct Model {
    series: BTreeMap<Labels, BTreeMap<Timestamp, Value>>,
    /// The newest timestamp each series ever had.
    bounds: BTreeMap<Labels, Timestamp>,
    newest: Option<Timestamp>,
    /// What is below is in blocks, and nothing is taken there.
    pub(crate) floor: Timestamp,
    /// How far behind the newest sample late ones are taken; 0 for not at all.
    pub(crate) window: i64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            series: BTreeMap::new(),
            bounds: BTreeMap::new(),
            newest: None,
            floor: Timestamp::MIN,
            window: 0,
        }
    }
}

/// What became of a batch: stored, resent, and the words of rejections in order.
pub(crate) type Outcome = (u64, u64, Vec<&'static str>);

impl Model {
    pub(crate) fn send(&mut self, batch: &Batch) -> Outcome {
        let first = batch.samples.first().map(|s| s.timestamp);
        let first = first.or(batch.histograms.first().map(|h| h.timestamp));
        let newest = self.newest.or(first).unwrap_or(0);
        let min_valid = (newest - HOUR).max(self.floor);
        let late = (self.window > 0).then_some((newest - self.window).max(self.floor));
        let floats = batch
            .samples
            .iter()
            .map(|s| (s.series, s.timestamp, Value::Float(s.value)));
        let histograms = batch
            .histograms
            .iter()
            .map(|h| (h.series, h.timestamp, Value::Histogram(h.histogram.clone())));
        let mut outcome = (0, 0, vec![]);
        for (series, t, value) in floats.chain(histograms) {
            let SeriesKey::Labels(labels) = &batch.series[series as usize] else {
                unreachable!()
            };
            let held = self.series.get(labels);
            let bound = self.bounds.get(labels);
            let last = held.and_then(|samples| samples.iter().next_back());
            // What a deleted sample was is not known any more.
            let last = last.filter(|(last, _)| Some(*last) == bound);
            let existing = held.and_then(|samples| samples.get(&t));
            let markers = |a: &Value, b: &Value| match (a, b) {
                (Value::Histogram(h), Value::Float(v)) => h.is_stale() && is_stale(*v),
                _ => false,
            };
            let behind = bound.is_some_and(|bound| *bound >= t);
            let in_order = !behind && t >= min_valid;
            match existing {
                Some(existing) if *existing == value || markers(existing, &value) => outcome.1 += 1,
                Some(_) => outcome.2.push("duplicate_conflict"),
                None if in_order || late.is_some_and(|late| t >= late) => {
                    outcome.0 += 1;
                    let value = match (last, value) {
                        (Some((_, Value::Histogram(_))), Value::Float(v)) if is_stale(v) => {
                            Value::Histogram(Arc::new(Histogram::stale()))
                        }
                        (_, value) => value,
                    };
                    self.series
                        .entry(labels.clone())
                        .or_default()
                        .insert(t, value);
                    if in_order {
                        self.bounds.insert(labels.clone(), t);
                        self.newest = self.newest.max(Some(t));
                    }
                }
                None if late.is_some() => outcome.2.push("too_old"),
                None if t < min_valid => outcome.2.push("out_of_bounds"),
                None => outcome.2.push("out_of_order"),
            }
        }
        outcome
    }

    /// Forgets samples; their series take none that are older all the same.
    pub(crate) fn delete(&mut self, deletion: &Deletion) {
        for (labels, samples) in &mut self.series {
            let passes = |set: &Vec<Matcher>| set.iter().all(|m| m.matches(labels.value(m.name())));
            if deletion.matchers.iter().any(passes) {
                samples.retain(|t, _| !deletion.range.contains(*t));
            }
        }
    }

    pub(crate) fn dump(&self) -> Stored {
        let samples = |s: &BTreeMap<_, _>| s.iter().map(|(t, v)| (*t, plain(v))).collect();
        self.series
            .iter()
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(labels, s)| (labels.clone(), samples(s)))
            .collect()
    }
}

/// A histogram; seeds that differ give others, of another layout if odd.
pub(crate) fn histogram(seed: u64) -> Histogram {
    Histogram {
        sum: seed as f64 * 0.7,
        positive_spans: vec![Span {
            offset: 1,
            length: 2 + (seed % 2) as u32,
        }],
        counts: Counts::Integer {
            count: 6 + 2 * seed * (seed % 2),
            zero: 0,
            positive: [vec![1, 5], vec![2 * seed; (seed % 2) as usize]].concat(),
            negative: vec![],
        },
        ..Histogram::stale()
    }
}

/// Everything that a shard shows.
pub(crate) fn dump_all(shard: &Shard) -> Stored {
    dump_range(shard, vec![], Range::ALL)
}

/// What a shard shows of the series that match; samples near the range may be there, too. That a
/// series is selected of which nothing is left in a block is no harm.
pub(crate) fn dump_range(shard: &Shard, matchers: Vec<Matcher>, range: Range) -> Stored {
    let selected = block_on(shard.select(select_request(matchers, range))).unwrap();
    let series = selected.series.into_iter();
    series
        .map(|s| (s.labels.clone(), samples_of(s, range)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect()
}

/// A selected series' samples, in order.
pub(crate) fn samples_of(series: SelectedSeries, range: Range) -> Vec<(Timestamp, Value)> {
    let mut columns = Columns::default();
    series.source.decode(range, &mut columns).unwrap();
    assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
    let floats = columns.timestamps.iter().zip(&columns.values);
    let mut samples: Vec<_> = floats.map(|(t, v)| (*t, Value::Float(*v))).collect();
    let histograms = columns.histograms.into_iter();
    samples.extend(histograms.map(|h| (h.timestamp, plain(&Value::Histogram(h.histogram)))));
    samples.sort_by_key(|(t, _)| *t);
    samples
}

/// A value whose staleness marker is a float's: which of the two is stored depends on whether
/// the head remembers what came before, and nothing depends on that.
fn plain(value: &Value) -> Value {
    match value {
        Value::Histogram(h) if h.is_stale() => Value::Float(stale_marker()),
        value => value.clone(),
    }
}

/// What lies in a range, without series that have nothing there.
pub(crate) fn within(mut stored: Stored, range: Range) -> Stored {
    for (_, samples) in &mut stored {
        samples.retain(|(t, _)| range.contains(*t));
    }
    stored.retain(|(_, samples)| !samples.is_empty());
    stored
}

/// Fails with the first sample that differs.
pub(crate) fn assert_same(found: &Stored, expected: &Stored, context: &str) {
    if found == expected {
        return;
    }
    for (stored, other, what) in [
        (expected, found, "is missing"),
        (
            found,
            expected,
            "is there, or there again, and should not be",
        ),
    ] {
        for (labels, samples) in stored {
            let others = other.iter().find(|(own, _)| own == labels);
            let others = others.map_or(&[][..], |(_, samples)| samples);
            let mut others = others.iter().peekable();
            for sample in samples {
                while others.next_if(|(t, _)| *t < sample.0).is_some() {}
                assert!(
                    others.next() == Some(sample),
                    "{context}: {labels} {sample:?} {what}"
                );
            }
        }
    }
    let series = |stored: &Stored| stored.iter().map(|s| s.0.to_string()).collect::<Vec<_>>();
    panic!(
        "{context}: {:?} instead of {:?}",
        series(found),
        series(expected)
    );
}
