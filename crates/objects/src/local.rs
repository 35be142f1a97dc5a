//! Objects as files of a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferula_env::{Disk, DiskFile};

use crate::{Created, ObjectReader, ObjectWriter, Objects};

/// Where objects are written before they have their name.
const STAGING: &str = "staging";

/// Written in pieces of at least this size.
const PIECE_BYTES: usize = 256 << 10;

/// A directory whose files are objects.
#[derive(Debug)]
pub struct LocalObjects {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    staged: AtomicU64,
    read_only: bool,
}

impl LocalObjects {
    /// Takes a directory, of which this process must be the only user. What a crash left
    /// unfinished is removed.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        let staging = root.join(STAGING);
        disk.create_dir_all(&staging)?;
        for name in disk.list(&staging)? {
            disk.remove(&staging.join(name))?;
        }
        Ok(Self {
            disk,
            root: root.into(),
            staged: AtomicU64::new(0),
            read_only: false,
        })
    }

    /// Reads a directory that another process may be using: nothing in it is changed, and what
    /// is listed may be gone by the time it is opened.
    pub fn read_only(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk,
            root: root.into(),
            staged: AtomicU64::new(0),
            read_only: true,
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        if !self.read_only {
            return Ok(());
        }
        let text = format!("{}: opened for reading alone", self.root.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    }

    fn path(&self, key: &str) -> io::Result<PathBuf> {
        let is_name = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !key.split('/').all(is_name) || key.starts_with(STAGING) {
            let text = format!("`{key}` is no name of an object");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(self.root.join(key))
    }
}

impl Objects for LocalObjects {
    fn writer(&self, key: &str) -> io::Result<Box<dyn ObjectWriter>> {
        self.check_writable()?;
        let path = self.path(key)?;
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let staged = self.root.join(STAGING).join(number.to_string());
        let file = self.disk.create_new(&staged)?;
        Ok(Box::new(Writer {
            disk: self.disk.clone(),
            root: self.root.clone(),
            path,
            file,
            staged: Staged {
                disk: self.disk.clone(),
                path: staged,
            },
            buffer: Vec::new(),
            offset: 0,
        }))
    }

    fn open(&self, key: &str) -> io::Result<Arc<dyn ObjectReader>> {
        let path = self.path(key)?;
        let file = match self.read_only {
            true => self.disk.open_to_read(&path)?,
            false => self.disk.open(&path)?,
        };
        let len = file.len()?;
        Ok(Arc::new(Reader { file, path, len }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder)?;
        if self.read_only {
            return self.disk.list(&path);
        }
        // A process that was killed may have given or taken names that are not durable yet; who
        // sees them goes by them.
        sync_folders(&*self.disk, &path, &self.root)?;
        self.disk.list(&path)
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        self.check_writable()?;
        let path = self.path(key)?;
        match self.disk.remove(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        // A folder is there as long as something is in it.
        for folder in path.ancestors().skip(1).take_while(|f| *f != self.root) {
            if !self.disk.list(folder)?.is_empty() {
                return self.disk.sync_dir(folder);
            }
            match self.disk.remove_dir(folder) {
                // Another object may come to it at this moment.
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        self.disk.sync_dir(&self.root)
    }
}

#[derive(Debug)]
struct Writer {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    staged: Staged,
    buffer: Vec<u8>,
    offset: u64,
}

/// A file without its name yet; removed when it has one, or never gets one.
#[derive(Debug)]
struct Staged {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What stays is removed when the directory is opened again.
        let _ = self.disk.remove(&self.path);
    }
}

impl Writer {
    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Makes the names in a folder durable, and those of all folders down to it, or that they are gone.
fn sync_folders(disk: &dyn Disk, folder: &Path, root: &Path) -> io::Result<()> {
    for folder in folder.ancestors() {
        match disk.sync_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
        if folder == root {
            break;
        }
    }
    Ok(())
}

impl ObjectWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() >= PIECE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<Created> {
        self.flush()?;
        self.file.sync_data()?;
        let link = || {
            if let Some(folder) = self.path.parent() {
                self.disk.create_dir_all(folder)?;
            }
            self.disk.hard_link(&self.staged.path, &self.path)
        };
        // A folder that has just become empty may be removed between the two steps.
        let linked = match link() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => link(),
            linked => linked,
        };
        let created = match linked {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Created::Exists,
            linked => linked.map(|()| Created::New)?,
        };
        // The other one may be there and not be durable.
        if let Some(folder) = self.path.parent() {
            sync_folders(&*self.disk, folder, &self.root)?;
        }
        Ok(created)
    }
}

#[derive(Debug)]
struct Reader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    len: u64,
}

impl ObjectReader for Reader {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.file.read_at(bytes, offset)?;
        if read < bytes.len() {
            let text = format!(
                "{}: ends at byte {}, where {} are to be read from {offset}",
                self.path.display(),
                offset + read as u64,
                bytes.len(),
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::SystemDisk;

    fn objects(dir: &Path) -> LocalObjects {
        LocalObjects::open(SystemDisk::shared(), dir).unwrap()
    }

    #[test]
    fn an_object_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let objects = objects(dir.path());
        assert_eq!(objects.create("s/0/a", b"one").unwrap(), Created::New);
        assert_eq!(objects.create("s/0/a", b"two").unwrap(), Created::Exists);
        assert_eq!(crate::read_all(&objects, "s/0/a", 3).unwrap(), b"one");
        let error = crate::read_all(&objects, "s/0/a", 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn who_only_reads_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = objects(dir.path());
        let mut writer = store.writer("a/x").unwrap();
        let reader = LocalObjects::read_only(SystemDisk::shared(), dir.path());
        assert_eq!(reader.list("a").unwrap(), Vec::<String>::new());
        assert!(reader.create("a/y", b"y").is_err() && reader.delete("a/x").is_err());
        // What another process is writing is not taken for a crash's.
        writer.write(b"x").unwrap();
        assert_eq!(writer.finish().unwrap(), Created::New);
        assert_eq!(reader.list("a").unwrap(), ["x"]);
        assert_eq!(crate::read_all(&reader, "a/x", 1).unwrap(), b"x");
    }

    #[test]
    fn an_object_exists_once_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let store = objects(dir.path());
        let mut writer = store.writer("b/x").unwrap();
        let piece = vec![7; PIECE_BYTES - 1];
        for _ in 0..3 {
            writer.write(&piece).unwrap();
        }
        assert!(store.open("b/x").is_err());
        assert_eq!(writer.finish().unwrap(), Created::New);
        let object = store.open("b/x").unwrap();
        assert_eq!(object.len(), 3 * piece.len() as u64);
        let mut end = [0; 2];
        assert!(object.read_exact_at(&mut end, object.len() - 1).is_err());
        object.read_exact_at(&mut end, object.len() - 2).unwrap();
        assert_eq!(end, [7, 7]);

        drop(store.writer("b/y").unwrap());
        std::mem::forget(store.writer("b/z").unwrap());
        assert_eq!(store.list("b").unwrap(), ["x"]);
        objects(dir.path());
        let staging = SystemDisk.list(&dir.path().join(STAGING)).unwrap();
        assert!(staging.is_empty(), "{staging:?}");
    }

    #[test]
    fn folders_come_and_go_with_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let objects = objects(dir.path());
        assert!(objects.list("b").unwrap().is_empty());
        for key in ["b/1/index", "b/1/meta", "b/2/meta"] {
            assert_eq!(objects.create(key, b"").unwrap(), Created::New);
        }
        assert_eq!(objects.list("b").unwrap(), ["1", "2"]);
        let held = objects.open("b/1/meta").unwrap();
        objects.delete("b/1/meta").unwrap();
        assert!(held.is_empty());
        assert_eq!(objects.list("b/1").unwrap(), ["index"]);
        objects.delete("b/1/index").unwrap();
        objects.delete("b/1/index").unwrap();
        assert_eq!(objects.list("b").unwrap(), ["2"]);
        objects.delete("b/2/meta").unwrap();
        assert!(objects.list("b").unwrap().is_empty());
    }

    #[test]
    fn names_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let objects = objects(dir.path());
        for key in ["", "/a", "a//b", "../a", "a/./b", "staging/0"] {
            let error = objects.create(key, b"").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{key}");
        }
    }
}
