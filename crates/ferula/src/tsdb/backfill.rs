//! `ferula tsdb create-blocks-from openmetrics`: samples from a text.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::ArgMatches;
use ferula_env::{Disk, SystemDisk};
use ferula_exposition::{Entry, Format, Parser, Series};
use ferula_model::{Labels, Range};
use ferula_tsdb::import::{Cursor, GatherCursor, plan};
use ferula_tsdb::prometheus::{Gather, Times};

use super::open::{Opened, tenant};
use super::progress::Progress;
use super::required;
use super::target::{Done, import};

/// The text is read into memory as a whole.
const FILE_BYTES_MAX: u64 = 64 << 30;

/// Imports all samples of a text.
pub(crate) fn run(given: &ArgMatches) -> anyhow::Result<String> {
    let (file, data): (&PathBuf, &PathBuf) = (required(given, "file"), required(given, "data"));
    let tenant = tenant(given)?;
    let labels = given.get_many::<String>("label").unwrap_or_default();
    let labels = labels.map(label).collect::<anyhow::Result<Vec<_>>>()?;
    let gather = read(&SystemDisk, file, &labels)?;
    let Some((min, max)) = gather.bounds() else {
        bail!("{} has no samples", file.display());
    };
    let to = Opened::open(data, given)?;
    let mut progress = Progress::start(to.clock.clone());
    progress.say(&format!(
        "{} samples of {} series",
        gather.samples(),
        gather.len()
    ));
    let mut cursors: [Box<dyn Cursor>; 1] = [Box::new(GatherCursor::new(gather))];
    let mut done = Done::default();
    for group in plan(&[Range::closed(min, max)]) {
        // Days without samples make no blocks.
        import(
            &to,
            &tenant,
            &mut cursors,
            &group.blocks,
            &[],
            &mut progress,
            &mut done,
        )?;
    }
    to.shard.close();
    Ok(done.said(&progress))
}

/// Reads a text; errors name file and line.
fn read(disk: &dyn Disk, file: &Path, more: &[(String, String)]) -> anyhow::Result<Gather> {
    let text = disk.read(file, FILE_BYTES_MAX)?;
    let mut parser = Parser::new(Format::OpenMetrics, &text);
    let mut gather = Gather::default();
    let name = file.display();
    while let Some(entry) = parser.next().map_err(|e| anyhow!("{name}: {e}"))? {
        let Entry::Series(series) = entry else {
            continue;
        };
        let Some(timestamp) = series.timestamp else {
            let line = line_of(&text, series.raw);
            bail!("{name}, line {line}: a sample without a timestamp");
        };
        let labels = labels(&series, more);
        if labels.metric_name().is_empty() {
            let line = line_of(&text, series.raw);
            bail!("{name}, line {line}: a sample without a name");
        }
        let number = gather.series(&labels).map_err(|e| anyhow!("{name}: {e}"))?;
        let start = 0;
        gather.float(number, Times { timestamp, start }, series.value);
    }
    Ok(gather)
}

fn labels(series: &Series<'_>, more: &[(String, String)]) -> Labels {
    let own = series.labels();
    let more = more
        .iter()
        .map(|(n, v)| (n.as_str().into(), v.as_str().into()));
    Labels::from_pairs(own.chain(more))
}

/// The line, counted from 1, that a part of the text is on.
fn line_of(text: &[u8], part: &[u8]) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = &text[..offset.min(text.len())];
    1 + before.iter().filter(|b| **b == b'\n').count()
}

fn label(text: &String) -> anyhow::Result<(String, String)> {
    let (name, value) = text
        .split_once('=')
        .with_context(|| format!("`{text}` is no label: write name=value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Gather, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("in.om");
        SystemDisk
            .create_new(&file)
            .unwrap()
            .write_at(text.as_bytes(), 0)
            .unwrap();
        let more = [("added".to_owned(), "x".to_owned())];
        read(&SystemDisk, &file, &more).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn samples_are_read_and_mistakes_are_located() {
        let gather = read_text("# TYPE a gauge\na{b=\"c\"} 1 10.5\na{b=\"c\"} 2 9\n# EOF\n");
        let gather = gather.unwrap();
        assert_eq!((gather.len(), gather.bounds()), (1, Some((9_000, 10_500))));
        let labels = Labels::from_pairs([("__name__", "a"), ("b", "c"), ("added", "x")]);
        assert_eq!(gather.labels(0), &labels);
        let error = read_text("# TYPE a gauge\na 1 5\na 2\n# EOF\n").unwrap_err();
        assert!(
            error.ends_with("in.om, line 3: a sample without a timestamp"),
            "{error}"
        );
        let error = read_text("a 1 5\nb ! 5\n# EOF\n").unwrap_err();
        assert!(error.contains("in.om: ") && error.contains('2'), "{error}");
    }
}
