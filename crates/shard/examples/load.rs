//! Loads a shard as a fleet would, and says what that took:
//! `cargo run --release -p ferula-shard --example load [series] [steps] [samples per request]`.
#![allow(clippy::print_stdout, reason = "it reports to whoever ran it")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferula_coord::LocalCoord;
use ferula_env::{Clock, Disk, SystemClock, SystemDisk};
use ferula_model::{Labels, Matcher, Range, TenantId};
use ferula_objects::LocalObjects;
use ferula_shard::{Ack, Shard, ShardParts, ShardSettings, UpkeepSettings};
use ferula_storage::{
    Append, Batch, Columns, Hints, Origin, SampleEntry, Select, SelectRequest, SeriesKey,
};
use ferula_tsdb::compact::Retention;
use ferula_tsdb::log::Progress;
use futures::executor::block_on;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const STEP_MS: i64 = 15_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default| arguments.next().map_or(default, |a| a.parse().unwrap());
    let (series, steps, per_request) = (next(100_000), next(120), next(4_000));
    let dir = tempfile::tempdir_in(".").unwrap();
    let clock = SystemClock::shared();
    let disk = SystemDisk::shared();
    let shard = open(dir.path(), &clock, &disk);
    let mut fleet = Fleet {
        rng: 42,
        state: vec![0.0; series],
    };
    let idle = memory();

    let started = (clock.monotonic(), cpu());
    let mut refs = Vec::new();
    let mut making = Duration::ZERO;
    for chunk in (0..series).step_by(per_request) {
        let from = own_cpu();
        let keys = (chunk..series.min(chunk + per_request)).map(|i| SeriesKey::Labels(labels(i)));
        let batch = fleet.batch(keys.collect(), chunk, 0);
        making += own_cpu() - from;
        refs.extend(
            block_on(shard.append(batch))
                .unwrap()
                .refs
                .into_iter()
                .flatten(),
        );
    }
    let used = cpu() - started.1 - making;
    let rate = series as f64 / used.as_secs_f64() / 1e6;
    println!(
        "created {series} series: {:.2?} wall, {rate:.2} M series per CPU second",
        clock.monotonic() - started.0
    );
    println!(
        "  {:.0} B of RSS per series",
        (memory() - idle) as f64 / series as f64
    );

    let from = (clock.monotonic(), cpu());
    let mut making = Duration::ZERO;
    for step in 1..steps {
        for chunk in (0..series).step_by(per_request) {
            let before = own_cpu();
            let keys = refs[chunk..series.min(chunk + per_request)]
                .iter()
                .map(|r| SeriesKey::Ref(*r));
            let batch = fleet.batch(keys.collect(), chunk, step as i64);
            making += own_cpu() - before;
            block_on(shard.append(batch)).unwrap();
        }
    }
    let used = cpu() - from.1 - making;
    let samples = (series * (steps - 1)) as f64;
    let stats = shard.stats();
    println!(
        "appended {:.1} M samples: {:.2?} wall, {:.3} CPU-µs per sample",
        samples / 1e6,
        clock.monotonic() - from.0,
        used.as_secs_f64() * 1e6 / samples
    );
    println!(
        "  log {:.2} B per sample, {} syncs of {:.2} ms",
        stats.log_bytes as f64 / stats.head.samples as f64,
        stats.syncs,
        stats.sync_seconds * 1e3 / stats.syncs as f64
    );
    println!(
        "  {:.0} B of RSS per series, {:.0} B counted",
        (memory() - idle) as f64 / series as f64,
        stats.head.bytes as f64 / series as f64
    );

    let from = cpu();
    let all = read(&shard, vec![]);
    println!(
        "read everything: {:.1} M samples per CPU second",
        all as f64 / (cpu() - from).as_secs_f64() / 1e6
    );
    let from = clock.monotonic();
    let one = read(&shard, vec![Matcher::equal("__name__", "metric_17")]);
    println!(
        "one metric of all instances: {one} samples in {:.2?}",
        clock.monotonic() - from
    );
    // As after kill -9: what is on disk is what was acknowledged.
    drop(shard);
    let from = (clock.monotonic(), cpu());
    let shard = open(dir.path(), &clock, &disk);
    let used = cpu() - from.1;
    println!(
        "reopened: {:.2?} wall, {:.1} M samples per CPU second",
        clock.monotonic() - from.0,
        shard.stats().head.samples as f64 / used.as_secs_f64() / 1e6
    );
}

