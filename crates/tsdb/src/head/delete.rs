//! Deletion: samples are taken out of the chunks of series that match.
//!
//! It happens between two commits and covers what was committed before. The log says what was
//! deleted, by matchers and range, so that a replay does the same at the same place. A series'
//! newest timestamp stays the bound for what may come, whether or not the sample there is still
//! held: a replay that meets the rows of a deleted sample again leaves them out.

use std::sync::atomic::Ordering;

use ferula_model::{MatchOp, Matcher, Range, TenantId};
use ferula_storage::{Columns, Deletion};
use parking_lot::RwLockWriteGuard;

use super::sealed::{Sealed, chain, decode_chunk, decode_sealed};
use super::select::matching;
use super::series::{Freed, Growth, Kind, Series};
use super::{Head, HeadWriter};
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};
use crate::chunk::column::Scratch;
use crate::log::record;

/// So many series are written anew under one lock: less than a millisecond.
const SLICE_SERIES: usize = 64;

/// Operators by the number that the log gives them.
const OPS: [MatchOp; 4] = [
    MatchOp::Equal,
    MatchOp::NotEqual,
    MatchOp::Regex,
    MatchOp::NotRegex,
];

/// Series that a deletion is about: they match, and have chunks in its range.
#[derive(Debug)]
pub struct ToDelete {
    tenant: u32,
    ids: Vec<u32>,
    range: Range,
}

impl ToDelete {
    /// Whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl HeadWriter {
    /// What there is to delete. Nothing may be staged.
    pub fn to_delete(&self, deletion: &Deletion) -> ToDelete {
        let tenant = self.head.index.read().tenant_number(&deletion.tenant);
        let sets = deletion.matchers.iter().map(Vec::as_slice);
        ToDelete {
            tenant: tenant.unwrap_or_default(),
            ids: self.head.reached(&deletion.tenant, sets, deletion.range),
            range: deletion.range,
        }
    }

    /// Appends the records of a deletion. They stand behind the definitions of all series.
    pub fn encode_deletion(&self, what: &ToDelete, deletion: &Deletion, out: &mut Vec<u8>) {
        for set in &deletion.matchers {
            record::put(out, record::DELETION, what.tenant, |out| {
                put_zz(out, deletion.range.start);
                put_zz(out, deletion.range.end);
                set.iter().for_each(|matcher| put_matcher(out, matcher));
            });
        }
    }

    /// Deletes, once the records are durable. Returns the number of samples.
    pub fn delete(&mut self, what: &ToDelete) -> u64 {
        debug_assert!(self.is_empty(), "between two commits");
        let head = self.head.clone();
        head.erase(&what.ids, what.range, &mut self.scratch)
    }

    /// Does what a record of the log says; returns the number of samples.
    pub(super) fn replay_deletion(
        &mut self,
        tenant: u32,
        payload: &mut Reader<'_>,
    ) -> Result<u64, Damaged> {
        let (start, end) = (payload.zz()?, payload.zz()?);
        let mut matchers = Vec::new();
        while !payload.is_empty() {
            matchers.push(take_matcher(payload)?);
        }
        let head = self.head.clone();
        let tenant = {
            let index = head.index.read();
            if !index.is_known_tenant(tenant) {
                return Err(Damaged("a deletion of an unknown tenant"));
            }
            index.tenants()[tenant as usize].id.clone()
        };
        let range = Range { start, end };
        let ids = head.reached(&tenant, [matchers.as_slice()].into_iter(), range);
        Ok(head.erase(&ids, range, &mut self.scratch))
    }
}

