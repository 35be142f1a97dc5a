//! `cargo xtask bench`: Ferula beside Prometheus and VictoriaMetrics, the same work for each, in
//! one run.
//!
//! What counts is what the work costs the server: its CPU seconds, its memory, its bytes on disk.
//! Those and their ratios hold on a shared machine, where throughput does not. Each server gets its
//! default tuning and an empty folder. Start with [`run`]; each work is in a file of its name, the
//! series in `fleet.rs`, the queries in `queries.rs`.

mod batched;
mod churn;
mod compacted;
mod compare;
mod exporters;
mod fleet;
mod history;
mod natives;
mod queries;
mod query;
mod query_report;
mod report;
mod scrape;
mod send;
mod soak;
mod write;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use ferula_e2e::answer::Answer;
use ferula_e2e::files;
use ferula_e2e::peers::{Peer, repository};
use ferula_e2e::process::Process;
use ferula_e2e::server::{Kind, SERVER_ENV, SERVER_PACKAGE, Server, seconds};

use report::{Figure, Report};

/// A server whose CPU use stays below this share of one core for [`QUIET_FOR`] has finished.
const QUIET_SHARE: f64 = 0.05;
const QUIET_FOR: Duration = Duration::from_secs(2);

/// A server that never goes quiet is measured after this long anyway.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(30);

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// A tenth of the work, to see that everything runs.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured; the table shows medians and extremes.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Keep the table in `docs/bench/`.
    #[arg(long)]
    save: bool,
    /// Measure these servers only.
    #[arg(long, value_enum)]
    server: Vec<Subject>,
    /// Do this work only.
    #[arg(long, value_enum)]
    work: Vec<Work>,
    /// Query, or write in batches, this many instances with a thousand series each, instead of 36
    /// (2 if quick).
    #[arg(long)]
    instances: Option<usize>,
    /// Ask only the queries whose name contains this.
    #[arg(long)]
    query: Option<String>,
}

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    Ferula,
    Prometheus,
    Victoriametrics,
}

/// What a server is made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Take remote-write requests, then come back after kill -9.
    Write,
    /// Scrape targets.
    Scrape,
    /// Answer queries over a day.
    Query,
    /// Take few samples of very many series, then come back after kill -9.
    Cardinality,
    /// Take samples of series of which a quarter is replaced at every step.
    Churn,
    /// Take many samples of each series per request, and sort them away.
    Batched,
    /// Keep what real exporters say.
    Exporters,
    /// Take a day of churn with queries beside. Only if asked for.
    Soak,
}

/// Measures and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wants = |subject| options.server.is_empty() || options.server.contains(&subject);
    let subjects = Subject::value_variants()
        .iter()
        .copied()
        .filter(|&s| wants(s));
    let servers: Vec<(Subject, PathBuf)> = subjects
        .map(|subject| Ok((subject, binary(subject)?)))
        .collect::<Result<_>>()?;
    let works = Work::value_variants().iter().copied();
    let works: Vec<Work> = works
        .filter(|work| match options.work.as_slice() {
            [] => *work != Work::Soak,
            wanted => wanted.contains(work),
        })
        .collect();

    let mut report = Report::new(servers.iter().map(|&(subject, _)| subject).collect());
    for round in 1..=options.runs {
        for &work in &works {
            eprintln!("run {round} of {}: {work:?}", options.runs);
            measure(work, options, &servers, &mut report)?;
        }
    }
    let text = report.markdown(options.quick, options.runs)?;
    println!("{text}");
    if options.save {
        let path = repository()
            .join("docs/bench")
            .join(format!("{}.md", report::today()?));
        std::fs::write(&path, text)?;
        println!("saved in {}", path.display());
    }
    Ok(())
}

