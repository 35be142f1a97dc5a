//! Rebuilding the head from the records of the log.

use std::sync::atomic::Ordering;

use ferula_model::{LABEL_LEN_MAX, Labels, TenantId, Value};

use super::index::{Index, SERIES_MAX};
use super::rebase::Renumbering;
use super::{Data, HeadWriter, WARM_ROWS};
use crate::Damaged;
use crate::bytes::Reader;
use crate::chunk::column;
use crate::log::record::{self, Dictionary, Record, RowColumns};

/// How many numbers a damaged log may skip: a bound on what is set aside for them.
const LOST_MAX: u32 = 1 << 22;

/// Tenants whose records may be lost.
const LOST_TENANTS_MAX: u32 = 1 << 16;

/// What replaying found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayedRecords {
    /// Samples restored.
    pub samples: u64,
    /// Samples left out because their series' definition is lost.
    pub unknown_series: u64,
    /// Samples left out because their series has newer ones: the log holds them twice.
    pub out_of_order: u64,
    /// Samples left out because the checkpoint that the head was loaded from has them, or newer
    /// ones of their series.
    pub contained: u64,
    /// Samples left out because they lie below the floor: they are in blocks.
    pub below_floor: u64,
    /// Samples restored, and then deleted as they had been.
    pub deleted: u64,
    /// Samples restored, and then given up with series that had ended.
    pub ended: u64,
    /// Records left out because they cannot be understood.
    pub bad_records: u64,
    /// What is wrong with the last of them.
    pub last_error: Option<Damaged>,
}

/// Memory reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    columns: RowColumns,
    chunk: column::Scratch,
}

impl HeadWriter {
    /// Applies one frame's body. What cannot be understood is counted and left out, never
    /// guessed.
    pub fn replay(&mut self, body: &[u8], found: &mut ReplayedRecords) {
        let mut scratch = std::mem::take(&mut self.replay_scratch);
        let mut r = Reader::new(body);
        if record::take_generation(&mut r) != self.head.index.read().generation {
            note_bad(
                found,
                Damaged("series have other numbers: a record before is lost"),
            );
            r = Reader::new(&[]);
        }
        while !r.is_empty() {
            let record = match record::take(&mut r) {
                Ok(record) => record,
                // Where the next one starts is not known.
                Err(damaged) => {
                    note_bad(found, damaged);
                    break;
                }
            };
            if let Err(damaged) = self.replay_record(record, &mut scratch, found) {
                note_bad(found, damaged);
            }
        }
        self.replay_scratch = scratch;
    }

    /// To be called after the last frame: makes the accounts right.
    pub fn replayed(&mut self) {
        let mut index = self.head.index.write();
        // A number that samples in the log have is not given to another series.
        let most = index.len().saturating_add(LOST_MAX).min(SERIES_MAX - 1);
        index.lose_until(self.lost_until.min(most));
        self.logged = Dictionary::of(&index);
        let series = index.len();
        let mut data = self.head.data.write();
        data.extend_to(series);
        let bytes = data.bytes + index.bytes() + u64::from(series) * 4;
        self.previous = Renumbering::default();
        self.head.bytes.store(bytes, Ordering::Relaxed);
        self.replay_scratch = Scratch::default();
    }

    fn replay_record(
        &mut self,
        record: Record<'_>,
        scratch: &mut Scratch,
        found: &mut ReplayedRecords,
    ) -> Result<(), Damaged> {
        let mut payload = record.payload;
        match record.kind {
            record::TENANT => self.replay_tenant(record.tenant, &mut payload),
            record::SYMBOLS => self.replay_symbols(&mut payload),
            record::SERIES => self.replay_series(record.tenant, &mut payload),
            record::LOOSE_ROWS => {
                record::take_floats(&mut payload, &mut scratch.columns)?;
                self.replay_rows(scratch, false, found);
                Ok(())
            }
            record::LOOSE_HISTOGRAMS => {
                record::take_histograms(&mut payload, &mut scratch.columns)?;
                self.replay_rows(scratch, true, found);
                Ok(())
            }
            record::LATE_ROWS => {
                record::take_floats(&mut payload, &mut scratch.columns)?;
                self.replay_late(scratch, false, found);
                Ok(())
            }
            record::LATE_HISTOGRAMS => {
                record::take_histograms(&mut payload, &mut scratch.columns)?;
                self.replay_late(scratch, true, found);
                Ok(())
            }
            record::DELETION => {
                found.deleted += self.replay_deletion(record.tenant, &mut payload)?;
                Ok(())
            }
            record::REBASE => self.replay_rebase(&mut payload, found),
            _ => Err(Damaged("a record of an unknown kind")),
        }
    }

