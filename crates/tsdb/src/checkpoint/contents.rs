//! The table of contents: where a checkpoint's sections lie, and their checksums.

use ferula_model::Timestamp;
use ferula_objects::ObjectReader;
use xxhash_rust::xxh3::xxh3_64;

use super::{Checkpoint, CheckpointError};
use crate::Damaged;
use crate::bytes::Reader;
use crate::log::Dictionary;
use crate::log::segment::Identity;

/// The first bytes of a checkpoint, and its last.
pub(super) const MAGIC: [u8; 8] = *b"FRLCKPT\x01";

/// Offset of the contents, their length, a checksum, the magic.
const TRAILER_BYTES: usize = 8 + 4 + 4 + 8;

const SECTION_BYTES: usize = 24;

/// A million series have about 300 sections, of a megabyte or more.
const SECTIONS_MAX: usize = 1 << 24;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tenants = 1,
    Symbols = 2,
    Pairs = 3,
    Series = 4,
    Samples = 5,
    Late = 6,
}

/// A part of a checkpoint that is read and checked as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) crc: u32,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Section {
    /// Reads the section's bytes into `buffer`.
    pub(super) fn read<'a>(
        &self,
        object: &dyn ObjectReader,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Reader<'a>, CheckpointError> {
        buffer.clear();
        buffer.resize(self.len as usize, 0);
        object.read_exact_at(buffer, self.offset)?;
        if crc32c::crc32c(buffer) != self.crc {
            return Err(Damaged("a section's checksum is wrong").into());
        }
        Ok(Reader::new(buffer))
    }
}

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) identity: Identity,
    pub(super) commit: u64,
    pub(super) floor: Timestamp,
    pub(super) dictionary: Dictionary,
    pub(super) sections: Vec<Section>,
}

impl Contents {
    /// Appends the contents and the trailer to an object of `offset` bytes.
    pub(super) fn encode(&self, offset: u64, out: &mut Vec<u8>) -> Checkpoint {
        let from = out.len();
        let Dictionary {
            generation,
            tenants,
            symbols,
            series,
        } = self.dictionary;
        out.extend_from_slice(&self.identity.cluster);
        for v in [self.identity.shard, generation] {
            out.extend_from_slice(&v.to_le_bytes());
        }
        out.extend_from_slice(&self.commit.to_le_bytes());
        out.extend_from_slice(&self.floor.to_le_bytes());
        for v in [tenants, symbols, series, self.sections.len() as u32] {
            out.extend_from_slice(&v.to_le_bytes());
        }
        for section in &self.sections {
            out.extend_from_slice(&[section.kind as u8, 0, 0, 0]);
            out.extend_from_slice(&section.crc.to_le_bytes());
            out.extend_from_slice(&section.offset.to_le_bytes());
            out.extend_from_slice(&section.len.to_le_bytes());
        }
        let (crc, hash) = (crc32c::crc32c(&out[from..]), xxh3_64(&out[from..]));
        let len = (out.len() - from) as u32;
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&MAGIC);
        Checkpoint {
            commit: self.commit,
            len: offset + (out.len() - from) as u64,
            hash,
        }
    }

    /// Reads the contents of an object, and what a manifest should say of it.
    pub(super) fn read(object: &dyn ObjectReader) -> Result<(Self, Checkpoint), CheckpointError> {
        let len = object.len();
        let mut magic = [0; MAGIC.len()];
        let mut trailer = [0; TRAILER_BYTES];
        if len < (MAGIC.len() + TRAILER_BYTES) as u64 {
            return Err(Damaged("it is too short").into());
        }
        object.read_exact_at(&mut magic, 0)?;
        let end = len - TRAILER_BYTES as u64;
        object.read_exact_at(&mut trailer, end)?;
        let mut r = Reader::new(&trailer);
        let offset = u64::from_le_bytes(r.array()?);
        let (bytes, crc) = (u32_of(&mut r)?, u32_of(&mut r)?);
        if magic != MAGIC || r.array()? != MAGIC {
            return Err(Damaged("not a checkpoint, or one of another version").into());
        }
        let fits = offset >= MAGIC.len() as u64 && offset.checked_add(bytes.into()) == Some(end);
        if !fits {
            return Err(Damaged("its contents do not lie before its end").into());
        }
        let mut contents = vec![0; bytes as usize];
        object.read_exact_at(&mut contents, offset)?;
        if crc32c::crc32c(&contents) != crc {
            return Err(Damaged("the checksum of its contents is wrong").into());
        }
        let hash = xxh3_64(&contents);
        let contents = Self::decode(&contents, offset)?;
        let commit = contents.commit;
        Ok((contents, Checkpoint { commit, len, hash }))
    }

    fn decode(bytes: &[u8], end: u64) -> Result<Self, Damaged> {
        let mut r = Reader::new(bytes);
        let identity = Identity {
            cluster: r.array()?,
            shard: u32_of(&mut r)?,
        };
        let generation = u32_of(&mut r)?;
        let commit = u64::from_le_bytes(r.array()?);
        let floor = i64::from_le_bytes(r.array()?);
        let dictionary = Dictionary {
            generation,
            tenants: u32_of(&mut r)?,
            symbols: u32_of(&mut r)?,
            series: u32_of(&mut r)?,
        };
        let count = u32_of(&mut r)? as usize;
        if count > SECTIONS_MAX || r.left() != count * SECTION_BYTES {
            return Err(Damaged("its contents are too short or too long"));
        }
        let sections = (0..count).map(|_| take_section(&mut r, end));
        Ok(Self {
            identity,
            commit,
            floor,
            dictionary,
            sections: sections.collect::<Result<_, _>>()?,
        })
    }
}

fn take_section(r: &mut Reader<'_>, end: u64) -> Result<Section, Damaged> {
    let [kind, ..]: [u8; 4] = r.array()?;
    let kind = match kind {
        1 => Kind::Tenants,
        2 => Kind::Symbols,
        3 => Kind::Pairs,
        4 => Kind::Series,
        5 => Kind::Samples,
        6 => Kind::Late,
        _ => return Err(Damaged("a section is of no known kind")),
    };
    let section = Section {
        kind,
        crc: u32_of(r)?,
        offset: u64::from_le_bytes(r.array()?),
        len: u64::from_le_bytes(r.array()?),
    };
    let inside = section.offset.checked_add(section.len);
    match inside.is_some_and(|section| section <= end) {
        true => Ok(section),
        false => Err(Damaged("a section does not lie before the contents")),
    }
}

fn u32_of(r: &mut Reader<'_>) -> Result<u32, Damaged> {
    Ok(u32::from_le_bytes(r.array()?))
}
