//! Ferula and a real Prometheus scrape the same targets; what they answer must agree.
//!
//! Two servers never scrape at the same instant, so the targets are of two kinds: a real
//! node_exporter, where queries are chosen that do not depend on the instant, and an exporter in
//! this test whose samples carry timestamps, where both servers hold identical samples and every
//! function can be compared to the last digit.
#![allow(clippy::disallowed_methods)]

mod agree;
mod queries;
mod target;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ferula_e2e::exporter::Exporter;
use ferula_e2e::http::{Client, encode_form};
use ferula_e2e::peers::Peer;
use ferula_e2e::process::{Process, free_address};
use ferula_e2e::server::{Server, now_ms, seconds};
use ferula_e2e::{skip, wait_for};

/// How long a stretch of identical samples the queries need.
const WINDOW_MS: i64 = 22_000;

/// How long to wait for such a stretch on a busy machine.
const WINDOW_WAIT: Duration = Duration::from_secs(90);

/// Both servers scrape everything this often.
const INTERVAL_MS: i64 = 1_000;

#[test]
fn ferula_agrees_with_prometheus() {
    let (prometheus, exporter) = match (Server::prometheus(), Peer::NodeExporter.find()) {
        (Ok(prometheus), Ok(exporter)) => (prometheus, exporter),
        (Err(reason), _) | (_, Err(reason)) => return skip("compare with prometheus", &reason),
    };
    let ferula = Server::ferula().expect("ferula builds");
    let logs = tempfile::tempdir().expect("a folder");
    let node = free_address().expect("a port");
    let mut node_exporter = Process::start(
        "node_exporter",
        Command::new(exporter)
            .arg(format!("--web.listen-address={node}"))
            // These two need what a container lacks and fill the log.
            .args(["--no-collector.systemd", "--no-collector.textfile"]),
        logs.path(),
    )
    .expect("node_exporter starts");
    wait_for("node_exporter", Duration::from_secs(20), || {
        Ok(Client::new(node).get("/metrics")?)
    })
    .expect("node_exporter answers");
    let exporter = Exporter::start(|_| target::page(now_ms())).expect("the exporter starts");

    let jobs = [
        ("node", node),
        ("fixed", exporter.address()),
        ("prometheus", prometheus.address()),
        ("ferula", ferula.address()),
    ];
    let mut config =
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    for (job, address) in jobs {
        config += &format!("- {{job_name: {job}, static_configs: [{{targets: ['{address}']}}]}}\n");
    }
    let servers = Servers {
        ferula: ferula.started(&config).expect("ferula starts"),
        prometheus: prometheus.started(&config).expect("prometheus starts"),
    };

    let window = servers.common_window().expect("both servers scrape");
    let mut faults = Vec::new();
    servers.compare_series_sets(&window, &mut faults);
    servers.compare_queries(&window, &mut faults);
    servers.compare_refusals(&mut faults);
    node_exporter.kill();
    servers.compare_staleness(now_ms(), &mut faults);
    assert!(
        faults.is_empty(),
        "{} differences:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

struct Servers {
    ferula: Server,
    prometheus: Server,
}

/// A stretch of time, in milliseconds and inclusive, in which both servers hold the same samples
/// of the fixed target.
#[derive(Debug)]
struct Window {
    start: i64,
    end: i64,
}

impl Servers {
    fn each(&self) -> [&Server; 2] {
        [&self.ferula, &self.prometheus]
    }

    fn common_window(&self) -> Result<Window> {
        wait_for("both servers to scrape without a gap", WINDOW_WAIT, || {
            let mut common: Option<BTreeSet<i64>> = None;
            for server in self.each() {
                let answer = server.query("fixed_constant[2m]", now_ms())?;
                let series = answer.series.first().context("no fixed_constant")?;
                let times: BTreeSet<i64> = series.points.iter().map(|&(time, _)| time).collect();
                common = Some(common.map_or(times.clone(), |other| &other & &times));
            }
            let times: Vec<i64> = common.into_iter().flatten().collect();
            let runs = times.chunk_by(|a, b| b - a == target::STEP_MS);
            let run = runs.last().context("no sample yet")?;
            let (start, end) = (run[0], run[run.len() - 1]);
            ensure!(end - start >= WINDOW_MS, "{} ms without a gap", end - start);
            Ok(Window { start, end })
        })
    }

    fn compare_series_sets(&self, window: &Window, faults: &mut Vec<String>) {
        let (start, end) = (seconds(window.start), seconds(window.end));
        for job in ["node", "fixed"] {
            let selector = format!("{{job=\"{job}\"}}");
            let form = [
                ("match[]", selector.as_str()),
                ("start", &start),
                ("end", &end),
            ];
            let form = encode_form(&form);
            for path in [
                "series",
                "labels",
                "label/__name__/values",
                "label/instance/values",
            ] {
                let path = format!("/api/v1/{path}?{form}");
                let [ferula, prometheus] = self.each().map(|server| list(server, &path));
                agree::sets(&format!("{path} ({job})"), &ferula, &prometheus, faults);
                if prometheus.is_empty() {
                    faults.push(format!(
                        "{path}: prometheus knows nothing, so nothing is compared"
                    ));
                }
            }
        }
    }

    fn compare_queries(&self, window: &Window, faults: &mut Vec<String>) {
        // Far enough in that the longest range and offset stays inside the window.
        let start = window.start + queries::REACH_MS;
        for query in queries::all(window.end) {
            let text = &query.text;
            let [ferula, prometheus] = self.each().map(|server| server.query(text, window.end));
            agree::answers(
                &format!("{text} (instant)"),
                &ferula,
                &prometheus,
                &query,
                faults,
            );
            if !query.instant_only {
                let [ferula, prometheus] = self
                    .each()
                    .map(|server| server.query_range(text, start, window.end, 2_000));
                agree::answers(
                    &format!("{text} (range)"),
                    &ferula,
                    &prometheus,
                    &query,
                    faults,
                );
            }
        }
    }

    fn compare_refusals(&self, faults: &mut Vec<String>) {
        for query in queries::REFUSED {
            let form = [("query", *query)];
            let [ferula, prometheus] = self.each().map(|server| {
                let response = server.client().post_form("/api/v1/query", &form);
                response
                    .map(|response| (response.status, response.text()))
                    .unwrap_or_default()
            });
            if ferula != prometheus {
                faults.push(format!(
                    "{query}: refused differently\n  ferula     {ferula:?}\n  prometheus {prometheus:?}"
                ));
            }
        }
    }

    /// After the exporter is gone, its series must be gone two intervals later.
    fn compare_staleness(&self, stopped: i64, faults: &mut Vec<String>) {
        let series = r#"count({job="node", __name__!="up", __name__!~"scrape_.*"})"#;
        for server in self.each() {
            let kind = server.kind();
            let limit = Duration::from_secs(10);
            let down = server.wait_value(r#"up{job="node"}"#, limit, |value| value == 0.0);
            if let Err(e) = down {
                faults.push(format!(
                    "{kind:?} does not see that node_exporter is gone: {e:#}"
                ));
                continue;
            }
            let mut count_at = |time: i64| match server.query(series, time) {
                Ok(answer) => answer.only_value().unwrap_or(0.0),
                Err(e) => {
                    faults.push(format!("{e:#}"));
                    f64::NAN
                }
            };
            // A scrape may have been under way when it stopped.
            let before = count_at(stopped - INTERVAL_MS);
            let after = count_at(stopped + 2 * INTERVAL_MS);
            if before < 100.0 || after != 0.0 {
                faults.push(format!(
                    "{kind:?}: node_exporter had {before} series before it stopped, {after} after"
                ));
            }
        }
    }
}

/// The `data` list of an answer, each element as text.
fn list(server: &Server, path: &str) -> BTreeSet<String> {
    let body = server.client().get(path).map(|response| response.text());
    let json: serde_json::Value = body
        .ok()
        .and_then(|body| serde_json::from_str(&body).ok())
        .unwrap_or_default();
    let items = json["data"].as_array().cloned().unwrap_or_default();
    items.iter().map(ToString::to_string).collect()
}
