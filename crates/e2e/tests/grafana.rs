//! The calls Grafana's Prometheus data source makes, with the parameters and headers it sends.
//!
//! Each test names the part of Grafana that makes the call. What counts is that every answer has
//! the status and the JSON shape the data source reads.
#![allow(clippy::disallowed_methods)]

use std::sync::LazyLock;
use std::time::Duration;

use ferula_e2e::exporter::Exporter;
use ferula_e2e::http::{Request, Response, encode_form};
use ferula_e2e::server::{Server, now_ms};
use serde_json::Value;

/// Headers the data source's backend adds to each call.
const HEADERS: [(&str, &str); 6] = [
    ("Accept-Encoding", "gzip"),
    ("User-Agent", "Grafana/12.1.0"),
    ("X-Datasource-Uid", "ferula"),
    ("X-Dashboard-Uid", "abc123"),
    ("X-Panel-Id", "4"),
    ("X-Grafana-Org-Id", "1"),
];

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

const PAGE: &str = "# HELP app_requests_total Requests served.\n\
    # TYPE app_requests_total counter\n\
    app_requests_total{code=\"200\",path=\"/\"} 1027\n\
    app_requests_total{code=\"500\",path=\"/\"} 3\n\
    # HELP app_temperature_celsius Temperature of the room.\n\
    # TYPE app_temperature_celsius gauge\n\
    app_temperature_celsius{room=\"north\"} 21.5\n\
    # TYPE app_latency_seconds histogram\n\
    app_latency_seconds_bucket{le=\"0.1\"} 3\n\
    app_latency_seconds_bucket{le=\"+Inf\"} 4\n\
    app_latency_seconds_sum 0.7\n\
    app_latency_seconds_count 4\n";

/// A server that scrapes [`PAGE`].
struct Scraped {
    server: Server,
    _exporter: Exporter,
}

#[test]
fn grafana_gets_what_it_asks_for() {
    let exporter = Exporter::start(|_| PAGE.to_owned()).expect("the exporter starts");
    let config = format!(
        "scrape_configs:\n- {{job_name: app, scrape_interval: 1s, scrape_timeout: 1s, \
         static_configs: [{{targets: ['{}']}}]}}\n",
        exporter.address()
    );
    let server = Server::ferula().and_then(|server| server.started(&config));
    let server = server.expect("the server starts");
    let scrapes = r#"count_over_time(up{job="app"}[1m])"#;
    let limit = Duration::from_secs(20);
    server
        .wait_value(scrapes, limit, |value| value > 1.0)
        .expect("scraped twice");
    let scraped = Scraped {
        server,
        _exporter: exporter,
    };
    scraped.save_and_test();
    scraped.metric_and_label_pickers();
    scraped.metric_help();
    scraped.panels();
    scraped.explore_and_variables();
    scraped.mistakes();
}

/// The time range a dashboard shows: the last five minutes, and as browsers' clocks are, a bit more.
fn last_minutes() -> (&'static str, &'static str) {
    static RANGE: LazyLock<(String, String)> = LazyLock::new(|| {
        let end = now_ms() / 1000 + 10;
        ((end - 300).to_string(), end.to_string())
    });
    (&RANGE.0, &RANGE.1)
}

impl Scraped {
    /// "Save & test" in the data source's settings.
    fn save_and_test(&self) {
        let time = (now_ms() / 1000).to_string();
        let data = self.post("query", &[("query", "1+1"), ("time", &time)]);
        assert_eq!(data["resultType"], "scalar");
        assert_eq!(data["result"][1], "2");
        let build = self.get("status/buildinfo", &[]);
        // The version decides which features Grafana uses.
        let version = build["version"].as_str().expect("a version");
        let major = version
            .split('.')
            .next()
            .and_then(|part| part.parse::<u32>().ok());
        assert!(major.is_some_and(|major| major >= 2), "version {version}");
        for key in ["revision", "branch", "buildUser", "buildDate", "goVersion"] {
            assert!(build[key].is_string(), "{key} in {build}");
        }
    }

