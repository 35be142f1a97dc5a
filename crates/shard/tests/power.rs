//! A process that dies at every effect on its disk in turn, and a power cut at that moment.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::history::History;
use common::model::{assert_same, dump_all};
use common::*;
use ferula_env::{Crash, Disk, SimDisk};

use ferula_model::{Matcher, Range, TenantId};
use ferula_shard::{Shard, ShardError, ShardSettings, State, UpkeepError};
use ferula_storage::{Admin as _, Append, Batch, Deletion, SeriesKey};
use futures::executor::block_on;
use futures::future::join_all;

/// The folder above is there; this one is the shard's to create.
const DIR: &str = "/var/ferula";

/// How far behind samples are taken out of order.
const LATE: Duration = Duration::from_secs(50 * 60);

/// Ways in which a seed loses some of what is not synced, for each effect.
const SEEDS: u64 = 4;

fn small() -> ShardSettings {
    let mut small = ShardSettings {
        // So small that a few batches fill several.
        segment_bytes: 2 << 10,
        ..settings(Path::new(DIR))
    };
    small.upkeep.ranges_ms = vec![2 * HOUR, 4 * HOUR];
    small
}

fn open_on(disk: &Arc<SimDisk>) -> Result<Shard, ShardError> {
    let shard = try_open_on(disk.clone(), small())?;
    shard.set_out_of_order_window(LATE);
    Ok(shard)
}

/// What [`open_on`] gives, before anything was sent.
fn no_history() -> History {
    History::with_window(LATE.as_millis() as i64)
}

