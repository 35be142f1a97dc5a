//! What blocks cost, kind by kind: bytes per sample, and time to encode, to decode with all pages
//! in memory, and to decode when each page has to be read and inflated. Times are those of this
//! machine and minute.
//!
//!     cargo run --release -p ferula-tsdb --example blocks [captured.txt ...]
//!
//! A captured file holds scrapes of one target, one after another, each behind a line
//! `#### <milliseconds>`; it is cut to 480 scrapes, written as 15 s apart.
#![allow(clippy::print_stdout, reason = "a table for who runs it")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "reads what it is told to")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferula_env::{SystemClock, SystemDisk};
use ferula_model::{Counts, Histogram, Labels, Range, Span, TenantId, Ulid};
use ferula_objects::{LocalObjects, Objects};
use ferula_storage::{Columns, HistogramPoint};
use ferula_tsdb::block::{Block, BlockCache, BlockSpec, BlockWriter};

/// Two hours at 15 s.
const SAMPLES: u64 = 480;

/// Series of a kind.
const SERIES: u64 = 500;

/// Instances of the generated fleet, of a thousand series each.
const INSTANCES: u64 = 12;

/// Samples by labels.
type Input = BTreeMap<Labels, Columns>;

type Sample = fn(u64, u64) -> (i64, f64);

const KINDS: [(&str, Sample); 11] = [
    ("constant", |_, i| (time(i), 4096.0)),
    ("counter", |s, i| (time(i), counter(s, i))),
    ("counter, jitter", |s, i| (jitter(s, i), counter(s, i))),
    ("counter, resets", |s, i| (time(i), counter(s, i % 300))),
    ("counter, walks", |s, i| (time(i), walk(s, i))),
    ("counter, seldom", |s, i| (time(i), seldom(s, i))),
    ("integer gauge", |s, i| (time(i), (noise(s, i) % 50) as f64)),
    ("memory gauge", |s, i| {
        (time(i), ((1 << 30) + noise(s, i) % 4096 * 4096) as f64)
    }),
    ("decimal gauge", |s, i| {
        (time(i), (noise(s, i) % 100_000) as f64 / 1000.0)
    }),
    ("noisy float", |s, i| (time(i), (noise(s, i) as f64).sqrt())),
    ("sum of floats", |s, i| (time(i), sum(s, i))),
];

fn time(i: u64) -> i64 {
    (i * 15_000).cast_signed()
}

fn jitter(series: u64, i: u64) -> i64 {
    time(i) + (noise(series, i) % 8).cast_signed()
}

fn counter(series: u64, i: u64) -> f64 {
    let step = series % 500 + 1;
    (i * step + noise(series, i) % step) as f64
}

/// Grows by independent steps.
fn walk(series: u64, i: u64) -> f64 {
    let step = series % 500 + 1;
    (0..=i).map(|i| noise(series, i) % step).sum::<u64>() as f64
}

/// Grows once in 20 samples.
fn seldom(series: u64, i: u64) -> f64 {
    (0..=i)
        .filter(|&i| noise(series, i).is_multiple_of(20))
        .count() as f64
}

/// Durations in whole nanoseconds, added up in seconds.
fn sum(series: u64, i: u64) -> f64 {
    let mut sum = 0.0;
    for i in 0..=i {
        sum += (noise(series, i) % 1_000_000) as f64 / 1e9;
    }
    sum
}

