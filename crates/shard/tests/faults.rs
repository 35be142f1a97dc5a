//! Crashes, torn writes, damaged files, a disk that fails or is full.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use ferula_env::{Disk, FaultyDisk, SystemDisk};
use ferula_model::Labels;
use ferula_shard::{Shard, State};
use ferula_storage::{AppendError, SeriesKey, SeriesRef};

type Stored = Vec<(Labels, Vec<(i64, u64)>)>;

fn segments(dir: &Path) -> Vec<PathBuf> {
    let log = dir.join("s/0/log");
    let names = SystemDisk.list(&log).unwrap();
    names
        .iter()
        .filter(|n| n.ends_with(".seg"))
        .map(|n| log.join(n))
        .collect()
}

fn read(path: &Path) -> Vec<u8> {
    SystemDisk.read(path, 1 << 30).unwrap()
}

fn write(path: &Path, bytes: &[u8]) {
    let file = SystemDisk.open(path).unwrap();
    file.set_len(0).unwrap();
    file.write_at(bytes, 0).unwrap();
}

/// A log of three commits of two series each, and what is stored after each of them.
fn three_commits(dir: &Path) -> Vec<Stored> {
    let shard = open(dir);
    let mut after = vec![vec![]];
    for t in 1..=3 {
        let keys = (0..2).map(|i| SeriesKey::Labels(labels("up", i + t as usize)));
        append(&shard, batch(keys, t * 1_000, t as f64 * 0.3)).unwrap();
        after.push(dump(&shard));
    }
    after
}

/// Where each frame of the first segment ends, by walking their lengths.
fn frame_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![96];
    loop {
        let at = *ends.last().unwrap();
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if len == 0 {
            return ends;
        }
        ends.push(at + 24 + len);
    }
}

fn assert_still_works(shard: &Shard) {
    append(shard, batch(by_labels(labels("later", 0)), 9_000, 9.0)).unwrap();
}

