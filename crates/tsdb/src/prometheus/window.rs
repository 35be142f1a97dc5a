//! Files read in order, a piece at a time.

use std::io;
use std::path::Path;

use ferula_env::{Disk, DiskFile};

use super::error::Error;

/// Read at once where more is likely to be wanted.
const AHEAD_BYTES: u64 = 256 << 10;

/// Bytes that can be read in parts.
pub trait ReadAt: Send + Sync {
    /// Fills `bytes` from `offset` on.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = self.get(from..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

struct File(Box<dyn DiskFile>);

impl ReadAt for File {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match self.0.read_at(bytes, offset)? == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A file and the part of it that was read last.
pub struct Window {
    source: Box<dyn ReadAt>,
    name: String,
    len: u64,
    start: u64,
    buffer: Vec<u8>,
    trusting: bool,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Window").field(&self.name).finish()
    }
}

impl Window {
    /// Opens a file.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let file = disk.open_to_read(path)?;
        let len = file.len()?;
        Ok(Self {
            source: Box::new(File(file)),
            name: path.display().to_string(),
            len,
            start: 0,
            buffer: Vec::new(),
            trusting: false,
        })
    }

    /// Takes bytes as if they were a file of this name.
    pub fn of_bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self {
            len: bytes.len() as u64,
            source: Box::new(bytes),
            name: name.to_owned(),
            start: 0,
            buffer: Vec::new(),
            trusting: false,
        }
    }

    /// Reads on where a checksum does not match: fuzzing would get nowhere otherwise.
    pub fn without_checksums(mut self) -> Self {
        self.trusting = true;
        self
    }

    /// Gives the memory back of what was read.
    pub(crate) fn forget(&mut self) {
        self.buffer = Vec::new();
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn damaged(&self, offset: u64, what: impl Into<String>) -> Error {
        Error::damaged(&self.name, offset, what)
    }

    /// `len` bytes from `offset` on; a file that ends before is damaged.
    pub(crate) fn bytes(&mut self, offset: u64, len: u64) -> Result<&[u8], Error> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            let what = format!(
                "{len} bytes are to be here, but the file ends at {}",
                self.len
            );
            return Err(self.damaged(offset, what));
        }
        self.up_to(offset, len)
    }

    /// `len` bytes from `offset` on, or those there are.
    pub(crate) fn up_to(&mut self, offset: u64, len: u64) -> Result<&[u8], Error> {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        let end = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + len > end {
            let read = len.max(AHEAD_BYTES).min(self.len - offset);
            self.buffer.clear();
            self.buffer.resize(read as usize, 0);
            self.start = offset;
            if let Err(e) = self.source.read_exact_at(&mut self.buffer, offset) {
                self.buffer.clear();
                return Err(io::Error::new(e.kind(), format!("{}: {e}", self.name)).into());
            }
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..from + len as usize])
    }

    /// A section: `len u32 | body | CRC of the body`. Its body, and where it begins.
    pub(crate) fn section(&mut self, offset: u64) -> Result<(u64, &[u8]), Error> {
        let len = self.bytes(offset, 4)?;
        let len = u64::from(u32::from_be_bytes([len[0], len[1], len[2], len[3]]));
        let checked = self.checked(offset + 4, len)?;
        Ok((offset + 4, checked))
    }

    /// Whether `len` bytes from `offset` on have this CRC.
    pub(crate) fn matches(&mut self, offset: u64, len: u64, crc: [u8; 4]) -> Result<bool, Error> {
        let trusting = self.trusting;
        let bytes = self.bytes(offset, len)?;
        Ok(trusting || crc == crc32c::crc32c(bytes).to_be_bytes())
    }

    /// `len` bytes that are followed by their CRC.
    pub(crate) fn checked(&mut self, offset: u64, len: u64) -> Result<&[u8], Error> {
        let trusting = self.trusting;
        let bytes = self.bytes(offset, len.saturating_add(4))?;
        let (body, crc) = bytes.split_at(len as usize);
        if !trusting && crc != crc32c::crc32c(body).to_be_bytes() {
            return Err(self.damaged(offset, "the checksum does not match"));
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..from + len as usize])
    }
}
