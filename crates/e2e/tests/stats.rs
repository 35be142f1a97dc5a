//! What queries say they looked at, beside a real Prometheus on the same data.
#![allow(clippy::disallowed_methods)]

use ferula_e2e::http::{Request, encode_form};
use ferula_e2e::remote_write::{self, EncodedLabels, NativeHistogram, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms, seconds};
use ferula_e2e::skip;
use serde_json::Value;

/// From one sample to the next.
const INTERVAL_MS: i64 = 15_000;

/// Samples of each series.
const SAMPLES: i64 = 40;

/// Flags both servers know.
const FLAGS: &str = "--enable-feature=promql-per-step-stats,promql-experimental-functions";

const QUERIES: &[&str] = &[
    "1 + 1",
    "time()",
    "vector(1) > 2",
    "load",
    "load offset 45s",
    "load @ 100",
    "load{series=\"0\"} + 1",
    "sum(load)",
    "sum by (series) (load) / count(load)",
    "load - load",
    "load and load{series=\"nothing\"}",
    "load{series=\"nothing\"} and load",
    "load{series=\"nothing\"} * on (series) load",
    "load unless load",
    "load or gone",
    "gone",
    "timestamp(load)",
    "timestamp(gone)",
    "timestamp(native)",
    "timestamp(-load)",
    "absent(load)",
    "absent(nothing)",
    "rate(load[1m])",
    "rate(load[5m]) / rate(load[5m])",
    "sum(rate(load[7s]))",
    "max_over_time(gone[1m])",
    "absent_over_time(load[1m])",
    "absent_over_time(nothing[1m])",
    "quantile_over_time(scalar(sum(load)) / 1000, load[1m])",
    "rate(load[1m] @ 100)",
    "rate(load[1m] @ end()) + load",
    "rate(load[1m] offset 1m)",
    "sum_over_time(load[2m:20s])",
    "sum_over_time(rate(load[1m])[2m:20s])",
    "max_over_time(sum_over_time(load[2m:20s])[1m:30s])",
    "sum_over_time(load[2m:20s] @ 100)",
    "sum_over_time((load @ 100)[2m:20s])",
    "avg_over_time(vector(1)[2m:10s])",
    "topk(2, load)",
    "count_values(\"v\", load)",
    "scalar(sum(load)) * load",
    "label_replace(load, \"a\", \"$1\", \"series\", \"(.*)\")",
    "sort(load)",
    "load > bool 3",
    "native",
    "sum(native)",
    "rate(native[1m])",
    "histogram_quantile(0.5, sum(rate(native[1m])))",
    "histogram_quantile(0.5, native) + load{series=\"0\"}",
    "count_over_time({__name__=~\"load|native\"}[1m])",
];

/// Queries whose value is a range vector, which only instant queries have.
const RANGES: &[&str] = &[
    "load[1m]",
    "gone[10m]",
    "native[1m]",
    "load[2m:20s]",
    "rate(load[1m])[2m:20s]",
    "(load @ 100)[2m:20s]",
];

/// Differs on purpose, see docs/compat.md: the reference does not read the buckets here, and does
/// not count them, Ferula counts a histogram as a whole.
const WITHOUT_BUCKETS: &str = "sum(histogram_count(native))";