/// The same for the same series and number, and without a pattern between them.
fn noise(series: u64, i: u64) -> u64 {
    let mut bits = (series << 32 ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits >> 34
}

fn main() {
    println!(
        "| Kind | bytes per sample | of which labels | encoding, ns | copying, ns | decoding, ns | with reading, ns |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, sample) in KINDS {
        let series = (0..SERIES).map(|s| {
            let labels = Labels::from_pairs([("series", format!("{s:04}"))]);
            (labels, columns((0..SAMPLES).map(|i| sample(s, i))))
        });
        measure(name, &series.collect());
    }
    measure("native histogram, quiet", &histograms(1));
    measure("native histogram, busy", &histograms(200));
    measure("generated fleet", &fleet());
    for path in std::env::args().skip(1) {
        measure(&path, &captured(&path));
    }
}

fn columns(samples: impl Iterator<Item = (i64, f64)>) -> Columns {
    let (timestamps, values) = samples.unzip();
    Columns {
        timestamps,
        values,
        ..Columns::default()
    }
}

/// Native histograms of 20 buckets that observe up to so many durations between two scrapes.
fn histograms(observations: u64) -> Input {
    let series = (0..50u64).map(|s| {
        let (mut buckets, mut sum) = (vec![0u64; 20], 0.0);
        let points = (0..SAMPLES).map(|i| {
            for n in 0..noise(s, i) % (observations + 1) {
                let bits = noise(s << 20 | i, n);
                // Bell-shaped enough.
                let bucket = (0..4).map(|k| bits >> (5 * k) & 31).sum::<u64>() * 20 / 128;
                buckets[bucket as usize] += 1;
                sum += (bucket * 1_000_000 + bits % 1_000_000) as f64 / 1e9;
            }
            HistogramPoint {
                timestamp: time(i),
                start_timestamp: 0,
                histogram: Arc::new(Histogram {
                    schema: 3,
                    sum,
                    zero_threshold: 1e-128,
                    positive_spans: vec![Span {
                        offset: -30,
                        length: 20,
                    }],
                    counts: Counts::Integer {
                        count: buckets.iter().sum(),
                        zero: 0,
                        positive: buckets.clone(),
                        negative: Vec::new(),
                    },
                    ..Histogram::stale()
                }),
            }
        });
        let labels = Labels::from_pairs([("series", format!("{s:04}"))]);
        let columns = Columns {
            histograms: points.collect(),
            ..Columns::default()
        };
        (labels, columns)
    });
    series.collect()
}

/// As exporters mix them: counters, constants, gauges and buckets, from several instances.
fn fleet() -> Input {
    let mut input = Input::new();
    for id in 0..INSTANCES * 1_000 {
        let (instance, family, member) = (id / 1_000, id / 20 % 50, id % 20);
        let rank = member % 10 + 1;
        let mut labels = vec![
            ("__name__", format!("fleet_{family}_total")),
            ("cluster", "eu-west-1a".to_owned()),
            ("container", format!("service-{}", instance % 20)),
            ("instance", format!("10.0.0.{instance}:9100")),
            ("job", format!("default/service-{}", instance % 20)),
            ("namespace", "default".to_owned()),
            (
                "pod",
                format!("service-{}-7d4b9c6f5-{instance:05x}", instance % 20),
            ),
        ];
        match family % 10 {
            0..4 => labels.extend([
                ("code", format!("{}", 200 + member % 4)),
                ("handler", format!("/api/v1/resource_{}", member / 4)),
            ]),
            8.. => labels.extend([
                ("handler", format!("/api/v1/resource_{}", member / 10)),
                ("le", format!("{rank}")),
            ]),
            _ => labels.push(("device", format!("nvme{member}n1"))),
        }
        let value = |i: u64| match family % 10 {
            0..4 if id.is_multiple_of(3) => (id % 1000) as f64,
            0..4 => counter(id, i + 1_000 + instance * 131),
            4 => ((id + 1) * 4096) as f64,
            5 | 6 => (noise(id, i) % 100_000) as f64 / 1000.0,
            7 => (noise(id, i) % 50) as f64,
            _ => {
                ((i + 1_000 + instance * 131) * 3 + noise(id, i) % 3) as f64 * (rank * rank) as f64
            }
        };
        input.insert(
            Labels::from_pairs(labels),
            columns((0..SAMPLES).map(|i| (time(i), value(i)))),
        );
    }
    input
}

/// Scrapes that were written to a file.
fn captured(path: &str) -> Input {
    let text = std::fs::read_to_string(path).unwrap();
    let mut input: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    let mut known: BTreeMap<String, Labels> = BTreeMap::new();
    for (i, scrape) in text
        .split("#### ")
        .skip(1)
        .take(SAMPLES as usize)
        .enumerate()
    {
        for line in scrape.lines().skip(1).filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let labels = known
                .entry(series.to_owned())
                .or_insert_with(|| labels_of(series, path));
            let samples = input.entry(labels.clone()).or_default();
            samples.push((time(i as u64), value.parse().unwrap()));
        }
    }
    input
        .into_iter()
        .map(|(labels, samples)| (labels, columns(samples.into_iter())))
        .collect()
}

