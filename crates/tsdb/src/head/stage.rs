//! Writing: batches are judged and staged, made durable by the caller, then applied.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferula_model::{Histogram, Labels, Range, Timestamp, Value, is_stale};
use ferula_storage::{AppendError, Batch, Columns, Reason, Rejection, Report, SeriesKey};
use std::collections::HashMap;

use super::rebase::{Renumbering, reference};
use super::series::Kind;
use super::{BYTES_MAX_SETTING, Bounds, Data, Head, Verdict, WARM_ROWS, judge, min_valid};
use crate::chunk::column::Scratch;
use crate::log::record::{self, Dictionary};

/// Stands for "none" where a row's number is expected.
const NO_ROW: u32 = u32::MAX;

/// A batch's series that is not known.
const UNKNOWN: u32 = u32::MAX;

/// A batch's series that could not be created.
const NO_ROOM: u32 = u32::MAX - 1;

/// Rows whose memory is kept from one commit to the next: 128 Ki × 32 B are 4 MiB.
const KEEP_ROWS: usize = 1 << 17;

/// Staged rows one commit may have: their numbers have 32 bits.
const ROWS_MAX: usize = 1 << 31;

/// The one writer of a [`Head`].
///
/// `stage` any number of batches, `encode` what they add, make that durable, then `apply` (or
/// `discard`, if it could not be made durable). Staged samples count when later ones are
/// judged, and no reader sees them.
#[derive(Debug)]
pub struct HeadWriter {
    pub(crate) head: Arc<Head>,
    rows: Vec<Row>,
    histograms: Vec<Arc<Histogram>>,
    /// What the staged rows made of their series.
    tails: Vec<Tail>,
    /// For each series an index into `tails`, which is wrong unless the tail there says it is
    /// this series': so nothing need be cleared between commits.
    pub(super) tail_of: Vec<u32>,
    /// Where each batch's rows end, and its tenant.
    batches: Vec<(usize, u32)>,
    span: Option<(Timestamp, Timestamp)>,
    lookup: Lookup,
    /// Series, symbols and tenants below these numbers are in the log.
    pub(crate) logged: Dictionary,
    /// Whether the head was loaded from a checkpoint.
    pub(crate) loaded: bool,
    /// Memory of the last batch's series numbers.
    resolved: Vec<u32>,
    pub(super) scratch: Scratch,
    pub(super) replay_scratch: super::replay::Scratch,
    /// Above all numbers of unknown series that a replay met.
    pub(super) lost_until: u32,
    /// No late sample below is taken: a block is being cut up to here.
    pub(super) late_bound: Timestamp,
    /// From the references before the last renumbering to those of today.
    pub(super) previous: Renumbering,
}

/// A staged sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) sid: u32,
    /// The row staged before for the same series.
    before: u32,
    pub(crate) timestamp: Timestamp,
    /// A float's bits, or the number of a staged histogram.
    pub(crate) value: u64,
    pub(crate) is_histogram: bool,
    /// Whether it is out of order.
    pub(crate) is_late: bool,
}

impl Row {
    /// A float, staged alone.
    #[cfg(test)]
    pub(crate) fn float(sid: u32, timestamp: Timestamp, value: u64) -> Self {
        Self {
            sid,
            before: NO_ROW,
            timestamp,
            value,
            is_histogram: false,
            is_late: false,
        }
    }
}

/// A series' newest staged sample.
#[derive(Clone, Copy, Debug)]
struct Tail {
    sid: u32,
    row: u32,
    timestamp: Timestamp,
    kind: Kind,
}

/// Samples looked up by their age: only resends and late samples need it.
#[derive(Debug, Default)]
struct Lookup {
    /// The chunk looked at last, decoded: resends come in runs.
    chunk: Option<(u32, Range)>,
    columns: Columns,
    /// Staged rows of series that were asked for, oldest first.
    staged: HashMap<u32, Vec<u32>>,
    /// Staged rows that are out of order, by series and time.
    late: HashMap<(u32, Timestamp), u32>,
}

