//! Queries as text and as trees, and the errors of queries that are none.
#![allow(clippy::disallowed_methods)]

use ferula_e2e::http::encode_form;
use ferula_e2e::server::{Kind, Server};
use serde_json::{Value, json};

/// Flags that later releases of Prometheus understand; the packaged ones may not.
const FLAGS: &str = "--enable-feature=promql-experimental-functions,\
    promql-extended-range-selectors,promql-binop-fill-modifiers";

fn started() -> Server {
    let mut server = Server::ferula().expect("the server builds");
    server.add_arguments(&[FLAGS]);
    server.started("").expect("the server starts")
}

/// Asks with both methods, which must agree; the answer is the status and the body.
fn ask(server: &Server, path: &str, query: &str) -> (u16, Value) {
    let path = format!("/api/v1/{path}");
    let form = [("query", query)];
    let mut client = server.client();
    let got = client
        .get(&format!("{path}?{}", encode_form(&form)))
        .expect("an answer to GET");
    let posted = client.post_form(&path, &form).expect("an answer to POST");
    assert_eq!((got.status, got.text()), (posted.status, posted.text()));
    let body = serde_json::from_str(&got.text()).expect("JSON");
    (got.status, body)
}

#[test]
fn queries_are_formatted_parsed_and_refused() {
    let server = started();
    let data = |path: &str, query: &str| {
        let (status, body) = ask(&server, path, query);
        assert_eq!(
            (status, &body["status"]),
            (200, &json!("success")),
            "{body}"
        );
        body["data"].clone()
    };
    let error = |path: &str, query: &str| {
        let (status, body) = ask(&server, path, query);
        assert_eq!(
            (status, &body["errorType"]),
            (400, &json!("bad_data")),
            "{body}"
        );
        body["error"].clone()
    };

    assert_eq!(data("format_query", "foo/bar<5"), "foo / bar < 5");
    let long = "a".repeat(60);
    assert_eq!(
        data("format_query", &format!("SUM({long} - {long}) BY (x)")),
        format!("sum by (x) (\n    {long}\n  -\n    {long}\n)")
    );
    assert_eq!(
        data("parse_query", r#"-sum(foo{a=~"<b>"}) by (x)"#)["expr"]["expr"]["matchers"],
        json!([
            {"name": "a", "type": "=~", "value": "<b>"},
            {"name": "__name__", "type": "=", "value": "foo"},
        ])
    );
    for path in ["format_query", "parse_query", "query"] {
        assert_eq!(
            error(path, "foo bar"),
            r#"invalid parameter "query": 1:5: parse error: unexpected identifier "bar""#
        );
        assert_eq!(
            error(path, ""),
            r#"invalid parameter "query": unknown position: parse error: no expression found in input"#
        );
    }
    if server.kind() != Kind::Ferula {
        return;
    }

    assert_eq!(
        data("format_query", "foo[step()*2]smoothed"),
        "foo[step() * 2] smoothed"
    );
    assert_eq!(
        data("parse_query", "foo + fill(0) bar")["matching"]["fillValues"],
        json!({"lhs": 0, "rhs": 0})
    );
    // A query's times decide whether a duration makes sense; the tree has none.
    let none_long = "rate(foo[step()])";
    assert_eq!(
        data("parse_query", none_long)["args"][0]["rangeExpr"]["op"],
        "step"
    );
    assert_eq!(
        error("query", none_long),
        r#"invalid parameter "query": 9:15: duration must be greater than 0"#
    );
}
