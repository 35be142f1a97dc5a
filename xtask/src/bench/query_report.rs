//! The table of the query work: one line per query, and what all of them come to.

use std::fmt::{self, Write as _};

use super::Subject;
use super::history::Size;
use super::queries::{Query, Times};
use super::report::{median, shown};

/// A query that takes more than this share of the better peer's CPU time misses its goal.
const RATIO_MAX: f64 = 0.5;

/// What one query took on one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// CPU time of a warm run.
    pub(crate) cpu_ms: f64,
    /// CPU time of the first run.
    pub(crate) cold_ms: f64,
    /// From request to the end of the answer, warm.
    pub(crate) latency_ms: f64,
    /// Size of the answer.
    pub(crate) bytes: usize,
}

/// One of the numbers.
type Field = fn(&Spent) -> f64;

/// What one run measured of one query.
pub(crate) struct Line {
    name: &'static str,
    times: String,
    /// Servers that answered.
    pub(crate) spent: Vec<(Subject, Spent)>,
    /// Whether Ferula's answer is Prometheus's; `None` if there are not both.
    pub(crate) equal: Option<bool>,
    /// Errors, and where answers differ.
    pub(crate) problems: Vec<String>,
}

impl Line {
    /// A line without measurements.
    pub(crate) fn new(query: &Query) -> Self {
        let times = match query.times {
            Times::Instant => "instant".to_owned(),
            Times::Range { hours, step_s } => format!("{hours} h @ {step_s} s"),
        };
        Self {
            name: query.name,
            times,
            spent: Vec::new(),
            equal: None,
            problems: Vec::new(),
        }
    }

    fn of(&self, subject: Subject) -> Option<Spent> {
        let found = self.spent.iter().find(|(have, _)| *have == subject);
        found.map(|(_, spent)| *spent)
    }

    /// Ferula's CPU time by that of the peer that needs less.
    fn ratio(&self) -> Option<f64> {
        let peers = self.spent.iter().filter(|(of, _)| *of != Subject::Ferula);
        let better = peers
            .map(|(_, spent)| spent.cpu_ms)
            .min_by(f64::total_cmp)?;
        Some(self.of(Subject::Ferula)?.cpu_ms / better)
    }
}

/// A line of progress.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}:", self.name, self.times)?;
        for (subject, spent) in &self.spent {
            write!(f, " {subject:?} {} ms", shown(spent.cpu_ms))?;
        }
        for problem in &self.problems {
            write!(f, " ({problem})")?;
        }
        Ok(())
    }
}

/// The section of a report on all runs, each with its lines in the same order.
pub(crate) fn markdown(size: Size, runs: &[Vec<Line>], subjects: &[Subject]) -> String {
    let count = runs.iter().map(Vec::len).min().unwrap_or(0);
    let lines: Vec<Line> = (0..count)
        .map(|at| merge(runs.iter().filter_map(|run| run.get(at)).collect()))
        .collect();
    let Size { instances, hours } = size;
    let mut text = format!(
        "\n## Queries\n\nOver {instances} instances with a thousand series each, {hours} h at 15 s. \
         All times are in ms.\n\n"
    );
    summary(&mut text, &lines, subjects);
    table(&mut text, &lines, subjects);
    let problems = lines.iter().flat_map(|line| {
        let place = format!("{}, {}", line.name, line.times);
        line.problems
            .iter()
            .map(move |problem| format!("- {place}: {problem}\n"))
    });
    let problems: String = problems.collect();
    if !problems.is_empty() {
        let _ = write!(text, "\nProblems:\n\n{problems}");
    }
    text
}

/// The medians of the runs of one query.
fn merge(runs: Vec<&Line>) -> Line {
    let mut merged = Line {
        name: runs[0].name,
        times: runs[0].times.clone(),
        spent: Vec::new(),
        equal: runs.iter().map(|run| run.equal).min().flatten(),
        problems: Vec::new(),
    };
    for subject in [
        Subject::Ferula,
        Subject::Prometheus,
        Subject::Victoriametrics,
    ] {
        let of: Vec<Spent> = runs.iter().filter_map(|run| run.of(subject)).collect();
        let Some(last) = of.last() else { continue };
        let middle = |field: Field| median(&mut of.iter().map(field).collect::<Vec<_>>());
        let spent = Spent {
            cpu_ms: middle(|spent| spent.cpu_ms),
            cold_ms: middle(|spent| spent.cold_ms),
            latency_ms: middle(|spent| spent.latency_ms),
            bytes: last.bytes,
        };
        merged.spent.push((subject, spent));
    }
    for problem in runs.iter().flat_map(|run| &run.problems) {
        if !merged.problems.contains(problem) {
            merged.problems.push(problem.clone());
        }
    }
    merged
}

