//! `ferula tsdb dump`: samples as text, as the reference's command prints them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{ArgAction, ArgMatches, Command, value_parser};
use ferula_model::text::number;
use ferula_model::{Histogram, Labels, Matcher, Range, TenantId};
use ferula_promql::syntax;
use ferula_storage::{Columns, Hints, SelectRequest};

use super::data::DataDir;

/// Text is handed on in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

pub(super) fn command() -> Command {
    let selectors = super::super::option(
        "match",
        "SELECTOR",
        "Only series that match; several add up",
    );
    let time = |name, help| {
        super::super::option(name, "MS", help)
            .value_parser(value_parser!(i64))
            .allow_negative_numbers(true)
    };
    let tenant = super::super::option("tenant", "TENANT", "Whose samples");
    let dump =
        Command::new("dump").about("Print samples: labels, value, timestamp in milliseconds");
    dump.arg(selectors.action(ArgAction::Append))
        .arg(time(
            "min-time",
            "No samples before this, in milliseconds since 1970",
        ))
        .arg(time(
            "max-time",
            "No samples after this, in milliseconds since 1970",
        ))
        .arg(tenant.default_value("anonymous"))
}

pub(super) fn run(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let tenant = TenantId::new(super::super::required::<String>(given, "tenant"))?;
    let time = |name| given.get_one::<i64>(name).copied();
    let range = Range::closed(
        time("min-time").unwrap_or(i64::MIN),
        time("max-time").unwrap_or(i64::MAX),
    );
    let sets = selectors(given)?;
    let data = DataDir::read(given)?;
    let mut out = Out::default();
    for shard in data.shards()? {
        let found = data.find(shard, true)?;
        for matchers in &sets {
            let request = SelectRequest {
                tenant: tenant.clone(),
                matchers: matchers.clone(),
                range,
                hints: Hints::default(),
            };
            let mut columns = Columns::default();
            for series in found.samples.select(&request)?.series {
                columns.clear();
                series.source.decode(range, &mut columns)?;
                out.series(&series.labels, &columns, range)?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The sets of matchers that are asked for; one that all series pass if none is.
fn selectors(given: &ArgMatches) -> anyhow::Result<Vec<Vec<Matcher>>> {
    let texts = given.get_many::<String>("match").into_iter().flatten();
    let sets = texts.map(|text| {
        let parsed = syntax::parse_selector(text);
        parsed.map_err(|error| anyhow::anyhow!("--match {text}: {}", error.display(text)))
    });
    let sets: Vec<_> = sets.collect::<Result<_, _>>()?;
    Ok(if sets.is_empty() {
        vec![Vec::new()]
    } else {
        sets
    })
}

/// Text on its way out.
#[derive(Default)]
struct Out {
    text: String,
}

impl Out {
    /// A line for each sample, in order of time.
    fn series(&mut self, labels: &Labels, columns: &Columns, range: Range) -> anyhow::Result<()> {
        let labels = labels.to_string();
        let mut histograms = columns.histograms.iter().peekable();
        for (&t, &value) in columns.timestamps.iter().zip(&columns.values) {
            while let Some(point) = histograms.next_if(|point| point.timestamp < t) {
                self.histogram(&labels, point.timestamp, &point.histogram, range)?;
            }
            if range.contains(t) {
                self.text.push_str(&labels);
                self.text.push(' ');
                number::write_general(&mut self.text, value);
                // Writing to a string cannot fail.
                let _ = writeln!(self.text, " {t}");
                self.flush_if_full()?;
            }
        }
        for point in histograms {
            self.histogram(&labels, point.timestamp, &point.histogram, range)?;
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        labels: &str,
        t: i64,
        h: &Histogram,
        range: Range,
    ) -> anyhow::Result<()> {
        if range.contains(t) {
            let _ = writeln!(self.text, "{labels} {} {t}", shown(h));
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn flush_if_full(&mut self) -> anyhow::Result<()> {
        match self.text.len() >= PIECE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        std::io::stdout().write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

/// A histogram in one line.
fn shown(h: &Histogram) -> String {
    if h.is_stale() {
        return "{stale}".to_owned();
    }
    let mut out = String::from("{count:");
    number::write_general(&mut out, h.count());
    out.push_str(", sum:");
    number::write_general(&mut out, h.sum);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_selector_everything_matches() {
        let given = |args: &[&str]| command().no_binary_name(true).get_matches_from(args);
        let none = selectors(&given(&[])).unwrap();
        assert_eq!(none, [Vec::<Matcher>::new()]);
        let two = selectors(&given(&["--match=up", "--match", "{a=~\"b|c\"}"])).unwrap();
        assert_eq!(two.len(), 2);
        let bad = selectors(&given(&["--match=up{"])).unwrap_err().to_string();
        assert!(bad.starts_with("--match up{: "), "{bad}");
    }
}
