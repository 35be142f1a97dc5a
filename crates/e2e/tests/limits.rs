//! Bad input from every side: it gets a clear error, costs bounded memory, and harms nobody else.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use ferula_e2e::exporter::Exporter;
use ferula_e2e::files::log_end;
use ferula_e2e::http::{Request, Response};
use ferula_e2e::process::Process;
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest, compress, snappy_bomb};
use ferula_e2e::server::{Kind, Server, now_ms};
use ferula_e2e::wait_for;

/// Largest remote-write body, compressed or not, that the API promises to take.
const BODY_MAX: usize = 32 * 1024 * 1024;

/// What refusing a body may cost beyond the limit itself: buffers, and memory the allocator keeps.
const REFUSAL_MEMORY_MAX: u64 = 2 * BODY_MAX as u64;

#[test]
fn oversized_and_broken_writes_are_refused() {
    let mut server = started("");
    let before = peak(server.process());
    let mut request = WriteRequest::default();
    request.push(
        &EncodedLabels::new([("__name__", "fine")]),
        [(now_ms(), 1.0)],
    );
    let fine = request.body();

    // Noise does not compress, so this is too long as sent.
    let response = write(&server, &vec![0xa5; BODY_MAX + 1024]);
    if is_ferula(&server) {
        refused(&response, &[413], "33554432 bytes limit");
    }
    // A few megabytes that unpack to ten times the limit.
    let response = write(&server, &snappy_bomb(10 * BODY_MAX));
    refused(
        &response,
        &[400],
        if is_ferula(&server) {
            "33554432 bytes limit"
        } else {
            ""
        },
    );
    // Ten bytes that claim to unpack to four gigabytes.
    let mut claim = Vec::new();
    remote_write::put_varint(&mut claim, u64::from(u32::MAX));
    claim.extend_from_slice(&[0, 0]);
    refused(&write(&server, &claim), &[400], "");
    // What is not snappy, what is not a write request, and what ends early.
    refused(&write(&server, b"hello"), &[400], "");
    refused(&write(&server, &compress(b"hello")), &[400], "");
    refused(&write(&server, &fine[..fine.len() - 3]), &[400], "");
    let cut = &request.plain()[..request.plain().len() - 3];
    refused(&write(&server, &compress(cut)), &[400], "");
    for headers in [
        [
            ("Content-Type", "application/json"),
            remote_write::HEADERS[1],
        ],
        [remote_write::HEADERS[0], ("Content-Encoding", "gzip")],
    ] {
        refused(&write_with(&server, &headers, &fine), &[415], "");
    }

    if is_ferula(&server) {
        let grown = peak(server.process()) - before;
        assert!(
            grown <= REFUSAL_MEMORY_MAX,
            "refusing took {grown} bytes of memory"
        );
    }
    // Nobody else noticed.
    assert_eq!(write(&server, &fine).status, 204);
    let stored = server
        .query("count({__name__=~\".+\"})", now_ms())
        .expect("an answer");
    assert_eq!(
        stored.only_value(),
        Some(1.0),
        "only the good request is stored"
    );
}