/// What all queries come to.
fn summary(text: &mut String, lines: &[Line], subjects: &[Subject]) {
    let by_all: Vec<&Line> = lines
        .iter()
        .filter(|line| line.spent.len() == subjects.len())
        .collect();
    let sum = |field: Field| {
        let sums = subjects.iter().map(|&subject| {
            let of = by_all.iter().filter_map(|line| line.of(subject));
            let sum: f64 = of.map(|spent| field(&spent)).sum();
            format!("{subject:?} {}", shown(sum))
        });
        sums.collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(
        text,
        "Sums over the {} of {} queries that every server answered:\n",
        by_all.len(),
        lines.len()
    );
    let _ = writeln!(text, "- CPU, warm: {}", sum(|spent| spent.cpu_ms));
    let _ = writeln!(text, "- CPU, cold: {}", sum(|spent| spent.cold_ms));
    let _ = writeln!(text, "- latency, warm: {}\n", sum(|spent| spent.latency_ms));

    let ratios: Vec<(&Line, f64)> = lines
        .iter()
        .filter_map(|line| Some((line, line.ratio()?)))
        .collect();
    if !ratios.is_empty() {
        let logarithms: f64 = ratios.iter().map(|(_, ratio)| ratio.ln()).sum();
        let mean = (logarithms / ratios.len() as f64).exp();
        let above: Vec<String> = ratios
            .iter()
            .filter(|(_, ratio)| *ratio > RATIO_MAX)
            .map(|(line, ratio)| format!("{}, {} ({})", line.name, line.times, shown(*ratio)))
            .collect();
        let _ = writeln!(
            text,
            "Ferula's CPU time by that of the better peer of each query:\n\n\
             - geometric mean of {} queries: {}\n\
             - above {RATIO_MAX}: {}{}\n",
            ratios.len(),
            shown(mean),
            above.len(),
            above
                .iter()
                .map(|one| format!("\n  - {one}"))
                .collect::<String>()
        );
    }
    let compared: Vec<bool> = lines.iter().filter_map(|line| line.equal).collect();
    if !compared.is_empty() {
        let equal = compared.iter().filter(|equal| **equal).count();
        let _ = writeln!(
            text,
            "Answers equal to Prometheus's (relative 1e-9): {equal} of {}.\n",
            compared.len()
        );
    }
}

fn table(text: &mut String, lines: &[Line], subjects: &[Subject]) {
    let columns: [(&str, Field); 3] = [
        ("CPU", |spent| spent.cpu_ms),
        ("cold", |spent| spent.cold_ms),
        ("latency", |spent| spent.latency_ms),
    ];
    let mut head = vec![
        "Query".to_owned(),
        "Times".to_owned(),
        "CPU ÷ better".to_owned(),
    ];
    for (name, _) in columns {
        head.extend(subjects.iter().map(|subject| format!("{subject:?} {name}")));
    }
    head.extend(["KiB".to_owned(), "equal".to_owned()]);
    let _ = writeln!(
        text,
        "| {} |\n|{}",
        head.join(" | "),
        "---|".repeat(head.len())
    );
    for line in lines {
        let mut cells = vec![line.name.to_owned(), line.times.clone()];
        cells.push(shown(line.ratio().unwrap_or(f64::NAN)));
        for (_, field) in columns {
            cells.extend(subjects.iter().map(|&subject| {
                let spent = line.of(subject);
                shown(spent.map_or(f64::NAN, |spent| field(&spent)))
            }));
        }
        let bytes = line.spent.first().map_or(0, |(_, spent)| spent.bytes);
        cells.push(shown(bytes as f64 / 1024.0));
        cells.push(match line.equal {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => "–".to_owned(),
        });
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::queries::QUERIES;

    fn line(query: &Query, cpu_ms: [f64; 3]) -> Line {
        let subjects = [
            Subject::Ferula,
            Subject::Prometheus,
            Subject::Victoriametrics,
        ];
        let mut line = Line::new(query);
        for (subject, cpu_ms) in subjects.into_iter().zip(cpu_ms) {
            let spent = Spent {
                cpu_ms,
                cold_ms: 2.0 * cpu_ms,
                latency_ms: cpu_ms,
                bytes: 1024,
            };
            line.spent.push((subject, spent));
        }
        line.equal = Some(true);
        line
    }

    #[test]
    fn sums_ratios_and_medians_are_those_of_the_lines() {
        let run = |scale: f64| {
            vec![
                line(&QUERIES[0], [scale, 4.0, 5.0]),
                line(&QUERIES[1], [8.0, 40.0, 10.0]),
            ]
        };
        let mut odd = run(1.0);
        odd[1].equal = Some(false);
        let subjects = [
            Subject::Ferula,
            Subject::Prometheus,
            Subject::Victoriametrics,
        ];
        let size = Size {
            instances: 2,
            hours: 24,
        };
        let text = markdown(size, &[run(1.0), run(100.0), odd], &subjects);
        for expected in [
            "CPU, warm: Ferula 9.00, Prometheus 44.0, Victoriametrics 15.0",
            "CPU, cold: Ferula 18.0, Prometheus 88.0, Victoriametrics 30.0",
            // √(1/4 × 8/10)
            "geometric mean of 2 queries: 0.447",
            "above 0.5: 1\n  - selector, instant (0.800)",
            "Prometheus's (relative 1e-9): 1 of 2.",
            "| one series | instant | 0.250 | 1.00 | 4.00 | 5.00 |",
        ] {
            assert!(text.contains(expected), "no `{expected}` in:\n{text}");
        }
    }
}
