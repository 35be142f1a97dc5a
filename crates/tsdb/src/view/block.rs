//! A block as a view shows it: without what has been deleted from it.

use std::sync::{Arc, OnceLock};

use ferula_model::{Matcher, Range, TenantId};
use ferula_storage::{Columns, LabelQuery, SelectError};

use crate::block::{Block, BlockError};
use crate::manifest::BlockEntry;

/// A block that is open for reading.
#[derive(Debug)]
pub struct Shown {
    block: Arc<Block>,
    entry: BlockEntry,
    /// For each deletion the series it hits, in order, and the times.
    hidden: Vec<(Vec<u32>, Range)>,
    /// The series of which nothing is left, in order, once somebody asked.
    gone: OnceLock<Vec<u32>>,
}

impl Shown {
    /// Shows a block as its entry says.
    pub fn new(block: Arc<Block>, entry: BlockEntry) -> Result<Self, BlockError> {
        let mut hidden = Vec::new();
        for delete in entry
            .deletes
            .iter()
            .filter(|d| d.range.overlaps(entry.range))
        {
            let series = block.select(&delete.tenant, &delete.matchers, delete.range)?;
            if !series.is_empty() {
                hidden.push((series, delete.range));
            }
        }
        Ok(Self {
            block,
            entry,
            hidden,
            gone: OnceLock::new(),
        })
    }

    /// The block, with what was deleted since it was written.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// What the manifest says of it.
    pub fn entry(&self) -> &BlockEntry {
        &self.entry
    }

    /// Whether something of it is deleted.
    pub(crate) fn hides(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Whether samples of a series are deleted.
    pub(crate) fn hides_of(&self, ordinal: u32) -> bool {
        self.hidden(ordinal).next().is_some()
    }

    pub(super) fn range(&self) -> Range {
        self.entry.range
    }

    pub(super) fn rank(&self) -> u64 {
        self.entry.rank
    }

    /// Times at which a series' samples are deleted.
    fn hidden(&self, ordinal: u32) -> impl Iterator<Item = Range> {
        let hit = move |series: &[u32]| series.binary_search(&ordinal).is_ok();
        let hidden = self.hidden.iter();
        hidden
            .filter(move |(series, _)| hit(series))
            .map(|(_, range)| *range)
    }

    /// Whether nothing of a series is left in a range.
    fn is_gone(&self, ordinal: u32, range: Range) -> bool {
        self.hidden(ordinal).any(|hidden| {
            let (start, end) = (
                range.start.max(self.range().start),
                range.end.min(self.range().end),
            );
            hidden.start <= start && hidden.end >= end
        })
    }

    /// The series of which nothing is left, in order. One that cannot be read is not among them:
    /// who asks for it shall be told.
    fn gone(&self) -> &[u32] {
        self.gone.get_or_init(|| {
            let mut series: Vec<u32> = self.hidden.iter().flat_map(|(s, _)| s).copied().collect();
            series.sort_unstable();
            series.dedup();
            let mut columns = Columns::default();
            series.retain(|&ordinal| {
                if self.is_gone(ordinal, self.range()) {
                    return true;
                }
                columns.clear();
                let read = self.decode(ordinal, Range::ALL, &mut columns);
                read.is_ok() && columns.is_empty()
            });
            series
        })
    }

    /// The series that match and may have samples in the range.
    pub(super) fn select(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        range: Range,
    ) -> Result<Vec<u32>, SelectError> {
        let mut series = self.block.select(tenant, matchers, range)?;
        if !self.hidden.is_empty() {
            let gone = self.gone();
            series.retain(|ordinal| {
                gone.binary_search(ordinal).is_err() && !self.is_gone(*ordinal, range)
            });
        }
        Ok(series)
    }

    /// Appends a series' samples, those not deleted.
    pub fn decode(
        &self,
        ordinal: u32,
        range: Range,
        columns: &mut Columns,
    ) -> Result<(), SelectError> {
        if !self.hides_of(ordinal) {
            return Ok(self.block.decode(ordinal, range, columns)?);
        }
        let mut part = Columns::default();
        self.block.decode(ordinal, range, &mut part)?;
        for hidden in self.hidden(ordinal) {
            remove(&mut part, hidden);
        }
        columns.timestamps.append(&mut part.timestamps);
        columns.values.append(&mut part.values);
        columns.start_timestamps.append(&mut part.start_timestamps);
        columns.histograms.append(&mut part.histograms);
        Ok(())
    }

    /// The series a listing is about; `None` for all of the tenant's.
    pub(super) fn listed(&self, query: &LabelQuery) -> Result<Option<Vec<u32>>, SelectError> {
        let covered =
            query.range.start <= self.range().start && query.range.end >= self.range().end;
        if query.matchers.is_empty() && self.hidden.is_empty() && covered {
            return Ok(None);
        }
        let sets: &[Vec<_>] = match query.matchers.as_slice() {
            [] => &[Vec::new()],
            sets => sets,
        };
        let mut all = Vec::new();
        for set in sets {
            all.extend(self.select(&query.tenant, set, query.range)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(Some(all))
    }
}

/// Takes the samples of a range out.
fn remove(columns: &mut Columns, range: Range) {
    let times = &columns.timestamps;
    let floats =
        times.partition_point(|t| *t < range.start)..times.partition_point(|t| *t < range.end);
    if !columns.start_timestamps.is_empty() {
        columns.start_timestamps.drain(floats.clone());
    }
    columns.timestamps.drain(floats.clone());
    columns.values.drain(floats);
    columns.histograms.retain(|h| !range.contains(h.timestamp));
}