#[test]
fn good_samples_of_a_mixed_write_are_kept() {
    let server = started("");
    if !is_ferula(&server) {
        return; // the reference drops the whole request
    }
    let now = now_ms();
    let labels = |name: &'static str| EncodedLabels::new([("__name__", name)]);
    let mut first = WriteRequest::default();
    first.push(&labels("known"), [(now - 1000, 1.0), (now, 2.0)]);
    assert_eq!(write(&server, &first.body()).status, 204);

    let mut mixed = WriteRequest::default();
    mixed.push(&labels("before"), [(now, 3.0)]);
    mixed.push(&labels("known"), [(now, 99.0)]); // conflicts with what is acknowledged
    mixed.push(&EncodedLabels::new([("job", "nameless")]), [(now, 4.0)]);
    mixed.push(&labels("future"), [(now + 3_600_000, 5.0)]);
    mixed.push(&labels("after"), [(now, 6.0)]);
    let response = write(&server, &mixed.body());
    refused(&response, &[400], "known");

    let value = |name: &str| server.query(name, now).expect("an answer").only_value();
    assert_eq!(
        value("before"),
        Some(3.0),
        "a good sample before the bad one"
    );
    assert_eq!(value("after"), Some(6.0), "a good sample after the bad one");
    assert_eq!(value("known"), Some(2.0), "the first write wins");
    assert_eq!(value("future"), None);
    // The same request again changes nothing and counts the same.
    let again = write(&server, &mixed.body());
    assert_eq!(again.status, 400);
    let summary = |response: &Response| response.text().lines().next().map(str::to_owned);
    assert_eq!(summary(&again), summary(&response));
    assert_eq!(value("known"), Some(2.0));
    // An identical resend of acknowledged samples, older ones included, is a success.
    assert_eq!(write(&server, &first.body()).status, 204);
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not() {
    let server = started("");
    if !is_ferula(&server) {
        return; // the reference computes for minutes
    }
    let deep = 100_000;
    let around = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(deep), close.repeat(deep))
    };
    for query in [
        around("(", "1", ")"),
        around("-", "1", ""),
        around("sum(", "up", ")"),
        around("1 + (", "1", ")"),
        around("", "up", "[1m:1m]"),
        around("", "{", "("),
        "(".repeat(deep),
        format!("up{{a=~\"{}\"}}", around("(", "x", ")")),
    ] {
        let response = server
            .client()
            .post_form("/api/v1/query", &[("query", &query)]);
        let response = response.expect("an answer, not a crash");
        let start: String = query.chars().take(12).collect();
        assert_eq!(response.status, 400, "{start}…: {}", response.text());
        // Only a wrong pattern is quoted, once, as Go's messages do.
        let bound = if start.contains("=~") { query.len() } else { 0 } + 1_000;
        assert!(
            response.body.len() < bound,
            "{start}…: {} bytes",
            response.body.len()
        );
    }
    let chain = vec!["1"; 20_000].join(" + ");
    let sum = server
        .query(&chain, now_ms())
        .expect("a long chain is fine");
    assert_eq!(sum.only_value(), Some(20_000.0));
}

