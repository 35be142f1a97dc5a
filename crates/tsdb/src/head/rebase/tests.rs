#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferula_model::{Histogram, Labels, TenantId, Timestamp, Value, is_stale, stale_marker};
use ferula_storage::{Batch, LabelQuery, Origin, Reason, SampleEntry, SeriesKey};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{Dump, Given, Store, commit, histogram, labels};

#[test]
fn numbers_are_translated_once() {
    let ids = [Some(3), Some(4), None, Some(9), Some(10), Some(1)];
    let renumbering = Renumbering::new(0, &ids);
    assert_eq!(renumbering.runs.len(), 3);
    for old in 0..12 {
        let new = ids.iter().position(|id| *id == Some(old));
        let new = new.map(|new| new as u32);
        assert_eq!(renumbering.translate(old), new, "{old}");
    }
}

fn floats(ids: std::ops::Range<u32>, time: Timestamp) -> Vec<(u32, Timestamp, Given)> {
    let value = |id: u32| Given::Float(f64::from(id) + 0.5);
    ids.map(|id| (id, time, value(id))).collect()
}

#[test]
fn what_has_ended_gives_its_memory_back() {
    let mut store = Store::new();
    for id in (0..6_000).step_by(50) {
        store.send("anonymous", &floats(id..id + 50, 1));
    }
    let before = store.head.stats();
    assert!(!store.head.is_rebase_due());
    for time in 1_000..1_003 {
        store.send("anonymous", &floats(0..100, time));
    }
    store.cut(500);
    store.head.truncate();
    assert!(store.head.is_rebase_due());
    let dump = store.dump();
    assert!(store.rebase(|_| ()));
    assert_eq!(store.dump(), dump);
    let after = store.head.stats();
    assert_eq!((after.known, after.series), (100, 100));
    assert!(after.bytes < before.bytes / 5, "{before:?} {after:?}");
    let query = LabelQuery {
        tenant: TenantId::anonymous(),
        matchers: vec![],
        range: ferula_model::Range::ALL,
        limit: 0,
    };
    assert_eq!(store.head.label_values("id", &query).len(), 100);
    assert!(!store.head.is_rebase_due());
    store.send("anonymous", &floats(50..150, 2_000));
    let dump = store.dump();
    store = store.reopen();
    assert_eq!(store.dump(), dump);
    assert_eq!(store.found.bad_records, 0);
    assert_eq!(store.head.stats().known, 150);
}

/// One float for each reference.
fn by_reference(refs: &[SeriesRef], time: Timestamp) -> Batch {
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Scrape);
    for (series, reference) in (0..).zip(refs) {
        batch.series.push(SeriesKey::Ref(*reference));
        batch.samples.push(SampleEntry {
            series,
            timestamp: time,
            value: 1.0,
        });
    }
    batch
}

#[test]
fn references_are_translated_until_the_next_time() {
    let mut store = Store::new();
    let refs = |report: ferula_storage::Report| -> Vec<SeriesRef> {
        report.refs.into_iter().map(Option::unwrap).collect()
    };
    let first = refs(store.send("anonymous", &floats(0..10, 1_000)));
    // Series 5 to 9 end.
    let later = refs(store.send("anonymous", &floats(0..5, 2_000)));
    assert_eq!(later, first[..5]);
    store.cut(1_500);
    store.head.truncate();
    assert!(store.rebase(|store| {
        // One is revived, and one is new.
        store.send("anonymous", &floats(7..8, 2_000));
        store.send("anonymous", &floats(20..21, 2_000));
    }));
    let batch = by_reference(&first, 2_001);
    let report = commit(&mut store.writer, &mut store.log, &batch);
    assert_eq!((report.samples, report.rejected_total()), (6, 4));
    assert!(
        report
            .rejections
            .iter()
            .all(|r| r.reason == Reason::UnknownRef)
    );
    let old: Vec<SeriesRef> = report.renamed.iter().map(|(old, _)| *old).collect();
    assert_eq!(old, [&first[..5], &first[7..8]].concat());
    let new: Vec<SeriesRef> = report.renamed.iter().map(|(_, new)| *new).collect();
    let report = commit(
        &mut store.writer,
        &mut store.log,
        &by_reference(&new, 2_002),
    );
    assert_eq!((report.samples, report.renamed.len()), (6, 0));
    for (labels_of, samples) in store.dump().into_iter().map(|s| (s.1, s.2)) {
        let id: u32 = labels_of.value("id").parse().unwrap();
        let times: Vec<i64> = samples.iter().map(|s| s.0).collect();
        let expected: &[i64] = if id == 20 {
            &[2_000]
        } else {
            &[2_000, 2_001, 2_002]
        };
        assert_eq!((times.as_slice(), &labels_of), (expected, &labels(id)));
    }
    // A second time: those of the first are too old, the last ones are translated.
    assert!(store.rebase(|_| ()));
    let batch = by_reference(&[first[0], new[0], new[5]], 2_003);
    let report = commit(&mut store.writer, &mut store.log, &batch);
    assert_eq!((report.samples, report.rejected_total()), (2, 1));
    assert_eq!(report.rejections[0].series, 0);
    assert_eq!(report.renamed.len(), 2);
}

