//! What real exporters say: node_exporter, and Prometheus, etcd and VictoriaMetrics about themselves.
//! They are scraped in quick succession once, and the recording is written to every server as if
//! the scrapes were 15 seconds apart. What is measured is what the samples take on disk.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ferula_e2e::http::Client;
use ferula_e2e::peers::Peer;
use ferula_e2e::process::{Process, free_address};
use ferula_e2e::remote_write::{EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms};

use super::compacted;
use super::report::Figure;
use super::send::{self, post};

/// How old the newest sample is at the start.
const NEWEST_AGE_MS: i64 = 60_000;

/// Samples of a series per request: less than an hour, by which some may be behind others.
const STEPS_PER_REQUEST: usize = 30;

/// How long an exporter may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(20);

/// How much is recorded.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    scrapes: usize,
    every: Duration,
    /// As if scrapes were so far apart.
    step_ms: i64,
}

impl Size {
    /// The full or the quick amount; six hours make blocks.
    pub(crate) fn of(quick: bool) -> Self {
        Self {
            scrapes: if quick { 240 } else { 1_440 },
            every: Duration::from_millis(if quick { 50 } else { 500 }),
            step_ms: if quick { 90_000 } else { 15_000 },
        }
    }
}

/// What one exporter said: of every series, a value or none per scrape.
struct Recording {
    job: &'static str,
    series: Vec<(String, Vec<Option<f64>>)>,
}

/// Writes the recording to one server and measures it.
#[expect(clippy::cast_precision_loss)] // far below 2^53
pub(crate) fn measure(start: &dyn Fn() -> Result<Server>, size: Size) -> Result<Vec<Figure>> {
    let recordings = recordings(size)?;
    let mut server = start()?;
    server.start()?;
    let newest = (now_ms() - NEWEST_AGE_MS) / size.step_ms * size.step_ms;
    let first = newest - (size.scrapes as i64 - 1) * size.step_ms;
    let mut client = server.client();
    for begin in (0..size.scrapes).step_by(STEPS_PER_REQUEST) {
        let steps = begin..size.scrapes.min(begin + STEPS_PER_REQUEST);
        for (number, recording) in recordings.iter().enumerate() {
            // Every target is scraped at its own moment of the interval.
            let first = first + number as i64 * 3_217;
            for part in recording.series.chunks(send::SAMPLES_PER_REQUEST) {
                let mut request = WriteRequest::default();
                for (name, values) in part {
                    let labels = labels(name, recording.job)?;
                    let samples = steps.clone().filter_map(|step| {
                        let time = first + step as i64 * size.step_ms;
                        values[step].map(|value| (time, value))
                    });
                    request.push(&labels, samples);
                }
                post(&mut client, &request)?;
            }
        }
    }
    let values = recordings.iter().flat_map(|one| &one.series);
    let samples = values.map(|(_, values)| values.iter().flatten().count());
    compacted::measure("exporters", &mut server, samples.sum::<usize>() as f64)
}

/// The recordings, made once for all servers and runs.
fn recordings(size: Size) -> Result<Vec<Recording>> {
    let name = format!("exporters-{}", size.scrapes);
    let folder = crate::check::target_folder()?.join("bench").join(name);
    if !folder.exists() {
        fs::create_dir_all(folder.with_extension("part"))?;
        for recording in record(size)? {
            let file = folder.with_extension("part").join(recording.job);
            fs::write(file, recording.to_text())?;
        }
        fs::rename(folder.with_extension("part"), &folder)?;
    }
    let jobs = ["etcd", "node", "prometheus", "victoriametrics"].into_iter();
    let recordings = jobs.filter_map(|job| {
        let text = fs::read_to_string(folder.join(job)).ok()?;
        Some(Recording::parse(job, &text))
    });
    let recordings: Vec<_> = recordings.collect::<Result<_>>()?;
    ensure!(!recordings.is_empty(), "no exporter has been recorded");
    for recording in &recordings {
        eprintln!("  {}: {} series", recording.job, recording.series.len());
    }
    Ok(recordings)
}

