//! A disk that fails when told to.

use std::io;
use std::path::Path;
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

impl Faults {
    /// Writes what may be written, and fails if that is not all.
    fn write(&self, bytes: &[u8], write: impl Fn(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut plan = self.plan.lock();
        let Some(left) = &mut plan.write_bytes else {
            return write(bytes);
        };
        let written = bytes.len().min(*left);
        *left -= written;
        write(&bytes[..written])?;
        if written < bytes.len() {
            return Err(io::Error::other("injected: write failed"));
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

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(FaultyAppend {
            inner: self.inner.append_to(path)?,
            faults: self.faults.clone(),
        }))
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

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
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

#[derive(Debug)]
struct FaultyAppend {
    inner: Box<dyn AppendFile>,
    faults: Arc<Faults>,
}

impl AppendFile for FaultyAppend {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.faults.write(bytes, |part| self.inner.append(part))
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let write = |part: &[u8]| self.inner.write_at(part, offset);
        self.faults.write(bytes, write)
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