impl HeadWriter {
    pub(super) fn new(head: Arc<Head>) -> Self {
        Self {
            head,
            rows: Vec::new(),
            histograms: Vec::new(),
            tails: Vec::new(),
            tail_of: Vec::new(),
            batches: Vec::new(),
            span: None,
            lookup: Lookup::default(),
            logged: Dictionary::default(),
            loaded: false,
            resolved: Vec::new(),
            scratch: Scratch::default(),
            replay_scratch: super::replay::Scratch::default(),
            lost_until: 0,
            late_bound: Timestamp::MIN,
            previous: Renumbering::default(),
        }
    }

    /// Judges a batch against what the head holds and what is staged, and stages what is to be
    /// stored. The report holds once the commit is durable and applied.
    pub fn stage(&mut self, batch: &Batch) -> Result<Report, AppendError> {
        refuse_unsupported(batch)?;
        let (used, max) = (self.head.bytes_used(), self.head.bytes_max());
        if used >= max {
            let limit = BYTES_MAX_SETTING;
            return Err(AppendError::HeadFull { used, max, limit });
        }
        if self.rows.len() + batch.samples.len() + batch.histograms.len() > ROWS_MAX {
            let why = format!("a commit holds at most {ROWS_MAX} samples");
            return Err(AppendError::Overloaded { why });
        }
        let head = self.head.clone();
        let mut report = Report::default();
        let bounds = self.bounds(batch);
        let tenant = self.resolve(batch, bounds.oldest(), &mut report);
        let data = head.data.read();
        let mut judging = Judging {
            writer: self,
            data: &data,
            batch,
            bounds,
            report,
        };
        for entry in &batch.samples {
            let value = Sent::Float(entry.value.to_bits());
            judging.sample(entry.series, entry.timestamp, value);
        }
        for entry in &batch.histograms {
            let value = Sent::Histogram(&entry.histogram);
            judging.sample(entry.series, entry.timestamp, value);
        }
        let report = judging.report;
        self.batches.push((self.rows.len(), tenant));
        Ok(report)
    }

    /// Whether the head holds as many bytes as it may.
    pub fn is_full(&self) -> bool {
        self.head.bytes_used() >= self.head.bytes_max()
    }

    /// Whether nothing is staged that needs to be made durable.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of memory that grow with the number of series.
    pub(super) fn bytes(&self) -> u64 {
        self.tail_of.capacity() as u64 * 4 + self.previous.bytes()
    }

    /// Appends the records that define what staged samples refer to and the log does not
    /// define yet, until `out` has about `bytes_max` bytes. Returns how far the log goes once
    /// they are in it; to be told so with [`Self::defined`]. A frame begins with them, even if
    /// there are none.
    pub fn encode_definitions(&self, out: &mut Vec<u8>, bytes_max: usize) -> Dictionary {
        record::put_generation(out, self.logged.generation);
        record::put_dictionary(out, &self.head.index.read(), self.logged, bytes_max)
    }

    /// Whether nothing is left to be defined.
    pub fn is_defined_by(&self, log: Dictionary) -> bool {
        Dictionary::of(&self.head.index.read()) == log
    }

    /// Notes that the log has the definitions up to here.
    pub fn defined(&mut self, log: Dictionary) {
        self.logged = log;
    }

