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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::HeadSettings;
    use ferula_model::Labels;
    use ferula_storage::{Batch, Hints, Origin, SampleEntry, SelectRequest, SeriesKey};
    use proptest::prelude::*;

    fn empty() -> (Arc<Head>, HeadWriter) {
        Head::new(HeadSettings {
            bytes_max: u64::MAX,
            hash_seed: 3,
        })
    }

    fn labels(i: u8) -> Labels {
        Labels::from_pairs([("i", i.to_string())])
    }

    /// A sample of each series at each second of a range.
    fn append(writer: &mut HeadWriter, series: u8, seconds: std::ops::Range<i64>) {
        let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
        batch.series = (0..series).map(|i| SeriesKey::Labels(labels(i))).collect();
        for (second, i) in seconds.flat_map(|s| (0..series).map(move |i| (s, i))) {
            batch.samples.push(SampleEntry {
                series: i.into(),
                timestamp: second * 1_000,
                value: second as f64 / 8.0,
            });
        }
        assert_eq!(writer.stage(&batch).unwrap().rejected_total(), 0);
        writer.apply();
    }

    fn deletion(i: u8, start: i64, end: i64) -> Deletion {
        let range = Range {
            start: start * 1_000,
            end: end.saturating_mul(1_000),
        };
        Deletion {
            tenant: TenantId::anonymous(),
            matchers: vec![vec![Matcher::equal("i", i.to_string())]],
            range,
        }
    }

    /// The seconds of all series, as a reader sees them.
    fn seconds(head: &Head) -> BTreeMap<Labels, Vec<i64>> {
        let request = SelectRequest {
            tenant: TenantId::anonymous(),
            matchers: vec![],
            range: Range::ALL,
            hints: Hints::default(),
        };
        let series = head.select(&request, || ()).0.series.into_iter();
        let decoded = series.map(|series| {
            let mut columns = Columns::default();
            series.source.decode(Range::ALL, &mut columns).unwrap();
            let times = columns.timestamps.iter().map(|t| t / 1_000);
            (series.labels, times.collect())
        });
        decoded.collect()
    }

    /// The bytes `docs/internals/log.md` describes, worked out by hand.
    #[test]
    fn golden_record() {
        let (_, mut writer) = empty();
        append(&mut writer, 1, 0..2);
        let deletion = Deletion {
            matchers: vec![vec![Matcher::new(MatchOp::Regex, "i", "0|1").unwrap()]],
            ..deletion(0, -1, 1)
        };
        let what = writer.to_delete(&deletion);
        let mut out = Vec::new();
        writer.encode_deletion(&what, &deletion, &mut out);
        let mut expected = vec![6, 0, 0x8B, 0x80, 0x80, 0x00]; // of tenant 0, 11 bytes
        expected.extend([0xCF, 0x0F, 0xD0, 0x0F]); // from -1000 to 1000
        expected.extend([2, 1, b'i', 3, b'0', b'|', b'1']);
        assert_eq!(out, expected);
    }

    #[test]
    fn readers_keep_what_they_have_and_memory_comes_back() {
        let (head, mut writer) = empty();
        append(&mut writer, 4, 0..1);
        let (bytes, first) = (head.stats().bytes, seconds(&head));
        append(&mut writer, 4, 1..1_000);
        let request = SelectRequest {
            tenant: TenantId::anonymous(),
            matchers: vec![],
            range: Range::ALL,
            hints: Hints::default(),
        };
        let held = head.select(&request, || ()).0.series;
        for i in 0..4 {
            let what = writer.to_delete(&deletion(i, 1, i64::MAX));
            assert_eq!(writer.delete(&what), 999);
        }
        assert_eq!(seconds(&head), first);
        assert!(head.stats().bytes <= bytes + 4 * 100, "{:?}", head.stats());
        let mut columns = Columns::default();
        held[0].source.decode(Range::ALL, &mut columns).unwrap();
        assert_eq!(columns.len(), 1_000);
        // Nothing is left, but the series know what they had.
        for i in 0..4 {
            let what = writer.to_delete(&deletion(i, 0, 1));
            assert_eq!(writer.delete(&what), 1);
        }
        let stats = head.stats();
        assert_eq!((stats.series, stats.samples, stats.chunks), (0, 0, 0));
        assert!(writer.to_delete(&deletion(0, 0, 1)).is_empty());
        append(&mut writer, 4, 1_000..1_001);
        assert_eq!(head.stats().series, 4);
    }

    proptest! {
        /// Whatever is deleted in whatever order, what is left and what is counted is right.
        #[test]
        fn what_is_left_is_what_was_not_deleted(
            rounds in proptest::collection::vec((1..200i64, 0..3u8, 0..600i64, 1..300i64), 1..12),
        ) {
            let (head, mut writer) = empty();
            let mut model: BTreeMap<Labels, Vec<i64>> = BTreeMap::new();
            let mut now = 0;
            for (more, i, start, len) in rounds {
                append(&mut writer, 3, now..now + more);
                for i in 0..3 {
                    model.entry(labels(i)).or_default().extend(now..now + more);
                }
                now += more;
                let what = writer.to_delete(&deletion(i, start, start + len));
                let erased = writer.delete(&what);
                let kept = model.get_mut(&labels(i)).unwrap();
                let before = kept.len();
                kept.retain(|second| !(start..start + len).contains(second));
                prop_assert_eq!(erased, (before - kept.len()) as u64);
                let mut expected = model.clone();
                expected.retain(|_, seconds| !seconds.is_empty());
                prop_assert_eq!(seconds(&head), expected.clone());
                let stats = head.stats();
                let samples = expected.values().map(|s| s.len() as u64).sum::<u64>();
                prop_assert_eq!((stats.samples, stats.series), (samples, expected.len() as u64));
            }
        }
    }
}
