//! Queries made to hurt: each gets a clear, prompt error or a correct answer, in bounded memory,
//! and the server goes on.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use ferula_e2e::http::{Request, Response, encode_form};
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Kind, Server, now_ms, seconds};

/// How many series `x` there are, and how many samples, 15 s apart, each has.
const SERIES: usize = 1_000;
const SAMPLES: i64 = 60;

/// What one query may hold, as the server is told.
const BYTES_MAX: &str = "--query.bytes-max=100MiB";

/// By how much the process may grow while it answers one query: what the query may hold, what is
/// not charged (the text, the plan, the answer's JSON), and memory the allocator keeps.
const GROWTH_MAX: u64 = 256 << 20;

/// What one query may take, as the server is told.
const TIMEOUT: &str = "--query.timeout=5s";

/// When an answer must be there, on a machine that has other things to do as well.
const PROMPT_MAX: Duration = Duration::from_secs(20);

/// The most steps a range query may have is one more.
const INTERVALS_MAX: i64 = 11_000;

/// What a query gets.
#[derive(Clone, Copy, Debug)]
enum Gets {
    /// An answer.
    Answer,
    /// An error with these words; at many steps, a limit may be hit before.
    Error(&'static str),
    /// An answer, or an error that names a limit: that depends on the number of steps and on how
    /// fast the machine is.
    Whatever,
}

use Gets::{Answer, Error, Whatever};

const TOO_DEEP: Gets = Error("nested more than 250 levels deep");
const TOO_MANY: Gets = Error("too many samples");
const TOO_LARGE: Gets = Error("expression too large");

/// The words of the limits a query can run into.
const LIMITS: [&str; 3] = ["--query.bytes-max", "too many samples", "query timed out"];

/// `open` so many times, `inner`, and `close` as often.
fn nested(times: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

fn list(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(separator)
}

/// Long and deep texts.
fn texts() -> Vec<(Gets, String)> {
    const MEGABYTE: usize = 1 << 20;
    let a = "a".repeat(MEGABYTE);
    vec![
        (Answer, a.clone()),
        (Answer, format!("x{{i=\"{a}\"}}")),
        (Answer, format!("1{}", " ".repeat(MEGABYTE))),
        (Answer, format!("1 #{a}")),
        (Error("unexpected <op:%>"), "%$#&".repeat(MEGABYTE / 4)),
        (Error("value out of range"), "1".repeat(MEGABYTE)),
        (
            Error("200000 tokens"),
            list(MEGABYTE / 4, " + ", |_| "1".into()),
        ),
        (Answer, list(39_000, " + ", |_| "vector(1)".into())),
        (Whatever, list(MEGABYTE / 20, " + ", |_| "x".into())),
        (Whatever, list(20_000, " or ", |_| "x".into())),
        (
            Answer,
            format!("sum by ({}) (x)", list(90_000, ",", |i| format!("l{i}"))),
        ),
        (TOO_DEEP, nested(10_000, "(", "x", ")")),
        (TOO_DEEP, "(".repeat(10_000)),
        (TOO_DEEP, nested(10_000, "-", "x", "")),
        (TOO_DEEP, nested(10_000, "sum(", "x", ")")),
    ]
}

/// Patterns that are long, or that other engines take for ever with.
fn patterns() -> Vec<(Gets, String)> {
    let x = |alternatives: String| format!("x{{i=~\"{alternatives}\"}}");
    let long = |pattern: &str| format!("long{{text=~\"{pattern}\"}}");
    vec![
        (Whatever, x(list(100_000, "|", |i| i.to_string()))),
        (TOO_LARGE, x(list(100_000, "|", |i| format!("{i}.*")))),
        (TOO_LARGE, x(r"\\pL\\pN\\pS".repeat(5_000))),
        (Answer, long("(a+)+b")),
        (Answer, long("(a*)*(a*)*(a*)*b")),
        (
            Answer,
            long(&format!("{}{}", "a?".repeat(500), "a".repeat(500))),
        ),
        (Answer, long(".{1,1000}.{1,1000}.{1,1000}b")),
        (Error("invalid repeat count"), long("((a{100}){100}){100}")),
        (Error("invalid repeat count"), long("(.{0,1000}){1000}")),
        (
            Answer,
            r#"label_replace(long, "b", "$1", "text", "(a+)+b")"#.into(),
        ),
        (
            Answer,
            format!(
                r#"label_replace(long, "b", "$1", "text", "{}")"#,
                "(a)".repeat(30_000)
            ),
        ),
    ]
}

/// Numbers at the edges of what there is.
fn numbers() -> Vec<(Gets, String)> {
    let overflows = Error("overflows int64");
    let out_of_range = Error("out of range");
    [
        (Error("not a valid duration"), "x[99999999999999999999y]"),
        (out_of_range, "x offset 999999999999y"),
        (out_of_range, "rate(x[(2^62)])"),
        (out_of_range, "rate(x[9e9 * 9e9])"),
        (out_of_range, "x offset -(2^63)"),
        (Answer, "rate(x[292y] offset 292y)"),
        (Answer, "x @ 9e15 offset -292y"),
        (Error("out of bounds for @"), "x @ 1e300"),
        (overflows, "topk(1e300, x)"),
        (overflows, "limitk(1e300, x)"),
        (Whatever, "topk(9e18, x)"),
        (Answer, "quantile(1e300, x)"),
        (Whatever, "limit_ratio(1e300, x)"),
        (Whatever, "round(x, 1e-320)"),
        (
            Error("invalid smoothing factor"),
            "double_exponential_smoothing(x[5m], 2, 2)",
        ),
    ]
    .map(|(gets, query)| (gets, query.to_owned()))
    .into()
}

/// Small texts with large results on the way.
fn blowups() -> Vec<(Gets, String)> {
    let mut doubled = "x".to_owned();
    for k in 0..11 {
        doubled = format!(r#"({doubled} or label_replace({doubled}, "k{k}", "1", "", ""))"#);
    }
    let template = "$1".repeat(50_000);
    let mut all = vec![
        // Two million series.
        (Error("query"), doubled),
        (
            Error("more than the 16777215 a label may have"),
            format!(r#"label_replace(long, "b", "{template}", "text", "(.*)")"#),
        ),
        // Labels of 2^40 bytes.
        (
            Error("--query.bytes-max"),
            nested(40, "label_replace(", "x", r#", "i", "$1$1", "i", "(.*)")"#),
        ),
        (
            Error("--query.bytes-max"),
            nested(40, "label_join(", "x", r#", "i", "", "i", "i")"#),
        ),
        (
            Whatever,
            nested(60, "max_over_time(", "vector(1)", "[10h:1s])"),
        ),
    ];
    let short = [
        (
            Error("many-to-many matching not allowed"),
            "x * on() group_left() x",
        ),
        (
            Error("grouping labels must ensure unique"),
            "x * on() group_left(i) sum(x)",
        ),
        (TOO_MANY, "max_over_time(x[100y:1ms])"),
        (TOO_MANY, "sum_over_time(vector(1)[100y:1ms])"),
        (TOO_MANY, "absent_over_time(nothing[100y:1ms])"),
        (Whatever, "max_over_time(x[1h:1e-300])"),
        (
            Whatever,
            "max_over_time(max_over_time(max_over_time(x[1h:1s])[1h:1s])[1h:1s])",
        ),
        (Whatever, "quantile_over_time(0.5, vector(1)[7d:1s])"),
        (
            Whatever,
            "max_over_time(count_values(\"v\", time() + x)[1h:10ms])",
        ),
        (Whatever, "count_values(\"v\", rate(x[5m]) * x)"),
        (
            Whatever,
            "histogram_quantiles(x, \"q\", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)",
        ),
        (Whatever, "info(x)"),
        (Whatever, "{__name__=~\".+\"}"),
    ];
    all.extend(short.map(|(gets, query)| (gets, query.to_owned())));
    all
}

#[test]
fn long_and_deep_texts() {
    check(&texts());
}

#[test]
fn patterns_made_to_hurt() {
    check(&patterns());
}

#[test]
fn numbers_at_the_edges() {
    check(&numbers());
}

#[test]
fn small_queries_with_large_results() {
    check(&blowups());
}

#[test]
fn ranges_have_a_bounded_number_of_steps() {
    let (server, now) = started();
    let ask = |intervals: i64| {
        let (start, end) = (seconds(now - intervals * 1000), seconds(now));
        let form = [
            ("query", "count(x)"),
            ("start", &start),
            ("end", &end),
            ("step", "1"),
        ];
        let asked = server.client().post_form("/api/v1/query_range", &form);
        asked.expect("an answer")
    };
    let most = ask(INTERVALS_MAX);
    assert_eq!(most.status, 200, "{}", most.text());
    let more = ask(INTERVALS_MAX + 1);
    assert_eq!(more.status, 400);
    assert!(
        more.text()
            .contains("exceeded maximum resolution of 11,000 points"),
        "{}",
        more.text()
    );
}

#[test]
fn requests_have_a_bounded_length() {
    let (server, _) = started();
    if server.kind() != Kind::Ferula {
        return;
    }
    let form = encode_form(&[("query", &"a".repeat(1 << 20))]);
    let path = format!("/api/v1/query?{form}");
    // A server that refuses early may close the connection before the rest is sent.
    if let Ok(response) = server.client().get(&path) {
        assert!(matches!(response.status, 414 | 431), "{}", response.status);
    }
    let query = "a".repeat(11 << 20);
    if let Ok(response) = server
        .client()
        .post_form("/api/v1/query", &[("query", &query)])
    {
        assert!(response.text().contains("at most 10485760 bytes"));
    }
    let count = server.query("count(x)", now_ms()).expect("an answer");
    assert_eq!(count.only_value(), Some(SERIES as f64));
}

/// Asks for each query at one instant, at as many steps as there may be, formatted and as a tree.
fn check(queries: &[(Gets, String)]) {
    let (mut server, now) = started();
    if server.kind() != Kind::Ferula {
        return; // the reference computes for minutes
    }
    let (start, end) = (seconds(now - INTERVALS_MAX * 1000), seconds(now));
    for (gets, query) in queries {
        let shown: String = query.chars().take(100).collect();
        let instant = [("query", query.as_str()), ("time", &end)];
        let range = [
            ("query", query.as_str()),
            ("start", &start),
            ("end", &end),
            ("step", "1"),
        ];
        for (path, form) in [
            ("query", &instant[..]),
            ("query_range", &range[..]),
            ("format_query", &instant[..1]),
            ("parse_query", &instant[..1]),
        ] {
            let response = ask(&mut server, path, form, &shown);
            let text = response.text();
            let evaluated = path.starts_with("query");
            let limited = LIMITS.iter().any(|words| text.contains(words));
            let fits = match gets {
                // A type that has no range, or no answer at all: it is refused as what it is.
                _ if !evaluated => matches!(response.status, 200 | 400),
                Answer => response.status == 200,
                Error(words) if text.contains(&escaped(words)) => response.status != 200,
                Error(_) if path == "query" => false,
                Error(_) => limited,
                Whatever => response.status == 200 || limited,
            };
            let start: String = text.chars().take(300).collect();
            assert!(fits, "{path} {shown}: {} {start}", response.status);
        }
    }
    let count = server.query("count(x)", now).expect("the server goes on");
    assert_eq!(count.only_value(), Some(SERIES as f64));
    let log = server.process().log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Asks, and checks what every answer must be like.
fn ask(server: &mut Server, path: &str, form: &[(&str, &str)], shown: &str) -> Response {
    server.process().restart_peak().expect("it runs");
    let before = server.process().memory().expect("it runs").resident;
    let begun = Instant::now();
    let asked = server.client().post_form(&format!("/api/v1/{path}"), form);
    let took = begun.elapsed();
    let response = asked.unwrap_or_else(|e| panic!("{path} {shown}: {e}"));
    let peak = server.process().memory().expect("it runs").peak;
    let grown = peak.saturating_sub(before);
    assert!(took < PROMPT_MAX, "{path} {shown}: took {took:?}");
    assert!(grown < GROWTH_MAX, "{path} {shown}: took {grown} bytes");
    let text = response.text();
    assert!(
        matches!(response.status, 200 | 400 | 422 | 503),
        "{path} {shown}: {}",
        response.status
    );
    assert!(!text.contains("unexpected error"), "{path} {shown}: {text}");
    response
}

/// Words as they stand in JSON that may stand in a page.
fn escaped(words: &str) -> String {
    words.replace('<', "\\u003c").replace('>', "\\u003e")
}

/// A server with series, and the time of their newest samples.
fn started() -> (Server, i64) {
    let mut server = Server::ferula().expect("the server builds");
    server.add_arguments(&[
        "--enable-feature=promql-experimental-functions",
        BYTES_MAX,
        TIMEOUT,
    ]);
    let server = server.started("").expect("the server starts");
    let now = now_ms() / 1000 * 1000;
    let mut request = WriteRequest::default();
    for i in 0..SERIES {
        let labels = [("__name__", "x"), ("i", &i.to_string())];
        #[expect(clippy::cast_precision_loss)] // small
        let samples = (0..SAMPLES).map(|k| (now - (SAMPLES - 1 - k) * 15_000, k as f64));
        request.push(&EncodedLabels::new(labels), samples);
    }
    let text = "a".repeat(100_000);
    let labels = [("__name__", "long"), ("text", &text)];
    request.push(&EncodedLabels::new(labels), [(now, 1.0)]);
    let written = server.client().send(&Request {
        method: "POST",
        path: remote_write::PATH,
        headers: &remote_write::HEADERS,
        body: &request.body(),
    });
    let written = written.expect("an answer");
    assert_eq!(written.status, 204, "{}", written.text());
    (server, now)
}