#[test]
fn only_one_thing_at_a_time() {
    let mut store = Store::new();
    store.send("anonymous", &floats(0..10, 1_000));
    let older = store.head.prepare_rebase();
    assert!(store.rebase(|_| ()));
    let result = store.writer.rebase(older, &mut store.log);
    assert!(result.unwrap().is_none(), "numbers have changed since");
    let head = store.head.clone();
    let scanning = head.renumbering.read();
    assert!(!store.rebase(|_| ()));
    drop(scanning);
    let mark = store.writer.mark(&mut store.log).unwrap();
    assert!(store.rebase(|_| ()));
    let mut object = ferula_objects::Objects::writer(&store.objects, "x").unwrap();
    let identity = crate::testing::IDENTITY;
    let error = head.write_checkpoint(&mark, identity, &mut *object);
    assert!(error.unwrap_err().to_string().contains("renumbered"));
}

#[test]
fn rows_are_not_guessed_where_a_renumbering_is_lost() {
    let mut store = Store::new();
    store.send("anonymous", &floats(0..10, 1_000));
    store.send("anonymous", &floats(5..10, 2_000));
    store.cut(1_500);
    store.head.truncate();
    let body = |store: &mut Store, time| {
        let staged = store
            .writer
            .stage(&crate::testing::batch("anonymous", &floats(5..10, time)));
        assert_eq!(staged.unwrap().samples, 5);
        let mut body = Vec::new();
        let defined = store.writer.encode_definitions(&mut body, 1 << 20);
        store.writer.encode(&mut body);
        store.writer.defined(defined);
        store.writer.apply();
        body
    };
    let first = body(&mut store, 2_001);
    assert!(store.rebase(|_| ()));
    let second = body(&mut store, 2_002);
    let (head, mut writer) = Head::new(crate::HeadSettings {
        bytes_max: u64::MAX,
        hash_seed: 1,
    });
    let mut found = crate::ReplayedRecords::default();
    writer.replay(&first, &mut found);
    assert_eq!((found.unknown_series, found.bad_records), (5, 0));
    writer.replay(&second, &mut found);
    assert_eq!((found.unknown_series, found.bad_records), (5, 1));
    assert_eq!(head.stats().samples, 0);
}

/// How far back samples out of order are taken, in milliseconds.
const WINDOW: i64 = 2 * 3_600_000;

/// One thing a test does.
#[derive(Clone, Debug)]
enum Action {
    /// Sends samples of a tenant, some time after the last.
    Send(usize, i64, Vec<(u32, Given)>),
    /// Sends samples some time behind the newest, and perhaps sends them again.
    Late(usize, i64, Vec<(u32, Given)>, bool),
    /// Raises the floor to some time behind the newest sample, and perhaps truncates.
    Cut(i64, bool),
    /// Renumbers; meanwhile, this is sent.
    Rebase(Vec<(u32, Given)>),
    /// Takes a checkpoint; meanwhile, this is sent. Perhaps deletes segments.
    Checkpoint(Vec<(u32, Given)>, bool),
    /// Takes it down and up again.
    Restart,
}