/// Does one work with every server.
fn measure(
    work: Work,
    options: &Options,
    servers: &[(Subject, PathBuf)],
    report: &mut Report,
) -> Result<()> {
    let mut in_turn = |measure: &dyn Fn(&Start<'_>) -> Result<Vec<Figure>>| {
        for (subject, binary) in servers {
            eprintln!("  {subject:?}");
            let figures = measure(&|| new_server(*subject, binary));
            let figures = figures.with_context(|| format!("{work:?} of {subject:?}"))?;
            report.add(*subject, figures);
        }
        Ok(())
    };
    match work {
        Work::Write => in_turn(&|start| write::measure(start, &write::Size::of(options.quick))),
        Work::Scrape => in_turn(&|start| scrape::measure(start, &scrape::Size::of(options.quick))),
        Work::Cardinality => {
            in_turn(&|start| write::measure(start, &write::Size::of_cardinality(options.quick)))
        }
        Work::Churn => in_turn(&|start| churn::measure(start, &churn::Size::of(options.quick))),
        Work::Batched => in_turn(&|start| {
            batched::measure(start, batched::size(options.quick, options.instances))
        }),
        Work::Exporters => {
            in_turn(&|start| exporters::measure(start, exporters::Size::of(options.quick)))
        }
        Work::Soak => in_turn(&|start| soak::measure(start, &soak::Size::of(options.quick))),
        Work::Query => {
            // All servers live at the same time, so that their answers can be compared.
            let size = history::Size::of(options.quick, options.instances);
            let measured = query::measure(servers, size, options.query.as_deref())?;
            for (subject, figures) in measured.figures {
                report.add(subject, figures);
            }
            report.add_queries(size, measured.lines);
            Ok(())
        }
    }
}

/// Gives a server that is not started.
type Start<'a> = dyn Fn() -> Result<Server> + 'a;

/// The server program; Ferula is built first, so that the figures belong to the commit.
fn binary(subject: Subject) -> Result<PathBuf> {
    let peer = match subject {
        Subject::Prometheus => Peer::Prometheus,
        Subject::Victoriametrics => Peer::VictoriaMetrics,
        Subject::Ferula => {
            if let Some(path) = std::env::var_os(SERVER_ENV) {
                return Ok(path.into());
            }
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--release", "--package", SERVER_PACKAGE]);
            let status = build.current_dir(repository()).status()?;
            ensure!(status.success(), "ferula does not build");
            return Ok(crate::check::target_folder()?.join("release/ferula"));
        }
    };
    peer.find().map_err(anyhow::Error::msg)
}

/// An empty server that is not started, with its folder on the disk of the target folder.
fn new_server(subject: Subject, binary: &std::path::Path) -> Result<Server> {
    let kind = match subject {
        Subject::Ferula => Kind::Ferula,
        Subject::Prometheus => Kind::Prometheus,
        Subject::Victoriametrics => Kind::VictoriaMetrics,
    };
    let parent = crate::check::target_folder()?.join("bench");
    std::fs::create_dir_all(&parent)?;
    Server::prepare(kind, binary.to_owned(), &parent)
}

/// Waits until the server has finished what it does in the background.
fn settle(process: &Process) -> Result<()> {
    let start = Instant::now();
    let (mut since, mut used) = (start, process.cpu()?);
    while start.elapsed() < QUIET_WAIT_MAX {
        std::thread::sleep(Duration::from_millis(100));
        let cpu = process.cpu()?;
        let busy = (cpu - used).as_secs_f64() > QUIET_SHARE * QUIET_FOR.as_secs_f64();
        if busy {
            (since, used) = (Instant::now(), cpu);
        } else if since.elapsed() >= QUIET_FOR {
            return Ok(());
        }
    }
    Ok(())
}

/// The value of an instant query that has one, computed anew.
fn value_at(server: &Server, query: &str, time: i64) -> Result<f64> {
    let time = seconds(time);
    let mut form = vec![("query", query), ("time", &time)];
    if server.kind() == Kind::VictoriaMetrics {
        form.push(("nocache", "1"));
    }
    let response = server.client().post_form("/api/v1/query", &form)?;
    let answer = Answer::parse(&response.text())?;
    answer.only_value().with_context(|| format!("{answer:?}"))
}

/// How many samples of the fleet a server finds in a time before `end`, metric by metric.
fn samples_before(server: &Server, end: i64, time: Duration) -> Result<f64> {
    let window = time.as_secs();
    let counts = fleet::metrics().map(|metric| {
        let query = format!("sum(count_over_time({metric}[{window}s]))");
        value_at(server, &query, end).with_context(|| query)
    });
    counts.sum()
}

/// Bytes below a folder: in its logs, and in all. Space that was reserved in advance does not count.
fn disk_use(folder: &std::path::Path) -> Result<(u64, u64)> {
    let (mut logs, mut all) = (0, 0);
    for (file, in_log) in files::below(folder)? {
        let bytes = files::content_end(&file)?;
        all += bytes;
        logs += if in_log { bytes } else { 0 };
    }
    Ok((logs, all))
}

/// Checks a finished request.
fn accepted(response: &ferula_e2e::http::Response) -> Result<()> {
    if !(200..300).contains(&response.status) {
        bail!("answered {}: {}", response.status, response.text());
    }
    Ok(())
}
