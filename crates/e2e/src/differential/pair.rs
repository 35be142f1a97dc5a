//! A Ferula and a Prometheus that hold the same samples.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use ferula_model::{Counts, Timestamp, is_stale};
use ferula_promql::Times;
use ferula_promql::syntax::functions::FUNCTIONS;
use ferula_testkit::random::{Allowed, RandomQuery, RandomSample, RandomSeries, Scenario};
use ferula_wire::{Encoder, Sample};

use super::case::{Case, tree};
use super::reply::Reply;
use crate::http::{Client, Request};
use crate::remote_write;
use crate::server::{Kind, Server, seconds};

/// How both servers are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The server under test.
    pub ferula: PathBuf,
    /// Further arguments for Ferula alone: what a test plants.
    pub ferula_arguments: Vec<String>,
}

/// How many series travel in one request.
const SERIES_PER_REQUEST: usize = 40;

/// The flags of the reference that later releases may not know any more, and ours.
const FEATURES: &str = "promql-experimental-functions,native-histograms,promql-duration-expr,\
    promql-extended-range-selectors,promql-binop-fill-modifiers";

/// Two servers.
#[derive(Debug)]
pub struct Pair {
    ferula: Side,
    prometheus: Side,
    allowed: Allowed,
    delayed_names: bool,
}

#[derive(Debug)]
struct Side {
    server: Server,
    client: Client,
}

impl Pair {
    /// Starts both, and finds out what of the language the reference knows.
    ///
    /// # Errors
    /// When one does not start, or this machine has no Prometheus.
    pub fn start(setup: &Setup, delayed_names: bool) -> Result<Self> {
        let features = if delayed_names {
            format!("{FEATURES},promql-delayed-name-removal")
        } else {
            FEATURES.to_owned()
        };
        let side = |mut server: Server, more: &[String]| -> Result<Side> {
            server.add_arguments(&["--enable-feature", &features]);
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            server.add_arguments(&more);
            let server = server.started("")?;
            let client = server.client();
            Ok(Side { server, client })
        };
        let prometheus = Server::prometheus().map_err(anyhow::Error::msg)?;
        let mut prometheus = side(prometheus, &[])?;
        let allowed = known_parts(&mut prometheus)?;
        let ferula = Server::prepare(Kind::Ferula, setup.ferula.clone(), &std::env::temp_dir())?;
        Ok(Self {
            ferula: side(ferula, &setup.ferula_arguments)?,
            prometheus,
            allowed,
            delayed_names,
        })
    }

    /// What of the language both know.
    pub fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Whether names are dropped at the end only.
    pub fn delayed_names(&self) -> bool {
        self.delayed_names
    }

    /// Gives both the samples of a scenario.
    ///
    /// # Errors
    /// When one refuses them.
    pub fn load(&mut self, scenario: &Scenario) -> Result<()> {
        for chunk in scenario.series.chunks(SERIES_PER_REQUEST) {
            // The reference commits floats, integer histograms and float histograms of a request one
            // after the other, and drops what is then out of order; a stale marker becomes what the
            // sample committed last was. So the runs of each kind travel apart: the nth of every
            // series in the nth request.
            let runs: Vec<Vec<Run<'_>>> = chunk
                .iter()
                .map(|series| {
                    let samples = &series.samples;
                    samples
                        .chunk_by(|(_, a), (_, b)| kind(a) == kind(b))
                        .collect()
                })
                .collect();
            let requests = runs.iter().map(Vec::len).max().unwrap_or(0);
            for nth in 0..requests {
                let mut encoder = Encoder::new();
                for (series, runs) in chunk.iter().zip(&runs) {
                    if let Some(run) = runs.get(nth) {
                        encode(&mut encoder, series, run);
                    }
                }
                let body = remote_write::compress(encoder.message());
                self.ferula.write(&body)?;
                self.prometheus.write(&body)?;
            }
        }
        Ok(())
    }