/// Labels of a line of text, without anything unusual in it.
fn labels_of(series: &str, job: &str) -> Labels {
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    let mut pairs = vec![
        ("__name__", name),
        ("instance", "localhost:9100"),
        ("job", job),
    ];
    let inner = rest.trim_end_matches('}').trim_end_matches(',');
    for pair in inner.split("\",").filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once("=\"").unwrap();
        pairs.push((name, value.trim_end_matches('"')));
    }
    Labels::from_pairs(pairs)
}

fn measure(name: &str, input: &Input) {
    let dir = tempfile::tempdir().unwrap();
    let objects = LocalObjects::open(SystemDisk::shared(), dir.path()).unwrap();
    let objects: Arc<dyn Objects> = Arc::new(objects);
    let clock = SystemClock::shared();
    let tenant = TenantId::anonymous();
    let samples: u64 = input.values().map(|c| c.len() as u64).sum();
    let per_sample = |took: Duration| took.as_nanos() as f64 / samples as f64;

    let (mut encoding, mut block) = (Vec::new(), None);
    for n in 0..3 {
        let begin = clock.monotonic();
        let spec = BlockSpec::new(Range::ALL, 0);
        let mut writer = BlockWriter::new(&objects, Ulid(n), spec).unwrap();
        for (labels, columns) in input {
            writer.series(&tenant, labels, columns).unwrap();
        }
        let meta = writer.finish().unwrap().unwrap();
        encoding.push(clock.monotonic().saturating_sub(begin));
        block = Some(meta);
    }
    let meta = block.unwrap();
    let open = |bytes| Block::open(&objects, meta.id, BlockCache::new(bytes)).unwrap();
    let decode = |block: &Block| {
        let mut columns = Columns::default();
        let begin = clock.monotonic();
        for ordinal in 0..meta.series as u32 {
            columns.clear();
            block.decode(ordinal, Range::ALL, &mut columns).unwrap();
        }
        clock.monotonic().saturating_sub(begin)
    };
    let warm = open(1 << 30);
    decode(&warm);
    let decoding = (0..5).map(|_| decode(&warm)).min().unwrap();
    let reading = (0..3).map(|_| decode(&open(1 << 30))).min().unwrap();
    warm.verify().unwrap();
    let copying = (3..6).map(|n| {
        let begin = clock.monotonic();
        let mut writer =
            BlockWriter::new(&objects, Ulid(n), BlockSpec::new(Range::ALL, 0)).unwrap();
        for (labels, ordinal) in input.keys().zip(0..) {
            writer.copy(&tenant, labels, &[(&warm, ordinal)]).unwrap();
        }
        writer.finish().unwrap().unwrap();
        clock.monotonic().saturating_sub(begin)
    });
    let copying = copying.min().unwrap();
    println!(
        "| {name} | {:.3} | {:.3} | {:.1} | {:.1} | {:.2} | {:.2} |",
        meta.bytes() as f64 / samples as f64,
        meta.index.bytes as f64 / samples as f64,
        per_sample(encoding.into_iter().min().unwrap()),
        per_sample(copying),
        per_sample(decoding),
        per_sample(reading),
    );
}
