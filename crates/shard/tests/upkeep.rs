//! Samples move from the head to blocks, and blocks are merged and expire: readers see the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use ferula_model::{Labels, Matcher, Range, TenantId};
use ferula_shard::{Shard, ShardSettings};
use ferula_storage::{LabelQuery, Select, SeriesKey};
use ferula_tsdb::compact::Retention;
use futures::executor::block_on;

const STEP: i64 = 60_000;
const SERIES: usize = 40;

/// Everything that was stored.
#[derive(Default)]
struct Model(BTreeMap<Labels, Floats>);

impl Model {
    /// Stores a sample of each series at all steps of a range. Some series come and go.
    fn fill(&mut self, shard: &Shard, range: Range) {
        for t in (range.start..range.end).step_by(STEP as usize) {
            let hour = t.div_euclid(HOUR);
            let present = |i: &usize| i % 4 != 3 || hour % 5 == (*i as i64 / 4) % 5;
            let ids: Vec<usize> = (0..SERIES).filter(present).collect();
            let value = (t / STEP) as f64 * 0.5;
            let keys = ids.iter().map(|&i| SeriesKey::Labels(labels("m", i)));
            let report = append(shard, batch(keys, t, value)).unwrap();
            assert_eq!(report.rejected_total(), 0, "{:?}", report.rejections);
            for i in ids {
                let samples = self.0.entry(labels("m", i)).or_default();
                samples.push((t, value.to_bits()));
            }
        }
    }

    fn check(&self, shard: &Shard, range: Range) {
        let mut expected: Vec<(Labels, Floats)> = Vec::new();
        for (labels, samples) in &self.0 {
            let inside = samples.iter().filter(|(t, _)| range.contains(*t));
            let inside: Floats = inside.copied().collect();
            if !inside.is_empty() {
                expected.push((labels.clone(), inside));
            }
        }
        let mut found = select(shard, vec![Matcher::equal("__name__", "m")], range);
        for (_, samples) in &mut found {
            assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
            samples.retain(|(t, _)| range.contains(*t));
        }
        found.retain(|(_, samples)| !samples.is_empty());
        let about = |all: &[(Labels, Floats)]| -> Vec<String> {
            let series = all.iter().map(|(l, s)| format!("{l} {}", s.len()));
            series.collect()
        };
        assert_eq!(about(&found), about(&expected), "in {range:?}");
        assert!(found == expected, "other values in {range:?}");
    }

    fn check_all(&self, shard: &Shard) {
        self.check(shard, Range::ALL);
        for hours in [(0, 1), (1, 2), (3, 9), (11, 14), (23, 40)] {
            let (start, end) = (hours.0 * HOUR, hours.1 * HOUR);
            self.check(shard, Range { start, end });
        }
    }
}

fn hours(start: i64, end: i64) -> Range {
    Range {
        start: start * HOUR,
        end: end * HOUR,
    }
}

fn ranges(shard: &Shard) -> Vec<(i64, i64)> {
    let hour = |t: i64| t / HOUR;
    let blocks = shard.blocks();
    blocks
        .iter()
        .map(|b| (hour(b.range.start), hour(b.range.end)))
        .collect()
}

#[test]
fn a_cut_and_merged_shard_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let shard = open(dir.path());
    model.fill(&shard, hours(0, 3));
    shard.upkeep().unwrap();
    assert!(ranges(&shard).is_empty());
    model.fill(&shard, hours(3, 8));
    shard.upkeep().unwrap();
    assert_eq!(ranges(&shard), [(0, 2), (2, 4), (4, 6)]);
    assert_eq!(shard.stats().head.min_time, Some(6 * HOUR));
    model.check_all(&shard);
    model.fill(&shard, hours(8, 30));
    shard.upkeep().unwrap();
    assert_eq!(ranges(&shard), [(0, 12), (12, 24), (24, 26), (26, 28)]);
    model.check_all(&shard);
    drop(shard);

    for _ in 0..2 {
        let shard = open(dir.path());
        assert_eq!(ranges(&shard), [(0, 12), (12, 24), (24, 26), (26, 28)]);
        model.check_all(&shard);
        drop(shard);
    }
    let shard = open(dir.path());
    model.fill(&shard, hours(30, 38));
    shard.upkeep().unwrap();
    assert_eq!(ranges(&shard), [(0, 12), (12, 24), (24, 36)]);
    model.check_all(&shard);
    // Blocks that were merged are gone from the disk as well.
    shard.upkeep().unwrap();
    let blocks = ferula_env::SystemDisk::shared().list(&dir.path().join("b"));
    assert_eq!(blocks.unwrap().len(), 3);
}

