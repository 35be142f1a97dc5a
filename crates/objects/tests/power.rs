//! Objects on a disk whose process dies at every effect, and whose power fails.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ferula_env::{Crash, Disk, SimDisk};
use ferula_objects::{Created, LocalObjects, Objects, read_all};

const DIR: &str = "/data";

/// What is done to an object.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create(&'static str, &'static [u8]),
    Delete(&'static str),
}

const SCRIPT: [Step; 9] = [
    Step::Create("s/0/manifest/1.mf", b"one"),
    Step::Create("b/1/index", b"index"),
    Step::Create("b/1/meta", b"meta"),
    Step::Create("s/0/manifest/2.mf", b"two"),
    // Another one may have been first.
    Step::Create("s/0/manifest/2.mf", b"2"),
    Step::Delete("b/1/meta"),
    Step::Delete("b/1/index"),
    Step::Create("b/2/meta", b"more"),
    Step::Delete("s/0/manifest/1.mf"),
];

type Contents = BTreeMap<String, Vec<u8>>;

fn open(disk: &Arc<SimDisk>) -> std::io::Result<LocalObjects> {
    LocalObjects::open(disk.clone(), Path::new(DIR))
}

fn contents(objects: &LocalObjects) -> Contents {
    let mut found = Contents::new();
    for folder in ["s/0/manifest", "b/1", "b/2"] {
        for name in objects.list(folder).unwrap() {
            let key = format!("{folder}/{name}");
            let bytes = read_all(objects, &key, 100).unwrap();
            found.insert(key, bytes);
        }
    }
    found
}

/// The state that a step leads to.
fn after(step: Step, before: &Contents) -> Contents {
    let mut contents = before.clone();
    match step {
        Step::Create(key, bytes) => {
            let absent = contents.entry(key.to_owned());
            absent.or_insert_with(|| bytes.to_vec());
        }
        Step::Delete(key) => {
            contents.remove(key);
        }
    }
    contents
}

fn perform(objects: &LocalObjects, step: Step, before: &Contents) -> std::io::Result<()> {
    match step {
        Step::Create(key, bytes) => {
            let created = objects.create(key, bytes)?;
            assert_eq!(created == Created::Exists, before.contains_key(key));
            Ok(())
        }
        Step::Delete(key) => objects.delete(key),
    }
}

/// Performs the script until the process dies. Returns what must be there, and what must be if
/// the step it died in is done.
fn run(disk: &Arc<SimDisk>) -> (Contents, Contents) {
    let mut before = Contents::new();
    let Ok(objects) = open(disk) else {
        return (before.clone(), before);
    };
    for step in SCRIPT {
        let done = after(step, &before);
        if perform(&objects, step, &before).is_err() {
            return (before, done);
        }
        before = done;
    }
    (before.clone(), before)
}

fn crashes(effects: u64) -> impl Iterator<Item = Crash> {
    let some = (0..8).map(move |i| Crash::PowerLosesSome(effects * 8 + i));
    [Crash::Process, Crash::PowerLosesAll]
        .into_iter()
        .chain(some)
}

/// What returned is done for good, what did not is done or not, and what is seen after a crash
/// is there after the next.
#[test]
fn every_step_is_done_or_not_whatever_crashes() {
    for effects in 0.. {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.faults().stop_after(2 + effects);
        let (before, done) = run(&disk);
        let stopped = disk.faults().stopped_at();
        for crash in crashes(effects) {
            let context = format!("{crash:?} at {stopped:?}");
            let disk = disk.crash(crash);
            let found = contents(&open(&disk).unwrap());
            assert!(found == before || found == done, "{context}: {found:?}");
            for again in crashes(effects) {
                let again = contents(&open(&disk.crash(again)).unwrap());
                assert_eq!(again, found, "{context}, then {again:?}");
            }
        }
        if stopped.is_none() {
            assert!(effects > 40, "{effects}");
            return;
        }
    }
}
