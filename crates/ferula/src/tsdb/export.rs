//! `ferula tsdb export`: blocks for a Prometheus.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use clap::ArgMatches;
use ferula_model::{Matcher, Range, TenantId, Timestamp};
use ferula_promql::syntax::parse_selector;
use ferula_storage::{Columns, Hints, Select as _, SelectRequest, SelectedSeries};
use ferula_tsdb::export::Export;
use tokio::runtime::Runtime;

use super::open::{Opened, tenant};
use super::progress::{Progress, shown};
use super::required;

/// Blocks begin and end at multiples of this, as those that Prometheus cuts.
const BLOCK_MS: Timestamp = 2 * 3_600_000;

/// What is to be exported.
struct Wanted {
    tenant: TenantId,
    /// Series that match any of these; all, if there are none.
    matchers: Vec<Vec<Matcher>>,
}

/// Writes blocks of everything that was asked for.
pub(crate) fn run(given: &ArgMatches) -> anyhow::Result<String> {
    let (from, to): (&PathBuf, &PathBuf) = (required(given, "from"), required(given, "to"));
    let selectors = given.get_many::<String>("match").unwrap_or_default();
    let parse =
        |text: &String| parse_selector(text).map_err(|e| anyhow!("--match: {}", e.display(text)));
    let wanted = Wanted {
        tenant: tenant(given)?,
        matchers: selectors.map(parse).collect::<anyhow::Result<_>>()?,
    };
    let min = time(given, "min-time")?.unwrap_or(Timestamp::MIN);
    let max = time(given, "max-time")?.unwrap_or(Timestamp::MAX - 1);
    ensure!(min <= max, "--min-time is after --max-time");
    let asked = Range::closed(min, max);
    let from = Opened::open(from, given)?;
    ensure!(
        from.disk.list(to)?.is_empty(),
        "{} is not empty: name a folder that does not exist",
        to.display()
    );
    from.disk.create_dir_all(to)?;
    let mut progress = Progress::start(from.clock.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let (mut blocks, mut series, mut samples) = (0, 0, 0);
    for range in windows(&held(&from), asked) {
        let exported = block(&from, &runtime, &wanted, range, to)
            .with_context(|| format!("exporting the block from {}", shown(range.start)))?;
        if let Some(stats) = exported {
            blocks += 1;
            series = stats.num_series.max(series);
            samples += stats.num_samples;
        }
        let until = shown(range.end);
        progress.tick(|_| format!("until {until}: {samples} samples in {blocks} blocks"));
    }
    from.shard.close();
    Ok(format!(
        "exported {samples} samples into {blocks} blocks (the largest has {series} series) in \
         {:.1} s; all were read back and compared",
        progress.seconds()
    ))
}

/// Where the data directory has samples.
fn held(from: &Opened) -> Vec<Range> {
    let blocks = from.shard.blocks().into_iter().map(|block| block.range);
    let head = from.shard.stats().head;
    let head = head.min_time.zip(head.max_time);
    let head = head.map(|(min, max)| Range::closed(min, max));
    blocks.chain(head).collect()
}

/// The blocks to write, in order of time: cut by what was asked for.
fn windows(held: &[Range], asked: Range) -> Vec<Range> {
    let mut windows = Vec::new();
    for range in held {
        let from = range.start.max(asked.start).div_euclid(BLOCK_MS);
        let last = range
            .end
            .min(asked.end)
            .saturating_sub(1)
            .div_euclid(BLOCK_MS);
        for slot in from..=last {
            let start = slot.saturating_mul(BLOCK_MS);
            windows.push(Range {
                start: start.max(asked.start),
                end: start.saturating_add(BLOCK_MS).min(asked.end),
            });
        }
    }
    windows.sort_by_key(|range| range.start);
    windows.dedup();
    windows
}

/// Writes one block; none if nothing matches.
fn block(
    from: &Opened,
    runtime: &Runtime,
    wanted: &Wanted,
    range: Range,
    to: &Path,
) -> anyhow::Result<Option<ferula_tsdb::prometheus::Stats>> {
    let all = [Vec::new()];
    let sets = match wanted.matchers.as_slice() {
        [] => &all,
        sets => sets,
    };
    let mut series: Vec<SelectedSeries> = Vec::new();
    for matchers in sets {
        let request = SelectRequest {
            tenant: wanted.tenant.clone(),
            matchers: matchers.clone(),
            range,
            hints: Hints::default(),
        };
        series.extend(runtime.block_on(from.shard.select(request))?.series);
    }
    if sets.len() > 1 {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        series.dedup_by(|a, b| a.labels == b.labels);
    }
    let mut export = Export::create(from.disk.clone(), to, from.new_ulid(), range)?;
    let mut columns = Columns::default();
    for SelectedSeries { labels, source } in series {
        columns.clear();
        source.decode(range, &mut columns)?;
        keep_within(&mut columns, range);
        export.series(&labels, &columns)?;
    }
    Ok(export.finish(&*from.disk, to)?.map(|meta| meta.stats))
}

/// Drops what came along from outside.
fn keep_within(columns: &mut Columns, range: Range) {
    let from = columns.timestamps.partition_point(|t| *t < range.start);
    let to = columns.timestamps.partition_point(|t| *t < range.end);
    columns.timestamps.truncate(to);
    columns.values.truncate(to);
    columns.timestamps.drain(..from);
    columns.values.drain(..from);
    columns.start_timestamps.clear();
    columns
        .histograms
        .retain(|point| range.contains(point.timestamp));
}

/// A time as RFC 3339 or Unix seconds.
fn time(given: &ArgMatches, name: &str) -> anyhow::Result<Option<Timestamp>> {
    let Some(text) = given.get_one::<String>(name) else {
        return Ok(None);
    };
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(Some((seconds * 1_000.0).round() as Timestamp));
    }
    let time: jiff::Timestamp = text
        .parse()
        .with_context(|| format!("--{name}: `{text}` is neither RFC 3339 nor Unix seconds"))?;
    Ok(Some(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: i64 = 3_600_000;

    #[test]
    fn windows_are_aligned_and_cut_by_what_is_asked() {
        let range = |start, end| Range { start, end };
        let held = [
            range(H, 3 * H),
            range(2 * H, 5 * H),
            range(9 * H, 9 * H + 1),
        ];
        let hours = |asked: Range| {
            let windows = windows(&held, asked);
            windows
                .iter()
                .map(|r| (r.start / H, r.end / H))
                .collect::<Vec<_>>()
        };
        assert_eq!(hours(Range::ALL), [(0, 2), (2, 4), (4, 6), (8, 10)]);
        assert_eq!(hours(range(3 * H, 5 * H)), [(3, 4), (4, 5)]);
        assert!(hours(range(6 * H, 8 * H)).is_empty());
    }

    #[test]
    fn only_what_is_inside_stays() {
        let mut columns = Columns {
            timestamps: vec![1, 2, 3, 4],
            values: vec![1.0, 2.0, 3.0, 4.0],
            ..Columns::default()
        };
        keep_within(&mut columns, Range { start: 2, end: 4 });
        assert_eq!(
            (columns.timestamps, columns.values),
            (vec![2, 3], vec![2.0, 3.0])
        );
    }
}
