//! Blocks as the codec reads and writes them, and samples as text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ferula_e2e::peers::Peer;
use ferula_env::SystemDisk;
use ferula_model::{CounterReset, Counts, Labels, Range, Span, Timestamp, Ulid};
use ferula_storage::{Columns, HistogramPoint};
use ferula_tsdb::prometheus::{Block, BlockWriter};

pub(crate) type Series = Vec<(Labels, Columns)>;

pub(crate) fn promtool(arguments: &[&str]) -> String {
    let binary = Peer::Promtool.find().expect("looked for before");
    let output = Command::new(binary).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The folders of blocks in a data folder.
pub(crate) fn blocks(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).unwrap().map(|e| e.unwrap().path());
    let mut blocks: Vec<_> = entries.filter(|p| p.join("meta.json").exists()).collect();
    blocks.sort();
    blocks
}

/// Everything in the blocks of a data folder, those of one series put together.
pub(crate) fn read_blocks(data: &Path) -> Series {
    let mut all: BTreeMap<Labels, Columns> = BTreeMap::new();
    for folder in blocks(data) {
        let mut block = Block::open(&SystemDisk, &folder).unwrap();
        let (mut series, mut samples) = (0, 0);
        while let Some(entry) = block.next_series().unwrap() {
            let columns = all.entry(entry.labels.clone()).or_default();
            let before = columns.len();
            block.samples(&entry, Range::ALL, columns).unwrap();
            series += 1;
            samples += (columns.len() - before) as u64;
        }
        let stats = block.meta().stats;
        assert_eq!((series, samples), (stats.num_series, stats.num_samples));
    }
    all.into_iter().collect()
}

pub(crate) fn write_blocks(data: &Path, series: &Series) {
    const WIDTH: i64 = 7_200_000;
    let times = series.iter().flat_map(|(_, c)| {
        let histograms = c.histograms.iter().map(|p| p.timestamp);
        c.timestamps.iter().copied().chain(histograms)
    });
    let (min, max) = times.fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(t), b.max(t)));
    let mut start = min.div_euclid(WIDTH) * WIDTH;
    while start <= max {
        let range = Range {
            start,
            end: start + WIDTH,
        };
        let ulid = Ulid::new(start, 7);
        let mut writer = BlockWriter::create(SystemDisk::shared(), data, ulid, range).unwrap();
        for (labels, columns) in series {
            writer.series(labels, &within(columns, range)).unwrap();
        }
        writer.finish().unwrap();
        start = range.end;
    }
}

pub(crate) fn within(columns: &Columns, range: Range) -> Columns {
    let floats = columns.timestamps.iter().zip(&columns.values);
    let floats = floats.filter(|(t, _)| range.contains(**t));
    let (timestamps, values) = floats.map(|(t, v)| (*t, *v)).unzip();
    let histograms = columns.histograms.iter();
    Columns {
        timestamps,
        values,
        histograms: histograms
            .filter(|p| range.contains(p.timestamp))
            .cloned()
            .collect(),
        ..Columns::default()
    }
}

/// A series as text, bit for bit, but for what a chunk does not keep of histograms: which
/// buckets were there without observations, and hints other than that it is a gauge.
pub(crate) fn shown((labels, columns): &(Labels, Columns)) -> String {
    let mut text = format!("{labels}\n");
    for (t, v) in columns.timestamps.iter().zip(&columns.values) {
        text += &format!("  {t} {:016x}\n", v.to_bits());
    }
    for HistogramPoint {
        timestamp,
        histogram: h,
        ..
    } in &columns.histograms
    {
        let gauge = h.reset == CounterReset::Gauge;
        let side = |spans: &[Span], counts: &[f64]| {
            let mut index = -1;
            let indexes = spans.iter().enumerate().flat_map(|(i, span)| {
                index += span.offset + i32::from(i == 0);
                let from = index;
                index += span.length as i32;
                (0..span.length as i32).map(move |n| from + n)
            });
            let buckets = indexes.zip(counts).filter(|b| *b.1 != 0.0);
            format!("{:?}", buckets.collect::<Vec<_>>())
        };
        let (kind, floats) = match &h.counts {
            Counts::Integer { .. } => ("integer", h.to_float()),
            Counts::Float { .. } => ("float", (**h).clone()),
        };
        let Counts::Float {
            count,
            zero,
            positive,
            negative,
        } = &floats.counts
        else {
            unreachable!("to_float gives floats");
        };
        text += &format!(
            "  {timestamp} {kind} gauge={gauge} {} {:e} sum={:016x} {count} {zero} {} {} {:?}\n",
            h.schema,
            h.zero_threshold,
            h.sum.to_bits(),
            side(&h.positive_spans, positive),
            side(&h.negative_spans, negative),
            h.custom_values,
        );
    }
    text
}

pub(crate) fn assert_same(found: &Series, expected: &Series) {
    let labels = |s: &Series| s.iter().map(|s| s.0.clone()).collect::<Vec<_>>();
    assert_eq!(labels(found), labels(expected));
    for (found, expected) in found.iter().zip(expected) {
        let (found, expected) = (shown(found), shown(expected));
        assert!(found == expected, "found\n{found}\nexpected\n{expected}");
    }
}

pub(crate) fn floats(samples: Vec<(Timestamp, f64)>) -> Columns {
    let (timestamps, values) = samples.into_iter().unzip();
    Columns {
        timestamps,
        values,
        ..Columns::default()
    }
}
