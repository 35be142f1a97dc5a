//! Objects being written: how long they are so far, and the hash of it.

use std::sync::Arc;

use ferula_model::Ulid;
use ferula_objects::{Created, ObjectWriter, Objects};
use xxhash_rust::xxh3::Xxh3;

use super::meta::{FORMAT, ObjectMeta};
use super::{BlockError, chunks_name, key};

/// An object with samples is finished at this length.
const CHUNKS_BYTES_MAX: u64 = 512 << 20;

/// What every object but the meta begins with.
pub(super) const HEADER_LEN: u64 = 32;

/// The header of a block's object: what it is, for whoever finds it alone.
///
/// ```text
/// header := "FERULABK" | format u32 | kind u8 (0 index, 1 samples) | 0 0 0 | block, 16 bytes
/// ```
pub(super) fn header(block: Ulid, samples: bool) -> [u8; HEADER_LEN as usize] {
    let mut header = [0; HEADER_LEN as usize];
    header[..8].copy_from_slice(b"FERULABK");
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12] = samples.into();
    header[16..].copy_from_slice(&block.0.to_be_bytes());
    header
}

/// One object.
pub(super) struct Sink {
    key: String,
    writer: Box<dyn ObjectWriter>,
    bytes: u64,
    hash: Box<Xxh3>,
}

impl Sink {
    pub(super) fn new(
        objects: &dyn Objects,
        block: Ulid,
        name: &str,
        samples: bool,
    ) -> Result<Self, BlockError> {
        let key = key(block, name);
        let mut sink = match objects.writer(&key) {
            Ok(writer) => Self {
                key,
                writer,
                bytes: 0,
                hash: Box::new(Xxh3::new()),
            },
            Err(error) => return Err(BlockError::Io { key, error }),
        };
        sink.write(&header(block, samples))?;
        Ok(sink)
    }

    /// How long it is so far.
    pub(super) fn len(&self) -> u64 {
        self.bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.writer.write(bytes).map_err(|error| BlockError::Io {
            key: self.key.clone(),
            error,
        })
    }

    pub(super) fn finish(self) -> Result<ObjectMeta, BlockError> {
        let Self {
            key,
            writer,
            bytes,
            hash,
        } = self;
        let xxh3 = hash.digest();
        match writer.finish() {
            Ok(Created::New) => Ok(ObjectMeta { bytes, xxh3 }),
            Ok(Created::Exists) => Err(BlockError::Exists { key }),
            Err(error) => Err(BlockError::Io { key, error }),
        }
    }
}

/// The objects with samples, as if they were one: an offset counts from the start of the first.
pub(super) struct ChunkSink {
    objects: Arc<dyn Objects>,
    block: Ulid,
    finished: Vec<ObjectMeta>,
    current: Option<Sink>,
    /// Bytes of those that are finished.
    before: u64,
    bytes_max: u64,
}

impl ChunkSink {
    pub(super) fn new(objects: Arc<dyn Objects>, block: Ulid) -> Self {
        Self {
            objects,
            block,
            finished: Vec::new(),
            current: None,
            before: 0,
            bytes_max: CHUNKS_BYTES_MAX,
        }
    }

    /// Makes objects shorter.
    #[cfg(test)]
    pub(super) fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Writes a frame; returns where it begins. A frame lies within one object.
    pub(super) fn write(&mut self, frame: &[u8]) -> Result<u64, BlockError> {
        if let Some(sink) = self.current.take_if(|sink| sink.len() >= self.bytes_max) {
            let object = sink.finish()?;
            self.before += object.bytes;
            self.finished.push(object);
        }
        let sink = match &mut self.current {
            Some(sink) => sink,
            None => {
                let name = chunks_name(self.finished.len());
                let sink = Sink::new(&*self.objects, self.block, &name, true)?;
                self.current.insert(sink)
            }
        };
        let offset = self.before + sink.len();
        sink.write(frame)?;
        Ok(offset)
    }

    pub(super) fn finish(mut self) -> Result<Vec<ObjectMeta>, BlockError> {
        if let Some(sink) = self.current {
            self.finished.push(sink.finish()?);
        }
        Ok(self.finished)
    }
}
