//! A disk that fails when told to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{AppendFile, Disk, DiskFile, DiskLock, FileStat};

/// Another disk, and the faults it shows.
#[derive(Debug)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    faults: Arc<Faults>,
}

/// Which calls fail; to be changed while the disk is in use.
///
/// A call that changes what a disk holds, or makes it durable, is an *effect*. Effects are
/// counted, so that a test can let a process die at each of them in turn.
#[derive(Debug, Default)]
pub struct Faults {
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    no_space: bool,
    sync_fails: bool,
    /// Writes go on for this many bytes, then stop in the middle and fail.
    write_bytes: Option<usize>,
    syncs: u64,
    effects: u64,
    /// Effects that still happen; from then on every call fails.
    stop_after: Option<u64>,
    /// The effect that did not happen any more.
    stopped_at: Option<String>,
}

impl Faults {
    /// Whether space can be reserved.
    pub fn set_no_space(&self, yes: bool) {
        self.plan.lock().no_space = yes;
    }

    /// Whether syncs fail.
    pub fn set_sync_fails(&self, yes: bool) {
        self.plan.lock().sync_fails = yes;
    }

    /// How many bytes may be written before writing fails; `None` for any number.
    pub fn set_write_bytes(&self, bytes: Option<usize>) {
        self.plan.lock().write_bytes = bytes;
    }

    /// How many syncs there were, failed ones included.
    pub fn syncs(&self) -> u64 {
        self.plan.lock().syncs
    }

    /// How many effects there were, failed ones included.
    pub fn effects(&self) -> u64 {
        self.plan.lock().effects
    }

    /// Lets the process die after this many effects, counted from the disk's first: from then
    /// on every call fails, reads too. A write that is hit may be done in part.
    pub fn stop_after(&self, effects: u64) {
        self.plan.lock().stop_after = Some(effects);
    }

    /// The effect at which the process died, once it has.
    pub fn stopped_at(&self) -> Option<String> {
        self.plan.lock().stopped_at.clone()
    }

    /// Fails once the process has died.
    pub(crate) fn alive(&self) -> io::Result<()> {
        match &self.plan.lock().stopped_at {
            Some(effect) => Err(stopped(effect)),
            None => Ok(()),
        }
    }

    /// Something is about to change at `path`.
    pub(crate) fn effect(&self, what: &str, path: &Path) -> io::Result<()> {
        self.plan.lock().effect(what, path)
    }

    /// Space is about to be reserved.
    pub(crate) fn reserve(&self, path: &Path) -> io::Result<()> {
        let mut plan = self.plan.lock();
        plan.effect("reserve space for", path)?;
        match plan.no_space {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    /// Something is about to be made durable.
    pub(crate) fn sync(&self, path: &Path) -> Result<(), SyncFault> {
        let mut plan = self.plan.lock();
        plan.syncs += 1;
        plan.effect("sync", path).map_err(SyncFault::Stopped)?;
        match plan.sync_fails {
            true => Err(SyncFault::Failed(injected("sync failed"))),
            false => Ok(()),
        }
    }

    /// Writes what may be written, and fails if that is not all.
    pub(crate) fn write(
        &self,
        bytes: &[u8],
        path: &Path,
        write: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut plan = self.plan.lock();
        let was_alive = plan.stopped_at.is_none();
        if let Err(e) = plan.effect("write to", path) {
            if was_alive {
                // As much as the count of effects happens to say.
                let part = plan.effects.wrapping_mul(0x9e37_79b9) as usize % (bytes.len() + 1);
                write(&bytes[..part])?;
            }
            return Err(e);
        }
        let Some(left) = &mut plan.write_bytes else {
            drop(plan);
            return write(bytes);
        };
        let written = bytes.len().min(*left);
        *left -= written;
        drop(plan);
        write(&bytes[..written])?;
        match written < bytes.len() {
            true => Err(injected("write failed")),
            false => Ok(()),
        }
    }
}

impl Plan {
    fn effect(&mut self, what: &str, path: &Path) -> io::Result<()> {
        if let Some(effect) = &self.stopped_at {
            return Err(stopped(effect));
        }
        self.effects += 1;
        if self.stop_after.is_some_and(|last| self.effects > last) {
            let effect = format!("effect {}: {what} {}", self.effects, path.display());
            let error = stopped(&effect);
            self.stopped_at = Some(effect);
            return Err(error);
        }
        Ok(())
    }
}

/// Why a sync does not happen.
#[derive(Debug)]
pub(crate) enum SyncFault {
    /// The process has died.
    Stopped(io::Error),
    /// The device could not; what was to be synced may be lost for good.
    Failed(io::Error),
}

impl From<SyncFault> for io::Error {
    fn from(fault: SyncFault) -> Self {
        match fault {
            SyncFault::Stopped(e) | SyncFault::Failed(e) => e,
        }
    }
}

fn injected(what: &str) -> io::Error {
    io::Error::other(format!("injected: {what}"))
}

fn stopped(effect: &str) -> io::Error {
    injected(&format!("the process died at {effect}"))
}

impl FaultyDisk {
    /// A disk over `inner`, and what makes it fail.
    pub fn over(inner: Arc<dyn Disk>) -> (Arc<dyn Disk>, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let disk = Self {
            inner,
            faults: faults.clone(),
        };
        (Arc::new(disk), faults)
    }

    fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultyFile {
            inner: file,
            path: path.into(),
            faults: self.faults.clone(),
        })
    }
}

impl Disk for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.effect("create", path)?;
        Ok(self.wrap(path, self.inner.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.alive()?;
        Ok(self.wrap(path, self.inner.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.alive()?;
        Ok(self.wrap(path, self.inner.open_to_read(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.faults.effect("open or create", path)?;
        Ok(Box::new(FaultyAppend {
            inner: self.inner.append_to(path)?,
            path: path.into(),
            faults: self.faults.clone(),
        }))
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.faults.alive()?;
        self.inner.read(path, max_bytes)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.faults.alive()?;
        self.inner.stat(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.faults.alive()?;
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.faults.effect("create folder", dir)?;
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.effect("rename to", to)?;
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.effect("link", to)?;
        self.inner.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.effect("remove", path)?;
        self.inner.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.effect("remove folder", dir)?;
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.sync(dir)?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.faults.alive()?;
        self.inner.lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyAppend {
    inner: Box<dyn AppendFile>,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl AppendFile for FaultyAppend {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let append = |part: &[u8]| self.inner.append(part);
        self.faults.write(bytes, &self.path, append)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let write = |part: &[u8]| self.inner.write_at(part, offset);
        self.faults.write(bytes, &self.path, write)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.alive()?;
        self.inner.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.sync(&self.path)?;
        self.inner.sync_data()
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.faults.reserve(&self.path)?;
        self.inner.preallocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.effect("set the length of", &self.path)?;
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.faults.alive()?;
        self.inner.len()
    }
}
