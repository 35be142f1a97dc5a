#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ferula_model::{MatchOp, Matcher, TenantId};
use ferula_storage::{Deletion, Reason};

use super::*;
use crate::log::frame::FrameBuf;
use crate::testing::{Given, Store, labels};

const HOUR: i64 = 3_600_000;

fn float(id: u32, time: Timestamp, value: f64) -> (u32, Timestamp, Given) {
    (id, time, Given::Float(value))
}

fn times(store: &Store, id: u32) -> Vec<Timestamp> {
    let dump = store.dump();
    let series = dump.iter().find(|(_, l, _)| *l == labels(id));
    series.map_or(Vec::new(), |(_, _, s)| s.iter().map(|s| s.0).collect())
}

#[test]
fn the_window_may_change_at_any_time() {
    let mut store = Store::new();
    store.send("anonymous", &[float(1, 10 * HOUR, 1.0)]);
    let report = store.send("anonymous", &[float(1, 10 * HOUR - 5, 1.0)]);
    let newest = 10 * HOUR;
    assert_eq!(report.rejections[0].reason, Reason::OutOfOrder { newest });
    store.head.set_late_window(HOUR / 2);
    let late = [
        float(1, 10 * HOUR - 5, 1.0),
        float(1, 10 * HOUR - 7, 2.0),
        float(1, 10 * HOUR - 5, 1.0),
        float(1, 10 * HOUR - 5, 9.0),
        float(1, 9 * HOUR, 9.0),
    ];
    let report = store.send("anonymous", &late);
    assert_eq!((report.samples, report.late, report.duplicates), (2, 2, 1));
    let words: Vec<_> = report.rejections.iter().map(|r| r.reason.word()).collect();
    assert_eq!(words, ["duplicate_conflict", "too_old"]);
    let stats = store.head.stats();
    assert_eq!(stats.samples, 3);
    // Without a window nothing more is taken; what is held is shown, and known when sent again.
    store.head.set_late_window(0);
    let report = store.send("anonymous", &late[..2]);
    assert_eq!((report.duplicates, report.rejected_total()), (2, 0));
    let held = [10 * HOUR - 7, 10 * HOUR - 5, 10 * HOUR];
    assert_eq!(times(&store, 1), held);
    store = store.reopen();
    assert_eq!(times(&store, 1), held);
    store.checkpoint(|_, _| {});
    store = store.reopen();
    assert_eq!(times(&store, 1), held);
    assert_eq!(store.head.stats().samples, 3);
}

#[test]
fn a_reader_keeps_what_it_has() {
    let mut store = Store::new();
    store.head.set_late_window(HOUR);
    store.send("anonymous", &[float(1, 2 * HOUR, 1.0)]);
    store.send("anonymous", &[float(1, 2 * HOUR - 5, 1.0)]);
    let before = store.dump();
    let data = store.head.data.read();
    let held = data.late(0).unwrap().clone();
    drop(data);
    store.send("anonymous", &[float(1, 2 * HOUR - 3, 1.0)]);
    assert_eq!(held.len(), 1);
    assert_ne!(store.dump(), before);
    // A series of late samples alone is listed, too.
    store.send("anonymous", &[float(2, HOUR + 5, 1.0)]);
    assert_eq!(times(&store, 2), [HOUR + 5]);
    let query = ferula_storage::LabelQuery {
        tenant: TenantId::anonymous(),
        matchers: vec![],
        range: Range::ALL,
        limit: 0,
    };
    assert_eq!(store.head.label_values("id", &query), ["1", "2"]);
    let before = store.head.stats().bytes;
    store.cut(HOUR + 6);
    assert_eq!(store.head.label_values("id", &query), ["1"]);
    store.head.truncate();
    assert!(store.head.stats().bytes < before);
    // A cut that has begun is a bound.
    store.writer.begin_cut(2 * HOUR - 1);
    let report = store.send("anonymous", &[float(1, 2 * HOUR - 2, 1.0)]);
    let min_valid = 2 * HOUR - 1;
    assert_eq!(report.rejections[0].reason, Reason::TooOld { min_valid });
}

#[test]
fn a_deletion_takes_late_samples_too() {
    let mut store = Store::new();
    store.head.set_late_window(HOUR);
    store.send("anonymous", &[float(1, 2 * HOUR, 1.0)]);
    store.send(
        "anonymous",
        &[float(1, 2 * HOUR - 5, 1.0), float(1, 2 * HOUR - 9, 1.0)],
    );
    let deletion = Deletion {
        tenant: TenantId::anonymous(),
        matchers: vec![vec![Matcher::new(MatchOp::Equal, "id", "1").unwrap()]],
        range: Range {
            start: 2 * HOUR - 6,
            end: 2 * HOUR,
        },
    };
    let what = store.writer.to_delete(&deletion);
    let mut frame = FrameBuf::default();
    let defined = store.writer.encode_definitions(frame.body(), 1 << 10);
    store.writer.encode_deletion(&what, &deletion, frame.body());
    store.log.commit(&mut frame).unwrap();
    store.writer.defined(defined);
    assert_eq!(store.writer.delete(&what), 1);
    let left = [2 * HOUR - 9, 2 * HOUR];
    assert_eq!(times(&store, 1), left);
    store = store.reopen();
    assert_eq!(times(&store, 1), left);
    assert_eq!(store.found.deleted, 1);
}
