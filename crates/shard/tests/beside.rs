//! Crashes of a shard that is cut, merged and checkpointed on another thread while samples come
//! in, so that the two meet at other places every time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::history::History;
use common::model::{Stored, assert_same, dump_all};
use common::*;
use ferula_env::{Crash, Disk, SimDisk};
use ferula_model::{Range, Value};
use ferula_shard::{Shard, ShardSettings};
use ferula_storage::{Batch, Columns, Select, SeriesKey};
use futures::executor::block_on;

const LATE: Duration = Duration::from_secs(50 * 60);

fn settings_here() -> ShardSettings {
    let mut settings = settings(Path::new("/data"));
    settings.segment_bytes = 32 << 10;
    settings.upkeep.ranges_ms = vec![HOUR, 2 * HOUR, 8 * HOUR];
    // So small that checkpoints are written between cuts, too.
    settings.upkeep.checkpoint_log_bytes = 4 << 10;
    settings
}

fn open_on(disk: &Arc<SimDisk>) -> Option<Shard> {
    let shard = try_open_on(disk.clone(), settings_here());
    match shard {
        Ok(shard) => {
            shard.set_out_of_order_window(LATE);
            Some(shard)
        }
        Err(error) => {
            assert!(disk.faults().stopped_at().is_some(), "{error}");
            None
        }
    }
}

/// What comes in.
struct Load {
    /// Series there are at a time.
    series: i64,
    /// After so many steps others take their place.
    replaced_after: i64,
    /// How many of them are others then.
    replaced: i64,
    /// Everything is read after so many steps.
    read_every: i64,
}

impl Load {
    /// One sample of each series, a quarter of an hour after the step before; every third step
    /// brings late ones of a few instead.
    fn step(&self, number: i64) -> Batch {
        let quarter = HOUR / 4;
        let begin = number / self.replaced_after * self.replaced;
        let (t, ids) = match number % 3 {
            2 => (number * quarter - 2 * quarter - 1_000, 5..17),
            _ => (number * quarter, begin..begin + self.series),
        };
        let keys = ids.map(|i| SeriesKey::Labels(labels("m", i as usize)));
        batch(keys, t, t as f64 / 3.0)
    }
}

/// Sends until the process dies, with upkeep beside; what is seen in between is what was
/// acknowledged. Counts what upkeep did.
fn live(
    disk: &Arc<SimDisk>,
    load: &Load,
    steps: std::ops::Range<i64>,
    history: &mut History,
    did: &mut Did,
) {
    let Some(shard) = open_on(disk) else {
        return;
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // What fails is tried again; a dead process stays dead.
                let _ = shard.upkeep();
                std::thread::yield_now();
            }
        });
        let _done = Done(&done);
        for number in steps {
            let sent = load.step(number);
            let answer = append(&shard, sent.clone());
            let refs = answer
                .iter()
                .flat_map(|report| report.refs.iter().flatten());
            did.renumbered += u64::from(refs.into_iter().any(|r| r.0 >> 32 > 0));
            history.answered(sent, &answer);
            let reads = number % load.read_every == 0;
            let seen = reads.then(|| seen(&shard));
            if disk.faults().stopped_at().is_some() {
                break;
            }
            if let Some(seen) = seen {
                let seen = seen.expect("a shard that lives can be read");
                assert_same(&seen, &history.acknowledged(), "alive");
            }
        }
    });
    did.cuts += shard.stats().upkeep.cuts;
}

/// What upkeep did beside.
#[derive(Default)]
struct Did {
    cuts: u64,
    /// Batches that were taken after the head was numbered anew.
    renumbered: u64,
}

/// Ends the other thread, also if this one fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Everything a shard shows, unless its process died.
fn seen(shard: &Shard) -> Option<Stored> {
    let selected = block_on(shard.select(select_request(vec![], Range::ALL))).ok()?;
    let series = selected.series.into_iter().map(|series| {
        let mut columns = Columns::default();
        series.source.decode(Range::ALL, &mut columns).ok()?;
        let floats = columns.timestamps.iter().zip(&columns.values);
        let samples = floats.map(|(t, v)| (*t, Value::Float(*v)));
        Some((series.labels, samples.collect()))
    });
    series.collect()
}

/// Lives that end at many effects, and those that come after them.
fn lives(load: &Load, count: u64, effects_max: u64) -> Did {
    let mut did = Did::default();
    for life in 0..count {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.faults().stop_after(40 + life * 7_919 % effects_max);
        let mut history = History::with_window(LATE.as_millis() as i64);
        live(&disk, load, 0..200, &mut history, &mut did);
        let crash = match life % 4 {
            0 => Crash::Process,
            1 => Crash::PowerLosesAll,
            _ => Crash::PowerLosesSome(life),
        };
        let context = format!("{crash:?} at {:?}", disk.faults().stopped_at());
        let disk = disk.crash(crash);
        let shard = open_on(&disk).unwrap();
        history.found(&dump_all(&shard), &context);
        shard.upkeep().unwrap();
        history.found(&dump_all(&shard), &format!("{context}, after upkeep"));
        drop(shard);
        // Whoever comes next finds the same, and goes on.
        let disk = disk.crash(Crash::PowerLosesAll);
        live(&disk, load, 200..220, &mut history, &mut did);
        let found = dump_all(&open_on(&disk).unwrap());
        history.found(&found, &format!("{context}, in the next life"));
    }
    did
}

#[test]
fn st_4_a_crash_beside_busy_upkeep_loses_and_doubles_nothing() {
    let load = Load {
        series: 12,
        replaced_after: 20,
        replaced: 1,
        read_every: 1,
    };
    let did = lives(&load, 60, 1_500);
    assert!(did.cuts > 100, "{}", did.cuts);
}

/// So many series end that the head is numbered anew, while samples of all kinds come in.
#[test]
fn st_4_a_crash_beside_the_renumbering_of_series_loses_and_doubles_nothing() {
    let load = Load {
        series: 600,
        replaced_after: 10,
        replaced: 600,
        read_every: 20,
    };
    let did = lives(&load, 12, 2_500);
    assert!(did.renumbered > 20, "{}", did.renumbered);
}