    /// Asks both.
    ///
    /// # Errors
    /// When one does not answer.
    pub fn ask(&mut self, query: &RandomQuery) -> Result<Case> {
        let expr = tree(&query.text).with_context(|| format!("no PromQL: {}", query.text))?;
        let ask = |side: &mut Side, name: &str| {
            let reply = side.ask(&query.text, query.times);
            reply.with_context(|| format!("{name}: {}", query.text))
        };
        Ok(Case {
            text: query.text.clone(),
            times: query.times,
            expr,
            delayed_names: self.delayed_names,
            ferula: ask(&mut self.ferula, "ferula")?,
            prometheus: ask(&mut self.prometheus, "prometheus")?,
        })
    }
}

/// Samples of one kind that follow each other.
type Run<'a> = &'a [(Timestamp, RandomSample)];

fn kind(sample: &RandomSample) -> u8 {
    match sample {
        RandomSample::Float(value) if is_stale(*value) => 3,
        RandomSample::Float(_) => 0,
        RandomSample::Histogram(histogram) => match histogram.counts {
            Counts::Integer { .. } => 1,
            Counts::Float { .. } => 2,
        },
    }
}

fn encode(encoder: &mut Encoder, series: &RandomSeries, run: Run<'_>) {
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for (timestamp, sample) in run {
        let timestamp = *timestamp;
        match sample {
            RandomSample::Float(value) => floats.push(Sample {
                timestamp,
                value: *value,
            }),
            RandomSample::Histogram(histogram) => histograms.push((timestamp, histogram)),
        }
    }
    encoder.series(series.labels.iter(), &floats, &histograms);
}

impl Side {
    fn write(&mut self, body: &[u8]) -> Result<()> {
        let response = self.client.send(&Request {
            method: "POST",
            path: remote_write::PATH,
            headers: &remote_write::HEADERS,
            body,
        })?;
        let (status, text) = (response.status, response.text());
        let mut log = || self.server.process().log();
        ensure!(
            status / 100 == 2,
            "samples refused: {status} {text}\n{}",
            log()
        );
        Ok(())
    }

    fn ask(&mut self, query: &str, times: Times) -> Result<Reply> {
        let response = match times {
            Times::Instant(time) => {
                let form = [("query", query), ("time", &seconds(time))];
                self.client.post_form("/api/v1/query", &form)?
            }
            Times::Range {
                start,
                end,
                step_ms,
            } => {
                let form = [
                    ("query", query),
                    ("start", &seconds(start)),
                    ("end", &seconds(end)),
                    ("step", &seconds(step_ms)),
                ];
                self.client.post_form("/api/v1/query_range", &form)?
            }
        };
        Reply::parse(response.status, &response.text())
    }
}

/// What of the language a server knows: it is asked about each part.
fn known_parts(side: &mut Side) -> Result<Allowed> {
    let mut refused = |query: &str| -> Result<Option<String>> {
        let reply = side.ask(query, Times::Instant(0))?;
        Ok(reply.error.map(|(_, text)| text))
    };
    let mut functions = BTreeSet::new();
    for function in FUNCTIONS {
        // Without arguments, most are an error; unknown ones are another one.
        let error = refused(&format!("{}()", function.name))?.unwrap_or_default();
        let unknown = ["unknown function", "not enabled", "unexpected"];
        if !unknown.iter().any(|text| error.contains(text)) {
            functions.insert(function.name);
        }
    }
    let mut knows = |query: &str| Ok::<bool, anyhow::Error>(refused(query)?.is_none());
    Ok(Allowed {
        functions,
        limits: knows("limitk(1, x)")?,
        duration_arithmetic: knows("x[1m + 1m]")?,
        duration_functions: knows("x[max_of(step(), 1m)]")?,
        trims: knows("x </ 1")?,
        fills: knows("x + fill (0) x")?,
        extended: knows("rate(x[1m] anchored)")?,
    })
}
