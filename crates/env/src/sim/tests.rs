use super::*;

const DIR: &str = "/data";

/// A disk with a folder that is there for good.
fn disk() -> Arc<SimDisk> {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn content(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    match disk.read(&path(name), 1 << 20) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        bytes => Some(bytes.unwrap()),
    }
}

fn durable(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    content(&disk.crash(Crash::PowerLosesAll), name)
}

/// Steps of replacing a file as a whole. Returns at the first error.
struct Replace {
    sync_file: bool,
    sync_dir: bool,
}

impl Replace {
    fn perform(&self, disk: &SimDisk, bytes: &[u8]) -> io::Result<()> {
        let temporary = path("file.tmp");
        match disk.remove(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = disk.create_new(&temporary)?;
        file.write_at(bytes, 0)?;
        if self.sync_file {
            file.sync_data()?;
        }
        disk.rename(&temporary, &path("file"))?;
        match self.sync_dir {
            true => disk.sync_dir(Path::new(DIR)),
            false => Ok(()),
        }
    }

    /// What a crash leaves of the second of two replacements, at every effect and in many ways;
    /// `None` if the file is gone. A replacement that returned must be found.
    fn outcomes(&self) -> Vec<(bool, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        for effects in 0.. {
            let disk = disk();
            let whole = Replace {
                sync_file: true,
                sync_dir: true,
            };
            whole.perform(&disk, b"one").unwrap();
            disk.faults().stop_after(disk.faults().effects() + effects);
            let done = self.perform(&disk, b"two");
            for seed in 0..50 {
                let crashed = disk.crash(Crash::PowerLosesSome(seed));
                found.push((done.is_ok(), content(&crashed, "file")));
            }
            found.push((done.is_ok(), durable(&disk, "file")));
            if done.is_ok() {
                assert!(disk.faults().stopped_at().is_none());
                return found;
            }
        }
        unreachable!("some replacement is not stopped")
    }

    fn is_safe(&self) -> bool {
        self.outcomes().iter().all(|(done, found)| match done {
            true => found.as_deref() == Some(b"two"),
            false => matches!(found.as_deref(), Some(b"one" | b"two")),
        })
    }
}

#[test]
fn a_file_is_replaced_safely_only_with_both_syncs() {
    for (sync_file, sync_dir) in [(false, false), (false, true), (true, false), (true, true)] {
        let replace = Replace {
            sync_file,
            sync_dir,
        };
        let safe = replace.is_safe();
        assert_eq!(safe, sync_file && sync_dir, "{sync_file} {sync_dir}");
    }
}

#[test]
fn what_is_not_synced_is_lost() {
    let disk = disk();
    let file = disk.create_new(&path("a")).unwrap();
    file.write_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(durable(&disk, "a"), None, "its name is not durable");
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(durable(&disk, "a").unwrap(), b"abc");
    file.write_at(b"X", 1).unwrap();
    file.set_len(10).unwrap();
    assert_eq!(content(&disk, "a").unwrap(), b"aXc\0\0\0\0\0\0\0");
    assert_eq!(durable(&disk, "a").unwrap(), b"abc");
    file.sync_data().unwrap();
    assert_eq!(durable(&disk, "a").unwrap(), b"aXc\0\0\0\0\0\0\0");
    disk.remove(&path("a")).unwrap();
    assert!(durable(&disk, "a").is_some(), "its removal is not durable");
    assert_eq!(file.len().unwrap(), 10, "an open file outlives its name");
}

#[test]
fn folders_are_durable_one_by_one() {
    let disk = disk();
    let deep = path("x/y");
    disk.create_dir_all(&deep).unwrap();
    let file = disk.create_new(&deep.join("f")).unwrap();
    file.write_at(b"1", 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(&deep).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(durable(&disk, "x/y/f"), None);
    disk.sync_dir(&path("x")).unwrap();
    assert!(durable(&disk, "x/y/f").is_some());
    let error = disk.remove_dir(&deep).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
}

#[test]
fn a_killed_process_leaves_all_but_not_durably() {
    let disk = disk();
    let file = disk.create_new(&path("a")).unwrap();
    file.write_at(b"abc", 0).unwrap();
    let lock = disk.lock(&path("LOCK")).unwrap();
    let error = disk.lock(&path("LOCK")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let found = disk.crash(Crash::Process);
    let _again = found.lock(&path("LOCK")).unwrap();
    assert_eq!(content(&found, "a").unwrap(), b"abc");
    assert_eq!(durable(&found, "a"), None);
    drop(lock);
    disk.lock(&path("LOCK")).unwrap();
}

#[test]
fn a_link_never_replaces() {
    let disk = disk();
    for name in ["a", "b"] {
        let file = disk.create_new(&path(name)).unwrap();
        file.write_at(name.as_bytes(), 0).unwrap();
    }
    let error = disk.hard_link(&path("a"), &path("b")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    disk.hard_link(&path("a"), &path("c")).unwrap();
    disk.remove(&path("a")).unwrap();
    assert_eq!(content(&disk, "c").unwrap(), b"a");
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["b", "c"]);
}

/// Every byte of a write may be there or not, and its length without its bytes.
#[test]
fn writes_are_torn_in_every_way() {
    let disk = disk();
    let file = disk.create_new(&path("a")).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file.write_at(&[1; 4], 0).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20_000 {
        seen.insert(content(&disk.crash(Crash::PowerLosesSome(seed)), "a").unwrap());
    }
    // Four bytes, each there or not; or an end before, which a byte that is there gives.
    assert_eq!(seen.len(), 16 + 4 + 2 + 1 + 1, "{seen:?}");
    let again = content(&disk.crash(Crash::PowerLosesSome(7)), "a");
    assert_eq!(content(&disk.crash(Crash::PowerLosesSome(7)), "a"), again);
}

/// As a kernel does: what a failed sync did not write is forgotten by the next one.
#[test]
fn a_sync_that_succeeds_after_one_that_failed_proves_nothing() {
    let mut lost = 0;
    let disk = disk();
    for i in 0..50 {
        let name = format!("{i}");
        let file = disk.create_new(&path(&name)).unwrap();
        file.write_at(b"abc", 0).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        disk.faults().set_sync_fails(true);
        file.sync_data().unwrap_err();
        disk.faults().set_sync_fails(false);
        file.sync_data().unwrap();
        assert_eq!(content(&disk, &name).unwrap(), b"abc");
        lost += usize::from(durable(&disk, &name).unwrap() != b"abc");
    }
    assert!(lost > 10 && lost < 50, "{lost}");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let disk = disk();
    disk.set_capacity(Some(10));
    let file = disk.create_new(&path("a")).unwrap();
    file.write_at(&[1; 6], 0).unwrap();
    let other = disk.create_new(&path("b")).unwrap();
    let error = other.write_at(&[2; 6], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&disk, "b").unwrap(), [2; 4]);
    assert!(other.preallocate(5).is_err());
    file.write_at(&[3; 6], 0).unwrap();
    disk.remove(&path("a")).unwrap();
    assert!(other.preallocate(5).is_err(), "it is still open");
    drop(file);
    other.preallocate(10).unwrap();
    assert_eq!(disk.used(), 10);
}

#[test]
fn the_dead_do_nothing() {
    let disk = disk();
    let file = disk.create_new(&path("a")).unwrap();
    disk.faults().stop_after(disk.faults().effects());
    assert!(disk.read(&path("a"), 1).is_ok(), "reads have no effect");
    let error = file.sync_data().unwrap_err().to_string();
    assert!(error.contains("died at effect 4: sync /data/a"), "{error}");
    assert!(disk.read(&path("a"), 1).is_err());
    assert!(file.write_at(b"x", 0).is_err());
    assert!(disk.list(Path::new(DIR)).is_err());
    assert_eq!(content(&disk.crash(Crash::Process), "a").unwrap(), b"");
}

#[test]
fn bits_flip() {
    let disk = disk();
    let file = disk.create_new(&path("a")).unwrap();
    file.write_at(&[0, 0], 0).unwrap();
    disk.flip_bit(&path("a"), 9).unwrap();
    assert_eq!(content(&disk, "a").unwrap(), [0, 2]);
    assert_eq!(disk.files(), [path("a")]);
}
