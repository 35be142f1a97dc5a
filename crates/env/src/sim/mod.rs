//! A disk in memory that knows what a power cut would leave of it.

mod content;
mod tree;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fault::SyncFault;
use crate::{AppendFile, Disk, DiskFile, DiskLock, Faults, FileStat};
use tree::{Id, Tree};

/// A file system in memory. What was written but not synced, and names that were given or taken
/// but whose folder was not synced, are told apart from what is durable.
///
/// It is stricter than most file systems: a file's sync says nothing about its name, changes of
/// one folder may become durable in any order, and a write in any part.
#[derive(Debug, Default)]
pub struct SimDisk {
    tree: Arc<Mutex<Tree>>,
    faults: Arc<Faults>,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It was killed. The machine goes on: everything it did is there, not all of it durable.
    Process,
    /// The power failed, and nothing that was not synced had reached the device.
    PowerLosesAll,
    /// The power failed, and of what was not synced a part had reached the device, which the
    /// seed chooses: some writes, some in pieces, some names, in any order.
    PowerLosesSome(u64),
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// What makes it fail.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The disk as it is found after a crash at this moment. Nothing makes that one fail; this
    /// one, and the process that uses it, may go on as if it were another world.
    pub fn crash(&self, crash: Crash) -> Arc<Self> {
        let tree = self.tree.lock().crash(crash);
        Arc::new(Self {
            tree: Arc::new(Mutex::new(tree)),
            faults: Arc::default(),
        })
    }

    /// How many bytes all files together may have, `None` for any number. A write that does not
    /// fit is done as far as it does.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.tree.lock().set_capacity(bytes);
    }

    /// How many bytes all files together have.
    pub fn used(&self) -> u64 {
        self.tree.lock().used()
    }

    /// Paths of all files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.tree.lock().files()
    }

    /// Turns one bit of a file over, as a failing device does.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let id = tree.file_at(path)?;
        tree.content(id).flip_bit(bit);
        Ok(())
    }

    fn file(&self, id: Id, path: &Path) -> SimFile {
        self.tree.lock().opened(id);
        SimFile {
            tree: self.tree.clone(),
            faults: self.faults.clone(),
            id,
            path: path.into(),
        }
    }
}

impl Disk for SimDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.effect("create", path)?;
        let id = self.tree.lock().create(path)?;
        Ok(Box::new(self.file(id, path)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.alive()?;
        let id = self.tree.lock().file_at(path)?;
        Ok(Box::new(self.file(id, path)))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.faults.alive()?;
        let found = self.tree.lock().file_at(path);
        let id = match found {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.faults.effect("create", path)?;
                self.tree.lock().create(path)?
            }
            found => found?,
        };
        Ok(Box::new(self.file(id, path)))
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.faults.alive()?;
        let mut tree = self.tree.lock();
        let id = tree.file_at(path)?;
        let bytes = tree.content(id).bytes();
        if bytes.len() as u64 > max_bytes {
            let text = format!("larger than the {max_bytes} bytes allowed");
            return Err(at(path, io::ErrorKind::FileTooLarge, &text));
        }
        Ok(bytes.to_vec())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.faults.alive()?;
        self.tree.lock().list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.faults.alive()?;
        self.tree.lock().stat(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.faults.alive()?;
        let missing: Vec<_> = {
            let tree = self.tree.lock();
            let above = dir.ancestors().filter(|path| !path.as_os_str().is_empty());
            above.take_while(|path| !tree.exists(path)).collect()
        };
        for path in missing.into_iter().rev() {
            self.faults.effect("create folder", path)?;
            self.tree.lock().create_dir(path)?;
        }
        self.tree.lock().dir_at(dir).map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.effect("rename to", to)?;
        self.tree.lock().rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.effect("link", to)?;
        self.tree.lock().link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.effect("remove", path)?;
        self.tree.lock().remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.effect("remove folder", dir)?;
        self.tree.lock().remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let fault = self.faults.sync(dir);
        let mut tree = self.tree.lock();
        let id = tree.dir_at(dir)?;
        match fault {
            Ok(()) => {
                tree.sync_dir(id);
                Ok(())
            }
            Err(fault) => {
                if matches!(fault, SyncFault::Failed(_)) {
                    tree.fail_sync_dir(id);
                }
                Err(fault.into())
            }
        }
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.faults.alive()?;
        let found = self.tree.lock().file_at(path);
        let id = match found {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.faults.effect("create", path)?;
                self.tree.lock().create(path)?
            }
            found => found?,
        };
        if !self.tree.lock().lock(id) {
            return Err(at(path, io::ErrorKind::WouldBlock, "locked"));
        }
        let tree = self.tree.clone();
        Ok(DiskLock::holding(SimLock { tree, id }))
    }
}

/// An open file. It stays readable when its last name is gone.
#[derive(Debug)]
struct SimFile {
    tree: Arc<Mutex<Tree>>,
    faults: Arc<Faults>,
    id: Id,
    path: PathBuf,
}

impl SimFile {
    fn write(&self, bytes: &[u8], offset: Option<u64>) -> io::Result<()> {
        self.faults.write(bytes, &self.path, |part| {
            let mut tree = self.tree.lock();
            let offset = offset.unwrap_or_else(|| tree.content(self.id).len());
            let fits = tree.fits(self.id, offset + part.len() as u64);
            let fitting = fits.saturating_sub(offset).min(part.len() as u64) as usize;
            tree.content(self.id).write(&part[..fitting], offset);
            tree.touch(self.id);
            match fitting < part.len() {
                true => Err(at(&self.path, io::ErrorKind::StorageFull, "no space left")),
                false => Ok(()),
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut tree = self.tree.lock();
        if tree.fits(self.id, len) < len {
            return Err(at(&self.path, io::ErrorKind::StorageFull, "no space left"));
        }
        tree.content(self.id).set_len(len);
        tree.touch(self.id);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(bytes, Some(offset))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.alive()?;
        let mut tree = self.tree.lock();
        let content = tree.content(self.id).bytes();
        let from = content.len().min(offset as usize);
        let len = bytes.len().min(content.len() - from);
        bytes[..len].copy_from_slice(&content[from..from + len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let fault = self.faults.sync(&self.path);
        let mut tree = self.tree.lock();
        match fault {
            Ok(()) => {
                tree.content(self.id).sync();
                Ok(())
            }
            Err(fault) => {
                if matches!(fault, SyncFault::Failed(_)) {
                    tree.fail_sync(self.id);
                }
                Err(fault.into())
            }
        }
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.faults.reserve(&self.path)?;
        let longer = self.tree.lock().content(self.id).len().max(len);
        self.set_len(longer)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.effect("set the length of", &self.path)?;
        self.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.faults.alive()?;
        Ok(self.tree.lock().content(self.id).len())
    }
}

impl AppendFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, None)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.tree.lock().closed(self.id);
    }
}

/// Held as long as the file is locked.
#[derive(Debug)]
struct SimLock {
    tree: Arc<Mutex<Tree>>,
    id: Id,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.tree.lock().unlock(self.id);
    }
}

fn at(path: &Path, kind: io::ErrorKind, what: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests;
