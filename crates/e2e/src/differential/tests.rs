//! The comparison finds what is planted.

use ferula_promql::Times;

use super::case::{Case, tree};
use super::compare::{Difference, differences};
use super::explain::directly;
use super::reply::Reply;

const TEXT: &str = "rate(x[5m])";

/// An answer with two floats, a histogram, a warning and an info.
const ANSWER: &str = r#"{"status": "success", "data": {"resultType": "vector", "result": [
    {"metric": {"a": "1"}, "value": [10, "1.5"]},
    {"metric": {"a": "2"}, "value": [10, "NaN"]},
    {"metric": {"a": "3"}, "histogram": [10, {"count": "3", "sum": "5", "buckets": [[0, "1", "2", "3"]]}]}
]}, "warnings": ["PromQL warning: w (1:6)"], "infos": ["PromQL info: i (1:6)"]}"#;

fn case(ferula: (u16, &str), prometheus: (u16, &str)) -> Case {
    let reply = |(status, body)| Reply::parse(status, body).expect("an answer");
    Case {
        text: TEXT.to_owned(),
        times: Times::Instant(10_000),
        expr: tree(TEXT).expect("a query"),
        delayed_names: false,
        ferula: reply(ferula),
        prometheus: reply(prometheus),
    }
}

/// Plants a difference in one of Ferula's answers, and requires that it is found and not excused.
fn planted(from: &str, to: &str) -> Vec<Difference> {
    assert!(ANSWER.contains(from), "{from}");
    let case = case((200, &ANSWER.replacen(from, to, 1)), (200, ANSWER));
    let found = differences(&case);
    assert!(!found.is_empty(), "{from} became {to}, and nobody noticed");
    assert_eq!(directly(&case, &found), None, "{found:?}");
    found
}

#[test]
fn the_same_answer_is_no_difference() {
    assert_eq!(differences(&case((200, ANSWER), (200, ANSWER))), []);
}

#[test]
fn each_planted_difference_is_found() {
    planted("\"1.5\"", "\"1.5000000000000002\"");
    planted("\"NaN\"", "\"0\"");
    planted("\"count\": \"3\"", "\"count\": \"4\"");
    planted("\"sum\": \"5\"", "\"sum\": \"-0\"");
    planted("[0, \"1\", \"2\", \"3\"]", "[1, \"1\", \"2\", \"3\"]");
    planted("[0, \"1\", \"2\", \"3\"]", "");
    planted("{\"a\": \"1\"}", "{\"a\": \"1\", \"b\": \"1\"}");
    planted("[10, \"1.5\"]", "[11, \"1.5\"]");
    planted("\"vector\"", "\"matrix\"");
    let moved = planted("w (1:6)", "w (1:7)");
    assert_eq!(moved.len(), 2, "one that is there and one that is not");
    planted("\"PromQL info: i (1:6)\"", "");
}

#[test]
fn errors_are_compared_word_by_word() {
    let error = r#"{"status": "error", "errorType": "execution", "error": "e"}"#;
    assert_eq!(differences(&case((422, error), (422, error))), []);
    for (status, body) in [
        (400, error),
        (422, &*error.replace("\"e\"", "\"f\"")),
        (200, ANSWER),
    ] {
        assert_eq!(differences(&case((status, body), (422, error))).len(), 1);
    }
}

#[test]
fn a_listed_cause_excuses_nothing_but_itself() {
    let told = |text: &str| ANSWER.replace("PromQL info: i", text);
    let ours = told("PromQL info: it needed to be fixed for monotonicity, from buckets 1 to 2");
    let theirs = told("PromQL info: it needed to be fixed for monotonicity for metric name");
    let same = case((200, &ours), (200, &theirs));
    let found = differences(&same);
    assert!(directly(&same, &found).is_some(), "{found:?}");

    let ours = ours.replace("\"1.5\"", "\"1.6\"");
    let other = case((200, &ours), (200, &theirs));
    let found = differences(&other);
    assert_eq!(directly(&other, &found), None, "{found:?}");
}
