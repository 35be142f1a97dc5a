//! Queries over a day of the fleet's life, the same on every server, one server after the other for
//! each query, so that all see the machine in the same state.
//!
//! A query is asked once cold, then warm, as often per measurement as its CPU time takes to be told
//! from noise. Answers of Ferula and Prometheus are compared. VictoriaMetrics is asked not to answer
//! from its cache of results: what is measured is computing them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ferula_e2e::http::Client;
use ferula_e2e::server::{Kind, Server, seconds};

use super::compare::same_answers;
use super::history::{History, Size};
use super::queries::{QUERIES, Query, Times};
use super::query_report::{Line, Spent};
use super::report::{Figure, median};
use super::{Subject, accepted, disk_use, new_server, settle};

/// Measurements of a warm query, whose median counts: at least so many ...
const WARM_RUNS_MIN: usize = 5;

/// ... and at most so many, where a query is so short that what else the machine does shows.
const WARM_RUNS_MAX: usize = 15;

/// No more measurements than the least are begun after this.
const WARM_FOR: Duration = Duration::from_secs(1);

/// A measurement repeats a query until about this much time has passed ...
const MEASURED_FOR: Duration = Duration::from_millis(60);

/// ... but not more often than this.
const REPEATS_MAX: u32 = 100;

/// Work that a server puts off for less than this after an answer counts with it.
const PUT_OFF_MAX: Duration = Duration::from_millis(5);

impl Size {
    /// The full or the quick amount, with another number of instances if one is given.
    pub(crate) fn of(quick: bool, instances: Option<usize>) -> Self {
        let full = if quick { 2 } else { 36 };
        Self {
            instances: instances.unwrap_or(full),
            hours: if quick { 2 } else { 24 },
        }
    }
}

/// What one run measured.
pub(crate) struct Measured {
    /// Of each server, loading and memory.
    pub(crate) figures: Vec<(Subject, Vec<Figure>)>,
    /// Of each query, with one entry per server.
    pub(crate) lines: Vec<Line>,
}

/// A loaded server.
struct Loaded {
    subject: Subject,
    server: Server,
    client: Client,
    figures: Vec<Figure>,
    peak_loading: u64,
}

/// Loads all servers, asks them all queries and measures what that takes.
pub(crate) fn measure(
    programs: &[(Subject, PathBuf)],
    size: Size,
    only: Option<&str>,
) -> Result<Measured> {
    let history = History::new(size)?;
    let mut servers = Vec::new();
    for (subject, binary) in programs {
        let subject = *subject;
        let loaded = load(subject, new_server(subject, binary)?, &history);
        servers.push(loaded.with_context(|| format!("loading {subject:?}"))?);
    }
    for loaded in &mut servers {
        settle(loaded.server.process())?;
        loaded.peak_loading = loaded.server.process().memory()?.peak;
        loaded.server.process().restart_peak()?;
    }
    let lines = QUERIES
        .iter()
        .filter(|query| only.is_none_or(|part| query.name.contains(part)))
        .map(|query| ask_all(query, &mut servers, history.newest()))
        .collect::<Result<_>>()?;
    let figures = servers
        .into_iter()
        .map(|loaded| Ok((loaded.subject, loaded.finish()?)))
        .collect::<Result<_>>()?;
    Ok(Measured { figures, lines })
}

fn load(subject: Subject, mut server: Server, history: &History) -> Result<Loaded> {
    if server.kind() == Kind::Prometheus {
        server.add_arguments(&["--enable-feature=native-histograms"]);
    }
    server.start()?;
    eprintln!("  loading {subject:?}, process {}", server.process().id());
    settle(server.process())?;
    let cpu = server.process().cpu()?;
    let took = history.send(&server)?;
    history.check(&server)?;
    settle(server.process())?;
    let cpu = server.process().cpu()? - cpu;
    let samples = history.samples(server.kind());
    let (_, disk) = disk_use(&server.data_path())?;
    Ok(Loaded {
        subject,
        client: server.client(),
        figures: vec![
            Figure::new(
                "query",
                "loading, CPU-s per 1 M samples until quiet",
                cpu.as_secs_f64() / samples * 1e6,
            ),
            Figure::new("query", "loading, wall time, s", took.as_secs_f64()),
            Figure::new(
                "query",
                "disk B/sample, log included",
                disk as f64 / samples,
            ),
        ],
        peak_loading: 0,
        server,
    })
}

impl Loaded {
    fn finish(mut self) -> Result<Vec<Figure>> {
        let peak = self.server.process().memory()?.peak;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        self.figures.extend([
            Figure::new(
                "query",
                "peak RSS while loading, MiB",
                mib(self.peak_loading),
            ),
            Figure::new("query", "peak RSS while querying, MiB", mib(peak)),
        ]);
        Ok(self.figures)
    }
}