    /// The query builder's lists.
    fn metric_and_label_pickers(&self) {
        let (start, end) = last_minutes();
        let range = [("start", start), ("end", end)];
        let all = self.post("labels", &range);
        for label in ["__name__", "code", "instance", "job", "le", "path", "room"] {
            assert!(texts(&all).contains(&label), "{label} in {all}");
        }
        let app = ("match[]", r#"{__name__="app_requests_total"}"#);
        let names = self.post("labels", &[range[0], range[1], app]);
        assert_eq!(
            texts(&names),
            ["__name__", "code", "instance", "job", "path"]
        );
        assert_eq!(
            texts(&self.get("labels", &[range[0], range[1], app])).len(),
            5
        );

        let metrics = self.get(
            "label/__name__/values",
            &[range[0], range[1], ("limit", "40000")],
        );
        for metric in ["app_requests_total", "app_latency_seconds_bucket", "up"] {
            assert!(texts(&metrics).contains(&metric), "{metric} in {metrics}");
        }
        let codes = self.get("label/code/values", &[range[0], range[1], app]);
        assert_eq!(texts(&codes), ["200", "500"]);
        let none = self.get("label/code/values", &[("match[]", "nothing_here")]);
        assert_eq!(texts(&none), [""; 0]);
        let limited = self.get(
            "label/__name__/values",
            &[range[0], range[1], ("limit", "1")],
        );
        assert_eq!(texts(&limited).len(), 1);
    }

    /// Help and type beside each metric's name.
    fn metric_help(&self) {
        let metadata = self.get("metadata", &[]);
        let entry = &metadata["app_requests_total"][0];
        assert_eq!(entry["type"], "counter");
        assert_eq!(entry["help"], "Requests served.");
        assert_eq!(entry["unit"], "");
        assert_eq!(metadata["app_latency_seconds"][0]["type"], "histogram");
        let one = self.get("metadata", &[("metric", "app_temperature_celsius")]);
        assert_eq!(one.as_object().map(serde_json::Map::len), Some(1), "{one}");
        assert_eq!(one["app_temperature_celsius"][0]["type"], "gauge");
        let limited = self.get("metadata", &[("limit", "2")]);
        assert_eq!(
            limited.as_object().map(serde_json::Map::len),
            Some(2),
            "{limited}"
        );
    }

    /// Graph, stat and table panels.
    fn panels(&self) {
        let (start, end) = last_minutes();
        let range = |query| {
            let form = [
                ("query", query),
                ("start", start),
                ("end", end),
                ("step", "1"),
            ];
            self.post("query_range", &form)
        };
        let data = range("sum by (code) (app_requests_total)");
        assert_eq!(data["resultType"], "matrix");
        let series = data["result"].as_array().expect("a list");
        assert_eq!(series.len(), 2);
        assert_eq!(series[0]["metric"]["code"], "200");
        let point = &series[0]["values"][0];
        assert!(point[0].is_i64() && point[1] == "1027", "{point}");

        let quantile =
            "histogram_quantile(0.5, sum by (le) (rate(app_latency_seconds_bucket[1m0s])))";
        assert_eq!(range(quantile)["resultType"], "matrix");

        // An instant query at a time with milliseconds, as a table panel asks.
        let time = format!("{}.123", now_ms() / 1000);
        let data = self.post(
            "query",
            &[("query", "app_temperature_celsius"), ("time", &time)],
        );
        assert_eq!(data["resultType"], "vector");
        let sample = &data["result"][0];
        assert_eq!(sample["metric"]["room"], "north");
        assert_eq!(
            sample["value"][0].as_f64().map(|t| t.to_string()),
            Some(time)
        );
        assert_eq!(sample["value"][1], "21.5");

        // The builder's default step and a fractional one.
        for step in ["15s", "0.5", "1m"] {
            let form = [
                ("query", "up"),
                ("start", start),
                ("end", end),
                ("step", step),
            ];
            assert_eq!(
                self.post("query_range", &form)["resultType"],
                "matrix",
                "step {step}"
            );
        }
    }

    /// Explore's series list and `label_values(…)` variables.
    fn explore_and_variables(&self) {
        let (start, end) = last_minutes();
        let form = [
            ("match[]", "app_requests_total"),
            ("start", start),
            ("end", end),
        ];
        for data in [self.post("series", &form), self.get("series", &form)] {
            let series = data.as_array().expect("a list");
            assert_eq!(series.len(), 2, "{data}");
            assert_eq!(series[0]["__name__"], "app_requests_total");
            assert_eq!(series[0]["job"], "app");
        }
        let both = [form[0], ("match[]", "up"), form[1], form[2]];
        assert_eq!(self.post("series", &both).as_array().map(Vec::len), Some(3));
    }

    /// Errors must come as JSON that Grafana can show beside the panel.
    fn mistakes(&self) {
        let (start, end) = last_minutes();
        let backwards = [
            ("query", "up"),
            ("start", end),
            ("end", start),
            ("step", "15"),
        ];
        let too_fine = [("query", "up"), ("start", "0"), ("end", end), ("step", "1")];
        let no_step = [
            ("query", "up"),
            ("start", start),
            ("end", end),
            ("step", "0"),
        ];
        let many = "app_requests_total * on (job) app_requests_total";
        let bad_data = [
            ("query", &[("query", "sum(")][..], "parse error"),
            (
                "query",
                &[("query", "up"), ("time", "yesterday")],
                "\"time\"",
            ),
            (
                "query_range",
                &backwards,
                "end timestamp must not be before start time",
            ),
            (
                "query_range",
                &too_fine,
                "exceeded maximum resolution of 11,000 points",
            ),
            (
                "query_range",
                &no_step,
                "zero or negative query resolution step widths",
            ),
        ];
        for (path, form, words) in bad_data {
            self.refused(path, form, 400, "bad_data", words);
        }
        self.refused(
            "query",
            &[("query", many)],
            422,
            "execution",
            "many-to-many matching",
        );
        self.refused(
            "series",
            &[],
            400,
            "bad_data",
            "no match[] parameter provided",
        );
    }

    fn refused(&self, path: &str, form: &[(&str, &str)], status: u16, kind: &str, words: &str) {
        let response = self.send("POST", path, form);
        let json = json(&response);
        assert_eq!(response.status, status, "{path} {form:?}: {json}");
        assert_eq!(json["status"], "error");
        assert_eq!(json["errorType"], kind, "{json}");
        let error = json["error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{path} {form:?}: {error}");
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        data(&self.send("POST", path, form), path)
    }

    fn get(&self, path: &str, form: &[(&str, &str)]) -> Value {
        data(&self.send("GET", path, form), path)
    }

    fn send(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Response {
        let form = encode_form(form);
        let mut headers = HEADERS.to_vec();
        let (path, body) = if method == "POST" {
            headers.push(FORM);
            (format!("/api/v1/{path}"), form)
        } else {
            (format!("/api/v1/{path}?{form}"), String::new())
        };
        let request = Request {
            method,
            path: &path,
            headers: &headers,
            body: body.as_bytes(),
        };
        let response = self.server.client().send(&request).expect("an answer");
        assert_eq!(
            response.header("content-type"),
            Some("application/json"),
            "{path}"
        );
        response
    }
}

/// The `data` of a successful answer.
fn data(response: &Response, path: &str) -> Value {
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    let mut json = json(response);
    assert_eq!(json["status"], "success", "{path}: {json}");
    json["data"].take()
}

fn json(response: &Response) -> Value {
    let text = response.text();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("{list} is no list"));
    list.iter()
        .map(|item| item.as_str().expect("text"))
        .collect()
}
