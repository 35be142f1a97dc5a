//! What chunks of floats cost, kind by kind: bytes per sample, time to decode one and to finish
//! a chunk of 120. Times are those of this machine and minute; `cargo xtask kernels` has counts
//! that hold still.
//!
//!     cargo run --release -p ferula-tsdb --example chunks
#![allow(clippy::print_stdout, reason = "a table for who runs it")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::time::Duration;

use ferula_env::SystemClock;
use ferula_model::{Labels, Range, TenantId};
use ferula_storage::{Batch, Columns, Hints, Origin, SampleEntry, SelectRequest, SeriesKey};
use ferula_tsdb::{Head, HeadSettings};

/// A day at 15 s.
const SAMPLES: u64 = 5_760;

/// Samples of a chunk.
const CHUNK: u64 = 120;

const SERIES: u64 = 500;

/// A sample by series and number.
type Sample = fn(u64, u64) -> (i64, f64);

const KINDS: [(&str, Sample); 9] = [
    ("constant", |_, i| (time(i), 4096.0)),
    ("counter", |s, i| (time(i), counter(s, i))),
    ("counter, jitter", |s, i| (jitter(s, i), counter(s, i))),
    ("counter, resets", |s, i| (time(i), counter(s, i % 500))),
    ("integer gauge", |s, i| (time(i), (noise(s, i) % 50) as f64)),
    ("memory gauge", |s, i| {
        (time(i), ((1 << 30) + noise(s, i) % 4096 * 4096) as f64)
    }),
    ("decimal gauge", |s, i| {
        (time(i), (noise(s, i) % 100_000) as f64 / 1000.0)
    }),
    ("noisy float", |s, i| (time(i), (noise(s, i) as f64).sqrt())),
    ("sum of floats", |s, i| {
        let grown = (i * 40 + noise(s, i) % 40) as f64;
        (time(i), grown / 7.0 + s as f64)
    }),
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

/// The same for the same series and number, and without a pattern between them.
fn noise(series: u64, i: u64) -> u64 {
    let mut bits = (series << 32 ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits >> 34
}

fn main() {
    println!("| Kind | bytes per sample | decoding, ns per sample | finishing, ns per chunk |");
    println!("|---|---|---|---|");
    for (name, sample) in KINDS {
        let (bytes, decode, finish) = measure(sample);
        println!("| {name} | {bytes:.2} | {decode:.2} | {finish:.0} |");
    }
}

fn measure(sample: Sample) -> (f64, f64, f64) {
    let (head, mut writer) = Head::new(HeadSettings {
        bytes_max: 1 << 32,
        hash_seed: 1,
    });
    let clock = SystemClock::shared();
    let label = |series| Labels::from_pairs([("series", format!("{series:04}"))]);
    let mut keys: Vec<_> = (0..SERIES).map(|s| SeriesKey::Labels(label(s))).collect();
    let (mut usual, mut finishing, mut empty) = (Vec::new(), Vec::new(), 0);
    for i in 0..SAMPLES {
        let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
        batch.series.clone_from(&keys);
        batch.samples = (0..SERIES)
            .map(|s| {
                let (timestamp, value) = sample(s, i);
                SampleEntry {
                    series: s as u32,
                    timestamp,
                    value,
                }
            })
            .collect();
        let report = writer.stage(&batch).unwrap();
        let begin = clock.monotonic();
        writer.apply();
        let took = clock.monotonic().saturating_sub(begin);
        if i == 0 {
            keys = report
                .refs
                .into_iter()
                .flatten()
                .map(SeriesKey::Ref)
                .collect();
            empty = head.bytes_used();
        } else if i % CHUNK == 0 {
            finishing.push(took);
        } else {
            usual.push(took);
        }
    }
    let (selected, ()) = head.select(
        &SelectRequest {
            tenant: TenantId::anonymous(),
            matchers: Vec::new(),
            range: Range::ALL,
            hints: Hints::default(),
        },
        || (),
    );
    let mut columns = Columns::default();
    let mut decoding = Vec::new();
    for series in selected
        .series
        .iter()
        .cycle()
        .take(5 * selected.series.len())
    {
        let begin = clock.monotonic();
        columns.clear();
        series.source.decode(Range::ALL, &mut columns).unwrap();
        decoding.push(clock.monotonic().saturating_sub(begin));
        assert_eq!(columns.len() as u64, SAMPLES);
    }
    let finishing = least(&finishing).saturating_sub(least(&usual));
    (
        (head.bytes_used() - empty) as f64 / (SAMPLES * SERIES) as f64,
        median(&mut decoding).as_nanos() as f64 / SAMPLES as f64,
        finishing.as_nanos() as f64 / SERIES as f64,
    )
}

/// On a busy machine most batches are interrupted, but not all.
fn least(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