#[test]
fn a_malformed_page_fails_its_scrape_with_the_line() {
    let page = "good_metric 1\nother_metric 2\nbroken{label=\"x\" 3\nlast_metric 4\n";
    let exporter = Exporter::start(|_| page.to_owned()).expect("the exporter starts");
    let server = started(&format!(
        "scrape_configs:\n- {{job_name: broken, scrape_interval: 1s, scrape_timeout: 1s, \
         static_configs: [{{targets: ['{}']}}]}}\n",
        exporter.address()
    ));
    let down = server.wait_value("up", Duration::from_secs(10), |value| value == 0.0);
    down.expect("the scrape fails");
    let stored = server
        .query("{__name__=~\".*_metric\"}", now_ms())
        .expect("an answer");
    assert_eq!(stored.series, [], "nothing of a failed scrape is stored");
    let targets = server
        .client()
        .get("/api/v1/targets")
        .expect("an answer")
        .text();
    let json: serde_json::Value = serde_json::from_str(&targets).expect("JSON");
    let target = &json["data"]["activeTargets"][0];
    assert_eq!(target["health"], "down", "{targets}");
    let error = target["lastError"].as_str().expect("an error");
    // The reference names what it read, not where.
    let words = if is_ferula(&server) {
        "line 3"
    } else {
        "broken{label"
    };
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_damaged_log_tail_is_cut_with_a_warning() {
    for damage in [Damage::CutOff, Damage::Zeroed, Damage::Flipped] {
        check_tail(damage);
    }
}

/// What happens to the last bytes of the log.
#[derive(Clone, Copy, Debug)]
enum Damage {
    CutOff,
    Zeroed,
    Flipped,
}

fn check_tail(damage: Damage) {
    const REQUESTS: i64 = 40;
    let mut server = started("");
    let labels = EncodedLabels::new([("__name__", "row")]);
    let first = now_ms() - 60_000;
    for row in 0..REQUESTS {
        let mut request = WriteRequest::default();
        #[expect(clippy::cast_precision_loss)] // small
        request.push(&labels, [(first + row, row as f64)]);
        assert_eq!(write(&server, &request.body()).status, 204);
    }
    server.kill();
    damage_tail(&server.data_path(), damage);
    server
        .start()
        .expect("the server starts with a damaged tail");

    let stored = server.query("row[5m]", now_ms()).expect("an answer");
    let points = stored
        .series
        .first()
        .map_or(&[][..], |series| &series.points);
    for (row, &(time, value)) in (0..).zip(points) {
        #[expect(clippy::cast_precision_loss)] // small
        let expected = (first + row, row as f64);
        assert_eq!(
            (time, value),
            expected,
            "{damage:?}: what is left is a prefix"
        );
    }
    let kept = i64::try_from(points.len()).expect("few");
    assert!(
        (REQUESTS - 2..REQUESTS).contains(&kept),
        "{damage:?}: {kept} of {REQUESTS} rows left: damage in the last one must show, and take no other"
    );
    // What comes after is safe again.
    let mut request = WriteRequest::default();
    request.push(&labels, [(first + REQUESTS, 1.0)]);
    assert_eq!(write(&server, &request.body()).status, 204);
    server.kill();
    server.start().expect("the server starts again");
    let count = server
        .query("count_over_time(row[5m])", now_ms())
        .expect("an answer");
    #[expect(clippy::cast_precision_loss)] // small
    let expected = kept as f64 + 1.0;
    assert_eq!(count.only_value(), Some(expected), "{damage:?}");

    if is_ferula(&server) {
        let log = server.process().log();
        let warned = log.lines().any(|line| {
            let line = line.to_ascii_lowercase();
            line.contains("warn") && line.contains("torn") && line.contains("bytes=")
        });
        assert!(
            warned,
            "{damage:?}: no warning names the bytes cut from the tail:\n{log}"
        );
    }
}

/// Spoils the last three bytes of the log.
fn damage_tail(data: &Path, damage: Damage) {
    let newest = log_end(data).expect("readable");
    let (log, end) = newest.expect("the server keeps a log");
    let mut file = File::options()
        .read(true)
        .write(true)
        .open(log)
        .expect("the log opens");
    let start = end - 3;
    match damage {
        Damage::CutOff => file.set_len(start).expect("the log can be cut"),
        Damage::Zeroed | Damage::Flipped => {
            let mut bytes = [0; 3];
            if matches!(damage, Damage::Flipped) {
                file.seek(SeekFrom::Start(start)).expect("in range");
                file.read_exact(&mut bytes).expect("readable");
                bytes = bytes.map(|byte| !byte);
            }
            file.seek(SeekFrom::Start(start)).expect("in range");
            file.write_all(&bytes).expect("writable");
        }
    }
}

fn started(config: &str) -> Server {
    let server = Server::ferula().and_then(|server| server.started(config));
    server.expect("the server starts")
}

fn is_ferula(server: &Server) -> bool {
    server.kind() == Kind::Ferula
}

fn peak(process: &Process) -> u64 {
    process.memory().expect("it runs").peak
}

fn write(server: &Server, body: &[u8]) -> Response {
    write_with(server, &remote_write::HEADERS, body)
}

fn write_with(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let request = Request {
        method: "POST",
        path: remote_write::PATH,
        headers,
        body,
    };
    // A server that refuses early may reset the connection before its answer is read.
    let answer = wait_for("an answer to a write", Duration::from_secs(10), || {
        Ok(server.client().send(&request)?)
    });
    answer.expect("an answer, not a crash")
}

fn refused(response: &Response, statuses: &[u16], words: &str) {
    let text = response.text();
    assert!(
        statuses.contains(&response.status),
        "{} with: {text}",
        response.status
    );
    assert!(!text.trim().is_empty(), "an error without words");
    assert!(text.contains(words), "{text}");
}
