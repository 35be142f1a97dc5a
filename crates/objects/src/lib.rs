//! Objects: created once, never changed, read in parts, listed and deleted.
//!
//! These few operations are all that blocks, checkpoints and manifests need of a store, so that
//! a directory and an object store are the same to them. Never knows what an object means.
//!
//! Calls block: use them from threads that may wait.

mod local;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use local::LocalObjects;

/// What became of an attempt to create an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an object of this name may have been there before"]
pub enum Created {
    /// It is there, with these bytes, and will be after a crash.
    New,
    /// There was one of this name already, which stays as it is and will be there after a crash.
    Exists,
}

/// A place for objects. Keys are relative paths, such as `s/0/manifest/1.mf`.
pub trait Objects: Send + Sync + Debug {
    /// Creates an object of these bytes, unless there is one of this name.
    fn create(&self, key: &str, bytes: &[u8]) -> io::Result<Created> {
        let mut writer = self.writer(key)?;
        writer.write(bytes)?;
        writer.finish()
    }

    /// Begins an object that is written piece by piece; it exists once it is finished.
    fn writer(&self, key: &str) -> io::Result<Box<dyn ObjectWriter>>;

    /// Opens an object for reading; it can be read to its end even if it is deleted meanwhile.
    fn open(&self, key: &str) -> io::Result<Arc<dyn ObjectReader>>;

    /// Names of objects and folders directly in a folder, sorted; an absent one is empty. What is
    /// listed will be there after a crash.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Deletes an object; that it is not there is no error.
    fn delete(&self, key: &str) -> io::Result<()>;
}

/// An object in the making. Dropped before it is finished, nothing of it remains.
pub trait ObjectWriter: Send + Debug {
    /// Adds bytes at the end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the object durable, then gives it its name, unless another one has it.
    fn finish(self: Box<Self>) -> io::Result<Created>;
}

/// An object that can be read.
pub trait ObjectReader: Send + Sync + Debug {
    /// Bytes it has.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `bytes` from `offset` on; an object that ends before is an error.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Reads a whole object; one larger than `max` bytes is an error.
pub fn read_all(objects: &dyn Objects, key: &str, max: u64) -> io::Result<Vec<u8>> {
    let object = objects.open(key)?;
    if object.len() > max {
        let text = format!(
            "{key}: {} bytes, where at most {max} are expected",
            object.len()
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let mut bytes = vec![0; object.len() as usize];
    object.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
