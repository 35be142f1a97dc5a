//! A shard against a naive model of one, over restarts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use common::model::{HOUR, Model, dump_all, histogram};
use common::*;
use ferula_model::{TenantId, Timestamp, stale_marker};
use ferula_storage::{Batch, HistogramEntry, Origin, SampleEntry, SeriesKey};
use proptest::collection::vec;
use proptest::prelude::*;

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