/// A server that holds the test's data, which ends at `end`.
fn loaded(server: anyhow::Result<Server>, end: i64) -> Server {
    let mut server = server.expect("the server is there");
    server.add_arguments(&[FLAGS]);
    if server.kind() == Kind::Prometheus {
        server.add_arguments(&["--enable-feature=native-histograms"]);
    }
    let server = server.started("").expect("it starts");
    let at = |i: i64| end - (SAMPLES - 1 - i) * INTERVAL_MS;
    let mut request = WriteRequest::default();
    for series in 0..4 {
        let name = series.to_string();
        let labels = EncodedLabels::new([("__name__", "load"), ("series", &name)]);
        // Each with a gap somewhere else.
        let samples = (0..SAMPLES).filter(|i| i % 13 != series * 3);
        #[expect(clippy::cast_precision_loss)] // small
        request.push(&labels, samples.map(|i| (at(i), (i * (series + 1)) as f64)));
    }
    let gone = EncodedLabels::new([("__name__", "gone")]);
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let value = |i: i64| if i % 10 == 5 { stale } else { 1.0 };
    request.push(&gone, (0..SAMPLES / 2).map(|i| (at(i), value(i))));
    let native = EncodedLabels::new([("__name__", "native")]);
    let histogram = |i: i64| NativeHistogram {
        schema: 0,
        sum: 1.0,
        zero_count: 2,
        first: 0,
        buckets: (0..5).map(|bucket| (i as u64 + 1) * (bucket + 1)).collect(),
    };
    request.push_histograms(&native, (0..SAMPLES).map(|i| (at(i), histogram(i))));
    let response = server.client().send(&Request {
        method: "POST",
        path: remote_write::PATH,
        headers: &remote_write::HEADERS,
        body: &request.body(),
    });
    let response = response.expect("an answer");
    assert!(matches!(response.status, 200 | 204), "{}", response.text());
    server
}

/// The `samples` of a query's stats.
fn samples(server: &Server, path: &str, form: &[(&str, &str)]) -> Value {
    let path = format!("/api/v1/{path}?{}", encode_form(form));
    let text = server.client().get(&path).expect("an answer").text();
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let samples = json["data"]["stats"]["samples"].clone();
    assert!(samples.is_object(), "{path}: {text}");
    samples
}

#[test]
fn samples_are_counted_as_the_reference_does() {
    let end = now_ms() / INTERVAL_MS * INTERVAL_MS;
    let ferula = loaded(Server::ferula(), end);
    let reference = match Server::prometheus() {
        Ok(server) => loaded(Ok(server), end),
        Err(reason) => return skip("stats beside the reference", &reason),
    };
    let mut different = Vec::new();
    let mut looked_at = 0;
    let mut compare = |path: &str, form: &[(&str, &str)]| {
        let [ours, theirs] = [&ferula, &reference].map(|server| samples(server, path, form));
        for key in ["totalQueryableSamples", "totalQueryableSamplesPerStep"] {
            if ours[key] != theirs[key] {
                different.push(format!(
                    "{path} {form:?}: {key}: {} and {}",
                    ours[key], theirs[key]
                ));
            }
        }
        looked_at += theirs["totalQueryableSamples"].as_u64().unwrap_or(0);
        // What is read was looked at, at some step or before it.
        let number = |key: &str| ours[key].as_u64().unwrap_or(u64::MAX);
        let sum: u64 = ours["samplesReadPerStep"].as_array().map_or(0, |steps| {
            steps.iter().filter_map(|step| step[1].as_u64()).sum()
        });
        if ferula.kind() == Kind::Ferula
            && (number("samplesRead") > number("totalQueryableSamples")
                || form.iter().any(|(_, v)| *v == "all") && sum != number("samplesRead"))
        {
            different.push(format!("{path} {form:?}: does not fit together: {ours}"));
        }
    };
    for query in QUERIES.iter().chain(RANGES) {
        for stats in ["true", "all"] {
            let time = seconds(end - 61_000);
            compare(
                "query",
                &[("query", query), ("time", &time), ("stats", stats)],
            );
        }
    }
    for query in QUERIES {
        let (start, end) = (seconds(end - 420_000), seconds(end - 7_000));
        for step in ["10", "45", "400"] {
            let form = [
                ("query", *query),
                ("start", &start),
                ("end", &end),
                ("step", step),
                ("stats", "all"),
            ];
            compare("query_range", &form);
        }
    }
    let form = [("query", WITHOUT_BUCKETS), ("stats", "true")];
    let counted = [&ferula, &reference].map(|server| {
        let samples = samples(server, "query", &form);
        samples["totalQueryableSamples"].clone()
    });
    if ferula.kind() == Kind::Ferula {
        assert_eq!(counted, [14, 11]);
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(
        looked_at > 10_000,
        "the queries look at {looked_at} samples"
    );
}
