//! Files and directories.

use std::any::Any;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::Errno;

/// What a store needs of a file system. Calls block: use them from threads of one's own.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Creates a file that must not exist yet, for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading alone, as is possible where nothing may be written.
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }
    /// Opens a file for writing at its end, creating it.
    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
    /// Reads a whole file; one larger than `max_bytes` is an error.
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;
    /// Names in a directory, sorted; an absent directory is empty.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// What tells one state of a file from another; links are followed.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;
    /// Creates a directory and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Renames within one file system, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; fails if that exists (create-if-absent).
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory, which must be empty.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the directory's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How many bytes the file system has that a directory is on, used ones included.
    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "{}: the size of the file system is not known",
                dir.display()
            ),
        ))
    }
    /// Takes the exclusive lock on a file, creating it; fails at once if another process has it.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// A file that was written to, or replaced by another, has another one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStat {
    /// The file's length.
    pub len: u64,
    /// When it was last written to, in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    /// Which file of its file system it is.
    pub inode: u64,
}

/// An open file.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads up to `bytes.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes data (and the length) durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves zero-filled space up to `len` and sets the length to it.
    fn preallocate(&self, len: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The file's length.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file that is only ever written to at its end, wherever that is: whoever cuts or renames the
/// file meanwhile does no harm.
pub trait AppendFile: Send + Sync + std::fmt::Debug {
    /// Writes `bytes` at the end, in one piece as far as the file system goes along.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
}

/// Held as long as the lock is; the operating system releases it when the process ends.
#[derive(Debug)]
pub struct DiskLock {
    _guard: Box<dyn Any + Send + Sync>,
}

impl DiskLock {
    /// A lock that is given back when `guard` is dropped.
    pub fn holding(guard: impl Any + Send + Sync) -> Self {
        Self {
            _guard: Box::new(guard),
        }
    }
}

/// The machine's file system.
#[derive(Debug, Clone, Copy)]
pub struct SystemDisk;

impl SystemDisk {
    /// The machine's file system, shared.
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

/// Adds the path to an error, which the operating system's text lacks.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

impl Disk for SystemDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = at(
            path,
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path),
        )?;
        Ok(Box::new(SystemFile {
            file,
            path: path.into(),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = at(path, OpenOptions::new().read(true).write(true).open(path))?;
        Ok(Box::new(SystemFile {
            file,
            path: path.into(),
        }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = at(path, File::open(path))?;
        Ok(Box::new(SystemFile {
            file,
            path: path.into(),
        }))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = at(
            path,
            OpenOptions::new().append(true).create(true).open(path),
        )?;
        Ok(Box::new(SystemFile {
            file,
            path: path.into(),
        }))
    }

    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = at(path, File::open(path))?;
        at(
            path,
            io::Read::read_to_end(&mut io::Read::take(file, max_bytes + 1), &mut bytes),
        )?;
        if bytes.len() as u64 > max_bytes {
            let text = format!(
                "{}: larger than the {max_bytes} bytes allowed",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(bytes)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => at(dir, entries)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(at(dir, entry)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let stat = at(path, std::fs::metadata(path))?;
        Ok(FileStat {
            len: stat.len(),
            modified_ns: stat
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(stat.mtime_nsec()),
            inode: stat.ino(),
        })
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        at(dir, std::fs::create_dir_all(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        at(to, std::fs::rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        at(to, std::fs::hard_link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        at(path, std::fs::remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        at(dir, std::fs::remove_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = at(
            dir,
            rustix::fs::open(dir, flags, rustix::fs::Mode::empty()).map_err(Into::into),
        )?;
        at(dir, rustix::fs::fsync(&fd).map_err(Into::into))
    }

    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        let stat = at(dir, rustix::fs::statvfs(dir).map_err(io::Error::from))?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let file = at(path, options.open(path))?;
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        at(path, locked.map_err(Into::into))?;
        Ok(DiskLock::holding(file))
    }
}

#[derive(Debug)]
struct SystemFile {
    file: File,
    path: PathBuf,
}

impl AppendFile for SystemFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        at(&self.path, io::Write::write_all(&mut &self.file, bytes))
    }
}

impl DiskFile for SystemFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        at(&self.path, self.file.write_all_at(bytes, offset))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return at(&self.path, Err(e)),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        at(&self.path, self.file.sync_data())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            // A file system that reserves nothing: writing reserves.
            Err(Errno::OPNOTSUPP) => {
                let zeros = vec![0; 1 << 20];
                for offset in (self.len()?..len).step_by(zeros.len()) {
                    let piece = zeros.len().min((len - offset) as usize);
                    self.write_at(&zeros[..piece], offset)?;
                }
                Ok(())
            }
            done => at(&self.path, done.map_err(Into::into)),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        at(&self.path, self.file.set_len(len))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(at(&self.path, self.file.metadata())?.len())
    }
}
