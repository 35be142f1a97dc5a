//! A shard against a naive model of one, over deletions, upkeep, restarts and
//! crashes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::history::History;
use common::model::{Stored, assert_same, dump_all, dump_range, histogram, samples_of, within};
use common::*;
use ferula_env::{Crash, Disk, SimDisk};
use ferula_model::{Matcher, Range, TenantId, Timestamp, stale_marker};
use ferula_shard::{Shard, ShardSettings, UpkeepError};
use ferula_storage::{
    Admin as _, Batch, Deletion, HistogramEntry, LabelQuery, Origin, SampleEntry, Select, SeriesKey,
};
use ferula_tsdb::manifest::Manifest;
use futures::executor::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select as one_of;

const DIR: &str = "/data";

/// Between neighbouring samples.
const STEP: i64 = HOUR / 200;

const SERIES: usize = 6;

/// One thing a test does.
#[derive(Clone, Debug)]
enum Action {
    /// Time goes on by so many steps; then samples of (series, steps from now, value) are sent.
    Send(i64, Vec<(usize, i64, Sent)>),
    /// Sends an earlier batch again.
    Resend(usize),
    /// Deletes samples of series from so many steps from now on, for so many.
    Delete(Vec<usize>, i64, i64),
    /// Does the upkeep that is due.
    Upkeep,
    /// Writes blocks anew from which something was deleted.
    Clean,
    /// Reads a range.
    Read(i64, i64),
    /// Closes the shard and opens it anew.
    Restart,
    /// Lets the process die after so many effects on its disk, in whatever it does then.
    Die(u64, Crash),
}

#[derive(Clone, Debug)]
enum Sent {
    Float(f64),
    Stale,
    Histogram(u64),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => (0..3u8).prop_map(|v| Sent::Float(f64::from(v) / 3.0)),
        1 => one_of(vec![f64::NAN, -0.0, f64::INFINITY, 5e-324]).prop_map(Sent::Float),
        1 => Just(Sent::Stale),
        3 => (0..3u64).prop_map(Sent::Histogram),
    ]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::Process),
        Just(Crash::PowerLosesAll),
        any::<u64>().prop_map(Crash::PowerLosesSome),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    // Mostly neighbouring times, now and then late ones.
    let at = prop_oneof![8 => 0..40i64, 1 => -500..0i64];
    let pause = prop_oneof![3 => 0..60i64, 2 => 200..500i64];
    let deleted = prop_oneof![
        4 => (-600..40i64, 1..600i64),
        1 => Just((i64::MIN / STEP / 4, i64::MAX / STEP / 2)),
    ];
    prop_oneof![
        12 => (pause, vec((0..SERIES, at, sent()), 1..30)).prop_map(|(p, s)| Action::Send(p, s)),
        2 => (0..30usize).prop_map(Action::Resend),
        2 => (vec(0..SERIES, 1..4), deleted).prop_map(|(s, (from, len))| Action::Delete(s, from, len)),
        4 => Just(Action::Upkeep),
        1 => Just(Action::Clean),
        2 => (-2_000..50i64, 1..1_000i64).prop_map(|(from, len)| Action::Read(from, len)),
        1 => Just(Action::Restart),
        1 => (0..150u64, crash()).prop_map(|(effects, crash)| Action::Die(effects, crash)),
    ]
}

fn to_batch(now: Timestamp, samples: &[(usize, i64, Sent)]) -> Batch {
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
    let name = |i: usize| ["m", "n"][i % 2];
    let keys = (0..SERIES).map(|i| SeriesKey::Labels(labels(name(i), i)));
    batch.series = keys.collect();
    for (series, steps, sent) in samples.iter().cloned() {
        let (series, timestamp) = (series as u32, now + steps * STEP);
        let value = match sent {
            Sent::Float(value) => value,
            Sent::Stale => stale_marker(),
            Sent::Histogram(seed) => {
                let histogram = Arc::new(histogram(seed));
                batch.histograms.push(HistogramEntry {
                    series,
                    timestamp,
                    histogram,
                });
                continue;
            }
        };
        batch.samples.push(SampleEntry {
            series,
            timestamp,
            value,
        });
    }
    batch
}

/// A shard, the disk it is on, and what it should hold.
struct World {
    settings: ShardSettings,
    disk: Arc<SimDisk>,
    crash: Option<Crash>,
    shard: Option<Shard>,
    /// How far behind samples are taken out of order.
    window_ms: i64,
    history: History,
    sent: Vec<Batch>,
    now: Timestamp,
}