    /// Appends the records of the staged samples.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut from = 0;
        for &(end, tenant) in &self.batches {
            record::put_rows(out, tenant, &self.rows[from..end], &self.histograms);
            from = end;
        }
    }

    /// Makes what is staged visible, all at once.
    pub fn apply(&mut self) {
        let index = self.head.index.read();
        let series = index.len();
        let index_bytes = index.bytes();
        drop(index);
        let mut data = self.head.data.write();
        data.extend_to(series);
        for rows in self.rows.chunks(WARM_ROWS) {
            data.warm(rows.iter().map(|row| row.sid));
            for row in rows {
                if row.is_late {
                    let value = match row.is_histogram {
                        true => Value::Histogram(self.histograms[row.value as usize].clone()),
                        false => Value::Float(f64::from_bits(row.value)),
                    };
                    data.insert_late(row.sid, row.timestamp, &value);
                    continue;
                }
                let series = data.series_mut(row.sid);
                let growth = if row.is_histogram {
                    let histogram = &self.histograms[row.value as usize];
                    series.push_histogram(row.timestamp, histogram, &mut self.scratch)
                } else {
                    series.push_float(row.timestamp, row.value, &mut self.scratch)
                };
                data.note(row.sid, growth);
            }
        }
        if let Some((oldest, newest)) = self.span {
            data.widen(oldest, newest);
        }
        let bytes = data.bytes + index_bytes + self.bytes();
        // Under the lock, as a truncation takes off what it frees.
        self.head.bytes.store(bytes, Ordering::Relaxed);
        drop(data);
        self.discard();
    }

    /// Forgets what is staged. Series that were created stay, without samples; they are logged
    /// with the next commit.
    pub fn discard(&mut self) {
        self.rows.clear();
        self.rows.shrink_to(KEEP_ROWS);
        self.histograms.clear();
        self.histograms.shrink_to(KEEP_ROWS);
        self.tails.clear();
        self.tails.shrink_to(KEEP_ROWS);
        self.batches.clear();
        self.span = None;
        self.lookup.chunk = None;
        self.lookup.staged.clear();
        self.lookup.late.clear();
    }

    /// The oldest timestamp that is taken. The bound goes by the head's newest sample, or if
    /// there is none by the batch's first.
    fn bounds(&self, batch: &Batch) -> Bounds {
        let data = self.head.data.read();
        let staged = self.span.map(|(_, newest)| newest);
        let first = || {
            let float = batch.samples.first().map(|s| s.timestamp);
            float.or_else(|| batch.histograms.first().map(|h| h.timestamp))
        };
        let newest = data.newest().max(staged).or_else(first);
        let late = self.head.late_window().zip(newest);
        let late = late.map(|(window, newest)| {
            let bound = newest.saturating_sub(window);
            bound.max(data.floor).max(self.late_bound)
        });
        Bounds {
            min_valid: min_valid(newest, data.floor),
            late,
        }
    }

    /// Finds the batch's series, and creates those that are new and will get a sample. Returns
    /// the tenant's number.
    fn resolve(&mut self, batch: &Batch, min_valid: Timestamp, report: &mut Report) -> u32 {
        let head = self.head.clone();
        let index = head.index.read();
        let number = index.tenant_number(&batch.tenant);
        self.resolved.clear();
        let mut missing = false;
        for key in &batch.series {
            let sid = match key {
                SeriesKey::Ref(given) => match self.number_of(*given, &index) {
                    Some((sid, false)) => sid,
                    Some((sid, true)) => {
                        let renamed = reference(sid, index.generation);
                        report.renamed.push((*given, renamed));
                        sid
                    }
                    None => UNKNOWN,
                },
                SeriesKey::Labels(labels) => {
                    let found = number
                        .and_then(|tenant| index.find(tenant, index.hash(tenant, labels), labels));
                    missing |= found.is_none();
                    found.unwrap_or(UNKNOWN)
                }
            };
            self.resolved.push(sid);
        }
        drop(index);
        let mut tenant = number.unwrap_or(UNKNOWN);
        if missing {
            tenant = self.create_missing(batch, min_valid, report);
        }
        self.tail_of
            .resize(self.head.index.read().len() as usize, 0);
        if batch
            .series
            .iter()
            .any(|key| matches!(key, SeriesKey::Labels(_)))
        {
            let refs = self.resolved.iter();
            let generation = self.head.index.read().generation;
            let known = |sid: &u32| (*sid < NO_ROOM).then(|| reference(*sid, generation));
            report.refs = refs.map(known).collect();
        }
        tenant
    }

    fn create_missing(&mut self, batch: &Batch, min_valid: Timestamp, report: &mut Report) -> u32 {
        let mut wanted = vec![false; batch.series.len()];
        let floats = batch.samples.iter().map(|s| (s.series, s.timestamp));
        let histograms = batch
            .histograms
            .iter()
            .filter(|h| h.histogram.validate().is_ok());
        for (series, timestamp) in floats.chain(histograms.map(|h| (h.series, h.timestamp))) {
            if timestamp >= min_valid
                && let Some(wanted) = wanted.get_mut(series as usize)
            {
                *wanted = true;
            }
        }
        let mut index = self.head.index.write();
        let tenant = index.intern_tenant(&batch.tenant);
        for ((key, sid), wanted) in batch.series.iter().zip(&mut self.resolved).zip(wanted) {
            let SeriesKey::Labels(labels) = key else {
                continue;
            };
            if *sid != UNKNOWN || !wanted {
                continue;
            }
            let hash = index.hash(tenant, labels);
            // The batch may name a new series twice.
            *sid = match index.find(tenant, hash, labels) {
                Some(sid) => sid,
                None if !index.has_room() => NO_ROOM,
                None => {
                    report.series_created += 1;
                    index.create(tenant, hash, labels)
                }
            };
        }
        tenant
    }

    fn tail(&self, sid: u32) -> Option<&Tail> {
        let slot = self.tail_of[sid as usize] as usize;
        self.tails.get(slot).filter(|tail| tail.sid == sid)
    }

    #[inline]
    fn push(&mut self, sid: u32, timestamp: Timestamp, value: u64, is_histogram: bool) {
        let row = self.rows.len() as u32;
        let kind = if is_histogram {
            Kind::Histogram
        } else {
            Kind::Float
        };
        let slot = self.tail_of[sid as usize] as usize;
        let mut before = NO_ROW;
        match self.tails.get_mut(slot).filter(|tail| tail.sid == sid) {
            Some(tail) => {
                before = tail.row;
                *tail = Tail {
                    sid,
                    row,
                    timestamp,
                    kind,
                };
            }
            None => {
                self.tail_of[sid as usize] = self.tails.len() as u32;
                self.tails.push(Tail {
                    sid,
                    row,
                    timestamp,
                    kind,
                });
            }
        }
        if before != NO_ROW
            && let Some(rows) = self.lookup.staged.get_mut(&sid)
        {
            rows.push(row);
        }
        self.rows.push(Row {
            sid,
            before,
            timestamp,
            value,
            is_histogram,
            is_late: false,
        });
        let (oldest, newest) = self.span.unwrap_or((timestamp, timestamp));
        self.span = Some((oldest.min(timestamp), newest.max(timestamp)));
    }

    fn push_late(&mut self, sid: u32, timestamp: Timestamp, value: u64, is_histogram: bool) {
        let row = self.rows.len() as u32;
        self.lookup.late.insert((sid, timestamp), row);
        self.rows.push(Row {
            sid,
            before: NO_ROW,
            timestamp,
            value,
            is_histogram,
            is_late: true,
        });
    }

    /// The value of a staged row.
    fn value_of(&self, row: u32) -> Value {
        let row = self.rows[row as usize];
        match row.is_histogram {
            true => Value::Histogram(self.histograms[row.value as usize].clone()),
            false => Value::Float(f64::from_bits(row.value)),
        }
    }

    /// The value staged for a series at `timestamp`.
    fn staged(&mut self, sid: u32, timestamp: Timestamp) -> Option<Value> {
        if let Some(&row) = self.lookup.late.get(&(sid, timestamp)) {
            return Some(self.value_of(row));
        }
        let last = self.tail(sid)?.row;
        let rows = &self.rows;
        let numbers = self.lookup.staged.entry(sid).or_insert_with(|| {
            let chain = std::iter::successors(Some(last), |&row| {
                Some(rows[row as usize].before).filter(|before| *before != NO_ROW)
            });
            let mut numbers: Vec<u32> = chain.collect();
            numbers.reverse();
            numbers
        });
        let at = numbers.binary_search_by_key(&timestamp, |&row| rows[row as usize].timestamp);
        let row = numbers[at.ok()?];
        Some(self.value_of(row))
    }

    /// The value the head holds for a series at `timestamp`.
    fn held(&mut self, data: &Data, sid: u32, timestamp: Timestamp) -> Option<Value> {
        if let Some(value) = data.late(sid).and_then(|late| late.get(timestamp)) {
            return Some(value);
        }
        let series = data.series(sid)?;
        if series.newest() == Some(timestamp) {
            return series.newest_value();
        }
        let lookup = &mut self.lookup;
        let cached = lookup
            .chunk
            .is_some_and(|(s, span)| s == sid && span.contains(timestamp));
        if !cached {
            lookup.columns.clear();
            lookup.chunk = None;
            // What is in memory was encoded here, and cannot be damaged.
            let span = series
                .decode_around(timestamp, &mut lookup.columns)
                .ok()??;
            lookup.chunk = Some((sid, span));
        }
        let columns = &lookup.columns;
        if let Ok(at) = columns.timestamps.binary_search(&timestamp) {
            return Some(Value::Float(columns.values[at]));
        }
        let at = columns
            .histograms
            .binary_search_by_key(&timestamp, |h| h.timestamp)
            .ok()?;
        Some(Value::Histogram(columns.histograms[at].histogram.clone()))
    }
}

