//! A shard against a naive model of one, over restarts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use ferula_model::{
    Counts, Histogram, Labels, Range, Span, TenantId, Timestamp, Value, is_stale, stale_marker,
};
use ferula_storage::{Batch, HistogramEntry, Origin, SampleEntry, SeriesKey};
use proptest::collection::vec;
use proptest::prelude::*;

const HOUR: i64 = 60 * 60 * 1_000;

/// One thing a test does.
#[derive(Clone, Debug)]
enum Action {
    /// Sends samples of (series, timestamp, value).
    Send(Vec<(usize, Timestamp, Sent)>),
    /// Sends an earlier batch again.
    Resend(usize),
    /// Opens the shard anew.
    Restart,
}

#[derive(Clone, Debug)]
enum Sent {
    Float(f64),
    Stale,
    Histogram(u64),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => (0..3u8).prop_map(|v| Sent::Float(f64::from(v) / 3.0)),
        1 => Just(Sent::Float(f64::NAN)),
        1 => Just(Sent::Stale),
        3 => (0..3u64).prop_map(Sent::Histogram),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    // Mostly neighbouring times, now and then far ones.
    let time = prop_oneof![8 => 0..40i64, 1 => 300..900i64].prop_map(|t| t * HOUR / 200);
    prop_oneof![
        8 => vec((0..4usize, time, sent()), 1..30).prop_map(Action::Send),
        2 => (0..20usize).prop_map(Action::Resend),
        1 => Just(Action::Restart),
    ]
}

fn histogram(seed: u64) -> Histogram {
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

/// What a store with unlimited time would do.
#[derive(Default)]
struct Model {
    series: BTreeMap<Labels, BTreeMap<Timestamp, Value>>,
    newest: Option<Timestamp>,
}

/// What became of a batch: stored, resent, and the words of rejections in order.
type Outcome = (u64, u64, Vec<&'static str>);

impl Model {
    fn send(&mut self, batch: &Batch) -> Outcome {
        let first = batch.samples.first().map(|s| s.timestamp);
        let first = first.or(batch.histograms.first().map(|h| h.timestamp));
        let min_valid = self.newest.or(first).unwrap_or(0) - HOUR;
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
            let last = held.and_then(|samples| samples.iter().next_back());
            let existing = held.and_then(|samples| samples.get(&t));
            let markers = |a: &Value, b: &Value| match (a, b) {
                (Value::Histogram(h), Value::Float(v)) => h.is_stale() && is_stale(*v),
                _ => false,
            };
            match existing {
                Some(existing) if *existing == value || markers(existing, &value) => outcome.1 += 1,
                Some(_) => outcome.2.push("duplicate_conflict"),
                None if t < min_valid => outcome.2.push("out_of_bounds"),
                None if last.is_some_and(|(last, _)| *last > t) => outcome.2.push("out_of_order"),
                None => {
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
                    self.newest = self.newest.max(Some(t));
                }
            }
        }
        outcome
    }

    fn dump(&self) -> Vec<(Labels, Vec<(Timestamp, Value)>)> {
        let samples = |s: &BTreeMap<_, _>| s.iter().map(|(t, v)| (*t, Value::clone(v))).collect();
        self.series
            .iter()
            .map(|(labels, s)| (labels.clone(), samples(s)))
            .collect()
    }
}

fn to_batch(samples: &[(usize, Timestamp, Sent)]) -> Batch {
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
    batch.series = (0..4).map(|i| SeriesKey::Labels(labels("m", i))).collect();
    for (series, timestamp, sent) in samples.iter().cloned() {
        let series = series as u32;
        let value = match sent {
            Sent::Float(value) => value,
            Sent::Stale => stale_marker(),
            Sent::Histogram(seed) => {
                let histogram = Arc::new(histogram(seed));
                batch.histograms.push(HistogramEntry {
                    series,
                    timestamp,
                    histogram,
                });
                continue;
            }
        };
        batch.samples.push(SampleEntry {
            series,
            timestamp,
            value,
        });
    }
    batch
}

fn dump_all(shard: &ferula_shard::Shard) -> Vec<(Labels, Vec<(Timestamp, Value)>)> {
    let mut out = Vec::new();
    for (labels, columns) in select_columns(shard, vec![], Range::ALL) {
        let floats = columns.timestamps.iter().zip(&columns.values);
        let mut samples: Vec<_> = floats.map(|(t, v)| (*t, Value::Float(*v))).collect();
        let histograms = columns.histograms.into_iter();
        samples.extend(histograms.map(|h| (h.timestamp, Value::Histogram(h.histogram))));
        samples.sort_by_key(|(t, _)| *t);
        out.push((labels, samples));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn does_what_the_model_does(actions in vec(action(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut shard = open(dir.path());
        let mut model = Model::default();
        let mut sent: Vec<Batch> = Vec::new();
        for action in actions {
            let batch = match action {
                Action::Send(samples) => to_batch(&samples),
                Action::Resend(i) if i < sent.len() => sent[i].clone(),
                Action::Resend(_) => continue,
                Action::Restart => {
                    drop(shard);
                    shard = open(dir.path());
                    prop_assert_eq!(dump_all(&shard), model.dump());
                    continue;
                }
            };
            let report = append(&shard, batch.clone()).unwrap();
            let (stored, resent, rejected) = model.send(&batch);
            prop_assert_eq!(report.samples + report.histograms, stored);
            prop_assert_eq!(report.duplicates, resent);
            let words: Vec<_> = report.rejections.iter().map(|r| r.reason.word()).collect();
            prop_assert_eq!(words, rejected);
            prop_assert_eq!(dump_all(&shard), model.dump());
            sent.push(batch);
        }
    }
}