/// Asks every server that can answer it one query.
fn ask_all(query: &Query, servers: &mut [Loaded], newest: i64) -> Result<Line> {
    let mut line = Line::new(query);
    let mut bodies = Vec::new();
    for loaded in servers.iter_mut() {
        let kind = loaded.server.kind();
        if query.native && kind == Kind::VictoriaMetrics {
            continue;
        }
        match ask(query, loaded, newest) {
            Ok((spent, body)) => {
                line.spent.push((loaded.subject, spent));
                bodies.push((kind, body));
            }
            Err(e) => line.problems.push(format!("{:?}: {e:#}", loaded.subject)),
        }
    }
    let measured = |wanted| servers.iter().any(|loaded| loaded.server.kind() == wanted);
    if measured(Kind::Ferula) && measured(Kind::Prometheus) {
        let body = |wanted| bodies.iter().find(|(kind, _)| *kind == wanted);
        line.equal = Some(false);
        if let (Some((_, own)), Some((_, other))) = (body(Kind::Ferula), body(Kind::Prometheus)) {
            let compared = same_answers(own, other, query.picks)?;
            line.equal = Some(compared.is_ok());
            line.problems.extend(compared.err());
        }
    }
    eprintln!("  {line}");
    Ok(line)
}

/// Asks one server, cold and warm.
fn ask(query: &Query, loaded: &mut Loaded, newest: i64) -> Result<(Spent, Vec<u8>)> {
    let (path, form) = form(query, newest, loaded.server.kind());
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut clock = loaded.server.process().cpu()?;
    let (cold, body) = once(loaded, &mut clock, path, &form, 1)?;
    let repeats = MEASURED_FOR.as_secs_f64() / cold.latency_ms.max(0.1) * 1e3;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
    let repeats = repeats.ceil().clamp(1.0, f64::from(REPEATS_MAX)) as u32;
    let mut runs = Vec::new();
    let begun = Instant::now();
    while runs.len() < WARM_RUNS_MIN || runs.len() < WARM_RUNS_MAX && begun.elapsed() < WARM_FOR {
        runs.push(once(loaded, &mut clock, path, &form, repeats)?.0);
    }
    let mut cpu: Vec<f64> = runs.iter().map(|run| run.cpu_ms).collect();
    let mut latency: Vec<f64> = runs.iter().map(|run| run.latency_ms).collect();
    let spent = Spent {
        cpu_ms: median(&mut cpu),
        latency_ms: median(&mut latency),
        cold_ms: cold.cpu_ms,
        bytes: body.len(),
    };
    Ok((spent, body))
}

/// What a request took, on average.
struct Run {
    cpu_ms: f64,
    latency_ms: f64,
}

/// Sends the same request some times. `used` is the CPU time the server had used when the measurement
/// before ended, so that what it puts off until after an answer counts, too.
fn once(
    loaded: &mut Loaded,
    used: &mut Duration,
    path: &str,
    form: &[(&str, &str)],
    repeats: u32,
) -> Result<(Run, Vec<u8>)> {
    let mut latencies = Vec::new();
    let mut body = Vec::new();
    for _ in 0..repeats {
        let clock = Instant::now();
        let response = loaded.client.post_form(path, form)?;
        latencies.push(clock.elapsed().as_secs_f64() * 1e3);
        accepted(&response)?;
        body = response.body;
    }
    std::thread::sleep(PUT_OFF_MAX);
    let now = loaded.server.process().cpu()?;
    let cpu = now - std::mem::replace(used, now);
    let run = Run {
        cpu_ms: cpu.as_secs_f64() * 1e3 / f64::from(repeats),
        latency_ms: median(&mut latencies),
    };
    Ok((run, body))
}

/// The path and the form of a query.
fn form(query: &Query, newest: i64, kind: Kind) -> (&'static str, Vec<(&'static str, String)>) {
    let mut form = vec![("query", query.text.to_owned())];
    let path = match query.times {
        Times::Instant => {
            form.push(("time", seconds(newest)));
            "/api/v1/query"
        }
        Times::Range { hours, step_s } => {
            form.push(("start", seconds(newest - hours * 3_600_000)));
            form.push(("end", seconds(newest)));
            form.push(("step", step_s.to_string()));
            "/api/v1/query_range"
        }
    };
    if kind == Kind::VictoriaMetrics {
        form.push(("nocache", "1".to_owned()));
    }
    (path, form)
}
