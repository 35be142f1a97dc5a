//! A block's folder, read series by series.

use std::path::Path;

use ferula_env::Disk;
use ferula_model::{Range, Timestamp};
use ferula_storage::Columns;

use super::chunk::decode;
use super::error::{Error, at};
use super::index::{self, Entry, Index};
use super::meta::Meta;
use super::tombstones::Tombstones;
use super::window::Window;
use crate::bytes::Reader;

/// The folder of chunk segments in a block's folder.
pub(crate) const CHUNKS: &str = "chunks";

/// What a segment begins with: magic number, version, padding.
pub(crate) const SEGMENT_HEADER: [u8; 8] = [0x85, 0xBD, 0x40, 0xDD, 1, 0, 0, 0];

/// A chunk's length takes no more bytes.
const LENGTH_BYTES_MAX: u64 = 5;

/// A block of Prometheus.
#[derive(Debug)]
pub struct Block {
    meta: Meta,
    index: Index,
    segments: Vec<Window>,
    tombstones: Tombstones,
    decoded: Columns,
}

impl Block {
    /// Opens the block in a folder.
    pub fn open(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        let meta = Meta::read(disk, folder)?;
        let index = Index::open(Window::open(disk, &folder.join(index::FILE))?)?;
        let chunks = folder.join(CHUNKS);
        let mut segments = Vec::new();
        for name in disk.list(&chunks)? {
            if name.bytes().all(|b| b.is_ascii_digit()) {
                segments.push(open_segment(disk, &chunks.join(name))?);
            }
        }
        Ok(Self {
            meta,
            index,
            segments,
            tombstones: Tombstones::read(disk, folder)?,
            decoded: Columns::default(),
        })
    }

    /// What it says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How many series it has.
    pub fn series(&self) -> usize {
        self.index.series()
    }

    /// Starts at the first series again.
    pub fn rewind(&mut self) {
        self.index.rewind();
    }

    /// The next series in order of labels.
    pub fn next_series(&mut self) -> Result<Option<Entry>, Error> {
        self.index.next()
    }

    /// Appends a series' samples of a range, without those that are deleted. Returns how many
    /// are.
    pub fn samples(
        &mut self,
        entry: &Entry,
        range: Range,
        columns: &mut Columns,
    ) -> Result<u64, Error> {
        let intervals = self.tombstones.of(entry.id);
        let is_deleted = |t| intervals.iter().any(|i| i.0 <= t && t <= i.1);
        let mut deleted = 0;
        let mut newest = Newest(None);
        for chunk in &entry.chunks {
            if chunk.min >= range.end || chunk.max < range.start {
                continue;
            }
            let segment = usize::try_from(chunk.at >> 32).unwrap_or(usize::MAX);
            let offset = chunk.at & u64::from(u32::MAX);
            let Some(segment) = self.segments.get_mut(segment) else {
                let what = format!(
                    "{} has a chunk in a segment that is not there",
                    entry.labels
                );
                return Err(self.index_damaged(what));
            };
            let decoded = &mut self.decoded;
            decoded.clear();
            read_chunk(segment, offset, decoded)?;
            if !newest.admit(decoded) {
                return Err(segment.damaged(offset, "samples are out of order"));
            }
            if !intervals.is_empty() {
                let gone = times(decoded).filter(|&t| range.contains(t) && is_deleted(t));
                deleted += gone.count() as u64;
            }
            let keep = |t| range.contains(t) && !is_deleted(t);
            append(decoded, keep, columns);
        }
        Ok(deleted)
    }

    fn index_damaged(&self, what: String) -> Error {
        Error::damaged(&format!("{}/{}", self.meta.ulid, index::FILE), 0, what)
    }
}

/// Opens a chunk segment.
fn open_segment(disk: &dyn Disk, path: &Path) -> Result<Window, Error> {
    let mut segment = Window::open(disk, path)?;
    match *segment.up_to(0, 8)? == SEGMENT_HEADER {
        true => Ok(segment),
        false => Err(segment.damaged(0, "no chunks, or of a version that is not known")),
    }
}

/// Appends the samples of the chunk at `offset`.
fn read_chunk(segment: &mut Window, offset: u64, columns: &mut Columns) -> Result<(), Error> {
    let head = segment.up_to(offset, LENGTH_BYTES_MAX)?;
    let left = head.len();
    let mut r = Reader::new(head);
    let len = r.uv();
    let head = (left - r.left()) as u64;
    let len = at(segment.name(), offset, len)?;
    let body = segment.checked(offset + head, len.saturating_add(1))?;
    let decoded = match body {
        [encoding, data @ ..] => decode(*encoding, data, columns),
        [] => Ok(()),
    };
    at(segment.name(), offset, decoded)
}

/// All timestamps; a chunk has one kind of sample, so that they are in order.
fn times(columns: &Columns) -> impl Iterator<Item = Timestamp> {
    let histograms = columns.histograms.iter().map(|p| p.timestamp);
    columns.timestamps.iter().copied().chain(histograms)
}

/// The newest timestamp of a series so far: each must come after it.
struct Newest(Option<Timestamp>);

impl Newest {
    /// Whether a chunk's samples come after those before, and one after the other.
    fn admit(&mut self, columns: &Columns) -> bool {
        times(columns).all(|t| {
            let after = self.0.is_none_or(|newest| newest < t);
            self.0 = Some(t);
            after
        })
    }
}

/// Appends the samples whose timestamps are to be kept.
pub(crate) fn append(from: &Columns, keep: impl Fn(Timestamp) -> bool, to: &mut Columns) {
    let with_starts = !from.start_timestamps.is_empty() || !to.start_timestamps.is_empty();
    if with_starts {
        to.start_timestamps.resize(to.timestamps.len(), 0);
    }
    for (i, (&timestamp, &value)) in from.timestamps.iter().zip(&from.values).enumerate() {
        if keep(timestamp) {
            to.timestamps.push(timestamp);
            to.values.push(value);
            if with_starts {
                let start = from.start_timestamps.get(i).copied();
                to.start_timestamps.push(start.unwrap_or(0));
            }
        }
    }
    let kept = from.histograms.iter().filter(|p| keep(p.timestamp));
    to.histograms.extend(kept.cloned());
}
