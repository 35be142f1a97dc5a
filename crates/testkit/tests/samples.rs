//! How many samples queries look at and read, in all and at each step.

use ferula_env::SystemClock;
use ferula_model::TenantId;
use ferula_promql::{Engine, EngineOptions, QueryParams, QueryStats, Times};
use ferula_testkit::{MemStore, parse_series};

/// Two series with a sample every 15 s from 0 to 150 s, and a native histogram that counts as 11
/// and as 12 with its bucket.
fn store() -> MemStore {
    let mut store = MemStore::new();
    for line in [
        "x{i=\"0\"} 0+1x10",
        "x{i=\"1\"} 0 _ 2+1x8",
        "h {{schema:0 count:1 sum:1 buckets:[1]}}x10",
    ] {
        store.load(&parse_series(line).expect("a series"), 15_000);
    }
    store
}

fn stats(query: &str, times: Times, step_stats: bool) -> QueryStats {
    let options = EngineOptions {
        per_step_stats: true,
        ..EngineOptions::prometheus()
    };
    let engine = Engine::new(options, SystemClock::shared());
    let params = QueryParams {
        step_stats,
        ..QueryParams::default()
    };
    let query = engine.parse(query).expect("PromQL");
    let (store, tenant) = (store(), TenantId::anonymous());
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(engine.run(&store, &tenant, &query, times, &params))
        .expect("an answer")
        .stats
}

/// At 60, 90 and 120 s: `looked at/read` in all, then by step.
fn range(query: &str) -> String {
    let times = Times::Range {
        start: 60_000,
        end: 120_000,
        step_ms: 30_000,
    };
    let stats = stats(query, times, true);
    let steps = stats.steps.as_deref().expect("steps");
    let at = steps.iter().map(|step| step.timestamp);
    assert!(at.eq([60_000, 90_000, 120_000]), "{steps:?}");
    let steps = steps.iter().map(|s| format!(" {}/{}", s.total, s.read));
    let all = format!("{}/{}:", stats.samples_total, stats.samples_read);
    all + &steps.collect::<String>()
}

fn instant(query: &str) -> (u64, u64) {
    let stats = stats(query, Times::Instant(60_000), false);
    assert_eq!(stats.steps, None);
    (stats.samples_total, stats.samples_read)
}

#[test]
fn instant_selectors_read_what_they_see() {
    assert_eq!(range("x"), "6/6: 2/2 2/2 2/2");
    assert_eq!(range("timestamp(x)"), "6/6: 2/2 2/2 2/2");
    assert_eq!(range("x offset 10m"), "0/0: 0/0 0/0 0/0");
    assert_eq!(range("x offset 75s"), "4/4: 0/0 2/2 2/2");
    assert_eq!(range("h"), "36/36: 12/12 12/12 12/12");
    assert_eq!(range("vector(1)"), "0/0: 0/0 0/0 0/0");
}

#[test]
fn windows_that_overlap_read_what_is_new() {
    // A minute holds four samples, and two of them are new after half a minute.
    assert_eq!(range("rate(x{i=\"0\"}[1m])"), "12/8: 4/4 4/2 4/2");
    assert_eq!(range("rate(h[1m])"), "144/96: 48/48 48/24 48/24");
    assert_eq!(range("changes(x{i=\"0\"}[10s])"), "3/3: 1/1 1/1 1/1");
    assert_eq!(
        range("absent_over_time(x{i=\"0\"}[1m])"),
        "12/8: 4/4 4/2 4/2"
    );
    assert_eq!(instant("rate(x[1m])"), (7, 7));
    assert_eq!(instant("x[1m]"), (7, 7));
}

#[test]
fn what_does_not_change_is_read_once() {
    assert_eq!(range("x @ 60"), "6/2: 2/2 2/0 2/0");
    assert_eq!(
        range("sum(rate(x{i=\"0\"}[1m] @ 60)) + x"),
        "18/10: 6/6 6/2 6/2"
    );
}

#[test]
fn subqueries_count_where_they_are_looked_at() {
    // Points at 20, 40 and 60 s, then three points of which two and one are new.
    assert_eq!(
        range("sum_over_time(x{i=\"0\"}[1m:20s])"),
        "9/6: 3/3 3/1 3/2"
    );
    assert_eq!(
        range("sum_over_time(rate(x{i=\"0\"}[1m])[1m:20s])"),
        "9/6: 3/3 3/1 3/2"
    );
    assert_eq!(instant("x{i=\"0\"}[1m:20s]"), (3, 3));
    assert_eq!(instant("rate(x{i=\"0\"}[1m])[1m:20s]"), (9, 5));
    assert_eq!(instant("(x{i=\"0\"} @ 30)[1m:20s]"), (3, 1));
}

#[test]
fn what_is_computed_once_counts_in_every_place() {
    assert_eq!(range("x + x"), "12/12: 4/4 4/4 4/4");
    let twice = "rate(x{i=\"0\"}[1m]) / rate(x{i=\"0\"}[1m])";
    assert_eq!(range(twice), "24/16: 8/8 8/4 8/4");
    assert_eq!(range("sum(x + x) / count(x + x)"), "24/24: 8/8 8/8 8/8");
}
