//! A server in the place of the engine: series come in by remote write, answers are read back
//! from JSON.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use ferula_e2e::http::{Client, Request, Response, encode_form};
use ferula_e2e::remote_write::{self, EncodedLabels, FloatHistogram, Side, WriteRequest};
use ferula_e2e::server::{Server, seconds};
use ferula_model::{CounterReset, Counts, Histogram, Labels, Span, Timestamp, Value};
use ferula_promql::Times;
use ferula_testkit::{
    Answer, AnswerValue, Evaluator, MemStore, ScriptQuery, Seen, ShownBucket, ShownHistogram,
};
use serde_json::Value as Json;

/// Evaluates on a server.
pub(crate) struct OnServer {
    features: String,
    /// What the scripts loaded since they cleared.
    loaded: MemStore,
    running: Option<Running>,
    /// Whether the next query is asked with `GET`.
    get: bool,
}

struct Running {
    // The server ends when this is dropped.
    _server: Server,
    client: Client,
}

impl OnServer {
    /// Servers with this argument for features.
    pub(crate) fn new(features: String) -> Self {
        Self {
            features,
            loaded: MemStore::new(),
            running: None,
            get: false,
        }
    }

    /// A server that holds what is loaded. One that holds something else is of no use: the head
    /// takes no samples older than those it has.
    fn running(&mut self) -> Result<&mut Running> {
        if self.running.is_none() {
            let mut server = Server::ferula()?;
            server.add_arguments(&[
                "--query.max-samples=10000",
                "--query.lookback-delta=5m",
                "--query.timeout=100s",
                &self.features,
            ]);
            let server = server.started("")?;
            let mut client = server.client();
            write(&mut client, &self.loaded)?;
            self.running = Some(Running {
                _server: server,
                client,
            });
        }
        self.running.as_mut().context("just started")
    }

    fn ask(&mut self, query: &str, times: Times) -> Result<Result<Answer, String>> {
        let text = |time: Timestamp| seconds(time);
        let (path, form) = match times {
            Times::Instant(time) => ("/api/v1/query", vec![("time", text(time))]),
            Times::Range {
                start,
                end,
                step_ms,
            } => {
                let times = [("start", start), ("end", end), ("step", step_ms)];
                let times = times.map(|(name, time)| (name, text(time)));
                ("/api/v1/query_range", times.to_vec())
            }
        };
        let mut form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        form.push(("query", query));
        self.get = !self.get;
        let get = self.get;
        let running = self.running()?;
        let response = if get {
            let path = format!("{path}?{}", encode_form(&form));
            running.client.get(&path)?
        } else {
            running.client.post_form(path, &form)?
        };
        read(&response).with_context(|| response.text())
    }
}

impl Evaluator for OnServer {
    fn clear(&mut self) {
        self.loaded = MemStore::new();
        self.running = None;
    }

    fn load(&mut self, series: &MemStore) {
        self.loaded.absorb(series);
        self.running = None;
    }

    fn evaluate(&mut self, query: &ScriptQuery, times: Times) -> Result<Answer, String> {
        self.ask(&query.text, times)
            .unwrap_or_else(|error| Err(format!("no answer: {error:#}")))
    }

    /// Variants have no text of their own, in which annotations would have a place.
    fn takes_pinned(&self) -> bool {
        false
    }
}

/// Writes all series.
fn write(client: &mut Client, store: &MemStore) -> Result<()> {
    for body in bodies(store) {
        let response = client.send(&Request {
            method: "POST",
            path: remote_write::PATH,
            headers: &remote_write::HEADERS,
            body: &body,
        })?;
        ensure!(response.status == 204, "not loaded: {}", response.text());
    }
    Ok(())
}

/// Requests in order of time. Samples of two kinds of one series do not keep their order within
/// one request, so that one begins wherever a series goes from floats to histograms or back.
fn bodies(store: &MemStore) -> Vec<Vec<u8>> {
    let kind = |value: &Value| matches!(value, Value::Histogram(_));
    let mut cuts = BTreeSet::new();
    for (_, samples) in store.loaded() {
        let pairs = samples.windows(2);
        let changes = pairs.filter(|pair| kind(pair[0].1) != kind(pair[1].1));
        cuts.extend(changes.map(|pair| pair[1].0));
    }
    let starts = [Timestamp::MIN].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([Timestamp::MAX]);
    starts
        .zip(ends)
        .map(|(start, end)| body(store, |t| start <= t && t < end))
        .collect()
}

fn body(store: &MemStore, wanted: impl Fn(Timestamp) -> bool) -> Vec<u8> {
    let mut request = WriteRequest::default();
    for (labels, samples) in store.loaded() {
        let labels = EncodedLabels::new(labels.iter());
        let (mut floats, mut histograms) = (Vec::new(), Vec::new());
        for (t, value) in samples.into_iter().filter(|(t, _)| wanted(*t)) {
            match value {
                Value::Float(v) => floats.push((t, *v)),
                Value::Histogram(h) => histograms.push((t, wire(h))),
            }
        }
        if !floats.is_empty() {
            request.push(&labels, floats);
        }
        if !histograms.is_empty() {
            request.push_float_histograms(&labels, histograms.iter().map(|(t, h)| (*t, h)));
        }
    }
    request.body()
}

