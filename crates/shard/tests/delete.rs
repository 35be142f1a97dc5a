//! Deleting samples of a shard.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use ferula_env::{Crash, SimDisk};
use ferula_model::{Labels, MatchOp, Matcher, Range, TenantId};
use ferula_shard::Shard;
use ferula_storage::{Admin as _, Deletion, LabelQuery, Select as _, SeriesKey, SeriesQuery};
use futures::executor::block_on;

fn all_series() -> Vec<Matcher> {
    vec![Matcher::new(MatchOp::Regex, "i", ".+").unwrap()]
}

fn delete(shard: &Shard, matchers: Vec<Matcher>, range: Range) {
    let deletion = Deletion {
        tenant: TenantId::anonymous(),
        matchers: vec![matchers],
        range,
    };
    block_on(shard.delete(deletion)).unwrap();
}

/// Series `m{i}` with a sample a second, 300 of them.
fn fill(shard: &Shard, series: usize) {
    for t in 0..300 {
        for i in 0..series {
            append(shard, batch(by_labels(labels("m", i)), t * 1_000, t as f64)).unwrap();
        }
    }
}

fn names(shard: &Shard) -> Vec<String> {
    block_on(shard.label_values("i".to_owned(), all())).unwrap()
}

fn times(shard: &Shard, i: usize) -> Vec<i64> {
    let matcher = Matcher::equal("i", i.to_string());
    let found = select(shard, vec![matcher], Range::ALL);
    let samples = found.into_iter().flat_map(|(_, samples)| samples);
    samples.map(|(t, _)| t / 1_000).collect()
}

#[test]
fn what_is_deleted_is_gone_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut shard = open(dir.path());
    fill(&shard, 3);
    let before = shard.stats().head;
    // Out of the middle of finished chunks, and from one of them on.
    delete(
        &shard,
        vec![Matcher::equal("i", "0")],
        Range::closed(50_000, 149_999),
    );
    delete(
        &shard,
        vec![Matcher::equal("i", "1")],
        Range::closed(200_000, i64::MAX),
    );
    let expected: Vec<Vec<i64>> = vec![
        (0..50).chain(150..300).collect(),
        (0..200).collect(),
        (0..300).collect(),
    ];
    for round in ["at once", "after a restart"] {
        for (i, expected) in expected.iter().enumerate() {
            assert_eq!(times(&shard, i), *expected, "series {i} {round}");
        }
        let after = shard.stats().head;
        assert_eq!(after.samples, before.samples - 200, "{round}");
        assert_eq!((after.series, names(&shard).len()), (3, 3), "{round}");
        drop(shard);
        shard = open(dir.path());
    }
}

#[test]
fn a_deleted_sample_is_no_duplicate_and_order_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut shard = open(dir.path());
    fill(&shard, 1);
    delete(&shard, all_series(), Range::closed(299_000, 299_000));
    for round in ["at once", "after a restart"] {
        // The newest, deleted; one between; the newest that is held.
        for (t, expected) in [(299, Some("out_of_order")), (298, None)] {
            let sent = batch(by_labels(labels("m", 0)), t * 1_000, t as f64);
            let report = append(&shard, sent).unwrap();
            let word = report.rejections.first().map(|r| r.reason.word());
            assert_eq!(word, expected, "{t} {round}");
            assert_eq!(
                report.duplicates,
                u64::from(expected.is_none()),
                "{t} {round}"
            );
        }
        assert_eq!(times(&shard, 0), (0..299).collect::<Vec<_>>(), "{round}");
        drop(shard);
        shard = open(dir.path());
    }
    append(&shard, batch(by_labels(labels("m", 0)), 300_000, 1.0)).unwrap();
    drop(shard);
    let newest = times(&open(dir.path()), 0).pop();
    assert_eq!(newest, Some(300));
}