    fn replay_tenant(&mut self, number: u32, payload: &mut Reader<'_>) -> Result<(), Damaged> {
        let mut index = self.head.index.write();
        let name = payload.slice(payload.left())?;
        let name = std::str::from_utf8(name)
            .ok()
            .and_then(|n| TenantId::new(n).ok());
        let name = name.ok_or(Damaged("a tenant's name is none"))?;
        let len = index.tenants().len() as u32;
        if number < len || number - len > LOST_TENANTS_MAX || index.tenant_number(&name).is_some() {
            return Err(Damaged("a tenant is defined out of order"));
        }
        index.lose_tenants_until(number);
        index.intern_tenant(&name);
        Ok(())
    }

    fn replay_symbols(&mut self, payload: &mut Reader<'_>) -> Result<(), Damaged> {
        let mut index = self.head.index.write();
        let first = payload.uv32()?;
        let len = index.symbols.len();
        if first < len || first - len > LOST_MAX - index.symbols.lost().min(LOST_MAX) {
            return Err(Damaged("symbols are defined out of order"));
        }
        index.symbols.lose_until(first);
        while !payload.is_empty() {
            let text = payload.str()?;
            if text.len() > LABEL_LEN_MAX {
                return Err(Damaged("a label is too long"));
            }
            index.symbols.push_logged(text);
        }
        Ok(())
    }

    fn replay_series(&mut self, tenant: u32, payload: &mut Reader<'_>) -> Result<(), Damaged> {
        let head = self.head.clone();
        let mut index = head.index.write();
        let first = payload.uv32()?;
        let len = index.len();
        if first < len || first - len > LOST_MAX.saturating_sub(index.lost()) {
            return Err(Damaged("series are defined out of order"));
        }
        if !index.is_known_tenant(tenant) {
            return Err(Damaged("series of an unknown tenant"));
        }
        index.lose_until(first);
        let mut result = Ok(());
        let mut set = Vec::new();
        while !payload.is_empty() {
            if index.len() >= SERIES_MAX - 1 {
                return Err(Damaged("more series than can be numbered"));
            }
            let labels = payload.uv()?;
            if labels > payload.left() as u64 / 2 {
                return Err(Damaged("too short"));
            }
            set.clear();
            for _ in 0..labels {
                set.push((payload.uv32()?, payload.uv32()?));
            }
            let known = set
                .iter()
                .all(|(n, v)| index.symbols.is_known(*n) && index.symbols.is_known(*v));
            if !known {
                result = Err(Damaged("a series of unknown symbols"));
                let next = index.len() + 1;
                index.lose_until(next);
                continue;
            }
            let text = |id: u32| index.symbols.get(id);
            let sorted = set.is_sorted_by(|a, b| text(a.0) < text(b.0));
            let full = set.iter().all(|(_, value)| !text(*value).is_empty());
            let labels = Labels::from_sorted(
                set.iter()
                    .map(|(n, v)| (text(*n), text(*v)))
                    .filter(|_| sorted && full),
            );
            let hash = index.hash(tenant, &labels);
            if !sorted || !full || index.find(tenant, hash, &labels).is_some() {
                result = Err(Damaged("a series defined twice, or with impossible labels"));
                let next = index.len() + 1;
                index.lose_until(next);
                continue;
            }
            index.create(tenant, hash, &labels);
        }
        result
    }

    fn replay_late(&mut self, scratch: &Scratch, histograms: bool, found: &mut ReplayedRecords) {
        let head = self.head.clone();
        let index = head.index.read();
        let mut data = head.data.write();
        data.extend_to(index.len());
        let columns = &scratch.columns;
        for (i, (&sid, &timestamp)) in columns.sids.iter().zip(&columns.timestamps).enumerate() {
            let known = u32::try_from(sid).ok().filter(|&sid| index.is_known(sid));
            let Some(sid) = known else {
                self.lose_number(sid, found);
                continue;
            };
            let value = match histograms {
                true => Value::Histogram(columns.histograms[i].clone()),
                false => Value::Float(f64::from_bits(columns.floats[i])),
            };
            if timestamp < data.floor {
                found.below_floor += 1;
            } else if !data.has_in_order(sid, timestamp) && data.insert_late(sid, timestamp, &value)
            {
                found.samples += 1;
            } else {
                found.contained += 1;
            }
        }
    }