fn refuse_unsupported(batch: &Batch) -> Result<(), AppendError> {
    let why = "this version keeps floats and native histograms; leave them out";
    let what = if !batch.exemplars.is_empty() {
        "exemplars"
    } else if !batch.start_timestamps.is_empty() {
        "start timestamps"
    } else {
        return Ok(());
    };
    Err(AppendError::Unsupported { what, why })
}

/// A sample's value as it was sent.
#[derive(Clone, Copy)]
enum Sent<'a> {
    Float(u64),
    Histogram(&'a Arc<Histogram>),
}

impl Sent<'_> {
    fn value(self) -> Value {
        match self {
            Self::Float(bits) => Value::Float(f64::from_bits(bits)),
            Self::Histogram(h) => Value::Histogram(h.clone()),
        }
    }
}

/// One batch on its way through the judge.
struct Judging<'a> {
    writer: &'a mut HeadWriter,
    data: &'a Data,
    batch: &'a Batch,
    bounds: Bounds,
    report: Report,
}

impl Judging<'_> {
    #[inline]
    fn sample(&mut self, series: u32, timestamp: Timestamp, sent: Sent<'_>) {
        let sid = match self.writer.resolved.get(series as usize) {
            Some(&sid) if sid < NO_ROOM => sid,
            other => return self.reject_unresolved(series, timestamp, other.copied(), sent),
        };
        let (newest, kind) = match self.writer.tail(sid) {
            Some(tail) => (Some(tail.timestamp), tail.kind),
            None => match self.data.series(sid) {
                Some(series) => (series.newest(), series.kind()),
                None => (None, Kind::None),
            },
        };
        if let Sent::Histogram(h) = sent
            && let Err(error) = h.validate()
        {
            return self.reject(series, sid, timestamp, Reason::InvalidHistogram(error));
        }
        let (writer, data) = (&mut *self.writer, self.data);
        let held = |t| writer.staged(sid, t).or_else(|| writer.held(data, sid, t));
        match judge(timestamp, || sent.value(), newest, held, self.bounds) {
            Verdict::Accept => self.accept(sid, timestamp, kind, sent),
            Verdict::AcceptLate => self.accept_late(sid, timestamp, sent),
            Verdict::DuplicateOk => self.report.duplicates += 1,
            verdict => self.reject_judged(series, sid, timestamp, sent, verdict),
        }
    }

    #[inline]
    fn accept(&mut self, sid: u32, timestamp: Timestamp, kind: Kind, sent: Sent<'_>) {
        match sent {
            // A marker that ends a series of histograms is one itself.
            Sent::Float(bits) if kind == Kind::Histogram && is_stale(f64::from_bits(bits)) => {
                self.report.samples += 1;
                self.push_histogram(sid, timestamp, Arc::new(Histogram::stale()));
            }
            Sent::Float(bits) => {
                self.report.samples += 1;
                self.writer.push(sid, timestamp, bits, false);
            }
            Sent::Histogram(h) => {
                self.report.histograms += 1;
                let stored = if h.is_stale() {
                    Arc::new(Histogram::stale())
                } else {
                    h.clone()
                };
                self.push_histogram(sid, timestamp, stored);
            }
        }
    }

    #[cold]
    fn accept_late(&mut self, sid: u32, timestamp: Timestamp, sent: Sent<'_>) {
        let (value, is_histogram) = match sent {
            Sent::Float(bits) => {
                self.report.samples += 1;
                (bits, false)
            }
            Sent::Histogram(h) => {
                self.report.histograms += 1;
                let number = self.writer.histograms.len() as u64;
                self.writer.histograms.push(h.clone());
                (number, true)
            }
        };
        self.report.late += 1;
        self.writer.push_late(sid, timestamp, value, is_histogram);
    }

    fn push_histogram(&mut self, sid: u32, timestamp: Timestamp, histogram: Arc<Histogram>) {
        let number = self.writer.histograms.len() as u64;
        self.writer.histograms.push(histogram);
        self.writer.push(sid, timestamp, number, true);
    }

    #[cold]
    fn reject_judged(
        &mut self,
        series: u32,
        sid: u32,
        timestamp: Timestamp,
        sent: Sent<'_>,
        verdict: Verdict,
    ) {
        let reason = match verdict {
            Verdict::DuplicateConflict { existing } => Reason::DuplicateConflict {
                existing,
                new: sent.value(),
            },
            Verdict::OutOfOrder { newest } => Reason::OutOfOrder { newest },
            _ => self.too_old(),
        };
        self.reject(series, sid, timestamp, reason);
    }

    fn too_old(&self) -> Reason {
        match self.bounds.late {
            Some(min_valid) => Reason::TooOld { min_valid },
            None => Reason::OutOfBounds {
                min_valid: self.bounds.min_valid,
            },
        }
    }

    /// A sample of a series that is not known, or could not be created.
    #[cold]
    fn reject_unresolved(
        &mut self,
        series: u32,
        timestamp: Timestamp,
        resolved: Option<u32>,
        sent: Sent<'_>,
    ) {
        let key = self.batch.series.get(series as usize);
        let reason = match (resolved, key, sent) {
            (Some(NO_ROOM), ..) => Reason::SeriesLimit {
                limit: "series per shard",
                max: super::index::SERIES_MAX.into(),
            },
            (Some(_), Some(SeriesKey::Labels(_)), sent) => match sent {
                Sent::Histogram(h) if h.validate().is_err() => {
                    Reason::InvalidHistogram(h.validate().expect_err("just seen"))
                }
                // Not created, because no sample of it could be stored.
                _ => self.too_old(),
            },
            _ => Reason::UnknownRef,
        };
        self.reject(series, UNKNOWN, timestamp, reason);
    }

    fn reject(&mut self, series: u32, sid: u32, timestamp: Timestamp, reason: Reason) {
        let word = reason.word();
        let labels = || match self.batch.series.get(series as usize) {
            Some(SeriesKey::Labels(labels)) => labels.clone(),
            _ if sid < NO_ROOM => self.writer.head.index.read().labels(sid),
            _ => Labels::empty(),
        };
        let describe = || Rejection {
            series,
            labels: labels(),
            timestamp,
            reason,
        };
        self.report.reject(describe, word);
    }
}
