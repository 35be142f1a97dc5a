//! A block's objects, read page by page through the cache.

use std::sync::Arc;

use ferula_model::Ulid;
use ferula_objects::{ObjectReader, Objects};

use super::cache::{BlockCache, Kind, Page, PageKey};
use super::directory::Place;
use super::envelope::unseal;
use super::meta::{BlockMeta, ObjectMeta};
use super::sink::{HEADER_LEN, header};
use super::{BlockError, INDEX, chunks_name, key};
use crate::Damaged;

/// Which objects a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The index.
    Index,
    /// The objects with samples, as if they were one.
    Chunks,
}

/// A block's open objects.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) id: Ulid,
    pub(super) cache: Arc<BlockCache>,
    number: u32,
    index: File,
    /// With where each begins.
    chunks: Vec<(u64, File)>,
}

#[derive(Debug)]
struct File {
    key: String,
    object: Arc<dyn ObjectReader>,
}

impl Files {
    /// Opens all objects, and checks that they are this block's and of the right length.
    pub(super) fn open(
        objects: &dyn Objects,
        meta: &BlockMeta,
        cache: Arc<BlockCache>,
    ) -> Result<Self, BlockError> {
        let id = meta.id;
        let index = File::open(objects, id, INDEX, meta.index, false)?;
        let (mut chunks, mut start) = (Vec::new(), 0u64);
        for (n, object) in meta.chunks.iter().enumerate() {
            let file = File::open(objects, id, &chunks_name(n), *object, true)?;
            chunks.push((start, file));
            start = start.saturating_add(object.bytes);
        }
        Ok(Self {
            id,
            number: cache.number(),
            cache,
            index,
            chunks,
        })
    }

    /// The object a place is in, and where in that.
    fn find(&self, of: Of, offset: u64) -> Option<(&File, u64)> {
        match of {
            Of::Index => Some((&self.index, offset)),
            Of::Chunks => {
                let after = self.chunks.partition_point(|(start, _)| *start <= offset);
                let (start, file) = self.chunks.get(after.checked_sub(1)?)?;
                Some((file, offset - start))
            }
        }
    }

    /// The error that says what is wrong with a place.
    #[cold]
    pub(super) fn damaged(&self, of: Of, place: Place, what: Damaged) -> BlockError {
        let (key, offset) = match self.find(of, place.offset) {
            Some((file, offset)) => (file.key.clone(), offset),
            None => (key(self.id, &chunks_name(0)), place.offset),
        };
        BlockError::Damaged { key, offset, what }
    }

    /// Reads the body of a frame.
    pub(super) fn body(&self, of: Of, place: Place) -> Result<Vec<u8>, BlockError> {
        let beyond = || self.damaged(of, place, Damaged("it is beyond the object"));
        let (file, offset) = self.find(of, place.offset).ok_or_else(beyond)?;
        let end = offset.saturating_add(place.len.into());
        if end > file.object.len() {
            return Err(beyond());
        }
        let mut frame = vec![0; place.len as usize];
        file.read(&mut frame, offset)?;
        unseal(frame).map_err(|what| self.damaged(of, place, what))
    }

    /// A page, from the cache or as `parse` makes it of the body of its frame.
    #[inline]
    pub(super) fn page<T: Page>(
        &self,
        kind: Kind,
        of: Of,
        place: Place,
        parse: impl FnOnce(Vec<u8>) -> Result<T, Damaged>,
    ) -> Result<Arc<T>, BlockError> {
        self.cached(kind, place, || {
            let body = self.body(of, place)?;
            parse(body).map_err(|what| self.damaged(of, place, what))
        })
    }

    /// What is made of a page, from the cache or as `load` makes it.
    #[inline]
    pub(super) fn cached<T: Page>(
        &self,
        kind: Kind,
        place: Place,
        load: impl FnOnce() -> Result<T, BlockError>,
    ) -> Result<Arc<T>, BlockError> {
        let key = PageKey {
            block: self.number,
            kind,
            index: place.offset,
        };
        self.cache.get(key, load)
    }

    /// All objects with their keys, the index first.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, &dyn ObjectReader)> {
        let chunks = self.chunks.iter().map(|(_, file)| file);
        let files = std::iter::once(&self.index).chain(chunks);
        files.map(|file| (file.key.as_str(), &*file.object))
    }
}

impl File {
    fn open(
        objects: &dyn Objects,
        block: Ulid,
        name: &str,
        expected: ObjectMeta,
        samples: bool,
    ) -> Result<Self, BlockError> {
        let key = key(block, name);
        let file = match objects.open(&key) {
            Ok(object) => Self { key, object },
            Err(error) => return Err(BlockError::Io { key, error }),
        };
        let mut found = [0; HEADER_LEN as usize];
        let whole = file.object.len() == expected.bytes && expected.bytes >= HEADER_LEN;
        if whole {
            file.read(&mut found, 0)?;
        }
        let what = match whole {
            true if found == header(block, samples) => return Ok(file),
            true => Damaged("its header is not that of the block"),
            false => Damaged("its length is not what the meta says"),
        };
        let (key, offset) = (file.key, 0);
        Err(BlockError::Damaged { key, offset, what })
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), BlockError> {
        let read = self.object.read_exact_at(bytes, offset);
        read.map_err(|error| BlockError::Io {
            key: self.key.clone(),
            error,
        })
    }
}