impl World {
    fn new(ranges_ms: Vec<i64>, cache_bytes: u64, window_ms: i64) -> Self {
        let mut settings = settings(Path::new(DIR));
        settings.upkeep.ranges_ms = ranges_ms;
        settings.upkeep.cache_bytes = cache_bytes;
        settings.segment_bytes = 8 << 10;
        let mut world = Self {
            settings,
            disk: SimDisk::new(),
            crash: None,
            shard: None,
            window_ms,
            history: History::with_window(window_ms),
            sent: Vec::new(),
            now: 10 * HOUR,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let opened = try_open_on(self.disk.clone(), self.settings.clone());
        self.shard = match opened {
            Ok(shard) => {
                let window = Duration::from_millis(self.window_ms.unsigned_abs());
                shard.set_out_of_order_window(window);
                Some(shard)
            }
            Err(e) => {
                assert!(self.is_dead(), "{e}");
                None
            }
        };
    }

    fn is_dead(&self) -> bool {
        self.disk.faults().stopped_at().is_some()
    }

    /// What is below is in blocks, as the newest manifest says.
    fn floor(&self) -> Timestamp {
        let folder = Path::new(DIR).join("s/0/manifest");
        let newest = self
            .disk
            .list(&folder)
            .ok()
            .and_then(|mut names| names.pop());
        let bytes = newest.and_then(|name| self.disk.read(&folder.join(name), 1 << 20).ok());
        let manifest = bytes.map(|bytes| Manifest::decode(&bytes).unwrap());
        let floor = manifest.and_then(|manifest| manifest.floor);
        floor.unwrap_or(Timestamp::MIN)
    }

    fn send(&mut self, batch: Batch) {
        let Some(shard) = &self.shard else { return };
        let floor = self.floor();
        let answer = append(shard, batch.clone());
        if answer.is_err() {
            assert!(self.is_dead(), "{answer:?}");
        }
        self.history.answered_above(batch, &answer, floor);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send(pause, samples) => {
                self.now += pause * STEP;
                let batch = to_batch(self.now, &samples);
                self.sent.push(batch.clone());
                self.send(batch);
            }
            Action::Resend(i) => {
                if let Some(batch) = self.sent.get(i).cloned() {
                    self.send(batch);
                }
            }
            Action::Delete(series, from, len) => self.delete(&series, from, len),
            Action::Upkeep => self.upkeep(|shard| shard.upkeep()),
            Action::Clean => self.upkeep(|shard| shard.clean()),
            Action::Read(from, len) => self.read(from, len),
            Action::Restart => {
                self.shard = None;
                self.open();
            }
            Action::Die(effects, crash) => {
                if self.crash.is_none() {
                    self.crash = Some(crash);
                    let faults = self.disk.faults();
                    faults.stop_after(faults.effects() + effects);
                }
            }
        }
        if self.is_dead() {
            self.recover();
        }
        let Some(shard) = &self.shard else { return };
        assert_same(&dump_all(shard), &self.history.acknowledged(), "after that");
    }

    fn delete(&mut self, series: &[usize], from: i64, len: i64) {
        let Some(shard) = &self.shard else { return };
        let start = self.now + from * STEP;
        let names = |i: &usize| vec![Matcher::equal("i", i.to_string())];
        let deletion = Deletion {
            tenant: TenantId::anonymous(),
            matchers: series.iter().map(names).collect(),
            range: Range {
                start,
                end: start + len * STEP,
            },
        };
        let floor = self.floor();
        let done = block_on(shard.delete(deletion.clone()));
        assert!(done.is_ok() || self.is_dead(), "{done:?}");
        self.history.deleted(deletion, done.is_ok(), floor);
    }

    /// Upkeep changes nothing that readers see, not even for those that began before.
    fn upkeep(&mut self, work: impl FnOnce(&Shard) -> Result<(), UpkeepError>) {
        let Some(shard) = &self.shard else { return };
        let before = self.history.acknowledged();
        let request = select_request(vec![], Range::ALL);
        let Ok(selected) = block_on(shard.select(request)) else {
            return assert!(self.is_dead());
        };
        let done = work(shard);
        if !self.is_dead() {
            done.unwrap();
            let selected = selected.series.into_iter();
            let seen = selected.map(|s| (s.labels.clone(), samples_of(s, Range::ALL)));
            let seen: Stored = seen.filter(|(_, samples)| !samples.is_empty()).collect();
            assert_same(&seen, &before, "to a reader that began before");
        }
    }

    fn read(&self, from: i64, len: i64) {
        let Some(shard) = &self.shard else { return };
        let start = self.now + from * STEP;
        let range = Range {
            start,
            end: start + len * STEP,
        };
        let matcher = Matcher::equal("__name__", "n");
        let mut expected = within(self.history.acknowledged(), range);
        expected.retain(|(labels, _)| labels.value("__name__") == "n");
        let found = dump_range(shard, vec![matcher.clone()], range);
        assert_same(&within(found, range), &expected, &format!("in {range:?}"));
        let query = LabelQuery {
            matchers: vec![vec![matcher]],
            range,
            ..all()
        };
        let listed = block_on(shard.series(query)).unwrap();
        for (labels, _) in &expected {
            assert!(
                listed.contains(labels),
                "{labels} is not listed in {range:?}"
            );
        }
    }

    /// The process is dead: goes on with what its crash left.
    fn recover(&mut self) {
        let stopped = self.disk.faults().stopped_at();
        self.shard = None;
        let crash = self.crash.take().unwrap();
        self.disk = self.disk.crash(crash);
        self.open();
        let shard = self.shard.as_ref().unwrap();
        let context = format!("{crash:?} at {stopped:?}");
        self.history.found(&dump_all(shard), &context);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn st_3_to_6_a_shard_does_what_the_model_does(
        actions in vec(action(), 1..80),
        ranges_ms in one_of(vec![vec![2 * HOUR], vec![HOUR, 2 * HOUR, 6 * HOUR]]),
        cache_bytes in one_of(vec![0, 1 << 20]),
        window_ms in one_of(vec![0, HOUR / 3, 4 * HOUR]),
    ) {
        let mut world = World::new(ranges_ms, cache_bytes, window_ms);
        for action in actions {
            world.perform(action);
        }
        world.perform(Action::Upkeep);
        world.perform(Action::Restart);
    }
}
