//! A head with its log and checkpoints in a directory, for tests that take it down and up again.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ferula_env::{Disk, SystemClock, SystemDisk};
use ferula_model::{Histogram, Labels, Range, TenantId, Timestamp, Value};
use ferula_objects::{Created, LocalObjects, ObjectWriter, Objects};
use ferula_storage::{
    Batch, Columns, Hints, HistogramEntry, Origin, Report, SampleEntry, SelectRequest, SeriesKey,
};

use crate::checkpoint::{self, Checkpoint};
use crate::log::frame::{Fence, Frame, FrameBuf, Kind};
use crate::log::segment::{Header, Identity, Writer};
use crate::log::{
    Log, LogSettings, LogStats, Progress, Replay, Replayed, Sync, Visitor, delete_segments, replay,
};
use crate::{Head, HeadSettings, HeadWriter, ReplayedRecords};

/// All samples: tenant, labels, and of each sample its time and value.
pub(crate) type Dump = Vec<(String, Labels, Vec<(Timestamp, Value)>)>;

/// A value as a test gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Float(f64),
    Histogram(u64),
}

/// Whose log the tests' is.
pub(crate) const IDENTITY: Identity = Identity {
    cluster: [7; 16],
    shard: 3,
};

/// A small head that can be opened anew.
pub(crate) struct Store {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) head: Arc<Head>,
    pub(crate) writer: HeadWriter,
    pub(crate) log: Log,
    pub(crate) objects: LocalObjects,
    stats: Arc<LogStats>,
    epoch: u64,
    /// Checkpoints taken since it was opened.
    taken: u64,
    /// What a manifest would say.
    floor: Timestamp,
    checkpoint: Option<(String, Checkpoint, u64)>,
    pub(crate) found: ReplayedRecords,
    pub(crate) replayed: Replayed,
}

impl Store {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::open(dir, 1, Timestamp::MIN, None)
    }

    /// Takes it down as a crash does, and up again.
    pub(crate) fn reopen(self) -> Self {
        let Self {
            dir,
            epoch,
            floor,
            checkpoint,
            ..
        } = self;
        Self::open(dir, epoch + 1, floor, checkpoint)
    }

    fn open(
        dir: tempfile::TempDir,
        epoch: u64,
        floor: Timestamp,
        checkpoint: Option<(String, Checkpoint, u64)>,
    ) -> Self {
        let disk = SystemDisk::shared();
        let objects = LocalObjects::open(disk.clone(), dir.path()).unwrap();
        let (head, writer) = Head::new(HeadSettings {
            bytes_max: u64::MAX,
            hash_seed: epoch,
        });
        head.raise_floor(floor, || ());
        let mut replaying = Replaying {
            writer,
            epoch: 0,
            found: ReplayedRecords::default(),
        };
        let mut after = 0;
        if let Some((key, checkpoint, epoch)) = &checkpoint {
            replaying.epoch = *epoch;
            let object = objects.open(key).unwrap();
            let loaded = replaying
                .writer
                .load_checkpoint(&*object, checkpoint, IDENTITY)
                .unwrap();
            after = loaded.commit;
        }
        let log_dir = dir.path().join("log");
        let what = Replay {
            disk: &*disk,
            dir: &log_dir,
            identity: IDENTITY,
            after,
            progress: &Progress::default(),
        };
        let replayed = replay(&what, &mut replaying).unwrap();
        let Replaying {
            mut writer, found, ..
        } = replaying;
        writer.replayed();
        let stats = Arc::new(LogStats::default());
        let settings = LogSettings {
            dir: log_dir,
            segment_bytes: 4_096,
            sync: Sync::OnDemand,
            identity: IDENTITY,
            writer: Writer {
                epoch,
                nonce: [epoch as u8; 16],
            },
        };
        let clock = SystemClock::shared();
        let tail = replayed.tail.as_ref();
        let log = Log::open(disk, clock, settings, tail, stats.clone()).unwrap();
        Self {
            dir,
            head,
            writer,
            log,
            objects,
            stats,
            epoch,
            taken: 0,
            floor,
            checkpoint,
            found,
            replayed,
        }
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Commits samples of (series, time, value), those of each series in order.
    pub(crate) fn send(&mut self, tenant: &str, samples: &[(u32, Timestamp, Given)]) -> Report {
        let batch = batch(tenant, samples);
        commit(&mut self.writer, &mut self.log, &batch)
    }

    /// Raises the floor, as after a cut.
    pub(crate) fn cut(&mut self, floor: Timestamp) {
        self.floor = self.floor.max(floor);
        self.writer.begin_cut(floor);
        self.head.raise_floor(floor, || ());
    }

    /// Takes a checkpoint, and deletes what it stands for. Between its pieces, `meanwhile` has
    /// its turn with the writer and the log.
    pub(crate) fn checkpoint(&mut self, meanwhile: impl FnMut(&mut HeadWriter, &mut Log) + Send) {
        let mark = self.writer.mark(&mut self.log).unwrap();
        self.taken += 1;
        let nonce = self.epoch << 32 | self.taken;
        let key = checkpoint::key(IDENTITY.shard, mark.commit, nonce);
        let inner = self.objects.writer(&key).unwrap();
        let mut object = Interrupted {
            inner,
            writer: &mut self.writer,
            log: &mut self.log,
            meanwhile,
        };
        let written = self
            .head
            .write_checkpoint(&mark, IDENTITY, &mut object)
            .unwrap();
        assert_eq!(object.inner.finish().unwrap(), Created::New);
        self.checkpoint = Some((key, written, self.epoch));
    }

    /// Gives up the series that have ended. Between beginning and end, `meanwhile` has its turn.
    pub(crate) fn rebase(&mut self, meanwhile: impl FnOnce(&mut Self)) -> bool {
        let prepared = self.head.prepare_rebase();
        meanwhile(self);
        let rebased = self.writer.rebase(prepared, &mut self.log).unwrap();
        rebased.is_some()
    }

    /// Deletes the segments that the last checkpoint stands for; returns how many.
    pub(crate) fn delete_segments(&self) -> u64 {
        let commit = self.checkpoint.as_ref().map_or(0, |(_, c, _)| c.commit);
        delete_segments(&SystemDisk, &self.log_dir(), commit, &self.stats).unwrap()
    }

    /// Everything that is shown.
    pub(crate) fn dump(&self) -> Dump {
        dump(&self.head)
    }

    /// The segment files there are.
    pub(crate) fn segments(&self) -> Vec<String> {
        let mut names = SystemDisk.list(&self.log_dir()).unwrap();
        names.retain(|name| name.ends_with(".seg"));
        names
    }
}

