//! What upkeep of a large head costs: writing a checkpoint, loading it, giving up series that
//! have ended.
//!
//! `cargo run --release -p ferula-tsdb --example head -- [series] [samples of each]`
#![allow(clippy::print_stdout, reason = "it reports to whoever ran it")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use std::sync::Arc;
use std::time::Duration;

use ferula_env::{SystemClock, SystemDisk};
use ferula_model::{Labels, TenantId};
use ferula_objects::{LocalObjects, Objects};
use ferula_storage::{Batch, Origin, SampleEntry, SeriesKey};
use ferula_tsdb::checkpoint;
use ferula_tsdb::log::segment::{Identity, Writer};
use ferula_tsdb::log::{Log, LogSettings, LogStats, Sync};
use ferula_tsdb::{Head, HeadSettings, HeadWriter};

const IDENTITY: Identity = Identity {
    cluster: [1; 16],
    shard: 0,
};

/// Series of one batch, as of one target.
const BATCH: u32 = 1_000;

fn empty() -> (Arc<Head>, HeadWriter) {
    Head::new(HeadSettings {
        bytes_max: u64::MAX,
        hash_seed: 1,
    })
}

fn labels(i: u32) -> Labels {
    let (target, metric) = (i / BATCH, i % BATCH);
    Labels::from_pairs([
        ("__name__", format!("metric_{}_total", metric / 10)),
        ("code", format!("{}", 200 + metric % 10)),
        (
            "instance",
            format!("10.0.{}.{}:9100", target / 250, target % 250),
        ),
        ("job", "node".to_owned()),
        (
            "pod",
            format!(
                "app-{target:06x}-{:04x}",
                target.wrapping_mul(40_503) as u16
            ),
        ),
        ("zone", format!("z{}", target % 3)),
    ])
}

/// Adds one sample of each series in `ids` at `time`.
fn append(writer: &mut HeadWriter, keys: &mut [SeriesKey], ids: std::ops::Range<u32>, time: i64) {
    for from in ids.clone().step_by(BATCH as usize) {
        let to = ids.end.min(from + BATCH);
        let mut batch = Batch::new(TenantId::anonymous(), Origin::Scrape);
        batch.series = keys[from as usize..to as usize].to_vec();
        batch.samples.extend((from..to).map(|id| SampleEntry {
            series: id - from,
            timestamp: time + i64::from(from / BATCH),
            value: f64::from(id % 97) + (time / 15_000 * i64::from(id % 5)) as f64,
        }));
        let report = writer.stage(&batch).unwrap();
        for (key, known) in keys[from as usize..].iter_mut().zip(report.refs) {
            *key = SeriesKey::Ref(known.unwrap());
        }
        writer.apply();
    }
}

fn main() {
    let arguments: Vec<u32> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let series = arguments.first().copied().unwrap_or(1_000_000);
    let samples = i64::from(arguments.get(1).copied().unwrap_or(130));
    let clock = SystemClock::shared();
    let timed = |what: &str, took: Duration| println!("{what}: {:.3} s", took.as_secs_f64());
    let dir = tempfile::tempdir().unwrap();
    let disk = SystemDisk::shared();
    let objects = LocalObjects::open(disk.clone(), dir.path()).unwrap();
    let settings = LogSettings {
        dir: dir.path().join("log"),
        segment_bytes: 64 << 20,
        sync: Sync::OnDemand,
        identity: IDENTITY,
        writer: Writer {
            epoch: 1,
            nonce: [0; 16],
        },
    };
    let stats = Arc::new(LogStats::default());
    let mut log = Log::open(disk, clock.clone(), settings, None, stats).unwrap();

    let (head, mut writer) = empty();
    let mut keys: Vec<SeriesKey> = (0..series).map(|i| SeriesKey::Labels(labels(i))).collect();
    let started = clock.monotonic();
    for step in 0..samples {
        append(&mut writer, &mut keys, 0..series, step * 15_000);
    }
    timed("filled", clock.monotonic() - started);
    let stats = head.stats();
    println!("{stats:?}, {} B a series", stats.bytes / u64::from(series));

    // Everything counts as defined: there is no log to be read.
    let defined = writer.encode_definitions(&mut Vec::new(), usize::MAX);
    writer.defined(defined);
    let mark = writer.mark(&mut log).unwrap();
    let started = clock.monotonic();
    let mut object = objects.writer("checkpoint").unwrap();
    let written = head
        .write_checkpoint(&mark, IDENTITY, &mut *object)
        .unwrap();
    timed("checkpoint written", clock.monotonic() - started);
    let _ = object.finish().unwrap();
    timed("and synced", clock.monotonic() - started);
    println!(
        "{} B, {} B a series",
        written.len,
        written.len / u64::from(series)
    );
    assert_eq!(
        checkpoint::Checkpoint::of(&*objects.open("checkpoint").unwrap()).unwrap(),
        written
    );

    let object = objects.open("checkpoint").unwrap();
    for _ in 0..3 {
        let (again, mut loading) = empty();
        let started = clock.monotonic();
        let loaded = loading
            .load_checkpoint(&*object, &written, IDENTITY)
            .unwrap();
        timed("checkpoint loaded", clock.monotonic() - started);
        loading.replayed();
        let held = again.stats();
        assert_eq!((loaded.samples, held.series), (stats.samples, stats.series));
        println!("{} B a series", held.bytes / u64::from(series));
    }

    // Half of the series go on for two hours, the others have ended.
    let later = samples * 15_000 + 2 * 3_600_000;
    append(&mut writer, &mut keys, 0..series / 2, later);
    head.raise_floor(later - 3_600_000, || ());
    let started = clock.monotonic();
    head.truncate();
    timed("truncated", clock.monotonic() - started);
    assert!(head.is_rebase_due());
    let started = clock.monotonic();
    let prepared = head.prepare_rebase();
    timed("renumbering prepared", clock.monotonic() - started);
    let started = clock.monotonic();
    let retired = writer.rebase(prepared, &mut log).unwrap().unwrap();
    timed("renumbered, commits waiting", clock.monotonic() - started);
    drop(retired);
    println!("{:?}", head.stats());
}
