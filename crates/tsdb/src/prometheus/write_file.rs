//! A file that is written from front to back.

use std::path::Path;

use ferula_env::{Disk, DiskFile};

use super::error::Error;

/// Written at once.
const PIECE_BYTES: usize = 256 << 10;

/// A new file and what is not handed to the disk yet.
#[derive(Debug)]
pub(crate) struct WriteFile {
    file: Box<dyn DiskFile>,
    written: u64,
    buffer: Vec<u8>,
}

impl WriteFile {
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        Ok(Self {
            file: disk.create_new(path)?,
            written: 0,
            buffer: Vec::new(),
        })
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() >= PIECE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Appends zeros until the length is a multiple of `alignment`.
    pub(crate) fn pad(&mut self, alignment: u64) -> Result<(), Error> {
        let zeros = self.len().next_multiple_of(alignment) - self.len();
        self.put(&[0; 16][..zeros as usize])
    }

    /// Appends `len u32 | body | CRC`.
    pub(crate) fn put_section(&mut self, body: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(body.len()).map_err(|_| {
            Error::Unwritable("a section of its index would be larger than 4 GiB".to_owned())
        })?;
        self.put(&len.to_be_bytes())?;
        self.put(body)?;
        self.put(&crc32c::crc32c(body).to_be_bytes())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it durable.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        self.file.sync_data()?;
        Ok(self.written)
    }
}
