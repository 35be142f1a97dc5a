//! A block's folder is written, series by series.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferula_env::Disk;
use ferula_model::{Labels, Range, Timestamp, Ulid};
use ferula_storage::Columns;

use super::block::{CHUNKS, SEGMENT_HEADER};
use super::cut::{Chunk, cut};
use super::error::Error;
use super::meta::{self, Meta, Stats};
use super::tombstones::{self, Tombstones};
use super::write_file::WriteFile;
use super::write_index::IndexWriter;
use crate::bytes::put_uv;

/// A segment of chunks has no more bytes.
const SEGMENT_BYTES_MAX: u64 = 512 << 20;

/// What a folder is called until it is complete; the reference removes such folders.
const UNFINISHED: &str = "tmp-for-creation";

/// Writes one block. It appears under its name once it is finished.
#[derive(Debug)]
pub struct BlockWriter {
    disk: Arc<dyn Disk>,
    parent: PathBuf,
    folder: PathBuf,
    meta: Meta,
    index: IndexWriter,
    segment: Option<WriteFile>,
    /// Segments begun so far.
    segments: u64,
    segment_bytes_max: u64,
    last: Option<Labels>,
}

impl BlockWriter {
    /// Begins a block of samples in `range` in a data folder.
    pub fn create(
        disk: Arc<dyn Disk>,
        parent: &Path,
        ulid: Ulid,
        range: Range,
    ) -> Result<Self, Error> {
        let folder = parent.join(format!("{ulid}.{UNFINISHED}"));
        disk.create_dir_all(&folder.join(CHUNKS))?;
        Ok(Self {
            disk,
            parent: parent.to_owned(),
            folder,
            meta: Meta {
                ulid,
                range,
                stats: Stats::default(),
                level: 1,
                sources: vec![ulid],
                parents: Vec::new(),
                out_of_order: false,
            },
            index: IndexWriter::default(),
            segment: None,
            segments: 0,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            last: None,
        })
    }