#[test]
fn what_is_in_blocks_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    let old = [SeriesKey::Labels(Labels::from_pairs([
        ("__name__", "old"),
        ("a", "1"),
    ]))];
    append(&shard, batch(old, 0, 1.0)).unwrap();
    Model::default().fill(&shard, hours(2, 10));
    shard.upkeep().unwrap();
    let query = |range, limit| LabelQuery {
        tenant: TenantId::anonymous(),
        matchers: vec![],
        range,
        limit,
    };
    let names = |range| block_on(shard.label_names(query(range, 0))).unwrap();
    assert_eq!(names(Range::ALL), ["__name__", "a", "i"]);
    assert_eq!(names(hours(4, 9)), ["__name__", "i"]);
    let values = |name: &str, q| block_on(shard.label_values(name.to_owned(), q)).unwrap();
    assert_eq!(values("__name__", query(Range::ALL, 0)), ["m", "old"]);
    assert_eq!(values("__name__", query(hours(0, 1), 0)), ["old"]);
    assert_eq!(values("i", query(Range::ALL, 3)), ["0", "1", "10"]);
    let series = |q| block_on(shard.series(q)).unwrap();
    assert_eq!(series(query(Range::ALL, 0)).len(), SERIES + 1);
    assert_eq!(series(query(Range::ALL, 7)).len(), 7);
    let of = |name: &str| LabelQuery {
        matchers: vec![vec![Matcher::equal("__name__", name)]],
        ..query(Range::ALL, 0)
    };
    assert_eq!(series(of("old")).len(), 1);
    assert_eq!(values("a", of("old")), ["1"]);
    assert!(values("a", of("m")).is_empty());
}

#[test]
fn blocks_expire() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.upkeep.ranges_ms = vec![2 * HOUR];
    settings.upkeep.retention.time_ms = Some(6 * HOUR);
    let open =
        |settings: ShardSettings| try_open_on(ferula_env::SystemDisk::shared(), settings).unwrap();
    let shard = open(settings.clone());
    let mut model = Model::default();
    model.fill(&shard, hours(0, 14));
    shard.upkeep().unwrap();
    assert_eq!(ranges(&shard), [(6, 8), (8, 10), (10, 12)]);
    model.check(&shard, hours(6, 14));
    assert_eq!(shard.stats().upkeep.expired_by_time, 3);
    drop(shard);
    settings.upkeep.retention = Retention::default();
    let shard = open(settings);
    shard.upkeep().unwrap();
    assert_eq!(ranges(&shard).len(), 3);
    shard.set_retention(Retention {
        time_ms: None,
        bytes: Some(1),
    });
    shard.upkeep().unwrap();
    assert!(ranges(&shard).is_empty());
    model.check(&shard, hours(12, 14));
}

#[test]
fn readers_see_all_of_it_while_it_moves() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    let mut model = Model::default();
    model.fill(&shard, hours(0, 20));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) || reads == 0 {
                model.check(&shard, Range::ALL);
                reads += 1;
            }
        });
        shard.upkeep().unwrap();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(ranges(&shard), [(0, 12), (12, 14), (14, 16), (16, 18)]);
    model.check_all(&shard);
}

#[test]
fn a_checkpoint_stands_for_the_log_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut settings = settings(dir.path());
    settings.segment_bytes = 8 << 10;
    let open = || try_open_on(ferula_env::SystemDisk::shared(), settings.clone()).unwrap();
    for start in [0, 8, 16] {
        let shard = open();
        model.check_all(&shard);
        model.fill(&shard, hours(start, start + 7));
        let before = shard.stats().log_segments;
        shard.upkeep().unwrap();
        let stats = shard.stats();
        assert!(
            stats.log_segments < before,
            "{} of {before}",
            stats.log_segments
        );
        assert_eq!(stats.upkeep.checkpoints, 1);
        assert!(shard.upkeep().is_ok());
        assert_eq!(shard.stats().upkeep.checkpoints, 1, "nothing to be done");
        // What comes behind the checkpoint, under this epoch and under the next one.
        model.fill(&shard, hours(start + 7, start + 8));
        drop(shard);
        let checkpoints = ferula_env::SystemDisk::shared().list(&dir.path().join("s/0/ckpt"));
        assert_eq!(checkpoints.unwrap().len(), 1);
    }
    model.check_all(&open());
}
