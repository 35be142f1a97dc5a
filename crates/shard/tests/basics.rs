//! Append, select, restart.

mod common;

use common::*;
use ferula_env::SystemDisk;
use ferula_model::{MatchOp, Matcher, Range, TenantId};
use ferula_storage::{AppendError, Reason, Select, SeriesKey, SeriesRef};
use futures::executor::block_on;

#[test]
fn what_is_acknowledged_is_visible_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    let report = append(
        &shard,
        batch(
            (0..3).map(|i| SeriesKey::Labels(labels("up", i))),
            1_000,
            1.0,
        ),
    );
    let report = report.unwrap();
    assert_eq!((report.samples, report.series_created), (3, 3));
    let refs = report.refs;
    for t in 2..500 {
        let report = append(&shard, batch(by_refs(&refs), t * 1_000, t as f64 / 4.0)).unwrap();
        assert_eq!((report.samples, report.refs.len()), (3, 0));
    }
    let stored = dump(&shard);
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0].0, labels("up", 0));
    assert_eq!(stored[0].1.len(), 499);
    assert_eq!(stored[0].1[1], (2_000, 0.5f64.to_bits()));
    let stats = shard.stats();
    assert_eq!((stats.head.series, stats.head.samples), (3, 3 * 499));
    assert_eq!(
        (stats.head.min_time, stats.head.max_time),
        (Some(1_000), Some(499_000))
    );
    drop(shard);

    let shard = open(dir.path());
    assert_eq!(dump(&shard), stored);
    // The numbers of series are those of before, and so are what is a duplicate and what not.
    let report = append(&shard, batch(by_refs(&refs), 2_000, 0.5)).unwrap();
    assert_eq!((report.samples, report.duplicates), (0, 3));
    let report = append(&shard, batch(by_refs(&refs[..1]), 2_000, 0.75)).unwrap();
    assert!(matches!(
        report.rejections[0].reason,
        Reason::DuplicateConflict { .. }
    ));
    assert_eq!(report.rejections[0].labels, labels("up", 0));
    assert_eq!(shard.stats().verdicts.duplicates, 3);
    shard.close();
    let closed = append(&shard, batch(by_refs(&refs), 1_000_000, 0.5));
    assert!(
        matches!(closed, Err(AppendError::Unavailable { .. })),
        "{closed:?}"
    );
    assert_eq!(dump(&shard), stored);
}

#[test]
fn labels_are_listed_and_matched() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    let keys = (0..10).map(|i| SeriesKey::Labels(labels(["a", "b"][i % 2], i)));
    append(&shard, batch(keys, 1_000, 1.0)).unwrap();
    let names = block_on(shard.label_names(all())).unwrap();
    assert_eq!(names, ["__name__", "i"]);
    let values = block_on(shard.label_values("__name__".into(), all())).unwrap();
    assert_eq!(values, ["a", "b"]);
    let mut query = all();
    query.matchers = vec![
        vec![Matcher::equal("__name__", "a")],
        vec![Matcher::equal("i", "1")],
    ];
    let values = block_on(shard.label_values("i".into(), query.clone())).unwrap();
    assert_eq!(values, ["0", "1", "2", "4", "6", "8"]);
    query.limit = 2;
    assert_eq!(
        block_on(shard.series(query.clone())).unwrap(),
        [labels("a", 0), labels("a", 2)]
    );
    let matchers = vec![Matcher::new(MatchOp::Regex, "i", "[789]").unwrap()];
    let found = select(&shard, matchers, Range::ALL);
    let found: Vec<_> = found.into_iter().map(|s| s.0).collect();
    assert_eq!(found, [labels("a", 8), labels("b", 7), labels("b", 9)]);
    query.tenant = TenantId::new("other").unwrap();
    assert!(block_on(shard.label_names(query)).unwrap().is_empty());
    let top = shard.cardinality(&TenantId::anonymous(), 1);
    assert_eq!(top.series_by_metric, [("a".to_owned(), 5)]);
    assert_eq!(top.values_by_label, [("i".to_owned(), 10)]);
    assert_eq!(top.series_by_pair, [("__name__=a".to_owned(), 5)]);
}

#[test]
fn unknown_references_are_refused_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    let keys = [
        SeriesKey::Ref(SeriesRef(7)),
        SeriesKey::Labels(labels("a", 1)),
    ];
    let report = append(&shard, batch(keys, 1_000, 1.0)).unwrap();
    assert_eq!(report.samples, 1);
    assert_eq!(report.rejections[0].reason, Reason::UnknownRef);
}

#[test]
fn a_full_head_names_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.head_bytes_max = 200_000;
    let shard = try_open_on(SystemDisk::shared(), settings).unwrap();
    let error =
        (0..).find_map(|i| append(&shard, batch(by_labels(labels("a", i)), 1_000, 1.0)).err());
    let text = error.unwrap().to_string();
    assert!(text.contains("raise --storage.head-bytes-max"), "{text}");
    assert!(!dump(&shard).is_empty());
}

#[test]
fn a_batch_larger_than_a_segment_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.segment_bytes = 4 << 10;
    let open = || try_open_on(SystemDisk::shared(), settings.clone()).unwrap();
    let shard = open();
    for t in 1..4 {
        let keys = (0..2_000).map(|i| SeriesKey::Labels(labels("up", i)));
        append(&shard, batch(keys, t * 1_000, 1.0 / t as f64)).unwrap();
    }
    let stored = dump(&shard);
    assert_eq!((stored.len(), stored[0].1.len()), (2_000, 3));
    drop(shard);
    assert_eq!(dump(&open()), stored);
}
