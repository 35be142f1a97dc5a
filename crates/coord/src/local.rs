//! Coordination on one machine: a lock on the data directory, and a small file of epochs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ferula_env::{Disk, DiskLock};

use crate::{Claim, Coord, CoordError};

/// The file whose lock is the right to the directory; it holds the owner's process id.
const LOCK: &str = "LOCK";

/// The file that remembers the directory's identity and each shard's last epoch.
const EPOCHS: &str = "epochs";

/// The first line of that file.
const EPOCHS_HEADER: &str = "ferula epochs 1";

/// A shard takes a line of some twenty bytes; there are hundreds of shards at the most.
const EPOCHS_BYTES_MAX: u64 = 1 << 20;

/// A process id has ten digits at the most.
const PID_BYTES_MAX: u64 = 32;

/// Coordination of one process with those before it on the same directory. The claim lives as
/// long as the process: the operating system gives the lock back.
#[derive(Debug)]
pub struct LocalCoord {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    _lock: DiskLock,
    state: Mutex<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    cluster: [u8; 16],
    epochs: BTreeMap<u32, u64>,
}

impl LocalCoord {
    /// Takes the data directory, creating it; fails at once if another process has it.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, CoordError> {
        disk.create_dir_all(dir)?;
        sync_names(&*disk, dir)?;
        let path = dir.join(LOCK);
        let lock = match disk.lock(&path) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let holder = disk.read(&path, PID_BYTES_MAX).ok();
                let holder =
                    holder.and_then(|pid| String::from_utf8(pid).ok()?.trim().parse().ok());
                return Err(CoordError::InUse {
                    dir: dir.into(),
                    holder,
                });
            }
            lock => lock?,
        };
        let file = disk.open(&path)?;
        file.set_len(0)?;
        file.write_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        let state = read(&*disk, dir)?;
        Ok(Self {
            disk,
            dir: dir.into(),
            _lock: lock,
            state: Mutex::new(state),
        })
    }
}

/// The identity of a data directory, read without taking it; `None` if it has none yet.
pub fn identity_of(disk: &dyn Disk, dir: &Path) -> Result<Option<[u8; 16]>, CoordError> {
    let path = dir.join(EPOCHS);
    match disk.read(&path, EPOCHS_BYTES_MAX) {
        Ok(bytes) => match parse(&bytes) {
            Ok(state) => Ok(Some(state.cluster)),
            Err(what) => Err(CoordError::Damaged { path, what }),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

impl Coord for LocalCoord {
    fn cluster(&self) -> [u8; 16] {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cluster
    }

    fn claim(&self, shard: u32, above: u64) -> Result<Claim, CoordError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = state.clone();
        let epoch = next.epochs.entry(shard).or_default();
        *epoch = above.max(*epoch) + 1;
        let claim = Claim {
            shard,
            epoch: *epoch,
        };
        write(&*self.disk, &self.dir, &next)?;
        *state = next;
        Ok(claim)
    }

    fn copy_identity(&self, dir: &Path) -> Result<(), CoordError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(write(&*self.disk, dir, &state)?)
    }
}

/// Makes the directory's name durable, and those of the directories above it: whoever created
/// them may not have, and all that is in them would be lost with them.
fn sync_names(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for above in dir.ancestors().skip(1) {
        let above = match above.as_os_str().is_empty() {
            true => Path::new("."),
            false => above,
        };
        match disk.sync_dir(above) {
            // Who may not look into a directory has created nothing in it.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            // A file system whose directories need no sync.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn read(disk: &dyn Disk, dir: &Path) -> Result<State, CoordError> {
    let path = dir.join(EPOCHS);
    match disk.read(&path, EPOCHS_BYTES_MAX) {
        Ok(bytes) => parse(&bytes).map_err(|what| CoordError::Damaged { path, what }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut cluster = [0; 16];
            ferula_env::fill_random(&mut cluster);
            Ok(State {
                cluster,
                epochs: BTreeMap::new(),
            })
        }
        Err(e) => Err(e.into()),
    }
}

fn parse(bytes: &[u8]) -> Result<State, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let mut lines = text.lines();
    if lines.next() != Some(EPOCHS_HEADER) {
        return Err(format!("does not begin with `{EPOCHS_HEADER}`"));
    }
    let cluster = lines.next().and_then(|line| line.strip_prefix("cluster "));
    let cluster = cluster.and_then(|hex| u128::from_str_radix(hex, 16).ok());
    let cluster = cluster
        .ok_or("the second line names no cluster")?
        .to_be_bytes();
    let mut epochs = BTreeMap::new();
    for line in lines {
        let numbers = line
            .strip_prefix("shard ")
            .and_then(|rest| rest.split_once(' '));
        let parsed = numbers.and_then(|(s, e)| Some((s.parse().ok()?, e.parse().ok()?)));
        let (shard, epoch) = parsed.ok_or_else(|| format!("`{line}` names no shard and epoch"))?;
        epochs.insert(shard, epoch);
    }
    Ok(State { cluster, epochs })
}

/// Replaces the file as a whole: after a crash it is the old one or this one.
fn write(disk: &dyn Disk, dir: &Path, state: &State) -> io::Result<()> {
    let mut text = format!(
        "{EPOCHS_HEADER}\ncluster {:032x}\n",
        u128::from_be_bytes(state.cluster)
    );
    for (shard, epoch) in &state.epochs {
        writeln!(text, "shard {shard} {epoch}").expect("writing to a string cannot fail");
    }
    let temporary = dir.join(format!("{EPOCHS}.tmp"));
    match disk.remove(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create_new(&temporary)?;
    file.write_at(text.as_bytes(), 0)?;
    file.sync_data()?;
    disk.rename(&temporary, &dir.join(EPOCHS))?;
    disk.sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::SystemDisk;

    #[test]
    fn epochs_rise_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let open = || LocalCoord::open(SystemDisk::shared(), dir.path()).unwrap();
        let first = open().claim(0, 0).unwrap();
        let second = open().claim(0, 0).unwrap();
        assert_eq!((first.epoch, second.epoch), (1, 2));
        let cluster = open().cluster();
        assert_eq!(open().cluster(), cluster);
        // The log may know of a higher one.
        assert_eq!(open().claim(0, 9).unwrap().epoch, 10);
        let coord = open();
        assert_eq!(coord.claim(0, 0).unwrap().epoch, 11);
        assert_eq!(coord.claim(1, 0).unwrap().epoch, 1);
        let copy = tempfile::tempdir().unwrap();
        coord.copy_identity(copy.path()).unwrap();
        let copied = LocalCoord::open(SystemDisk::shared(), copy.path()).unwrap();
        assert_eq!(copied.cluster(), coord.cluster());
        assert_eq!(copied.claim(0, 0).unwrap().epoch, 12);
    }

    #[test]
    fn a_second_process_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let _first = LocalCoord::open(SystemDisk::shared(), dir.path()).unwrap();
        let second = LocalCoord::open(SystemDisk::shared(), dir.path()).unwrap_err();
        let text = second.to_string();
        assert!(text.contains(&dir.path().display().to_string()), "{text}");
        assert!(
            text.contains(&format!("pid {}", std::process::id())),
            "{text}"
        );
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let disk = SystemDisk::shared();
        let file = disk.create_new(&dir.path().join(EPOCHS)).unwrap();
        file.write_at(b"ferula epochs 1\ncluster 00\nshard 0 x\n", 0)
            .unwrap();
        let error = LocalCoord::open(disk, dir.path()).unwrap_err().to_string();
        assert!(error.contains("epochs: `shard 0 x` names"), "{error}");
    }
}