    /// Notes a sample of a series that is not known, whose number is not to be given to another.
    fn lose_number(&mut self, sid: i64, found: &mut ReplayedRecords) {
        found.unknown_series += 1;
        let lost = u32::try_from(sid).unwrap_or_default();
        self.lost_until = self.lost_until.max(lost.saturating_add(1));
    }

    fn replay_rebase(
        &mut self,
        payload: &mut Reader<'_>,
        found: &mut ReplayedRecords,
    ) -> Result<(), Damaged> {
        let head = self.head.clone();
        let index = head.index.read();
        let mut new = index.successor();
        if payload.uv32()? != new.generation {
            return Err(Damaged("series are renumbered out of order"));
        }
        for _ in 0..payload.uv()? {
            let text = payload.str()?;
            if text.len() > LABEL_LEN_MAX {
                return Err(Damaged("a label is too long"));
            }
            new.symbols.push_logged(text);
        }
        let count = payload.uv()?;
        if count > u64::from(index.len()) + u64::from(LOST_MAX) {
            return Err(Damaged("more series are renumbered than there are"));
        }
        let mut numbers = Vec::new();
        record::take_column(payload, count as usize, &mut numbers)?;
        let ids = successors(&index, &numbers, &mut new);
        drop(index);
        let before = head.data.read().samples;
        drop(self.renumber(&ids, new));
        found.ended += before - head.data.read().samples;
        Ok(())
    }

    fn replay_rows(
        &mut self,
        scratch: &mut Scratch,
        histograms: bool,
        found: &mut ReplayedRecords,
    ) {
        let head = self.head.clone();
        let index = head.index.read();
        let mut data = head.data.write();
        let data: &mut Data = &mut data;
        data.extend_to(index.len());
        let columns = &scratch.columns;
        let mut span: Option<(i64, i64)> = None;
        for from in (0..columns.sids.len()).step_by(WARM_ROWS) {
            let rows = from..columns.sids.len().min(from + WARM_ROWS);
            data.warm(columns.sids[rows.clone()].iter().map(|&sid| sid as u32));
            for i in rows {
                let (sid, timestamp) = (columns.sids[i], columns.timestamps[i]);
                let known = u32::try_from(sid).ok().filter(|&sid| index.is_known(sid));
                let Some(sid) = known else {
                    self.lose_number(sid, found);
                    continue;
                };
                if timestamp < data.floor {
                    found.below_floor += 1;
                    continue;
                }
                let is_late = data.late(sid).is_some_and(|l| l.get(timestamp).is_some());
                let series = data.series_mut(sid);
                if is_late || series.newest().is_some_and(|newest| newest >= timestamp) {
                    match self.loaded {
                        true => found.contained += 1,
                        false => found.out_of_order += 1,
                    }
                    continue;
                }
                let growth = if histograms {
                    series.push_histogram(timestamp, &columns.histograms[i], &mut scratch.chunk)
                } else {
                    series.push_float(timestamp, columns.floats[i], &mut scratch.chunk)
                };
                data.note(sid, growth);
                found.samples += 1;
                let (oldest, newest) = span.unwrap_or((timestamp, timestamp));
                span = Some((oldest.min(timestamp), newest.max(timestamp)));
            }
        }
        if let Some((oldest, newest)) = span {
            data.widen(oldest, newest);
        }
    }
}

/// Creates the series that have these numbers so far in a new index. What is not known, because
/// its definition is lost, keeps a number that stands for nothing.
fn successors(index: &Index, numbers: &[i64], new: &mut Index) -> Vec<Option<u32>> {
    let mut taken = vec![false; index.len() as usize];
    let mut ids = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let known = u32::try_from(number)
            .ok()
            .filter(|&sid| index.is_known(sid));
        let id = known.filter(|&sid| !std::mem::replace(&mut taken[sid as usize], true));
        ids.push(id);
        match id {
            Some(sid) => {
                let (tenant, labels) = (index.pairs_of(sid).0, index.labels(sid));
                let hash = new.hash(tenant, &labels);
                new.create(tenant, hash, &labels);
            }
            None => {
                let next = new.len() + 1;
                new.lose_until(next);
            }
        }
    }
    ids
}

fn note_bad(found: &mut ReplayedRecords, damaged: Damaged) {
    found.bad_records += 1;
    found.last_error = Some(damaged);
}
