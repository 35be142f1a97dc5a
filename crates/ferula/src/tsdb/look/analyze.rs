//! `ferula tsdb analyze`: what a block's series and bytes are made of.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{ArgMatches, Command, value_parser};
use ferula_model::text::duration;
use ferula_model::{Labels, METRIC_NAME, Range, Ulid};
use ferula_storage::Columns;
use ferula_tsdb::block::Block;

use super::data::DataDir;
use super::table::bytes;

pub(super) fn command() -> Command {
    let block = super::super::option("block", "ULID", "The block; the newest if it is not given");
    let limit = super::super::option("limit", "N", "How long lists may be");
    Command::new("analyze")
        .about("Tell what a block is made of: cardinality, churn, bytes")
        .arg(block.value_parser(value_parser!(String)))
        .arg(limit.default_value("20").value_parser(value_parser!(usize)))
}

pub(super) fn run(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let data = DataDir::read(given)?;
    let limit = *super::super::required::<usize>(given, "limit");
    let wanted: Option<&String> = given.get_one("block");
    let wanted: Option<Ulid> = wanted.map(|id| id.parse()).transpose()?;
    let mut blocks = Vec::new();
    for shard in data.shards()? {
        blocks.extend(data.manifest(shard)?.blocks);
    }
    let chosen = match wanted {
        Some(id) => blocks.iter().find(|block| block.id == id),
        None => blocks.iter().max_by_key(|block| block.range.end),
    };
    ensure!(
        !blocks.is_empty(),
        "there are no blocks yet: samples are in the head and its log"
    );
    let id = chosen
        .context("there is no such block; `ferula tsdb list` shows all")?
        .id;
    let block = data.block(id)?;
    let mut counts = Counts::new(&block);
    let mut labels = block.label_reader();
    let mut samples = Columns::default();
    for ordinal in 0..u32::try_from(block.meta().series)? {
        samples.clear();
        block.decode(ordinal, Range::ALL, &mut samples)?;
        counts.add(&labels.labels(ordinal)?, &samples);
    }
    super::say(&report(&block, &counts, limit)?);
    Ok(ExitCode::SUCCESS)
}

/// What is counted of a label, or of a name.
#[derive(Clone, Copy, Default)]
struct Count {
    series: u64,
    /// Time that its series have no samples at, in lengths of the block.
    churn: f64,
}

impl Count {
    fn add(&mut self, churn: f64) {
        self.series += 1;
        self.churn += churn;
    }
}

/// What is counted of all series.
struct Counts {
    /// The time between the block's first and last sample, at least a millisecond.
    span: f64,
    pairs: HashMap<(String, String), Count>,
    names: HashMap<String, Count>,
    entries: u64,
}

impl Counts {
    fn new(block: &Block) -> Self {
        let (oldest, newest) = block.meta().times;
        Self {
            span: newest.saturating_sub(oldest).max(1) as f64,
            pairs: HashMap::new(),
            names: HashMap::new(),
            entries: 0,
        }
    }

    fn add(&mut self, labels: &Labels, samples: &Columns) {
        let floats = samples.timestamps.first().zip(samples.timestamps.last());
        let histograms = samples.histograms.first().zip(samples.histograms.last());
        let histograms = histograms.map(|(first, last)| (first.timestamp, last.timestamp));
        let ends = floats
            .map(|(first, last)| (*first, *last))
            .into_iter()
            .chain(histograms);
        let covered = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let covered = covered.map_or(0, |(first, last)| last.saturating_sub(first));
        let churn = 1.0 - covered as f64 / self.span;
        for (name, value) in labels {
            let pair = (name.to_owned(), value.to_owned());
            self.pairs.entry(pair).or_default().add(churn);
            self.names.entry(name.to_owned()).or_default().add(churn);
            self.entries += 1;
        }
    }
}

fn report(block: &Block, counts: &Counts, limit: usize) -> anyhow::Result<String> {
    let meta = block.meta();
    let chunks: u64 = meta.chunks.iter().map(|object| object.bytes).sum();
    let mut out = String::new();
    let span = duration::shown(meta.range.end.saturating_sub(meta.range.start));
    writeln!(out, "Block ID: {}", meta.id)?;
    writeln!(out, "Duration: {span}")?;
    writeln!(out, "Level: {}", meta.level)?;
    writeln!(out, "Total Series: {}", meta.series)?;
    writeln!(
        out,
        "Total Samples: {} ({} histograms)",
        meta.samples, meta.histograms
    )?;
    writeln!(out, "Label names: {}", counts.names.len())?;
    writeln!(out, "Label pairs: {}", counts.pairs.len())?;
    writeln!(out, "Labels of all series: {}", counts.entries)?;
    let per = |bytes: u64, of: u64| bytes as f64 / of.max(1) as f64;
    for (what, n) in [
        ("all", meta.bytes()),
        ("samples", chunks),
        ("index", meta.index.bytes),
    ] {
        writeln!(
            out,
            "Bytes, {what}: {} ({:.3} a sample, {:.1} a series)",
            bytes(n, true),
            per(n, meta.samples),
            per(n, meta.series)
        )?;
    }
    for tenant in &meta.tenants {
        let (series, samples) = (tenant.series, tenant.samples);
        writeln!(
            out,
            "Tenant {}: {series} series, {samples} samples",
            tenant.tenant
        )?;
    }
    lists(&mut out, counts, limit)?;
    Ok(out)
}

fn lists(out: &mut String, counts: &Counts, limit: usize) -> anyhow::Result<()> {
    let pair = |(name, value): &(String, String)| format!("{name}={value}");
    let pairs = || counts.pairs.iter();
    let churn = pairs().map(|(of, count)| (count.churn as u64, pair(of)));
    list(out, "Label pairs most involved in churning", churn, limit)?;
    let churn = counts
        .names
        .iter()
        .map(|(name, c)| (c.churn as u64, name.clone()));
    list(out, "Label names most involved in churning", churn, limit)?;
    let common = pairs().map(|(of, count)| (count.series, pair(of)));
    list(out, "Most common label pairs", common, limit)?;
    let mut values: HashMap<&str, (u64, u64)> = HashMap::new();
    for (name, value) in counts.pairs.keys() {
        let of = values.entry(name).or_default();
        *of = (of.0 + 1, of.1 + value.len() as u64);
    }
    let lengths = values.iter().map(|(name, of)| (of.1, (*name).to_owned()));
    list(
        out,
        "Label names with highest cumulative label value length",
        lengths,
        limit,
    )?;
    let values = values.iter().map(|(name, of)| (of.0, (*name).to_owned()));
    list(out, "Highest cardinality labels", values, limit)?;
    let metrics = pairs().filter(|((name, _), _)| name == METRIC_NAME);
    let metrics = metrics.map(|((_, value), count)| (count.series, value.clone()));
    list(out, "Highest cardinality metric names", metrics, limit)
}

/// The entries with the largest numbers, except zeros.
fn list(
    out: &mut String,
    title: &str,
    entries: impl Iterator<Item = (u64, String)>,
    limit: usize,
) -> anyhow::Result<()> {
    let mut entries: Vec<_> = entries.filter(|(count, _)| *count > 0).collect();
    entries.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    writeln!(out, "\n{title}:")?;
    for (count, name) in entries.into_iter().take(limit) {
        writeln!(out, "{count} {name}")?;
    }
    Ok(())
}
