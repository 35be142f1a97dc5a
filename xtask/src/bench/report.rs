//! The table of a benchmark: one line per figure, one column per server, and the ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use ferula_e2e::peers::{Peer, repository};

use super::Subject;
use super::history::Size;
use super::query_report::{self, Line};

/// One measured number; lower is better.
pub(crate) struct Figure {
    work: &'static str,
    name: &'static str,
    value: f64,
}

impl Figure {
    /// A number with the work it belongs to.
    pub(crate) fn new(work: &'static str, name: &'static str, value: f64) -> Self {
        Self { work, name, value }
    }
}

/// Collects the figures of all runs.
pub(crate) struct Report {
    subjects: Vec<Subject>,
    /// Lines in the order first seen.
    lines: Vec<(&'static str, &'static str)>,
    values: BTreeMap<(&'static str, &'static str, usize), Vec<f64>>,
    /// What each run measured of the queries, and over how much.
    queries: Vec<Vec<Line>>,
    queried: Option<Size>,
    load: String,
}

impl Report {
    /// An empty report on these servers.
    pub(crate) fn new(subjects: Vec<Subject>) -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            subjects,
            lines: Vec::new(),
            values: BTreeMap::new(),
            queries: Vec::new(),
            queried: None,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// Adds what one run measured of one server.
    pub(crate) fn add(&mut self, subject: Subject, figures: Vec<Figure>) {
        let column = self
            .subjects
            .iter()
            .position(|&have| have == subject)
            .unwrap_or(0);
        for Figure { work, name, value } in figures {
            eprintln!("  {work}: {name}: {}", shown(value));
            if !self.lines.contains(&(work, name)) {
                self.lines.push((work, name));
            }
            self.values
                .entry((work, name, column))
                .or_default()
                .push(value);
        }
    }

    /// Adds what one run measured of the queries.
    pub(crate) fn add_queries(&mut self, size: Size, lines: Vec<Line>) {
        self.queried = Some(size);
        self.queries.push(lines);
    }

    /// The report as a page.
    pub(crate) fn markdown(&self, quick: bool, runs: usize) -> Result<String> {
        let mut text = format!("# Benchmark of {}\n\n", today()?);
        let _ = writeln!(text, "- commit: {}", commit()?);
        let _ = writeln!(text, "- machine: {}", machine());
        let _ = writeln!(text, "- load average at the start: {}", self.load);
        for peer in [Peer::Prometheus, Peer::VictoriaMetrics] {
            let _ = writeln!(text, "- {}: {}", peer.name(), peer.version());
        }
        let size = if quick {
            "quick (a tenth of the work)"
        } else {
            "full"
        };
        let _ = writeln!(
            text,
            "- size: {size}; runs: {runs}; medians, with extremes in brackets"
        );
        text.push_str("\nLower is better everywhere. A ratio below 1 is in Ferula's favour.\n\n");

        text.push_str("| Work | Figure |");
        for subject in &self.subjects {
            let _ = write!(text, " {subject:?} |");
        }
        let ratios = self.ratio_columns();
        for &column in &ratios {
            let _ = write!(text, " ÷ {:?} |", self.subjects[column]);
        }
        let columns = 2 + self.subjects.len() + ratios.len();
        let _ = writeln!(text, "\n|{}", "---|".repeat(columns));
        for &(work, name) in &self.lines {
            let _ = write!(text, "| {work} | {name} |");
            for column in 0..self.subjects.len() {
                let _ = write!(text, " {} |", self.cell(work, name, column));
            }
            for &column in &ratios {
                let (own, peer) = (self.median(work, name, 0), self.median(work, name, column));
                let ratio = if peer.is_finite() {
                    own / peer
                } else {
                    f64::NAN
                };
                let _ = write!(text, " {} |", shown(ratio));
            }
            text.push('\n');
        }
        if let Some(size) = self.queried {
            let queries = query_report::markdown(size, &self.queries, &self.subjects);
            text.push_str(&queries);
        }
        Ok(text)
    }

    /// Peers to divide by; none when Ferula is not measured.
    fn ratio_columns(&self) -> Vec<usize> {
        if self.subjects.first() == Some(&Subject::Ferula) {
            (1..self.subjects.len()).collect()
        } else {
            Vec::new()
        }
    }

    fn median(&self, work: &'static str, name: &'static str, column: usize) -> f64 {
        let mut values = self
            .values
            .get(&(work, name, column))
            .cloned()
            .unwrap_or_default();
        median(&mut values)
    }

    fn cell(&self, work: &'static str, name: &'static str, column: usize) -> String {
        let median = shown(self.median(work, name, column));
        match self.values.get(&(work, name, column)) {
            Some(values) if values.len() > 1 => {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                format!("{median} [{}–{}]", shown(low), shown(high))
            }
            _ => median,
        }
    }
}

/// The value in the middle; NaN if there is none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits are all that such figures are good for.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The date in UTC.
pub(crate) fn today() -> Result<String> {
    output(Command::new("date").args(["-u", "+%Y-%m-%d"]))
}

fn commit() -> Result<String> {
    let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(repository()));
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Ok(if changed {
        format!("{commit} with changes")
    } else {
        commit
    })
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let models: Vec<&str> = models
        .map(|line| line.trim_start_matches([' ', '\t', ':']))
        .collect();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}, {} cores, {} GiB, Linux {}",
        models.first().copied().unwrap_or("unknown CPU"),
        models.len(),
        kib.unwrap_or(0) >> 20,
        kernel.trim()
    )
}

fn output(command: &mut Command) -> Result<String> {
    let name = format!("{:?}", command.get_program());
    let out = command
        .output()
        .with_context(|| format!("starting {name}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