fn new_disk() -> Arc<SimDisk> {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/var")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// More than a thousand series that end, so that the head is numbered anew; some come back.
fn ending_script() -> Vec<Step> {
    let mut script = Vec::new();
    for from in (100..1_200).step_by(100) {
        script.push(Step::Send(vec![samples(from, from + 100, 1, 1.0)]));
    }
    for half_hour in 1..16 {
        let t = half_hour * HOUR / 2_000;
        script.push(Step::Send(vec![samples(0, 4, t, t as f64 / 3.0)]));
        if half_hour % 7 == 0 {
            script.push(Step::Upkeep);
            script.push(Step::Send(vec![samples(98, 103, t + 60, 2.0)]));
        }
    }
    script.push(Step::Upkeep);
    script
}

/// Deletions from the head and from blocks, and what becomes of the blocks.
fn deleting_script() -> Vec<Step> {
    let hour = HOUR / 1_000;
    let mut script = Vec::new();
    for half_hour in 0..15 {
        let t = half_hour * hour / 2;
        script.push(Step::Send(vec![samples(0, 6, t, t as f64 / 3.0)]));
        match half_hour {
            5 => script.push(Step::Delete(1..3, hour..2 * hour)),
            10 => script.push(Step::Upkeep),
            11 => script.push(Step::Delete(2..5, 0..5 * hour)),
            12 => script.push(Step::Clean),
            13 => script.push(Step::Delete(0..2, hour..9 * hour)),
            _ => {}
        }
    }
    script.push(Step::Upkeep);
    script
}

/// Samples out of order, some of them again and some with another value, of series that are there
/// and of others.
fn late_script() -> Vec<Step> {
    let mut script = Vec::new();
    for half_hour in 0..15 {
        let t = half_hour * HOUR / 2_000;
        script.push(Step::Send(vec![samples(0, 6, t, t as f64 / 3.0)]));
        script.push(Step::Send(vec![
            samples(2, 8, t - 2_000, t as f64),
            samples(4, 9, t - 2_000, t as f64),
            samples(8, 10, t - 1_000, 7.0),
        ]));
        if half_hour % 5 == 4 {
            script.push(Step::Upkeep);
        }
    }
    script
}

/// One sample for each of the series `from..to`.
fn samples(from: usize, to: usize, t: i64, value: f64) -> Batch {
    let keys = (from..to).map(|i| SeriesKey::Labels(labels("m", i)));
    batch(keys, t * 1_000, value)
}

/// One thing that is done to a shard.
enum Step {
    /// Sends these, all at once.
    Send(Vec<Batch>),
    /// Does the upkeep that is due.
    Upkeep,
    /// Deletes these series' samples of some time, in seconds.
    Delete(std::ops::Range<usize>, std::ops::Range<i64>),
    /// Gives the space of what was deleted back.
    Clean,
}

impl Step {
    fn perform(&self, shard: &Shard, history: &mut History) -> Result<(), UpkeepError> {
        match self {
            Self::Send(batches) => {
                let answers = batches.iter().map(|b| shard.append(b.clone()));
                let answers = block_on(join_all(answers.collect::<Vec<_>>()));
                for (batch, answer) in batches.iter().zip(answers) {
                    history.answered(batch.clone(), &answer);
                }
                Ok(())
            }
            Self::Upkeep => shard.upkeep(),
            Self::Clean => shard.clean(),
            Self::Delete(series, seconds) => {
                let names = |i| vec![Matcher::equal("i", format!("{i}"))];
                let deletion = Deletion {
                    tenant: TenantId::anonymous(),
                    matchers: series.clone().map(names).collect(),
                    range: Range {
                        start: seconds.start * 1_000,
                        end: seconds.end * 1_000,
                    },
                };
                let floor = shard.blocks().iter().map(|b| b.range.end).max();
                let done = block_on(shard.delete(deletion.clone()));
                history.deleted(deletion, done.is_ok(), floor.unwrap_or(i64::MIN));
                Ok(())
            }
        }
    }
}

/// Some of everything that changes the log: series created, resends, conflicts, samples out of
/// order, histograms of definitions too large for one frame, batches that share a commit,
/// segments that fill up.
fn script() -> Vec<Step> {
    let mut script = vec![
        vec![samples(0, 3, 1, 0.1)],
        vec![samples(1, 5, 2, 0.3)],
        vec![samples(1, 5, 2, 0.3)],
        vec![samples(2, 4, 2, 0.4)],
        vec![samples(0, 6, 1, 0.5)],
        // Frames of their own for the definitions.
        vec![samples(10, 40, 3, 1.0 / 3.0)],
        vec![
            samples(0, 4, 4, 4.0),
            samples(4, 8, 4, 4.5),
            samples(40, 42, 4, 4.0),
        ],
    ];
    for t in 5..30 {
        script.push(vec![samples(0, 20, t, t as f64 + 0.123_456_789)]);
    }
    script.into_iter().map(Step::Send).collect()
}

/// Hours of samples, with upkeep in between: blocks are cut and merged, and what is left of the
/// log is cut off.
fn aging_script() -> Vec<Step> {
    let mut script = Vec::new();
    for half_hour in 0..19 {
        let t = half_hour * HOUR / 2_000;
        // Some series come, some go.
        let from = (half_hour / 4) as usize;
        script.push(Step::Send(vec![samples(
            from,
            from + 24,
            t,
            t as f64 / 3.0,
        )]));
        if half_hour % 4 == 3 {
            script.push(Step::Upkeep);
        }
    }
    script
}

/// Goes through a script until the disk's process dies.
fn run(disk: &Arc<SimDisk>, script: &[Step], history: &mut History) {
    let Ok(shard) = open_on(disk) else {
        return;
    };
    for step in script {
        // A failure of upkeep costs nothing but space.
        let _ = step.perform(&shard, history);
        if disk.faults().stopped_at().is_some() {
            return;
        }
        // What is visible is acknowledged.
        assert_same(&dump_all(&shard), &history.acknowledged(), "alive");
    }
}

/// Opens what a crash left, checks it, and that it takes samples and is found again.
fn check(disk: &Arc<SimDisk>, mut history: History, context: &str) {
    let shard = open_on(disk).unwrap_or_else(|e| panic!("{context}: {e}"));
    history.found(&dump_all(&shard), context);
    let newest = history
        .acknowledged()
        .into_iter()
        .flat_map(|(_, samples)| samples);
    let newest = newest.map(|(t, _)| t / 1_000).max().unwrap_or(0);
    let batch = samples(3, 60, newest + 900, 9.0);
    let answer = append(&shard, batch.clone());
    history.answered(batch, &answer);
    answer.unwrap_or_else(|e| panic!("{context}: {e}"));
    shard.upkeep().unwrap_or_else(|e| panic!("{context}: {e}"));
    history.found(&dump_all(&shard), &format!("{context}, after upkeep"));
    check_garbage(disk, &shard, context);
    // The process is killed and the power fails after that: either must find it.
    let killed = disk.crash(Crash::Process);
    let cut = disk.crash(Crash::PowerLosesAll);
    for (disk, then) in [(killed, "killed"), (cut, "power cut")] {
        let shard = open_on(&disk).unwrap_or_else(|e| panic!("{context}, {then}: {e}"));
        history.found(&dump_all(&shard), &format!("{context}, then {then}"));
    }
}

/// Checks that nothing lies about that no manifest names.
fn check_garbage(disk: &SimDisk, shard: &Shard, context: &str) {
    let blocks = Path::new(DIR).join("b");
    let mut named: Vec<String> = shard.blocks().iter().map(|b| b.id.to_string()).collect();
    named.sort();
    assert_eq!(disk.list(&blocks).unwrap(), named, "{context}");
    let staged = disk.list(&Path::new(DIR).join("staging")).unwrap();
    assert!(staged.is_empty(), "{context}: {staged:?}");
}

/// The crashes that are tried at each effect.
fn crashes(effect: u64) -> impl Iterator<Item = Crash> {
    let seeds = (0..SEEDS).map(move |i| Crash::PowerLosesSome(effect * SEEDS + i));
    [Crash::Process, Crash::PowerLosesAll]
        .into_iter()
        .chain(seeds)
}

/// Lets the process die at every effect of a script, and checks what each crash leaves.
fn crash_everywhere(script: &[Step], every: usize, effects_min: u64) {
    for effects in (0..).step_by(every) {
        let disk = new_disk();
        disk.faults().stop_after(2 + effects);
        let mut history = no_history();
        run(&disk, script, &mut history);
        let stopped = disk.faults().stopped_at();
        let stopped = stopped.unwrap_or_else(|| "the end".to_owned());
        for crash in crashes(effects) {
            let context = format!("{crash:?} at {stopped}");
            check(&disk.crash(crash), history.clone(), &context);
        }
        if disk.faults().stopped_at().is_none() {
            assert!(effects > effects_min, "{effects}");
            return;
        }
    }
}

/// Opening, appending and going on in new segments.
#[test]
fn st_2_what_is_acknowledged_survives_a_crash_at_any_effect() {
    crash_everywhere(&script(), 1, 100);
}

/// Cutting and merging blocks, manifests, what is deleted after them.
#[test]
fn st_4_a_crash_at_any_effect_of_upkeep_loses_and_doubles_nothing() {
    crash_everywhere(&aging_script(), 1, 250);
}

/// Deleting, and writing blocks anew without what was deleted.
#[test]
fn st_5_a_crash_at_any_effect_of_a_deletion_deletes_that_or_nothing() {
    crash_everywhere(&deleting_script(), 1, 250);
}

/// Taking samples out of order, cutting them, and writing checkpoints of them.
#[test]
fn st_4_a_crash_at_any_effect_loses_no_late_sample() {
    crash_everywhere(&late_script(), 2, 250);
}

/// Numbering the head anew once many series have ended.
#[test]
fn st_4_a_crash_while_ended_series_are_given_up_loses_nothing() {
    let disk = new_disk();
    run(&disk, &ending_script(), &mut no_history());
    let report = append(&open_on(&disk).unwrap(), samples(0, 1, 40_000, 1.0)).unwrap();
    let generation = report.refs[0].unwrap().0 >> 32;
    assert!(generation > 0, "the head is numbered anew");
    crash_everywhere(&ending_script(), 9, 250);
}

/// Lets the process die again while it recovers, at every effect of that.
fn crash_while_recovering(script: &[Step], every: usize) {
    for effects in (20..).step_by(every) {
        let disk = new_disk();
        disk.faults().stop_after(2 + effects);
        let mut history = no_history();
        run(&disk, script, &mut history);
        for crash in crashes(effects) {
            for again in 0.. {
                let first = disk.crash(crash);
                first.faults().stop_after(again);
                let mut history = history.clone();
                let opened = open_on(&first);
                let context = format!("{crash:?} after {effects}, then after {again}");
                if let Ok(shard) = &opened {
                    // What could not be read was not shown.
                    if first.faults().stopped_at().is_none() {
                        history.found(&dump_all(shard), &context);
                    }
                    let _ = shard.upkeep();
                }
                drop(opened);
                let second = crashes(effects + again).nth(again as usize % 6).unwrap();
                let context = format!("{context}: {second:?}");
                check(&first.crash(second), history, &context);
                if first.faults().stopped_at().is_none() {
                    break;
                }
            }
        }
        if disk.faults().stopped_at().is_none() {
            return;
        }
    }
}

#[test]
fn st_2_a_crash_while_recovering_loses_nothing() {
    crash_while_recovering(&script(), 7);
}

#[test]
fn st_4_a_crash_while_recovering_from_one_of_upkeep_loses_nothing() {
    crash_while_recovering(&aging_script(), 31);
}

/// The space runs out at some byte of a script; what is refused is not there, what is
/// acknowledged is, and with space it goes on.
fn fill_up(script: &[Step], bytes: std::ops::Range<u64>) {
    for capacity in bytes.step_by(211) {
        let disk = new_disk();
        disk.set_capacity(Some(capacity));
        let mut history = no_history();
        run(&disk, script, &mut history);
        for crash in crashes(capacity) {
            let found = disk.crash(crash);
            found.set_capacity(None);
            check(&found, history.clone(), &format!("{crash:?} at {capacity}"));
        }
    }
}

#[test]
fn a_disk_that_fills_up_loses_nothing() {
    fill_up(&script(), 0..12 << 10);
}

#[test]
fn a_disk_that_fills_up_in_upkeep_loses_nothing() {
    fill_up(&aging_script(), 6 << 10..24 << 10);
}

/// A write stops in the middle and fails, and from then on all writes do.
fn cut_writes_short(script: &[Step], bytes: std::ops::Range<u64>) {
    for written in bytes.step_by(173) {
        let disk = new_disk();
        disk.faults().set_write_bytes(Some(written as usize));
        let mut history = no_history();
        run(&disk, script, &mut history);
        for crash in crashes(written) {
            let context = format!("{crash:?} after {written} bytes");
            check(&disk.crash(crash), history.clone(), &context);
        }
    }
}

#[test]
fn a_short_write_loses_nothing() {
    cut_writes_short(&script(), 0..10 << 10);
}

#[test]
fn a_short_write_of_upkeep_loses_nothing() {
    cut_writes_short(&aging_script(), 0..20 << 10);
}

/// Syncs fail in one step, and from then on what they were to make durable may be lost for good
/// although readers still see it.
fn fail_syncs(script: &[Step]) {
    for failing in 0..script.len() {
        let disk = new_disk();
        let mut history = no_history();
        let shard = open_on(&disk).unwrap();
        for (i, step) in script.iter().enumerate() {
            disk.faults().set_sync_fails(i == failing);
            let done = step.perform(&shard, &mut history);
            let stalled = matches!(shard.stats().state, State::Stalled { .. });
            assert!(done.is_ok() || i == failing || stalled, "{done:?}");
            assert_same(&dump_all(&shard), &history.acknowledged(), "alive");
        }
        drop(shard);
        disk.faults().set_sync_fails(false);
        for crash in crashes(failing as u64) {
            let context = format!("{crash:?} at {failing}");
            check(&disk.crash(crash), history.clone(), &context);
        }
    }
}

#[test]
fn a_failed_sync_is_never_trusted_again() {
    fail_syncs(&script());
}

#[test]
fn a_failed_sync_of_upkeep_is_tried_again() {
    fail_syncs(&aging_script());
}
