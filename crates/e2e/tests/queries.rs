//! Queries as an operator handles them: listed, stopped, given up, timed out, logged, and named
//! after a crash.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ferula_e2e::http::{Request, Response, encode_form};
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms, seconds};
use ferula_e2e::{skip, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

/// More than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a query that nobody wants may go on: it looks up once per series.
const PROMPT: Duration = Duration::from_secs(5);

/// A median of 200 samples for each of 2,000 series and 10,000 steps: minutes of work, in parts
/// of a tenth of a second.
const HEAVY: &str = "sum(quantile_over_time(0.5, load[1h]))";

const LIST: &str = "/api/ferula/v1/queries";

fn heavy_form(now: i64) -> [(&'static str, String); 4] {
    [
        ("query", HEAVY.to_owned()),
        ("start", seconds(now - 2_000_000)),
        ("end", seconds(now)),
        ("step", "0.2".to_owned()),
    ]
}

/// A server with enough data for [`HEAVY`]; nothing if it is not ours.
fn loaded(test: &str, arguments: &[&str]) -> Option<Server> {
    let mut server = Server::ferula().expect("ferula builds");
    if server.kind() != Kind::Ferula {
        skip(test, "the server under test is not Ferula");
        return None;
    }
    server.add_arguments(arguments);
    let server = server.started("").expect("it starts");
    let end = now_ms() - 1_000;
    for batch in 0..20 {
        let mut request = WriteRequest::default();
        for series in 0..100 {
            let series = (batch * 100 + series).to_string();
            let labels = EncodedLabels::new([("__name__", "load"), ("series", &series)]);
            let values = (0..200).map(|i| (end - (200 - i) * 1_000, f64::from(i as i32 * 7 % 13)));
            request.push(&labels, values);
        }
        let response = server.client().send(&Request {
            method: "POST",
            path: remote_write::PATH,
            headers: &remote_write::HEADERS,
            body: &request.body(),
        });
        assert_eq!(response.expect("an answer").status, 204);
    }
    Some(server)
}

/// Asks the heavy query from a thread of its own.
fn ask_heavy(server: &Server, more: &[(&'static str, &str)]) -> JoinHandle<Response> {
    let mut client = server.client();
    let mut form: Vec<_> = heavy_form(now_ms()).into();
    form.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    std::thread::spawn(move || {
        let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
        client
            .post_form("/api/v1/query_range", &form)
            .expect("an answer")
    })
}

fn get(server: &Server, path: &str) -> Result<Value> {
    let response = server.client().get(path)?;
    let text = response.text();
    ensure!(response.status == 200, "{}: {text}", response.status);
    serde_json::from_str(&text).context(text)
}

fn delete(server: &Server, path: &str) -> Response {
    let request = Request {
        method: "DELETE",
        path,
        headers: &[],
        body: &[],
    };
    server.client().send(&request).expect("an answer")
}

/// The active queries in a state, once there are `count`.
fn active(server: &Server, state: &str, count: usize, limit: Duration) -> Vec<Value> {
    let listed = wait_for(&format!("{count} queries {state}"), limit, || {
        let json = get(server, &format!("{LIST}?state={state}"))?;
        let queries = json["data"]["queries"].as_array().context("no list")?;
        ensure!(queries.len() == count, "{json}");
        Ok(queries.clone())
    });
    listed.expect("the list is as wanted")
}

fn error_of(response: &Response) -> (u16, Value) {
    let json: Value = serde_json::from_str(&response.text()).expect("JSON");
    (response.status, json!([json["errorType"], json["error"]]))
}

#[test]
fn queries_are_listed_and_stopped() {
    let Some(server) = loaded("queries: stop", &["--query.max-concurrency=1"]) else {
        return;
    };
    let running = ask_heavy(&server, &[]);
    let listed = active(&server, "running", 1, LIMIT);
    assert_eq!(listed[0]["query"], HEAVY);
    assert_eq!(
        (&listed[0]["step"], &listed[0]["state"]),
        (&json!(0.2), &json!("running"))
    );
    wait_for("samples to be held", LIMIT, || {
        let json = get(&server, LIST)?;
        let peak = json["data"]["queries"][0]["peakSamples"].as_u64();
        ensure!(peak > Some(0), "{json}");
        Ok(())
    })
    .expect("it holds samples");
    let queued = ask_heavy(&server, &[]);
    let waiting = active(&server, "queued", 1, LIMIT);
    let timed_out = ask_heavy(&server, &[("timeout", "0.3")]);
    let timed_out = timed_out.join().expect("an answer");
    assert_eq!(
        error_of(&timed_out),
        (503, json!(["timeout", "query timed out in query queue"]))
    );

    let page = get(&server, &format!("{LIST}?limit=1")).expect("a page");
    let cursor = page["data"]["nextCursor"].as_str().expect("a cursor");
    let rest = get(&server, &format!("{LIST}?limit=1&cursor={cursor}")).expect("a page");
    assert_eq!(rest["data"]["queries"][0]["id"], waiting[0]["id"], "{rest}");
    assert_eq!(rest["data"]["nextCursor"], Value::Null, "{rest}");

    let path = |query: &Value| format!("{LIST}/{}", query["id"].as_str().expect("an id"));
    assert_eq!(delete(&server, &path(&waiting[0])).status, 204);
    let canceled = |what: &str| {
        (
            499,
            json!(["canceled", format!("query was canceled in {what}")]),
        )
    };
    let queued = queued.join().expect("an answer");
    assert_eq!(error_of(&queued), canceled("query queue"));
    assert_eq!(delete(&server, &path(&listed[0])).status, 204);
    let running = running.join().expect("an answer");
    assert_eq!(error_of(&running), canceled("expression evaluation"));
    active(&server, "", 0, PROMPT);
    let gone = delete(&server, &path(&listed[0]));
    assert_eq!(gone.status, 404, "{}", gone.text());
    assert_eq!(delete(&server, &format!("{LIST}/x")).status, 404);
}

#[test]
fn a_query_ends_with_its_time() {
    let Some(server) = loaded("queries: timeout", &["--query.timeout=600ms"]) else {
        return;
    };
    let expected = (
        503,
        json!(["timeout", "query timed out in expression evaluation"]),
    );
    for more in [&[][..], &[("timeout", "100ms")], &[("timeout", "1h")]] {
        let begun = Instant::now();
        let response = ask_heavy(&server, more).join().expect("an answer");
        assert_eq!(error_of(&response), expected);
        assert!(begun.elapsed() < PROMPT, "after {:?}", begun.elapsed());
    }
    active(&server, "", 0, PROMPT);
}

#[test]
fn a_query_whose_client_is_gone_is_given_up() {
    let Some(mut server) = loaded("queries: disconnect", &["--query.max-concurrency=1"]) else {
        return;
    };
    let log = server.data_path().with_file_name("query.log");
    server
        .write_config("global: {query_log_file: query.log}")
        .expect("written");
    server.process().signal(Signal::HUP).expect("it runs");
    wait_for("the query log", LIMIT, || Ok(std::fs::metadata(&log)?)).expect("the log");

    let now = now_ms();
    let form = heavy_form(now);
    let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let ask = || {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        let path = format!("/api/v1/query_range?{}", encode_form(&form));
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        stream
    };
    let first = ask();
    active(&server, "running", 1, LIMIT);
    let second = ask();
    active(&server, "queued", 1, LIMIT);
    drop(second);
    active(&server, "queued", 0, PROMPT);
    drop(first);
    active(&server, "", 0, PROMPT);
    let lines = wait_lines(&log, 2);
    for (line, what) in lines.iter().zip(["query queue", "expression evaluation"]) {
        assert_eq!(line["params"]["query"], HEAVY);
        assert_eq!(line["error"], format!("query was canceled in {what}"));
    }
    // Its turn is free again.
    let sum = server.query("1 + 1", now).expect("an answer");
    assert_eq!(sum.only_value(), Some(2.0));
}

#[test]
fn a_crash_names_the_queries_it_interrupted() {
    let Some(mut server) = loaded("queries: crash", &[]) else {
        return;
    };
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    let form = heavy_form(now_ms());
    let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = format!("/api/v1/query_range?{}", encode_form(&form));
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    active(&server, "running", 1, LIMIT);
    server.query("up", now_ms()).expect("one that is finished");
    server.kill();
    let words = "These queries didn't finish in prometheus' last run:";
    server.start().expect("it starts again");
    let log = server.process().log();
    let told: Vec<_> = log.lines().filter(|line| line.contains(words)).collect();
    let [line] = told.as_slice() else {
        panic!("{} lines tell of it:\n{log}", told.len());
    };
    assert!(
        line.contains("quantile_over_time") && line.contains("timestamp_sec"),
        "{line}"
    );
    assert!(!line.contains("up"), "only what was not finished: {line}");
    server.kill();
    server.start().expect("it starts once more");
    assert_eq!(server.process().log().matches(words).count(), 1);
}

/// The first `count` lines of a query log.
fn wait_lines(log: &Path, count: usize) -> Vec<Value> {
    let lines = wait_for(
        &format!("{count} lines in {}", log.display()),
        LIMIT,
        || {
            let text = std::fs::read_to_string(log)?;
            let lines = text.lines().map(serde_json::from_str);
            let lines: Vec<Value> = lines.collect::<Result<_, _>>().context(text.clone())?;
            ensure!(lines.len() >= count, "{text}");
            Ok(lines)
        },
    );
    lines.expect("the lines")
}

/// What a server logs of a few queries, with the log rotated once.
fn logged(mut server: Server) -> Vec<Value> {
    server
        .write_config("global: {query_log_file: logs/query.log}")
        .expect("written");
    let folder = server.data_path().with_file_name("logs");
    std::fs::create_dir(&folder).expect("a folder");
    server.start().expect("it starts");
    let [log, rotated] = ["query.log", "query.log.1"].map(|name| folder.join(name));
    let ask = |path: &str, form: &[(&str, &str)]| {
        let path = format!("{path}?{}", encode_form(form));
        server.client().get(&path).expect("an answer");
    };
    ask("/api/v1/query", &[("query", "1 + 1"), ("time", "1000.5")]);
    let range = [
        ("query", "vector(1) < 2"),
        ("start", "100"),
        ("end", "200.5"),
        ("step", "2.5"),
    ];
    ask("/api/v1/query_range", &range);
    let wrong = [
        ("query", r#"label_replace(vector(1), "", "<a>", "b", "c")"#),
        ("time", "0"),
    ];
    let posted = server.client().post_form("/api/v1/query", &wrong);
    posted.expect("an answer");
    // What does not even parse is no query.
    ask("/api/v1/query", &[("query", "1 +")]);
    let mut lines = wait_lines(&log, 3);

    std::fs::rename(&log, &rotated).expect("renamed");
    server.process().signal(Signal::HUP).expect("it runs");
    wait_for("the log to be opened again", LIMIT, || {
        Ok(std::fs::metadata(&log)?)
    })
    .expect("a log");
    server.query("2", 0).expect("an answer");
    lines.extend(wait_lines(&log, 1));
    assert_eq!(wait_lines(&rotated, 3).len(), 3);

    server.write_config("").expect("written");
    server.process().signal(Signal::HUP).expect("it runs");
    wait_for("the log to be closed", LIMIT, || {
        let metrics = server.client().get("/metrics")?.text();
        ensure!(metrics.contains("prometheus_engine_query_log_enabled 0"));
        Ok(())
    })
    .expect("closed");
    server.query("3", 0).expect("an answer");
    assert_eq!(wait_lines(&log, 1).len(), 1);
    lines
}

#[test]
fn queries_are_logged_as_the_reference_does() {
    let lines = logged(Server::ferula().expect("ferula builds"));
    let told = |line: &Value| {
        json!([
            line["level"],
            line["msg"],
            line["params"],
            line["error"],
            line["spanID"],
            line["httpRequest"]
        ])
    };
    let first = json!([
        "INFO",
        "promql query logged",
        {"query": "1 + 1", "start": "1970-01-01T00:16:40.500Z",
         "end": "1970-01-01T00:16:40.500Z", "step": 0},
        null,
        "0000000000000000",
        {"clientIP": "127.0.0.1", "method": "GET", "path": "/api/v1/query"}
    ]);
    assert_eq!(told(&lines[0]), first);
    let reference = match Server::prometheus() {
        Ok(server) => logged(server),
        Err(reason) => return skip("queries: log beside the reference", &reason),
    };
    assert_eq!(lines.len(), reference.len());
    for (ours, theirs) in lines.iter().zip(&reference) {
        assert_eq!(told(ours), told(theirs));
        for at in ["", "/stats", "/stats/timings", "/stats/samples", "/params"] {
            let keys = |line: &Value| -> Vec<String> {
                let object = line
                    .pointer(at)
                    .and_then(Value::as_object)
                    .expect("an object");
                // Releases before 3.8 do not count what is read.
                let keys = object.keys().filter(|key| *key != "samplesRead");
                keys.cloned().collect()
            };
            assert_eq!(keys(ours), keys(theirs), "{at}: {ours}");
        }
    }
}

/// The names and labels under which a server shows what its engine does, a few queries done.
fn engine_metrics(server: Result<Server>) -> BTreeSet<String> {
    let server = server
        .and_then(|server| server.started(""))
        .expect("it starts");
    server.query("1", 0).expect("an answer");
    server
        .query_range("vector(1)", 0, 1_000, 1_000)
        .expect("an answer");
    let page = server.client().get("/metrics").expect("an answer").text();
    let samples = page
        .lines()
        .filter(|line| line.starts_with("prometheus_engine_"));
    let names = samples.filter_map(|line| line.rsplit_once(' '));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_engine_is_measured_under_the_names_of_the_reference() {
    let ours = engine_metrics(Server::ferula());
    let slices = ["queue_time", "prepare_time", "inner_eval", "result_sort"];
    for slice in slices {
        for quantile in ["0.5", "0.9", "0.99"] {
            let name = "prometheus_engine_query_duration_seconds";
            let name = format!("{name}{{slice=\"{slice}\",quantile=\"{quantile}\"}}");
            assert!(ours.contains(&name), "{name}: {ours:?}");
        }
    }
    let reference = match Server::prometheus() {
        Ok(server) => engine_metrics(Ok(server)),
        Err(reason) => return skip("queries: metrics beside the reference", &reason),
    };
    let missing: Vec<_> = reference.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_query_log_that_cannot_be_opened_changes_nothing() {
    let mut server = Server::ferula().expect("ferula builds");
    let wrong = "global: {query_log_file: no/such/folder/query.log}";
    if server.kind() != Kind::Ferula {
        return skip("queries: log refused", "the reference applies half of it");
    }
    server.write_config("").expect("written");
    server.add_arguments(&["--web.enable-lifecycle"]);
    server.start().expect("it starts");
    server.write_config(wrong).expect("written");
    let reload = server.client().post_form("/-/reload", &[]);
    let reload = reload.expect("an answer");
    assert_eq!(reload.status, 500);
    assert!(
        reload.text().contains("query_log_file"),
        "{}",
        reload.text()
    );
    server.kill();
    let error = server.start().expect_err("it does not start").to_string();
    assert!(
        error.contains("query_log_file") && error.contains("no/such/folder"),
        "{error}"
    );
}
