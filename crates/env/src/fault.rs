//! A disk that fails when told to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Disk, DiskFile, DiskLock, FileStat};

/// Another disk, and the faults it shows.
#[derive(Debug)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    faults: Arc<Faults>,
}

/// Which calls fail; to be changed while the disk is in use.
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

    fn sync(&self) -> io::Result<()> {
        let mut plan = self.plan.lock();
        plan.syncs += 1;
        if plan.sync_fails {
            return Err(io::Error::other("injected: sync failed"));
        }
        Ok(())
    }
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

    fn wrap(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let faults = self.faults.clone();
        Box::new(FaultyFile {
            inner: file,
            faults,
        })
    }
}

impl Disk for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.inner.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.inner.open(path)?))
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.inner.read(path, max_bytes)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.inner.stat(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.inner.lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut plan = self.faults.plan.lock();
        let Some(left) = &mut plan.write_bytes else {
            return self.inner.write_at(bytes, offset);
        };
        let written = bytes.len().min(*left);
        *left -= written;
        self.inner.write_at(&bytes[..written], offset)?;
        if written < bytes.len() {
            return Err(io::Error::other("injected: write failed"));
        }
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_data()
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        if self.faults.plan.lock().no_space {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.preallocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}