fn wire(h: &Histogram) -> FloatHistogram {
    let spans = |spans: &[Span]| spans.iter().map(|s| (s.offset, s.length)).collect();
    let Counts::Float {
        count,
        zero,
        positive,
        negative,
    } = h.to_float().counts
    else {
        return FloatHistogram::default();
    };
    FloatHistogram {
        schema: i32::from(h.schema),
        count,
        sum: h.sum,
        zero_threshold: h.zero_threshold,
        zero_count: zero,
        negative: Side {
            spans: spans(&h.negative_spans),
            counts: negative,
        },
        positive: Side {
            spans: spans(&h.positive_spans),
            counts: positive,
        },
        custom_values: h.custom_values.clone(),
        reset_hint: match h.reset {
            CounterReset::Unknown => 0,
            CounterReset::Reset => 1,
            CounterReset::NotReset => 2,
            CounterReset::Gauge => 3,
        },
    }
}

/// Reads an answer, or the error in its place.
fn read(response: &Response) -> Result<Result<Answer, String>> {
    let json: Json = serde_json::from_str(&response.text())?;
    if json["status"] == "error" {
        ensure!(matches!(response.status, 400 | 422), "{}", response.status);
        return Ok(Err(text(&json["error"])?));
    }
    ensure!(response.status == 200 && json["status"] == "success");
    let result = &json["data"]["result"];
    let value = match json["data"]["resultType"].as_str() {
        Some("scalar") => AnswerValue::Scalar(number(&result[1])?),
        Some("string") => AnswerValue::String(text(&result[1])?),
        Some("vector") => AnswerValue::Vector(each(result, element)?),
        Some("matrix") => AnswerValue::Matrix(each(result, run)?),
        other => bail!("a result of type {other:?}"),
    };
    let notes = |kind: &str| match &json[kind] {
        Json::Null => Ok(Vec::new()),
        list => each(list, text),
    };
    Ok(Ok(Answer {
        value,
        warnings: notes("warnings")?,
        infos: notes("infos")?,
    }))
}

fn each<T>(list: &Json, read: impl Fn(&Json) -> Result<T>) -> Result<Vec<T>> {
    let list = list.as_array().context("a list is missing")?;
    list.iter().map(read).collect()
}

fn text(json: &Json) -> Result<String> {
    Ok(json.as_str().context("a text is missing")?.to_owned())
}

/// Numbers are texts: JSON has no infinities.
fn number(json: &Json) -> Result<f64> {
    let text = json.as_str().context("a number is missing")?;
    text.parse()
        .with_context(|| format!("{text:?} is no number"))
}

fn time(json: &Json) -> Result<Timestamp> {
    let seconds = json.as_f64().context("a time is missing")?;
    #[expect(clippy::cast_possible_truncation)] // scripts are about years at most
    Ok((seconds * 1000.0).round() as Timestamp)
}

fn labels(json: &Json) -> Result<Labels> {
    let labels = json["metric"].as_object().context("labels are missing")?;
    let pairs = labels
        .iter()
        .map(|(name, value)| Ok((name.clone(), text(value)?)));
    Ok(Labels::from_pairs(pairs.collect::<Result<Vec<_>>>()?))
}

/// An element of a vector.
fn element(json: &Json) -> Result<(Labels, Seen)> {
    let seen = match (&json["value"], &json["histogram"]) {
        (point, Json::Null) => Seen::Float(number(&point[1])?),
        (Json::Null, point) => Seen::Shown(histogram(&point[1])?),
        _ => bail!("both a value and a histogram"),
    };
    Ok((labels(json)?, seen))
}

/// A series of a matrix.
fn run(json: &Json) -> Result<(Labels, BTreeMap<Timestamp, Seen>)> {
    let points = |list: &str, read: fn(&Json) -> Result<Seen>| match &json[list] {
        Json::Null => Ok(Vec::new()),
        points => each(points, |point| Ok((time(&point[0])?, read(&point[1])?))),
    };
    let mut all = points("values", |json| Ok(Seen::Float(number(json)?)))?;
    all.extend(points("histograms", |json| {
        Ok(Seen::Shown(histogram(json)?))
    })?);
    let (count, points) = (all.len(), BTreeMap::from_iter(all));
    ensure!(points.len() == count, "two samples at one time");
    Ok((labels(json)?, points))
}

fn histogram(json: &Json) -> Result<ShownHistogram> {
    let bucket = |json: &Json| {
        let inside = json[0].as_u64().context("a bucket without its rule")?;
        Ok(ShownBucket {
            inside: u8::try_from(inside)?,
            lower: number(&json[1])?,
            upper: number(&json[2])?,
            count: number(&json[3])?,
        })
    };
    Ok(ShownHistogram {
        count: number(&json["count"])?,
        sum: number(&json["sum"])?,
        buckets: match &json["buckets"] {
            Json::Null => Vec::new(),
            list => each(list, bucket)?,
        },
    })
}
