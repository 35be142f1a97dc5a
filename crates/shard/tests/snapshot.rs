//! A snapshot while the process dies, and after the power failed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::model::{Stored, assert_same, dump_all};
use common::*;
use ferula_env::{Crash, Disk, SimDisk};
use ferula_shard::Shard;
use ferula_storage::{Admin as _, SeriesKey};
use futures::executor::block_on;

const DIR: &str = "/data";

fn open_dir(disk: &Arc<SimDisk>, dir: PathBuf) -> Shard {
    try_open_on(disk.clone(), settings(&dir)).unwrap()
}

/// A disk with a shard of blocks and a head, and what it holds.
fn stored() -> (Arc<SimDisk>, Stored) {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let shard = open_dir(&disk, DIR.into());
    for i in 0..14 {
        let keys = (0..8).map(|i| SeriesKey::Labels(labels("m", i)));
        append(&shard, batch(keys, i * HOUR / 2, i as f64 / 3.0)).unwrap();
    }
    shard.upkeep().unwrap();
    assert!(!shard.blocks().is_empty());
    let all = dump_all(&shard);
    drop(shard);
    (disk, all)
}

/// One that was answered is there, whole, whatever happens then; and none does any harm to what
/// it is taken of.
#[test]
fn a_snapshot_that_was_answered_survives_a_power_cut() {
    let (before, all) = stored();
    for effects in 0.. {
        let disk = before.crash(Crash::Process);
        let shard = open_dir(&disk, DIR.into());
        let faults = disk.faults();
        faults.stop_after(faults.effects() + effects);
        let answered = block_on(shard.snapshot("now".to_owned(), false)).is_ok();
        drop(shard);
        for crash in [
            Crash::Process,
            Crash::PowerLosesAll,
            Crash::PowerLosesSome(effects),
        ] {
            let context = format!("{crash:?} at {:?}", disk.faults().stopped_at());
            let found = disk.crash(crash);
            let own = open_dir(&found, DIR.into());
            assert_same(&dump_all(&own), &all, &context);
            drop(own);
            if answered {
                let taken = open_dir(&found, Path::new(DIR).join("snapshots/now"));
                assert_same(&dump_all(&taken), &all, &format!("{context}: snapshot"));
            }
        }
        if answered {
            assert!(effects > 30, "{effects}");
            return;
        }
    }
}