fn open(dir: &Path, clock: &Arc<dyn Clock>, disk: &Arc<dyn Disk>) -> Shard {
    let coord = Arc::new(LocalCoord::open(disk.clone(), dir).unwrap());
    let parts = ShardParts {
        clock: clock.clone(),
        disk: disk.clone(),
        objects: Arc::new(LocalObjects::open(disk.clone(), dir).unwrap()),
        coord,
    };
    let settings = ShardSettings {
        dir: dir.into(),
        number: 0,
        ack: Ack::Durable,
        head_bytes_max: 16 << 30,
        queue_bytes_max: 64 << 20,
        segment_bytes: 64 << 20,
        upkeep: UpkeepSettings {
            ranges_ms: vec![2 * 3_600_000, 12 * 3_600_000],
            checkpoint_log_bytes: 1 << 20,
            retention: Retention::default(),
            cache_bytes: 64 << 20,
        },
        keeper: true,
    };
    Shard::open(settings, parts, &Progress::default()).unwrap()
}

fn read(shard: &Shard, matchers: Vec<Matcher>) -> usize {
    let (tenant, range, hints) = (TenantId::anonymous(), Range::ALL, Hints::default());
    let selected = block_on(shard.select(SelectRequest {
        tenant,
        matchers,
        range,
        hints,
    }))
    .unwrap();
    let mut columns = Columns::default();
    let mut samples = 0;
    for series in selected.series {
        columns.clear();
        series.source.decode(range, &mut columns).unwrap();
        samples += columns.len();
    }
    samples
}

/// Ten labels; 1,000 series per instance.
fn labels(i: usize) -> Labels {
    let (instance, metric) = (i / 1_000, i % 1_000);
    Labels::from_pairs([
        ("__name__", format!("metric_{}", metric / 4)),
        (
            "instance",
            format!("10.0.{}.{}:9100", instance / 250, instance % 250),
        ),
        ("job", "node".to_owned()),
        ("cluster", "eu-1".to_owned()),
        ("namespace", format!("team-{}", instance % 17)),
        (
            "pod",
            format!("server-{instance:05}-{:x}", instance * 7_919),
        ),
        ("code", format!("{}", 200 + metric % 4)),
        ("le", format!("{}", (metric % 11) as f64 / 4.0)),
    ])
}

struct Fleet {
    rng: u64,
    state: Vec<f64>,
}

impl Fleet {
    fn random(&mut self) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng
    }

    /// Counters, constants, gauges of all sorts.
    fn value(&mut self, i: usize) -> f64 {
        let random = self.random();
        let unit = random as f64 / u64::MAX as f64;
        let state = &mut self.state[i];
        match i % 20 {
            0..7 => *state += (random % 100) as f64,
            7..10 => *state = i as f64,
            10..12 => *state = unit * 100.0,
            12..14 => *state = (unit * 1e4).round() / 100.0,
            14..17 => *state = (random % 1_000) as f64,
            _ => *state += if random.is_multiple_of(4) { 1.0 } else { 0.0 },
        }
        *state
    }

    fn batch(&mut self, keys: Vec<SeriesKey>, first: usize, step: i64) -> Batch {
        let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
        let timestamp = 1_700_000_000_000 + step * STEP_MS;
        for i in 0..keys.len() {
            let value = self.value(first + i);
            batch.samples.push(SampleEntry {
                series: i as u32,
                timestamp,
                value,
            });
        }
        batch.series = keys;
        batch
    }
}

fn proc(file: &str) -> String {
    let bytes = SystemDisk.read(Path::new(file), 1 << 20).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Resident bytes.
fn memory() -> i64 {
    let pages: i64 = proc("/proc/self/statm")
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    pages * 4_096
}

/// CPU time of the process's threads so far.
fn cpu() -> Duration {
    let tasks = Path::new("/proc/self/task");
    let tasks = SystemDisk.list(tasks).unwrap().into_iter();
    let nanos = tasks.map(|id| thread_nanos(&format!("/proc/self/task/{id}/schedstat")));
    Duration::from_nanos(nanos.sum())
}

/// CPU time of the main thread so far, which makes the batches.
fn own_cpu() -> Duration {
    Duration::from_nanos(thread_nanos("/proc/thread-self/schedstat"))
}

fn thread_nanos(file: &str) -> u64 {
    proc(file).split(' ').next().unwrap().parse().unwrap()
}
