//! Readers beside the writer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use ferula_model::Range;
use ferula_shard::Ack;
use ferula_storage::{Append, SeriesKey};
use futures::executor::block_on;
use futures::future::join_all;

/// Each batch brings every series one sample, and one series more. A reader that sees part of
/// a batch finds series of different lengths.
#[test]
fn readers_see_whole_batches() {
    const BATCHES: i64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.ack = Ack::Memory;
    let shard = Arc::new(try_open_on(ferula_env::SystemDisk::shared(), settings).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|i| {
            let (shard, done) = (shard.clone(), done.clone());
            let read = move || {
                let mut looks = 0;
                while !done.load(Ordering::Relaxed) || looks == 0 {
                    let stored = dump(&shard);
                    let newest = stored.iter().map(|s| s.1.last().unwrap().0).max();
                    let batches = newest.map_or(0, |t| t as usize / 1_000);
                    assert_eq!(stored.len(), batches);
                    for (labels, samples) in stored {
                        let first: usize = labels.value("i").parse().unwrap();
                        assert_eq!(samples.len(), batches - first, "{labels}");
                    }
                    looks += 1;
                }
                looks
            };
            ferula_env::spawn::thread(&format!("reader-{i}"), read).unwrap()
        })
        .collect();
    for t in 1..=BATCHES {
        let keys = (0..t as usize).map(|i| SeriesKey::Labels(labels("m", i)));
        append(&shard, batch(keys, t * 1_000, t as f64)).unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let looks: u64 = readers.into_iter().map(|r| r.join().unwrap()).sum();
    assert!(looks > 3);
}

#[test]
fn waiting_batches_share_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    let batches = (0..500).map(|i| shard.append(batch(by_labels(labels("m", i)), 1_000, 1.0)));
    let answers = block_on(join_all(batches.collect::<Vec<_>>()));
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.unwrap().samples == 1)
    );
    let stats = shard.stats();
    assert!(stats.log_commits < 250, "{} commits", stats.log_commits);
    assert_eq!(select(&shard, vec![], Range::ALL).len(), 500);
}

#[test]
fn what_waits_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.queue_bytes_max = 1_000;
    let shard = try_open_on(ferula_env::SystemDisk::shared(), settings).unwrap();
    let batches: Vec<_> = (0..2_000)
        .map(|i| shard.append(batch(by_labels(labels("m", i)), 1_000, 1.0)))
        .collect();
    let answers = block_on(join_all(batches));
    let refused: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert!(!refused.is_empty());
    assert!(
        refused[0].to_string().contains("no more than 1000 may"),
        "{}",
        refused[0]
    );
    assert_eq!(dump(&shard).len(), answers.len() - refused.len());
    assert_eq!(shard.stats().queue_bytes, 0);
}

#[test]
fn memory_is_acknowledged_before_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.ack = Ack::Memory;
    let (disk, faults) = ferula_env::FaultyDisk::over(ferula_env::SystemDisk::shared());
    let shard = try_open_on(disk, settings).unwrap();
    let before = faults.syncs();
    for t in 1..=100 {
        append(&shard, batch(by_labels(labels("m", 0)), t * 1_000, 1.0)).unwrap();
    }
    assert!(faults.syncs() - before < 50);
    shard.close();
    drop(shard);
    assert_eq!(dump(&open(dir.path()))[0].1.len(), 100);
}