#[test]
fn names_go_with_the_last_sample_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut shard = open(dir.path());
    fill(&shard, 3);
    delete(&shard, vec![Matcher::equal("i", "1")], Range::ALL);
    for round in ["at once", "after a restart"] {
        assert_eq!(names(&shard), ["0", "2"], "{round}");
        assert_eq!(shard.stats().head.series, 2, "{round}");
        let query = LabelQuery {
            matchers: vec![vec![Matcher::equal("i", "1")]],
            ..all()
        };
        assert_eq!(block_on(shard.series(query)).unwrap(), Vec::<Labels>::new());
        drop(shard);
        shard = open(dir.path());
    }
    // What is written to the range afterwards is kept, also when the log is read again.
    append(&shard, batch(by_labels(labels("m", 1)), 300_000, 1.0)).unwrap();
    for round in ["at once", "after a restart"] {
        assert_eq!(names(&shard), ["0", "1", "2"], "{round}");
        assert_eq!(times(&shard, 1), [300], "{round}");
        drop(shard);
        shard = open(dir.path());
    }
    delete(&shard, all_series(), Range::ALL);
    let none = |shard: &Shard| {
        let head = shard.stats().head;
        (head.series, head.samples, head.chunks) == (0, 0, 0)
            && names(shard).is_empty()
            && block_on(shard.label_names(all())).unwrap().is_empty()
    };
    assert!(none(&shard));
    drop(shard);
    assert!(none(&open(dir.path())));
}

#[test]
fn one_call_tells_where_a_series_is() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    fill(&shard, 3);
    let stale = ferula_model::stale_marker();
    append(&shard, batch(by_labels(labels("m", 2)), 300_000, stale)).unwrap();
    let query = |limit| SeriesQuery {
        tenant: TenantId::anonymous(),
        matchers: vec![all_series(), vec![Matcher::equal("i", "1")]],
        limit,
    };
    let found = block_on(shard.where_is(query(9))).unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|s| {
            (
                s.labels.value("i"),
                s.head.map(|h| (h.first, h.last)),
                s.active,
            )
        })
        .collect();
    let expected = [
        ("0", Some((0, 299_000)), true),
        ("1", Some((0, 299_000)), true),
        ("2", Some((0, 300_000)), false),
    ];
    assert_eq!(told, expected);
    assert_eq!(found[0].whole().map(|w| w.samples), Some(300));
    assert_eq!(block_on(shard.where_is(query(1))).unwrap().len(), 1);
}

/// Series with a sample a minute from hour 0 up to an hour, of which the oldest are in blocks.
fn fill_hours(shard: &Shard, hours: i64) {
    fill_hours_from(shard, 0, hours);
}

fn fill_hours_from(shard: &Shard, from: i64, to: i64) {
    for t in from * 60..to * 60 {
        let keys = (0..4).map(|i| SeriesKey::Labels(labels("m", i)));
        append(shard, batch(keys, t * 60_000, t as f64)).unwrap();
    }
    shard.upkeep().unwrap();
}

fn minutes(shard: &Shard, i: usize) -> Vec<i64> {
    times(shard, i).into_iter().map(|t| t / 60).collect()
}

#[test]
fn blocks_lose_what_is_deleted_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut shard = open(dir.path());
    fill_hours(&shard, 8);
    let blocks = shard.blocks();
    assert_eq!(blocks.len(), 3);
    // From the middle of the second block to the middle of the head, and all of one series.
    let range = Range::closed(3 * HOUR, 7 * HOUR - 1);
    delete(&shard, vec![Matcher::equal("i", "1")], range);
    delete(&shard, vec![Matcher::equal("i", "2")], Range::ALL);
    delete(&shard, vec![Matcher::equal("i", "nobody")], Range::ALL);
    let deletes: Vec<usize> = shard.blocks().iter().map(|b| b.deletes.len()).collect();
    assert_eq!(deletes, [1, 2, 2]);
    let expected: Vec<i64> = (0..180).chain(420..480).collect();
    let check = |shard: &Shard, context: &str| {
        assert_eq!(minutes(shard, 1), expected, "{context}");
        assert_eq!(minutes(shard, 0).len(), 480, "{context}");
        assert_eq!(names(shard), ["0", "1", "3"], "{context}");
    };
    check(&shard, "at once");
    drop(shard);
    shard = open(dir.path());
    check(&shard, "after a restart");
    block_on(ferula_storage::Admin::clean(&shard)).unwrap();
    check(&shard, "cleaned");
    let cleaned = shard.blocks();
    assert!(cleaned.iter().all(|b| b.deletes.is_empty()));
    let samples: Vec<u64> = cleaned.iter().map(|b| b.samples).collect();
    assert_eq!(samples, [360, 120 * 2 + 60, 120 * 2]);
    assert!(cleaned.iter().zip(&blocks).all(|(a, b)| a.id != b.id));
    drop(shard);
    let shard = open(dir.path());
    check(&shard, "after another restart");
    // A block of which nothing is left is gone.
    delete(&shard, all_series(), Range::closed(0, 2 * HOUR - 1));
    block_on(ferula_storage::Admin::clean(&shard)).unwrap();
    assert_eq!(shard.blocks().len(), 2);
    assert_eq!(minutes(&shard, 0).first(), Some(&120));
}