impl Head {
    /// The series that match any set and have chunks in `range`, in order of number.
    fn reached<'a>(
        &self,
        tenant: &TenantId,
        sets: impl Iterator<Item = &'a [Matcher]>,
        range: Range,
    ) -> Vec<u32> {
        let index = self.index.read();
        let mut ids: Vec<u32> = sets.flat_map(|set| matching(&index, tenant, set)).collect();
        ids.sort_unstable();
        ids.dedup();
        let data = self.data.read();
        ids.retain(|&sid| data.overlaps(sid, range));
        ids
    }

    /// Takes the samples of `range` out of series, a few series per lock.
    fn erase(&self, ids: &[u32], range: Range, scratch: &mut Scratch) -> u64 {
        let mut erased = 0;
        for slice in ids.chunks(SLICE_SERIES) {
            let mut replaced = Vec::with_capacity(slice.len());
            let (mut before, mut after) = (Held::default(), Held::default());
            let mut data = self.data.write();
            for &sid in slice {
                let series = data.series_mut(sid);
                // What is in memory was encoded here, and cannot be damaged.
                if let Ok(Some(rest)) = series.without(range, scratch) {
                    before.add(series);
                    after.add(&rest);
                    replaced.push(std::mem::replace(series, rest));
                }
            }
            let mut freed = Freed::default();
            erased += data.remove_late(slice, |t| range.contains(t), &mut freed);
            data.give_back(&freed);
            self.give_back(&freed);
            data.samples = data.samples - before.samples + after.samples;
            data.chunks = data.chunks - before.chunks + after.chunks;
            data.live = data.live - before.series + after.series;
            data.bytes = data
                .bytes
                .wrapping_sub(before.bytes)
                .wrapping_add(after.bytes);
            let change = |bytes: u64| {
                let less = bytes.saturating_sub(before.bytes);
                Some(less.saturating_add(after.bytes))
            };
            let _ = self
                .bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
            erased += before.samples - after.samples;
            // Who waits comes first; the memory is given back outside of the lock.
            RwLockWriteGuard::unlock_fair(data);
            drop(replaced);
        }
        erased
    }
}

/// What some series hold.
#[derive(Default)]
struct Held {
    series: u64,
    chunks: u64,
    samples: u64,
    bytes: u64,
}

impl Held {
    fn add(&mut self, series: &Series) {
        self.series += u64::from(series.has_samples());
        for chunk in chain(series.sealed.as_deref()) {
            self.chunks += 1;
            self.samples += chunk.samples();
            self.bytes += chunk.held();
        }
        if let Some(open) = &series.open {
            self.chunks += 1;
            self.samples += u64::from(series.count);
            self.bytes += open.len() as u64;
        }
    }
}

impl Series {
    /// The series without the samples of `range`; `None` if it has none there. Chunks older than
    /// the range are shared, what follows is written anew.
    fn without(&self, range: Range, scratch: &mut Scratch) -> Result<Option<Self>, Damaged> {
        let chunks: Vec<&Sealed> = chain(self.sealed.as_deref()).collect();
        let oldest = chunks.iter().rposition(|chunk| chunk.overlaps(range));
        let rewritten = &chunks[..oldest.map_or(0, |oldest| oldest + 1)];
        let mut rest = Self::new();
        rest.sealed = match rewritten.last() {
            Some(oldest) => oldest.older.clone(),
            None => self.sealed.clone(),
        };
        let mut columns = Columns::default();
        let mut erased = 0;
        for chunk in rewritten.iter().rev() {
            columns.clear();
            decode_sealed(&chunk.bytes, &mut columns)?;
            erased += rest.push_outside(range, &columns, scratch);
        }
        columns.clear();
        decode_chunk(
            self.kind,
            self.count.into(),
            self.open_bytes(),
            &mut columns,
        )?;
        erased += rest.push_outside(range, &columns, scratch);
        if erased == 0 {
            return Ok(None);
        }
        if rest.newest() != Some(self.newest) || self.kind == Kind::Deleted {
            rest.seal(Kind::Deleted, scratch, &mut Growth::default());
            rest.newest = self.newest;
        }
        Ok(Some(rest))
    }

    /// Adds the samples of one chunk that do not lie in `range`; returns how many do.
    fn push_outside(&mut self, range: Range, columns: &Columns, scratch: &mut Scratch) -> u64 {
        let mut inside = 0;
        for (&timestamp, value) in columns.timestamps.iter().zip(&columns.values) {
            match range.contains(timestamp) {
                true => inside += 1,
                false => _ = self.push_float(timestamp, value.to_bits(), scratch),
            }
        }
        for point in &columns.histograms {
            match range.contains(point.timestamp) {
                true => inside += 1,
                false => _ = self.push_histogram(point.timestamp, &point.histogram, scratch),
            }
        }
        inside
    }
}

fn put_matcher(out: &mut Vec<u8>, matcher: &Matcher) {
    let op = OPS.iter().position(|op| *op == matcher.op());
    out.push(op.expect("the table has all of them") as u8);
    for text in [matcher.name(), matcher.value()] {
        put_uv(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

fn take_matcher(r: &mut Reader<'_>) -> Result<Matcher, Damaged> {
    let op = OPS.get(usize::from(r.u8()?));
    let op = *op.ok_or(Damaged("a matcher of an unknown kind"))?;
    let (name, value) = (r.str()?, r.str()?);
    Matcher::new(op, name, value).map_err(|_| Damaged("a matcher without a regular expression"))
}