fn samples() -> impl Strategy<Value = Vec<(u32, Given)>> {
    let given = prop_oneof![
        5 => (0..3u8).prop_map(|v| Given::Float(f64::from(v) / 3.0)),
        1 => Just(Given::Float(stale_marker())),
        2 => (0..4u64).prop_map(Given::Histogram),
    ];
    // Few series at a time out of many, so that some end.
    (0..30u32, vec((0..6u32, given), 1..8)).prop_map(|(base, mut sent)| {
        sent.sort_by_key(|(series, _)| *series);
        sent.dedup_by_key(|(series, _)| *series);
        sent.iter().map(|(s, given)| (base + s, *given)).collect()
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        20 => (0..2usize, 1..400_000i64, samples()).prop_map(|(t, step, s)| Action::Send(t, step, s)),
        10 => (0..2usize, 0..WINDOW + 600_000, samples(), any::<bool>())
            .prop_map(|(t, back, s, again)| Action::Late(t, back, s, again)),
        4 => (0..5_000_000i64, any::<bool>()).prop_map(|(b, truncate)| Action::Cut(b, truncate)),
        3 => samples().prop_map(Action::Rebase),
        2 => (samples(), any::<bool>()).prop_map(|(s, delete)| Action::Checkpoint(s, delete)),
        2 => Just(Action::Restart),
    ]
}

/// What a head should show: by tenant and labels, values by time.
type Model = BTreeMap<(String, Labels), BTreeMap<Timestamp, Value>>;

fn note(model: &mut Model, tenant: &str, sent: &[(u32, Timestamp, Given)]) {
    for &(id, time, given) in sent {
        let samples = model.entry((tenant.to_owned(), labels(id))).or_default();
        let last = samples.values().next_back();
        let value = match given {
            Given::Float(v) if is_stale(v) && matches!(last, Some(Value::Histogram(_))) => {
                Value::Histogram(Arc::new(Histogram::stale()))
            }
            Given::Float(v) => Value::Float(v),
            Given::Histogram(seed) => Value::Histogram(Arc::new(histogram(seed))),
        };
        samples.insert(time, value);
    }
}

fn shown(model: &Model, floor: Timestamp) -> Dump {
    let above = |s: &BTreeMap<Timestamp, Value>| -> Vec<_> {
        s.range(floor..).map(|(t, v)| (*t, v.clone())).collect()
    };
    let all = model.iter();
    all.map(|((tenant, labels), samples)| (tenant.clone(), labels.clone(), above(samples)))
        .filter(|(_, _, samples)| !samples.is_empty())
        .collect()
}

/// Samples of series, with their time.
type Sent = Vec<(u32, Timestamp, Given)>;

/// A head over its life, and what it should show.
struct Run {
    store: Store,
    model: Model,
    time: Timestamp,
    floor: Timestamp,
    /// Series that ever got samples out of order.
    late: BTreeSet<(String, u32)>,
}

impl Run {
    /// What is to be sent, at a later time. How a marker is stored depends on what it follows; it
    /// is not sent where that may be gone already.
    fn at(&mut self, tenant: &str, step: i64, sent: &[(u32, Given)]) -> Sent {
        self.time += step;
        let time = self.time;
        let settled = |&(id, given): &(u32, Given)| match given {
            Given::Float(v) if is_stale(v) && !self.is_plain(tenant, id) => {
                (id, time, Given::Float(0.0))
            }
            given => (id, time, given),
        };
        sent.iter().map(settled).collect()
    }

    fn is_plain(&self, tenant: &str, id: u32) -> bool {
        if self.late.contains(&(tenant.to_owned(), id)) {
            return false;
        }
        let samples = self.model.get(&(tenant.to_owned(), labels(id)));
        samples.is_some_and(|samples| !samples.is_empty())
    }

    /// Sends samples behind the newest, and expects of each what the map says.
    fn send_late(&mut self, tenant: &str, back: i64, sent: &[(u32, Given)]) {
        let time = (self.time - back).max(self.floor);
        for &(id, given) in sent {
            let value = match given {
                Given::Float(v) if is_stale(v) => Value::Float(7.0),
                Given::Float(v) => Value::Float(v),
                Given::Histogram(seed) => Value::Histogram(Arc::new(histogram(seed))),
            };
            let given = match (given, &value) {
                (Given::Float(_), Value::Float(v)) => Given::Float(*v),
                (given, _) => given,
            };
            self.late.insert((tenant.to_owned(), id));
            let report = self.store.send(tenant, &[(id, time, given)]);
            let outcome = (report.samples + report.histograms, report.duplicates);
            let samples = self
                .model
                .entry((tenant.to_owned(), labels(id)))
                .or_default();
            let expected = match samples.get(&time) {
                Some(held) if *held == value => (0, 1),
                Some(_) => (0, 0),
                None if time >= self.time - WINDOW => {
                    samples.insert(time, value);
                    (1, 0)
                }
                None => (0, 0),
            };
            assert_eq!(outcome, expected, "{tenant} {id} at {time}");
            assert_eq!(report.rejected_total(), 1 - outcome.0 - outcome.1);
        }
    }

    fn send(&mut self, tenant: &str, step: i64, sent: &[(u32, Given)]) {
        let sent = self.at(tenant, step, sent);
        note(&mut self.model, tenant, &sent);
        let report = self.store.send(tenant, &sent);
        assert_eq!(report.rejected_total(), 0);
    }

    fn act(mut self, action: Action) -> Self {
        match action {
            Action::Send(tenant, step, sent) => {
                self.send(["anonymous", "b"][tenant], step, &sent);
            }
            Action::Late(tenant, back, sent, again) => {
                for _ in 0..=usize::from(again) {
                    self.send_late(["anonymous", "b"][tenant], back, &sent);
                }
            }
            Action::Cut(behind, truncate) => {
                let floor = self.time - 3_600_000 - behind;
                if floor > self.floor {
                    self.floor = floor;
                    self.store.cut(floor);
                    self.model
                        .values_mut()
                        .for_each(|s| *s = s.split_off(&floor));
                }
                if truncate {
                    self.store.head.truncate();
                }
            }
            Action::Rebase(sent) => {
                self.store.head.truncate();
                let sent = self.at("b", 1, &sent);
                note(&mut self.model, "b", &sent);
                assert!(self.store.rebase(|store| {
                    store.send("b", &sent);
                }));
                let with_samples = self.model.values().filter(|s| !s.is_empty()).count();
                assert_eq!(self.store.head.stats().known, with_samples as u64);
            }
            Action::Checkpoint(sent, delete) => {
                let sent = self.at("anonymous", 1, &sent);
                note(&mut self.model, "anonymous", &sent);
                let mut left = sent.iter();
                self.store.checkpoint(|writer, log| {
                    if let Some(one) = left.next() {
                        commit(writer, log, &crate::testing::batch("anonymous", &[*one]));
                    }
                });
                let rest: Vec<_> = left.copied().collect();
                if !rest.is_empty() {
                    self.store.send("anonymous", &rest);
                }
                if delete {
                    self.store.delete_segments();
                }
            }
            Action::Restart => {
                self.store = self.store.reopen();
                self.store.head.set_late_window(WINDOW);
                let found = self.store.found;
                let wrong = (found.unknown_series, found.out_of_order, found.bad_records);
                assert_eq!(wrong, (0, 0, 0));
                assert!(self.store.replayed.damage.is_empty());
            }
        }
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done in whatever order, a head shows what a naive map does.
    #[test]
    fn does_what_a_map_does(actions in vec(action(), 1..60)) {
        let mut run = Run {
            store: Store::new(),
            model: Model::new(),
            time: 10_000_000,
            floor: Timestamp::MIN,
            late: BTreeSet::new(),
        };
        run.store.head.set_late_window(WINDOW);
        // What is late goes by the newest sample.
        run.send("anonymous", 1, &[(100, Given::Float(1.0))]);
        for action in actions {
            run = run.act(action.clone());
            prop_assert_eq!(run.store.dump(), shown(&run.model, run.floor), "after {:?}", action);
        }
        run = run.act(Action::Restart);
        prop_assert_eq!(run.store.dump(), shown(&run.model, run.floor));
    }
}