#[test]
fn names_of_blocks_go_with_the_last_sample() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    // A series that ends within a block, and is deleted for little longer than it lived.
    let short = [SeriesKey::Labels(labels("m", 9))];
    append(&shard, batch(short, HOUR, 1.0)).unwrap();
    fill_hours_from(&shard, 1, 8);
    assert_eq!(names(&shard), ["0", "1", "2", "3", "9"]);
    delete(
        &shard,
        vec![Matcher::equal("i", "9")],
        Range::closed(HOUR, HOUR + 1),
    );
    assert_eq!(names(&shard), ["0", "1", "2", "3"]);
    assert!(select(&shard, vec![Matcher::equal("i", "9")], Range::ALL).is_empty());
}

#[test]
fn where_a_series_is_tells_head_and_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    fill_hours(&shard, 8);
    delete(
        &shard,
        vec![Matcher::equal("i", "1")],
        Range::closed(0, 7 * HOUR),
    );
    let query = SeriesQuery {
        tenant: TenantId::anonymous(),
        matchers: vec![vec![Matcher::new(MatchOp::Regex, "i", "0|1").unwrap()]],
        limit: 10,
    };
    let found = block_on(shard.where_is(query)).unwrap();
    let blocks: Vec<_> = found[0]
        .blocks
        .iter()
        .map(|(id, part)| (*id, part.samples))
        .collect();
    let expected: Vec<_> = shard.blocks().iter().map(|b| (b.id, 120)).collect();
    assert_eq!(blocks, expected);
    let whole = found[0].whole().unwrap();
    assert_eq!(
        (whole.first, whole.last, whole.samples),
        (0, 479 * 60_000, 480)
    );
    assert_eq!(found[0].head.map(|h| h.samples), Some(120));
    assert!(found[1].blocks.is_empty() && found[1].active);
    assert_eq!(found[1].head.map(|h| h.samples), Some(59));
}

#[test]
fn a_snapshot_is_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    fill_hours(&shard, 8);
    delete(
        &shard,
        vec![Matcher::equal("i", "1")],
        Range::closed(0, HOUR),
    );
    let snapshot = |name: &str, skip_head| {
        block_on(shard.snapshot(name.to_owned(), skip_head)).unwrap();
        open(&dir.path().join("snapshots").join(name))
    };
    let (whole, blocks) = (snapshot("whole", false), snapshot("blocks", true));
    assert_eq!(dump(&whole), dump(&shard));
    assert_eq!(minutes(&blocks, 0), (0..360).collect::<Vec<_>>());
    assert_eq!(minutes(&blocks, 1), (61..360).collect::<Vec<_>>());
    // Both go on on their own.
    let more = |shard: &Shard, value| {
        let sent = batch(by_labels(labels("m", 0)), 8 * HOUR, value);
        assert_eq!(append(shard, sent).unwrap().samples, 1);
    };
    more(&whole, 1.0);
    more(&blocks, 2.0);
    let head = shard.stats().head.samples;
    drop(whole);
    let again = open(&dir.path().join("snapshots/whole"));
    assert_eq!(minutes(&again, 0).len(), 481);
    assert_eq!(shard.stats().head.samples, head);
    assert_eq!(minutes(&shard, 0).len(), 480);
}

#[test]
fn a_snapshot_survives_a_power_cut() {
    let disk = SimDisk::new();
    let open = |disk: &Arc<SimDisk>, dir: &str| {
        try_open_on(disk.clone(), settings(Path::new(dir))).unwrap()
    };
    let shard = open(&disk, "/data");
    fill_hours(&shard, 8);
    block_on(shard.snapshot("kept".to_owned(), false)).unwrap();
    let expected = dump(&shard);
    let left = disk.crash(Crash::PowerLosesAll);
    let copy = open(&left, "/data/snapshots/kept");
    assert_eq!(dump(&copy), expected);
}
