//! Writing: in slices under short locks, while commits go on.

use std::io;

use ferula_model::Timestamp;
use ferula_objects::ObjectWriter;
use parking_lot::RwLockReadGuard;

use super::contents::{Contents, Kind, MAGIC, Section};
use super::{Checkpoint, Mark, dictionary};
use crate::head::PAGE_SERIES;
use crate::log::segment::Identity;
use crate::log::{Log, LogError};
use crate::{Head, HeadWriter};

/// So many series' chunks are copied under one lock; in tests few, so that commits come between.
const SLICE_SERIES: u32 = if cfg!(test) { 2 } else { 128 };

/// Written in pieces of about this size; also how much of a dictionary is copied under one lock.
const PIECE_BYTES: usize = if cfg!(test) { 64 } else { 64 << 10 };

/// A section of a dictionary is about this long.
const SECTION_BYTES: u64 = 1 << 20;

impl HeadWriter {
    /// Where a checkpoint can begin: between two commits, all of which are durable.
    pub fn mark(&self, log: &mut Log) -> Result<Mark, LogError> {
        log.sync()?;
        Ok(Mark {
            commit: log.last_commit(),
            dictionary: self.logged,
        })
    }
}

impl Head {
    /// Writes a checkpoint; the caller finishes the object. Commits may go on meanwhile. `mark`
    /// is this head's.
    pub fn write_checkpoint(
        &self,
        mark: &Mark,
        identity: Identity,
        object: &mut dyn ObjectWriter,
    ) -> io::Result<Checkpoint> {
        let _numbers = self.renumbering.read();
        if self.index.read().generation != mark.dictionary.generation {
            return Err(io::Error::other(
                "series were renumbered since the mark was made",
            ));
        }
        let floor = self.floor();
        let mut out = Out::new(object)?;
        self.write_dictionary(mark, &mut out)?;
        for page in (0..mark.dictionary.series).step_by(PAGE_SERIES) {
            let end = mark.dictionary.series.min(page + PAGE_SERIES as u32);
            out.begin(Kind::Samples);
            for from in (page..end).step_by(SLICE_SERIES as usize) {
                let data = self.data.read();
                for sid in from..end.min(from + SLICE_SERIES) {
                    match data.series(sid) {
                        Some(series) => series.put_image(floor, &mut out.piece),
                        // Defined in the log, but nothing of it is visible yet.
                        None => out.piece.push(0),
                    }
                }
                drop(data);
                out.flush_full()?;
            }
            out.flush()?;
            out.end();
        }
        self.write_late(mark, floor, &mut out)?;
        let contents = Contents {
            identity,
            commit: mark.commit,
            floor,
            dictionary: mark.dictionary,
            sections: out.sections,
        };
        let mut piece = out.piece;
        let checkpoint = contents.encode(out.offset, &mut piece);
        out.object.write(&piece)?;
        Ok(checkpoint)
    }

    /// Samples out of order: those that come meanwhile are in the log, and left out there if they
    /// are here.
    fn write_late(&self, mark: &Mark, floor: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
        let data = self.data.read();
        let mut late: Vec<_> = data
            .late
            .iter()
            .map(|(&sid, late)| (sid, late.clone()))
            .collect();
        drop(data);
        late.retain(|(sid, _)| *sid < mark.dictionary.series);
        late.sort_unstable_by_key(|(sid, _)| *sid);
        if late.is_empty() {
            return Ok(());
        }
        out.begin(Kind::Late);
        for (sid, late) in late {
            late.put_image(sid, floor, &mut out.piece);
            out.flush_full()?;
        }
        out.flush()?;
        out.end();
        Ok(())
    }

    fn write_dictionary(&self, mark: &Mark, out: &mut Out<'_>) -> io::Result<()> {
        let mut index = self.index.read();
        let mut next = dictionary::Position::default();
        while let Some(kind) = next.kind(&index, mark.dictionary) {
            out.begin(kind);
            while next.kind(&index, mark.dictionary) == Some(kind) && out.len() < SECTION_BYTES {
                next.put(&index, mark.dictionary, &mut out.piece, PIECE_BYTES);
                RwLockReadGuard::unlocked(&mut index, || out.flush())?;
            }
            out.end();
        }
        Ok(())
    }
}

/// An object on its way.
struct Out<'a> {
    object: &'a mut dyn ObjectWriter,
    /// Bytes written.
    offset: u64,
    /// Bytes to be written.
    piece: Vec<u8>,
    section: Section,
    sections: Vec<Section>,
}

impl<'a> Out<'a> {
    fn new(object: &'a mut dyn ObjectWriter) -> io::Result<Self> {
        object.write(&MAGIC)?;
        let offset = MAGIC.len() as u64;
        let section = Section {
            kind: Kind::Tenants,
            crc: 0,
            offset,
            len: 0,
        };
        Ok(Self {
            object,
            offset,
            piece: Vec::new(),
            section,
            sections: Vec::new(),
        })
    }

    fn begin(&mut self, kind: Kind) {
        self.section = Section {
            kind,
            crc: 0,
            offset: self.offset,
            len: 0,
        };
    }

    /// Bytes of the section that are written.
    fn len(&self) -> u64 {
        self.offset - self.section.offset
    }

    fn flush_full(&mut self) -> io::Result<()> {
        match self.piece.len() >= PIECE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.section.crc = crc32c::crc32c_append(self.section.crc, &self.piece);
        self.object.write(&self.piece)?;
        self.offset += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// Ends the section, all of which is written.
    fn end(&mut self) {
        self.section.len = self.len();
        self.sections.push(self.section);
    }
}