    /// Adds the next series in order of labels, with its samples in order of time. Without
    /// samples, it is left out. Start timestamps are not kept: the encodings that servers of all
    /// versions read have no room for them.
    pub fn series(&mut self, labels: &Labels, columns: &Columns) -> Result<(), Error> {
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(Error::Unwritable(format!("{labels} is out of order")));
        }
        let mut chunks = Vec::new();
        let mut newest: Option<Timestamp> = None;
        for chunk in cut(columns) {
            let range = self.meta.range;
            let inside = range.contains(chunk.min) && range.contains(chunk.max);
            if !inside || newest.is_some_and(|newest| newest >= chunk.min) {
                let what = format!("{labels} has samples out of order or outside the block");
                return Err(Error::Unwritable(what));
            }
            newest = Some(chunk.max);
            chunks.push((self.put_chunk(&chunk)?, chunk));
        }
        if chunks.is_empty() {
            return Ok(());
        }
        let stats = &mut self.meta.stats;
        stats.num_float_samples += columns.timestamps.len() as u64;
        stats.num_histogram_samples += columns.histograms.len() as u64;
        stats.num_chunks += chunks.len() as u64;
        self.index.add(labels, &chunks)?;
        self.last = Some(labels.clone());
        Ok(())
    }

    /// Writes a chunk; returns where it is.
    fn put_chunk(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        let mut bytes = Vec::with_capacity(chunk.data.len() + 10);
        put_uv(&mut bytes, chunk.data.len() as u64);
        let checked = bytes.len();
        bytes.push(chunk.encoding);
        bytes.extend_from_slice(&chunk.data);
        let crc = crc32c::crc32c(&bytes[checked..]);
        bytes.extend(crc.to_be_bytes());
        let full = |s: &WriteFile| s.len() + bytes.len() as u64 > self.segment_bytes_max;
        if let Some(segment) = self.segment.take_if(|segment| full(segment)) {
            segment.finish()?;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                self.segments += 1;
                let name = format!("{:06}", self.segments);
                let path = self.folder.join(CHUNKS).join(name);
                let mut segment = WriteFile::create(&*self.disk, &path)?;
                segment.put(&SEGMENT_HEADER)?;
                none.insert(segment)
            }
        };
        let at = (self.segments - 1) << 32 | segment.len();
        segment.put(&bytes)?;
        Ok(at)
    }

    /// Completes the block and gives it its name; a block without samples is not written.
    pub fn finish(mut self) -> Result<Option<Meta>, Error> {
        if self.index.series() == 0 {
            self.disk.remove_dir(&self.folder.join(CHUNKS))?;
            self.disk.remove_dir(&self.folder)?;
            return Ok(None);
        }
        if let Some(segment) = self.segment.take() {
            segment.finish()?;
        }
        let stats = &mut self.meta.stats;
        stats.num_series = self.index.series();
        stats.num_samples = stats.num_float_samples + stats.num_histogram_samples;
        self.index.finish(&*self.disk, &self.folder)?;
        let small = [
            (tombstones::FILE, Tombstones::encode_none()),
            (meta::FILE, self.meta.encode()),
        ];
        for (name, bytes) in small {
            let mut file = WriteFile::create(&*self.disk, &self.folder.join(name))?;
            file.put(&bytes)?;
            file.finish()?;
        }
        self.disk.sync_dir(&self.folder.join(CHUNKS))?;
        self.disk.sync_dir(&self.folder)?;
        let folder = self.parent.join(self.meta.ulid.to_string());
        self.disk.rename(&self.folder, &folder)?;
        self.disk.sync_dir(&self.parent)?;
        Ok(Some(self.meta))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Block;
    use super::*;
    use ferula_env::SystemDisk;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter_map(|c| c.to_digit(16))
            .map(|d| d as u8)
            .collect();
        digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
    }

    fn floats(samples: &[(i64, f64)]) -> Columns {
        Columns {
            timestamps: samples.iter().map(|s| s.0).collect(),
            values: samples.iter().map(|s| s.1).collect(),
            ..Columns::default()
        }
    }

    const T: i64 = 1_600_000_000_000;

    fn golden() -> [(Labels, Columns); 2] {
        [
            (
                Labels::from_pairs([("__name__", "a"), ("x", "1")]),
                floats(&[(T, 1.0), (T + 15_000, 2.0), (T + 30_000, 2.5)]),
            ),
            (
                Labels::from_pairs([("__name__", "b_total"), ("x", "2")]),
                floats(&[(T, 5.0)]),
            ),
        ]
    }

    fn write(dir: &Path, series: &[(Labels, Columns)], segment_bytes_max: u64) -> Option<Meta> {
        let range = Range {
            start: T,
            end: T + 30_001,
        };
        let disk = SystemDisk::shared();
        let mut writer = BlockWriter::create(disk, dir, Ulid::new(T, 1), range).unwrap();
        writer.segment_bytes_max = segment_bytes_max;
        for (labels, columns) in series {
            writer.series(labels, columns).unwrap();
        }
        writer.finish().unwrap()
    }

    /// What the reference's own command makes of these samples, without the obsolete sections.
    #[test]
    fn golden_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let meta = write(dir.path(), &golden(), SEGMENT_BYTES_MAX).unwrap();
        let read = |name: &str| {
            let path = dir.path().join(meta.ulid.to_string()).join(name);
            SystemDisk.read(&path, 1 << 20).unwrap()
        };
        let chunks = "85bd40dd 01 000000
            17 01 0003 8080f4f6905d 3ff0000000000000 9875 c25fff6d06 0816ed0d
            10 01 0001 8080f4f6905d 4014000000000000 cefc3bd6";
        assert_eq!(read("chunks/000001"), hex(chunks));
        let index = read("index");
        let symbols = "baaad700 02 0000001e 00000007 00 0131 0132 085f5f6e616d655f5f 0161
            07625f746f74616c 0178 d54b1c49";
        let series = "0000000000 10 02 0304 0601 01 8080f4f6905d b0ea01 08 0dcecac0
            0000000000000000000000
            0e 02 0305 0602 01 8080f4f6905d 00 25 023ad581";
        assert_eq!(index[..43], hex(symbols));
        assert_eq!(index[43..99], hex(series)[..56]);
        let all = "0000000c 00000002 00000003 00000005 bb33cbd4
            00000008 00000001 00000003 a7692ed2";
        assert_eq!(index[100..136], hex(all));
        assert_eq!(read("tombstones"), hex("0130ba30 01 00000000"));
        assert_eq!(meta.stats.num_samples, 4);
        assert_eq!(meta.stats.num_chunks, 2);
        assert_eq!(
            Meta::read(&SystemDisk, &dir.path().join(meta.ulid.to_string())).unwrap(),
            meta
        );
    }

    #[test]
    fn what_is_written_is_read_back_over_many_segments() {
        let dir = tempfile::tempdir().unwrap();
        let mut series = golden().to_vec();
        let many = (0..5_000)
            .map(|i| (T + i * 5, i as f64 / 7.0))
            .collect::<Vec<_>>();
        series.push((
            Labels::from_pairs([("__name__", "ü"), ("y", "z")]),
            floats(&many),
        ));
        for segment_bytes_max in [1_000, SEGMENT_BYTES_MAX] {
            let dir = dir.path().join(segment_bytes_max.to_string());
            let meta = write(&dir, &series, segment_bytes_max).unwrap();
            let folder = dir.join(meta.ulid.to_string());
            let mut block = Block::open(&SystemDisk, &folder).unwrap();
            for (labels, columns) in &series {
                let entry = block.next_series().unwrap().unwrap();
                assert_eq!(entry.labels, *labels);
                let mut back = Columns::default();
                block.samples(&entry, Range::ALL, &mut back).unwrap();
                assert_eq!(back.timestamps, columns.timestamps);
                assert_eq!(back.values, columns.values);
                let range = Range {
                    start: T + 3,
                    end: T + 15_001,
                };
                back.clear();
                block.samples(&entry, range, &mut back).unwrap();
                let inside = columns.timestamps.iter().filter(|t| range.contains(**t));
                assert!(back.timestamps.iter().eq(inside));
            }
            assert_eq!(block.next_series().unwrap(), None);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let meta = write(dir.path(), &golden(), SEGMENT_BYTES_MAX).unwrap();
        let folder = dir.path().join(meta.ulid.to_string());
        let read = || {
            let mut block = Block::open(&SystemDisk, &folder)?;
            let mut all = Vec::new();
            while let Some(entry) = block.next_series()? {
                let mut columns = Columns::default();
                block.samples(&entry, Range::ALL, &mut columns)?;
                all.push((entry.labels, columns.timestamps, columns.values));
            }
            Ok::<_, Error>(all)
        };
        let whole = read().unwrap();
        for name in ["index", "chunks/000001"] {
            let file = SystemDisk.open(&folder.join(name)).unwrap();
            for at in 0..file.len().unwrap() {
                let mut byte = [0];
                file.read_at(&mut byte, at).unwrap();
                file.write_at(&[byte[0] ^ 0x10], at).unwrap();
                // Padding and lists that are not looked at may change; samples must not.
                if let Ok(found) = read() {
                    assert_eq!(found, whole, "{name}, byte {at}");
                }
                file.write_at(&byte, at).unwrap();
            }
        }
    }

    #[test]
    fn nothing_is_no_block_and_disorder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let empty = [(Labels::from_pairs([("a", "b")]), Columns::default())];
        assert_eq!(write(dir.path(), &empty, SEGMENT_BYTES_MAX), None);
        assert!(SystemDisk.list(dir.path()).unwrap().is_empty());
        let range = Range {
            start: T,
            end: T + 1,
        };
        let disk = SystemDisk::shared();
        let mut writer = BlockWriter::create(disk, dir.path(), Ulid::new(T, 2), range).unwrap();
        let [(a, columns), (b, one)] = golden();
        assert!(writer.series(&a, &columns).is_err(), "outside");
        writer.series(&b, &one).unwrap();
        assert!(writer.series(&a, &one).is_err(), "out of order");
    }
}