/// Commits a batch as a shard does.
pub(crate) fn commit(writer: &mut HeadWriter, log: &mut Log, batch: &Batch) -> Report {
    let report = writer.stage(batch).unwrap();
    if !writer.is_empty() {
        let mut frame = FrameBuf::default();
        let bytes_max = log.definitions_bytes();
        let defined = loop {
            frame.clear(0);
            let defined = writer.encode_definitions(frame.body(), bytes_max);
            if writer.is_defined_by(defined) {
                break defined;
            }
            log.define(&mut frame).unwrap();
            writer.defined(defined);
        };
        writer.encode(frame.body());
        log.commit(&mut frame).unwrap();
        writer.defined(defined);
        writer.apply();
    }
    report
}

/// A batch of samples.
pub(crate) fn batch(tenant: &str, samples: &[(u32, Timestamp, Given)]) -> Batch {
    let mut batch = Batch::new(TenantId::new(tenant).unwrap(), Origin::Push);
    for (i, &(id, timestamp, given)) in samples.iter().enumerate() {
        batch.series.push(SeriesKey::Labels(labels(id)));
        let series = i as u32;
        match given {
            Given::Float(value) => batch.samples.push(SampleEntry {
                series,
                timestamp,
                value,
            }),
            Given::Histogram(seed) => batch.histograms.push(HistogramEntry {
                series,
                timestamp,
                histogram: Arc::new(histogram(seed)),
            }),
        }
    }
    batch
}

/// The labels of series `id`; some share a value, some do not.
pub(crate) fn labels(id: u32) -> Labels {
    let name = format!("m{}", id % 3);
    let own = id.to_string();
    match id % 2 {
        0 => Labels::from_pairs([("__name__", name.as_str()), ("id", &own), ("even", "yes")]),
        _ => Labels::from_pairs([("__name__", name.as_str()), ("id", &own)]),
    }
}

/// A histogram whose layout depends on the seed.
pub(crate) fn histogram(seed: u64) -> Histogram {
    let layout = seed % 2;
    Histogram {
        sum: seed as f64 * 0.7,
        positive_spans: vec![ferula_model::Span {
            offset: 1,
            length: 2 + layout as u32,
        }],
        counts: ferula_model::Counts::Integer {
            count: 6 + 2 * seed * layout,
            zero: 0,
            positive: [vec![1, 5], vec![2 * seed; layout as usize]].concat(),
            negative: vec![],
        },
        ..Histogram::stale()
    }
}

/// Everything a head shows.
pub(crate) fn dump(head: &Head) -> Dump {
    let mut out = Vec::new();
    for tenant in ["anonymous", "b"] {
        let request = SelectRequest {
            tenant: TenantId::new(tenant).unwrap(),
            matchers: vec![],
            range: Range::ALL,
            hints: Hints::default(),
        };
        for series in head.select(&request, || ()).0.series {
            let mut columns = Columns::default();
            series.source.decode(Range::ALL, &mut columns).unwrap();
            let floats = columns.timestamps.iter().zip(&columns.values);
            let mut samples: Vec<_> = floats.map(|(t, v)| (*t, Value::Float(*v))).collect();
            let histograms = columns.histograms.into_iter();
            samples.extend(histograms.map(|h| (h.timestamp, Value::Histogram(h.histogram))));
            samples.sort_by_key(|(t, _)| *t);
            if !samples.is_empty() {
                out.push((tenant.to_owned(), series.labels, samples));
            }
        }
    }
    out
}

/// Feeds a head from its log.
struct Replaying {
    writer: HeadWriter,
    epoch: u64,
    found: ReplayedRecords,
}

impl Visitor for Replaying {
    fn segment(&mut self, header: &Header) -> Result<(), String> {
        self.epoch = self.epoch.max(header.writer.epoch);
        Ok(())
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<bool, String> {
        match frame.kind {
            Kind::Fence => self.epoch = Fence::decode(frame.body).unwrap().epoch,
            _ => {
                assert_eq!(u64::from(frame.epoch_low), self.epoch);
                self.writer.replay(frame.body, &mut self.found);
            }
        }
        Ok(true)
    }
}

/// An object between whose pieces something else happens.
struct Interrupted<'a, F> {
    inner: Box<dyn ObjectWriter>,
    writer: &'a mut HeadWriter,
    log: &'a mut Log,
    meanwhile: F,
}

impl<F> fmt::Debug for Interrupted<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

impl<F: FnMut(&mut HeadWriter, &mut Log) + Send> ObjectWriter for Interrupted<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (self.meanwhile)(self.writer, self.log);
        self.inner.write(bytes)
    }

    fn finish(self: Box<Self>) -> io::Result<Created> {
        self.inner.finish()
    }
}
