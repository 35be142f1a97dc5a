//! One block of all that sources have in a range.

use ferula_model::{Labels, Range, TenantId};
use ferula_storage::Columns;

use super::{Cursor, ImportError};
use crate::block::{BlockMeta, BlockWriter};
use crate::prometheus::sort_first_wins;

/// Series between two reports of progress.
const SERIES_PER_REPORT: u64 = 1_024;

/// What became of the samples of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples read from each source, deleted ones included.
    pub read: Vec<u64>,
    /// Of these, deleted ones.
    pub deleted: u64,
    /// Samples in the block.
    pub written: u64,
    /// Samples of which another source has the same timestamp with another value; that of the
    /// earlier source stays.
    pub conflicts: u64,
}

impl Tally {
    /// Samples that were the same in several sources.
    pub fn repeated(&self) -> u64 {
        let read: u64 = self.read.iter().sum();
        read - self.deleted - self.written - self.conflicts
    }

    /// Adds what became of other samples of the same sources.
    pub fn add(&mut self, other: &Self) {
        self.read.resize(other.read.len().max(self.read.len()), 0);
        for (read, more) in self.read.iter_mut().zip(&other.read) {
            *read += more;
        }
        self.deleted += other.deleted;
        self.written += other.written;
        self.conflicts += other.conflicts;
    }
}

/// Writes what all sources have in `range`, as series of one tenant, and tells `progress` how
/// many samples it has written so far. Of one series and timestamp the value of the earliest
/// source stays.
pub fn write(
    sources: &mut [Box<dyn Cursor>],
    tenant: &TenantId,
    range: Range,
    mut writer: BlockWriter,
    progress: &mut dyn FnMut(u64),
) -> Result<(Option<BlockMeta>, Tally), ImportError> {
    let mut tally = Tally {
        read: vec![0; sources.len()],
        ..Tally::default()
    };
    let mut next: Vec<Option<Labels>> = Vec::with_capacity(sources.len());
    for source in sources.iter_mut() {
        source.rewind();
        next.push(source.next()?);
    }
    let mut columns = Columns::default();
    let mut series = 0u64;
    while let Some(labels) = next.iter().flatten().min().cloned() {
        columns.clear();
        let mut origins = 0;
        for (i, source) in sources.iter_mut().enumerate() {
            if next[i].as_ref() != Some(&labels) {
                continue;
            }
            let before = columns.len();
            let deleted = source.samples(range, &mut columns)?;
            let found = (columns.len() - before) as u64;
            tally.read[i] += found + deleted;
            tally.deleted += deleted;
            origins += u32::from(found > 0);
            next[i] = source.next()?;
        }
        if origins > 1 {
            tally.conflicts += sort_first_wins(&mut columns);
        }
        tally.written += columns.len() as u64;
        writer.series(tenant, &labels, &columns)?;
        series += 1;
        if series.is_multiple_of(SERIES_PER_REPORT) {
            progress(tally.written);
        }
    }
    progress(tally.written);
    Ok((writer.finish()?, tally))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::GatherCursor;
    use super::*;
    use crate::block::{Block, BlockCache, BlockSpec};
    use crate::prometheus::{Gather, Times};
    use ferula_env::SystemDisk;
    use ferula_model::Ulid;
    use ferula_objects::{LocalObjects, Objects};

    fn source(samples: &[(&str, i64, f64)]) -> Box<dyn Cursor> {
        let mut gather = Gather::default();
        for &(series, timestamp, value) in samples {
            let number = gather.series(&Labels::from_pairs([("s", series)])).unwrap();
            let start = 0;
            gather.float(number, Times { timestamp, start }, value);
        }
        Box::new(GatherCursor::new(gather))
    }

    #[test]
    fn sources_become_one_and_all_is_accounted_for() {
        let dir = tempfile::tempdir().unwrap();
        let objects = LocalObjects::open(SystemDisk::shared(), dir.path()).unwrap();
        let objects: Arc<dyn Objects> = Arc::new(objects);
        let mut sources = [
            source(&[("b", 5, 1.0), ("b", 7, 2.0), ("a", 1, 9.0), ("z", 50, 0.0)]),
            source(&[("b", 6, 3.0), ("b", 7, 4.0), ("c", 9, 1.0), ("b", 5, 1.0)]),
        ];
        let range = Range { start: 0, end: 10 };
        let id = Ulid(1);
        let writer = BlockWriter::new(&objects, id, BlockSpec::new(range, 0)).unwrap();
        let tenant = TenantId::anonymous();
        let mut reported = 0;
        let written = write(&mut sources, &tenant, range, writer, &mut |n| reported = n);
        let (meta, tally) = written.unwrap();
        let expected = Tally {
            read: vec![3, 4],
            deleted: 0,
            written: 5,
            conflicts: 1,
        };
        assert_eq!(tally, expected);
        assert_eq!((tally.repeated(), reported), (1, 5));
        assert_eq!(meta.unwrap().samples, 5);
        let block = Block::open(&objects, id, BlockCache::new(1 << 20)).unwrap();
        assert_eq!(block.verify().unwrap().samples, 5);
        let mut columns = Columns::default();
        assert_eq!(block.labels(1).unwrap().value("s"), "b");
        block.decode(1, Range::ALL, &mut columns).unwrap();
        assert_eq!(columns.timestamps, [5, 6, 7]);
        assert_eq!(columns.values, [1.0, 3.0, 2.0]);
    }
}
