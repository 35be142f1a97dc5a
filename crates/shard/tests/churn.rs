//! Series that come and go for days: memory stays what it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::*;
use ferula_env::SimDisk;
use ferula_storage::SeriesKey;

/// Series that are there at a time; each hour all of them are replaced.
const ACTIVE: usize = 1_500;

const HOURS: usize = 48;

#[test]
fn st_10_memory_stays_flat_and_bounded_under_churn() {
    let mut settings = settings(Path::new("/data"));
    settings.segment_bytes = 1 << 20;
    settings.head_bytes_max = 8 << 20;
    let disk = SimDisk::new();
    let shard = try_open_on(disk.clone(), settings.clone()).unwrap();
    let (mut used, mut logs) = (Vec::new(), Vec::new());
    for hour in 0..HOURS {
        for quarter in 0..4 {
            let t = hour as i64 * HOUR + quarter * HOUR / 4;
            let first = hour * ACTIVE;
            let keys = (first..first + ACTIVE).map(|i| SeriesKey::Labels(labels("churn", i)));
            let report = append(&shard, batch(keys, t, t as f64)).unwrap();
            assert_eq!(report.samples, ACTIVE as u64);
        }
        shard.upkeep().unwrap();
        let stats = shard.stats();
        assert!(stats.head.bytes <= settings.head_bytes_max);
        used.push(stats.head.bytes);
        logs.push(stats.log_segments);
    }
    // As much in the last two thirds as in the first, which begins with nothing.
    let third = HOURS / 3;
    let most = |part: &[u64]| part.iter().copied().max().unwrap();
    let (early, late) = (most(&used[..third]), most(&used[third..]));
    assert!(late <= early + early / 20, "{early}, then {late} bytes");
    assert!(most(&logs[third..]) <= most(&logs[..third]) + 1, "{logs:?}");

    // A start needs no more than the shard did, and finds all of it.
    drop(shard);
    let shard = try_open_on(disk, settings).unwrap();
    let started = shard.stats().head.bytes;
    assert!(started <= late + late / 10, "{late}, then {started} bytes");
    let all = dump(&shard);
    assert_eq!(all.len(), HOURS * ACTIVE);
    assert!(all.iter().all(|(_, samples)| samples.len() == 4));
}
