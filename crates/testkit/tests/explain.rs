//! Plans as text: as they follow from a query, and measured after they ran.

use ferula_env::SystemClock;
use ferula_model::TenantId;
use ferula_promql::{Engine, EngineOptions, Explanation, QueryParams, Times};
use ferula_testkit::{MemStore, parse_series};

fn store() -> MemStore {
    let mut store = MemStore::new();
    for line in [
        r#"a_total{job="x",i="1"} 0+1x40"#,
        r#"a_total{job="x",i="2"} 0+2x40"#,
        r#"a_total{job="y",i="1"} 0+3x40"#,
        r#"b{job="x",i="1"} 5x40"#,
        r#"b{job="y",i="1"} _ 5x10"#,
    ] {
        store.load(&parse_series(line).expect("a series"), 15_000);
    }
    store
}

/// Runs a query from 5 to 10 minutes, a step a minute.
fn explain(query: &str) -> Explanation {
    let engine = Engine::new(EngineOptions::prometheus(), SystemClock::shared());
    let query = engine.parse(query).expect("a query");
    let params = QueryParams {
        explain: true,
        ..QueryParams::default()
    };
    let times = Times::Range {
        start: 300_000,
        end: 600_000,
        step_ms: 60_000,
    };
    let tenant = TenantId::anonymous();
    let store = store();
    let running = engine.run(&store, &tenant, &query, times, &params);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(running);
    result
        .expect("a result")
        .explanation
        .expect("an explanation")
}

fn check_plan(query: &str, expected: &str) {
    assert_eq!(explain(query).plan.trim(), expected.trim(), "{query}");
}

fn check(query: &str, expected: &str) {
    let ran: String = explain(query).ran.iter().map(ToString::to_string).collect();
    assert_eq!(ran.trim(), expected.trim(), "{query}");
}

#[test]
fn plans_follow_the_text() {
    check_plan(
        r#"sum by (job) (rate(a_total{i!="3"}[5m] offset 1m)) / on (job) group_left () b > 1"#,
        r#"
operators
  sum by (job)
    rate
      a_total{i!="3"}[5m] offset 1m (selection 1)
  / on (job) group_left ()
    b (selection 2)
  >
    1
"#,
    );
    check_plan(
        "clamp(max_over_time(b[3m:1m] @ 400), 1, time()) + scalar(topk(2, b))",
        r"
operators
  clamp
    once for all steps
      max_over_time
        subquery [3m:1m] @ 400, 3 steps
          b (selection 1)
    1
    time
  +
    scalar
      topk
        b (selection 2)
        2
",
    );
}

#[test]
fn nodes_are_measured() {
    check(
        r#"sum by (job) (rate(a_total[5m])) * on (job) b"#,
        r"
operators: 2 series of 4, 9 values
  sum by (job): 2 series of 3, 12 values
    rate: 3 series, 18 values
      a_total[5m] (selection 1): 3 series, 120 values
  * on (job): 2 series, 9 values
    b (selection 2): 2 series, 9 values
",
    );
    check(
        "-b > 3",
        r"
operators: 0 series of 2, 0 values
  -: 2 series, 9 values
    b (selection 1): 2 series, 9 values
  >
    3
",
    );
}

#[test]
fn what_stands_in_several_places_is_computed_once() {
    check(
        "sum(b) / count(b) + sum(b)",
        r"
shared 1 = b (selection 1): 2 series, 9 values
shared 2 = sum: 1 series of 2, 6 values
  shared 1: 2 series, 9 values
operators: 1 series of 3, 6 values
  shared 2: 1 series, 6 values
  /: 1 series, 6 values
    count: 1 series of 2, 6 values
      shared 1: 2 series, 9 values
  +: 1 series, 6 values
    shared 2: 1 series, 6 values
",
    );
    // Not the same: another time, another range, another subquery grid.
    let apart = explain("b + b offset 1m + max_over_time(b[5m]) + max_over_time(b[5m:30s])");
    assert_eq!(apart.ran.len(), 1);
    // Yet all of it is one selection.
    assert!(
        !apart.ran[0].to_string().contains("selection 2"),
        "{apart:?}"
    );
    // What lies far apart is selected apart.
    assert!(
        explain("b - b offset 1w").ran[0]
            .to_string()
            .contains("selection 2")
    );
}