#[test]
fn a_torn_tail_is_cut_wherever_it_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    let after = three_commits(dir.path());
    let segment = segments(dir.path()).pop().unwrap();
    let whole = read(&segment);
    // Frames: the fence, then one per commit.
    let ends = frame_ends(&whole);
    assert_eq!(ends.len(), 5);
    for cut in ends[1]..=ends[4] {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        write(&segment, &torn);
        let complete = ends[2..].iter().filter(|end| **end <= cut).count();
        let shard = open(dir.path());
        assert_eq!(dump(&shard), after[complete], "cut at {cut}");
        assert_still_works(&shard);
        let with_later = dump(&shard);
        drop(shard);
        let shard = open(dir.path());
        assert_eq!(dump(&shard), with_later, "cut at {cut}, second start");
        drop(shard);
        // The last byte of a frame may be zero itself; otherwise the rest was put aside.
        let aside = segment.with_extension("seg.torn");
        if !ends.contains(&cut) && whole[ends[complete + 1]..cut].iter().any(|b| *b != 0) {
            let aside = read(&aside);
            let expected = &whole[ends[complete + 1]..cut];
            assert_eq!(aside, expected[..aside.len()], "cut at {cut}");
        }
        for name in SystemDisk.list(&dir.path().join("s/0/log")).unwrap() {
            if name.contains(".torn") {
                SystemDisk
                    .remove(&dir.path().join("s/0/log").join(name))
                    .unwrap();
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_never_a_wrong_value() {
    let dir = tempfile::tempdir().unwrap();
    let after = three_commits(dir.path());
    let segment = segments(dir.path()).pop().unwrap();
    let whole = read(&segment);
    let ends = frame_ends(&whole);
    for at in ends[1]..ends[4] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        write(&segment, &flipped);
        let complete = ends[2..].iter().filter(|end| **end <= at).count();
        let shard = open(dir.path());
        assert_eq!(dump(&shard), after[complete], "flipped at {at}");
    }
    let mut flipped = whole.clone();
    flipped[50] ^= 1;
    write(&segment, &flipped);
    let error = try_open_on(SystemDisk::shared(), settings(dir.path()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("00000000000000000001.seg: the header's checksum is wrong"),
        "{error}"
    );
}

/// Enough commits for several segments; one series gets all.
fn many_segments(dir: &Path) -> (Stored, Vec<Option<SeriesRef>>) {
    let shard = open(dir);
    let keys = (0..500).map(|i| SeriesKey::Labels(labels("up", i)));
    let refs = append(&shard, batch(keys, 1_000, 0.1)).unwrap().refs;
    for t in 2..100 {
        append(
            &shard,
            batch(by_refs(&refs), t * 1_000, t as f64 + 0.123_456_789),
        )
        .unwrap();
    }
    (dump(&shard), refs)
}

#[test]
fn segments_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let (stored, _) = many_segments(dir.path());
    let files = segments(dir.path());
    assert!(files.len() >= 5, "{files:?}");
    assert_eq!(dump(&open(dir.path())), stored);

    // Damage in an older one costs what it holds, and nothing after it.
    let mut damaged = read(&files[2]);
    damaged[200] ^= 1;
    write(&files[2], &damaged);
    let shard = open(dir.path());
    let left = dump(&shard);
    assert_eq!(left.len(), stored.len());
    assert!(left[0].1.len() < stored[0].1.len() && left[0].1.len() > 50);
    assert!(left[0].1.iter().all(|sample| stored[0].1.contains(sample)));
    assert_eq!(left[0].1.last(), stored[0].1.last());
    assert_eq!(shard.stats().log_corruptions, 1);
    drop(shard);

    SystemDisk.remove(&files[2]).unwrap();
    let error = try_open_on(SystemDisk::shared(), settings(dir.path()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("log segment missing"), "{error}");
    SystemDisk.remove(&files[0]).unwrap();
    let error = try_open_on(SystemDisk::shared(), settings(dir.path()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not follow 00000000000000000001.seg"),
        "{error}"
    );
}

#[test]
fn lost_definitions_are_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let (stored, refs) = many_segments(dir.path());
    let files = segments(dir.path());
    // The first segment defines all series.
    let mut damaged = read(&files[0]);
    damaged[300] ^= 1;
    write(&files[0], &damaged);
    let shard = open(dir.path());
    assert!(dump(&shard).is_empty());
    // Whoever sends the labels again gets other numbers than those whose meaning is lost.
    let keys = (0..500).map(|i| SeriesKey::Labels(labels("up", i)));
    let report = append(&shard, batch(keys, 200_000, 0.1)).unwrap();
    assert_eq!(report.series_created, 500);
    assert!(report.refs.iter().all(|r| !refs.contains(r)));
    drop(shard);
    let again = dump(&open(dir.path()));
    assert_eq!(again.len(), stored.len());
    assert!(again.iter().all(|series| series.1.len() == 1));
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = FaultyDisk::over(SystemDisk::shared());
    let shard = try_open_on(disk, settings(dir.path())).unwrap();
    faults.set_no_space(true);
    let mut accepted = 0;
    let error = loop {
        let keys = (0..200).map(|i| SeriesKey::Labels(labels("up", i)));
        match append(
            &shard,
            batch(keys, accepted * 1_000, accepted as f64 + 0.123_456_789),
        ) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let full = dump(&shard);
    assert_eq!(full[0].1.len() as i64, accepted);
    let keys = (0..200).map(|i| SeriesKey::Labels(labels("up", i)));
    assert!(append(&shard, batch(keys, 900_000, 0.1 + 0.2)).is_err());
    assert!(matches!(shard.stats().state, State::Active { .. }));
    faults.set_no_space(false);
    append(
        &shard,
        batch(by_labels(labels("up", 1_000)), 1_000_000, 1.0),
    )
    .unwrap();
    let stored = dump(&shard);
    assert_eq!(stored.len(), full.len() + 1);
    drop(shard);
    assert_eq!(dump(&open(dir.path())), stored);
}

/// After a failed write or sync nothing is taken, what was acknowledged stays readable, and a
/// restart finds it.
fn check_broken(breaks: impl Fn(&ferula_env::Faults), heals: impl Fn(&ferula_env::Faults)) {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = FaultyDisk::over(SystemDisk::shared());
    let shard = try_open_on(disk.clone(), settings(dir.path())).unwrap();
    append(&shard, batch(by_labels(labels("up", 0)), 1_000, 1.0)).unwrap();
    let stored = dump(&shard);
    breaks(&faults);
    let error = append(&shard, batch(by_labels(labels("up", 1)), 2_000, 1.0)).unwrap_err();
    assert!(error.to_string().contains("injected"), "{error}");
    assert_eq!(dump(&shard), stored);
    heals(&faults);
    let syncs = faults.syncs();
    let error = append(&shard, batch(by_labels(labels("up", 2)), 2_000, 1.0)).unwrap_err();
    assert!(
        error.to_string().contains("the log cannot be written"),
        "{error}"
    );
    assert_eq!(
        faults.syncs(),
        syncs,
        "the same file must not be synced again"
    );
    assert!(matches!(shard.stats().state, State::Stalled { .. }));
    drop(shard);
    let shard = try_open_on(disk, settings(dir.path())).unwrap();
    // What was being written may have made it; it was acknowledged to nobody.
    let found = dump(&shard);
    assert!(stored.iter().all(|series| found.contains(series)));
    assert_still_works(&shard);
}

#[test]
fn a_failed_sync_stalls() {
    check_broken(|f| f.set_sync_fails(true), |f| f.set_sync_fails(false));
}

#[test]
fn a_short_write_stalls() {
    for bytes in [0, 1, 23, 24, 40] {
        check_broken(
            |f| f.set_write_bytes(Some(bytes)),
            |f| f.set_write_bytes(None),
        );
    }
}

#[test]
fn a_directory_copied_over_another_is_noticed() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    three_commits(one.path());
    three_commits(two.path());
    let (from, to) = (
        segments(one.path()).pop().unwrap(),
        segments(two.path()).pop().unwrap(),
    );
    write(&to, &read(&from));
    let error = try_open_on(SystemDisk::shared(), settings(two.path()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("belongs to another data directory"),
        "{error}"
    );
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _shard = open(dir.path());
    let error = try_open_on(SystemDisk::shared(), settings(dir.path()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is in use by another process (pid"),
        "{error}"
    );
}