/// Starts all exporters there are and scrapes them.
fn record(size: Size) -> Result<Vec<Recording>> {
    let folder = recording_folder()?;
    let mut running = Vec::new();
    for (job, peer) in [
        ("etcd", Peer::Etcd),
        ("node", Peer::NodeExporter),
        ("victoriametrics", Peer::VictoriaMetrics),
    ] {
        match peer.find() {
            Ok(binary) => running.push(exporter(job, &binary, &folder)?),
            Err(why) => eprintln!("  not recorded: {why}"),
        }
    }
    let mut server = match Peer::Prometheus.find() {
        Ok(binary) => Some(Server::prepare(Kind::Prometheus, binary, &folder)?),
        Err(why) => {
            eprintln!("  not recorded: {why}");
            None
        }
    };
    let mut targets: Vec<_> = running.iter().map(|(job, a, _)| (*job, *a)).collect();
    if let Some(server) = &mut server {
        targets.push(("prometheus", server.address()));
        let mut config = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
        for (job, address) in &targets {
            let _ = writeln!(
                config,
                "- job_name: {job}\n  static_configs: [{{targets: ['{address}']}}]"
            );
        }
        server.write_config(&config)?;
        server.start()?;
    }
    let seconds = size.every.as_secs_f64() * size.scrapes as f64;
    eprintln!("  recording {} exporters for {seconds} s", targets.len());
    let mut recordings = Vec::new();
    for (job, address) in targets {
        let series = HashMap::new();
        recordings.push((job, Client::new(address), series));
    }
    let begun = Instant::now();
    for scrape in 0..size.scrapes {
        let due = size.every * scrape as u32;
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        for (_, client, series) in &mut recordings {
            scrape_into(client, scrape, size.scrapes, series)?;
        }
    }
    let recordings = recordings.into_iter().map(|(job, _, series)| {
        let mut series: Vec<_> = series.into_iter().collect();
        series.sort_by(|(one, _), (other, _)| one.cmp(other));
        Recording { job, series }
    });
    Ok(recordings.collect())
}

/// An empty folder for the exporters' data.
fn recording_folder() -> Result<PathBuf> {
    let folder = crate::check::target_folder()?.join("bench/recording");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Starts one exporter and waits for its first page.
fn exporter(
    job: &'static str,
    binary: &Path,
    folder: &Path,
) -> Result<(&'static str, std::net::SocketAddr, Process)> {
    let address = free_address()?;
    let mut command = Command::new(binary);
    let data = folder.join(format!("{job}-data"));
    match job {
        "etcd" => {
            let peers = format!("http://{}", free_address()?);
            command.arg(format!("--data-dir={}", data.display()));
            for flag in ["--listen-client-urls", "--advertise-client-urls"] {
                command.arg(format!("{flag}=http://{address}"));
            }
            for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
                command.arg(format!("{flag}={peers}"));
            }
            command.arg(format!("--initial-cluster=default={peers}"));
        }
        "victoriametrics" => {
            command.arg(format!("-storageDataPath={}", data.display()));
            command.arg(format!("-httpListenAddr={address}"));
        }
        _ => {
            command.arg(format!("--web.listen-address={address}"));
        }
    }
    let process = Process::start(job, &mut command, folder)?;
    ferula_e2e::wait_for(job, START_MAX, || {
        let page = Client::new(address).get("/metrics")?;
        ensure!(page.status == 200, "answered {}", page.status);
        Ok(())
    })?;
    Ok((job, address, process))
}

/// Notes the values of one page.
fn scrape_into(
    client: &mut Client,
    scrape: usize,
    scrapes: usize,
    series: &mut HashMap<String, Vec<Option<f64>>>,
) -> Result<()> {
    let page = client.get("/metrics")?.text();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        // `name{labels} value`, no exporter here writes timestamps.
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let value = match value {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            number => number.parse().with_context(|| line.to_owned())?,
        };
        let values = match series.get_mut(name) {
            Some(values) => values,
            None => series
                .entry(name.to_owned())
                .or_insert_with(|| vec![None; scrapes]),
        };
        values[scrape] = Some(value);
    }
    Ok(())
}

impl Recording {
    /// A line per series: its name, a tab, the values.
    fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, values) in &self.series {
            let values = values.iter().map(|value| match value {
                Some(value) => value.to_string(),
                None => "-".to_owned(),
            });
            let _ = writeln!(text, "{name}\t{}", values.collect::<Vec<_>>().join(" "));
        }
        text
    }

    fn parse(job: &'static str, text: &str) -> Result<Self> {
        let mut series = Vec::new();
        for line in text.lines() {
            let (name, values) = line.rsplit_once('\t').context("no tab in a recording")?;
            let values = values.split(' ').map(|value| match value {
                "-" => Ok(None),
                value => Ok(Some(value.parse()?)),
            });
            series.push((name.to_owned(), values.collect::<Result<_>>()?));
        }
        Ok(Self { job, series })
    }
}

/// The labels of a series as a server stores them that scraped it.
fn labels(name: &str, job: &str) -> Result<EncodedLabels> {
    let instance = format!("{job}.example:9100");
    let mut labels = vec![
        ("instance".to_owned(), instance),
        ("job".to_owned(), job.to_owned()),
    ];
    let (metric, mut rest) = match name.split_once('{') {
        Some((metric, rest)) => (metric, rest),
        None => (name, "}"),
    };
    labels.push(("__name__".to_owned(), metric.to_owned()));
    while let Some((label, after)) = rest.split_once("=\"") {
        let (mut value, mut end) = (String::new(), None);
        let mut chars = after.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = Some(at + 1);
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, other)) => value.push(other),
                    None => break,
                },
                other => value.push(other),
            }
        }
        let end = end.with_context(|| format!("a label without an end: {name}"))?;
        labels.push((label.trim_start_matches(',').to_owned(), value));
        rest = &after[end..];
    }
    labels.sort();
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    Ok(EncodedLabels::new(
        labels.map(|(name, value)| (name.as_str(), value.as_str())),
    ))
}
