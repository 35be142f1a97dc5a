//! Several blocks become one.

use std::sync::Arc;

use ferula_model::{Labels, Range, TenantId, Timestamp};
use ferula_storage::{Columns, SeriesSource as _};

use super::CompactError;
use crate::block::{BlockError, BlockMeta, BlockWriter, LabelReader};
use crate::view::{Shown, View, Whole};

/// A place in a source: the series that comes next.
struct Cursor<'a> {
    /// Whose series these are, and the ordinal behind their last.
    tenants: Vec<(&'a TenantId, u32)>,
    ordinal: u32,
    reader: LabelReader<'a>,
    labels: Labels,
}

impl<'a> Cursor<'a> {
    fn new(block: &'a Shown) -> Result<Option<Self>, BlockError> {
        let mut end = 0;
        let tenants = block.block().meta().tenants.iter().map(|t| {
            end += t.series as u32;
            (&t.tenant, end)
        });
        let mut cursor = Self {
            tenants: tenants.filter(|(_, end)| *end > 0).rev().collect(),
            ordinal: 0,
            reader: block.block().label_reader(),
            labels: Labels::empty(),
        };
        Ok(cursor.load()?.then_some(cursor))
    }

    /// Reads the labels of the series at the cursor; `false` if there is none.
    fn load(&mut self) -> Result<bool, BlockError> {
        while self
            .tenants
            .last()
            .is_some_and(|(_, end)| *end <= self.ordinal)
        {
            self.tenants.pop();
        }
        if self.tenants.is_empty() {
            return Ok(false);
        }
        self.labels = self.reader.labels(self.ordinal)?;
        Ok(true)
    }

    fn key(&self) -> (Option<&TenantId>, &Labels) {
        (self.tenants.last().map(|(tenant, _)| *tenant), &self.labels)
    }
}

/// Writes the samples of all sources, which are in order of time, to one block, without those
/// that are deleted or of which another source has the same timestamp; none if none are left.
/// Checks that nothing else is missing.
pub fn merge(
    sources: &[Arc<Shown>],
    mut writer: BlockWriter,
    stop: &dyn Fn() -> bool,
) -> Result<Option<BlockMeta>, CompactError> {
    let view = Arc::new(View::new(0, Timestamp::MAX, sources.to_vec()));
    let mut cursors = Vec::new();
    for (number, block) in (0u32..).zip(view.blocks()) {
        cursors.extend(Cursor::new(block)?.map(|cursor| (number, cursor)));
    }
    let mut samples = Columns::default();
    while let Some(first) = cursors.iter().map(|(_, cursor)| cursor.key()).min() {
        if stop() {
            return Err(CompactError::Stopped);
        }
        let (Some(tenant), labels) = (first.0.cloned(), first.1.clone()) else {
            break;
        };
        let same = |cursor: &Cursor<'_>| cursor.key() == (Some(&tenant), &labels);
        let parts = cursors.iter().filter(|(_, cursor)| same(cursor));
        let parts = parts.map(|(number, cursor)| (*number, cursor.ordinal));
        let parts: Vec<(u32, u32)> = parts.collect();
        let block = |number: u32| &view.blocks()[number as usize];
        let whole = !view.overlaps() && !parts.iter().any(|&(n, o)| block(n).hides_of(o));
        if whole {
            let parts = parts.iter().map(|&(n, o)| (&**block(n).block(), o));
            writer.copy(&tenant, &labels, &parts.collect::<Vec<_>>())?;
        } else {
            let series = Whole {
                view: view.clone(),
                parts,
                head: None,
            };
            samples.clear();
            series.decode(Range::ALL, &mut samples)?;
            writer.series(&tenant, &labels, &samples)?;
        }
        let mut ended = Vec::new();
        for (at, (_, cursor)) in cursors.iter_mut().enumerate().filter(|(_, c)| same(&c.1)) {
            cursor.ordinal += 1;
            if !cursor.load()? {
                ended.push(at);
            }
        }
        for at in ended.into_iter().rev() {
            cursors.remove(at);
        }
    }
    let written = writer.finish()?;
    check(sources, written.as_ref())?;
    Ok(written)
}

/// Nothing may be missing that was not deleted, and nothing may be there that was not: where
/// nothing could be left out, the sums of all samples' hashes are compared.
fn check(sources: &[Arc<Shown>], written: Option<&BlockMeta>) -> Result<(), CompactError> {
    let metas = || sources.iter().map(|s| s.block().meta());
    let expected: u64 = metas().map(|m| m.samples).sum();
    let found = written.map_or(0, |m| m.samples);
    let left_out = sources.iter().any(|s| s.hides())
        || View::new(0, Timestamp::MAX, sources.to_vec()).overlaps();
    let hash = metas().fold(0u128, |all, m| all.wrapping_add(m.hash));
    let same = match left_out {
        true => found <= expected,
        false => found == expected && written.map_or(0, |m| m.hash) == hash,
    };
    match same {
        true => Ok(()),
        false => Err(CompactError::Unbalanced { expected, found }),
    }
}
