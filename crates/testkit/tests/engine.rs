//! The engine's limits: samples, time, cancelling, stores that fail, queries built to hurt.

use std::sync::Arc;
use std::time::Duration;

use ferula_env::{Clock, ManualClock, SystemClock};
use ferula_model::{Labels, Range, TenantId};
use ferula_promql::{
    CancelToken, Engine, EngineOptions, QueryError, QueryParams, QueryResult, QueryValue, Stage,
};
use ferula_storage::{
    Columns, LabelQuery, Select, SelectError, SelectRequest, Selected, SelectedSeries, SeriesSource,
};
use ferula_testkit::{MemStore, parse_series};
use futures::FutureExt;
use futures::future::BoxFuture;

fn store() -> MemStore {
    let mut store = MemStore::new();
    for i in 0..10 {
        let line = format!("x{{i=\"{i}\"}} 0+{i}x1000");
        store.load(&parse_series(&line).expect("a series"), 15_000);
    }
    store
}

fn engine(options: EngineOptions) -> Engine {
    Engine::new(options, SystemClock::shared())
}

/// Runs a query at 1000 s, on a runtime like the server's.
fn run(
    engine: &Engine,
    select: &dyn Select,
    query: &str,
    params: &QueryParams,
) -> Result<QueryResult, QueryError> {
    let tenant = TenantId::anonymous();
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(engine.instant(select, &tenant, query, 1_000_000, params))
}

fn text(result: Result<QueryResult, QueryError>) -> String {
    result.expect_err("should fail").to_string()
}

/// What a [`Hook`] does whenever a series is decoded.
type OnDecode = Arc<dyn Fn() -> Result<(), SelectError> + Send + Sync>;

/// A store that does something else first.
struct Hook {
    store: MemStore,
    on_decode: OnDecode,
    fails: bool,
}

impl Hook {
    fn on_decode(hook: impl Fn() -> Result<(), SelectError> + Send + Sync + 'static) -> Self {
        Self {
            store: store(),
            on_decode: Arc::new(hook),
            fails: false,
        }
    }
}

struct HookedSource(OnDecode, Arc<dyn SeriesSource>);

impl SeriesSource for HookedSource {
    fn decode(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError> {
        (self.0)()?;
        self.1.decode(range, columns)
    }
}

impl Select for Hook {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        let answer = self.store.select(request);
        async move {
            if self.fails {
                let why = "starting".to_owned();
                return Err(SelectError::Unavailable { why });
            }
            let mut selected = answer.await?;
            selected.warnings.push("one part is missing".to_owned());
            for series in &mut selected.series {
                let SelectedSeries { source, .. } = series;
                *source = Arc::new(HookedSource(Arc::clone(&self.on_decode), source.clone()));
            }
            Ok(selected)
        }
        .boxed()
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        self.store.series(query)
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        self.store.label_names(query)
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        self.store.label_values(name, query)
    }
}

#[test]
fn bytes_are_limited_for_each_query_and_for_all() {
    // 10 series of 7 days at 1 s: 48 MiB as a vector of all steps.
    let wide = "x + 0 * count_over_time(x[7d:1s])";
    let engine_of = |bytes_max, bytes_max_total| {
        engine(EngineOptions {
            bytes_max,
            bytes_max_total,
            ..EngineOptions::prometheus()
        })
    };
    let params = QueryParams::default();
    let enough = engine_of(64 << 20, 64 << 20);
    let held = run(&enough, &store(), wide, &params).expect("enough memory");
    assert!(held.stats.bytes_peak > 4 << 20, "{:?}", held.stats);
    assert!(enough.bytes_held() > 0, "the answer takes memory");
    drop(held);
    assert_eq!(enough.bytes_held(), 0);

    for (engine, flag) in [
        (engine_of(4 << 20, 64 << 20), "(--query.bytes-max)"),
        (engine_of(64 << 20, 4 << 20), "(--query.bytes-max-total)"),
    ] {
        let error = text(run(&engine, &store(), wide, &params));
        assert!(error.contains(flag), "{error}");
        assert!(error.contains("10 series"), "{error}");
        assert_eq!(engine.bytes_held(), 0, "a failed query holds nothing");
        assert!(run(&engine, &store(), "sum(x)", &params).is_ok());
    }
}

#[test]
fn samples_are_limited_before_memory_is_taken() {
    let options = EngineOptions {
        samples_max: 5_000,
        experimental_functions: true,
        ..EngineOptions::prometheus()
    };
    let engine = engine(options);
    for query in [
        "count_over_time(x[1000y:1ms])",
        "count(x[1d:1s])",
        "sum_over_time((x and x)[10m:1s])",
        "absent_over_time(vector(1)[292y:1ms])",
        "max_over_time(count_values(\"v\", time() + x)[600s:1s])",
    ] {
        match run(&engine, &store(), query, &QueryParams::default()) {
            Err(QueryError::TooManySamples | QueryError::Parse(_)) => {}
            other => panic!("{query}: {other:?}"),
        }
    }
    for query in [
        "sum(x)",
        "topk(9e18, x)",
        "limitk(1e18, x)",
        "sum(rate(x[1h]))",
    ] {
        let result = run(&engine, &store(), query, &QueryParams::default());
        let stats = result.unwrap_or_else(|e| panic!("{query}: {e}")).stats;
        assert!(
            stats.samples_peak > 0 && stats.samples_peak <= 5_000,
            "{query}: {stats:?}"
        );
    }
}

#[test]
fn time_runs_out_between_series() {
    let clock = ManualClock::at(0);
    let hook = {
        let clock = Arc::clone(&clock);
        Hook::on_decode(move || {
            clock.advance(Duration::from_secs(50));
            Ok(())
        })
    };
    let engine = Engine::new(EngineOptions::prometheus(), clock as Arc<dyn Clock>);
    let params = QueryParams::default();
    let error = run(&engine, &hook, "sum(x)", &params).expect_err("should time out");
    assert!(matches!(error, QueryError::Timeout(Stage::Evaluation)));
    assert_eq!(
        error.to_string(),
        "query timed out in expression evaluation"
    );
    assert!(run(&engine, &hook, r#"sum(x{i="1"})"#, &params).is_ok());
    let short = QueryParams {
        timeout: Some(Duration::from_secs(40)),
        ..params
    };
    assert!(run(&engine, &hook, r#"sum(x{i=~"1|2"})"#, &short).is_err());
}

/// One series can be enough to compute for minutes.
#[test]
fn time_runs_out_within_a_series() {
    let clock = ManualClock::at(0);
    let hook = {
        let clock = Arc::clone(&clock);
        Hook::on_decode(move || {
            clock.advance(Duration::from_secs(150));
            Ok(())
        })
    };
    let engine = Engine::new(EngineOptions::prometheus(), clock as Arc<dyn Clock>);
    let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
    for query in [
        r#"quantile_over_time(0.5, x{i="1"}[1d])"#,
        r#"rate(x{i="1"}[1d])"#,
    ] {
        let run = |step_ms| {
            let range = engine.range(
                &hook, &tenant, query, 15_000_000, 26_000_000, step_ms, &params,
            );
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            runtime.expect("a runtime").block_on(range)
        };
        let error = run(1_000).expect_err("should time out");
        assert!(
            matches!(error, QueryError::Timeout(Stage::Evaluation)),
            "{error}"
        );
        assert!(run(10_000_000).is_ok(), "two steps are done at once");
    }
}

#[test]
fn labels_grow_within_bounds() {
    let options = EngineOptions {
        bytes_max: 10 << 20,
        ..EngineOptions::prometheus()
    };
    let (engine, params) = (engine(options), QueryParams::default());
    let doubled = |function: &str, rest: &str, times: usize| {
        let (open, close) = (format!("{function}(").repeat(times), rest.repeat(times));
        format!("{open}x{close}")
    };
    for (function, rest) in [
        ("label_replace", r#", "i", "$1$1", "i", "(.*)")"#),
        ("label_join", r#", "i", "", "i", "i")"#),
    ] {
        let fine = doubled(function, rest, 10);
        assert!(run(&engine, &store(), &fine, &params).is_ok(), "{fine}");
        let error = text(run(
            &engine,
            &store(),
            &doubled(function, rest, 22),
            &params,
        ));
        assert!(error.contains("--query.bytes-max"), "{error}");
    }
    let template = "$1".repeat(20_000);
    let long = "a".repeat(1_000);
    let query = format!(
        r#"label_replace(label_replace(x, "a", "{long}", "", ""), "a", "{template}", "a", "(.*)")"#
    );
    let error = text(run(&engine, &store(), &query, &params));
    assert!(
        error.contains("20000000 bytes, more than the 16777215"),
        "{error}"
    );
}

#[test]
fn queries_can_be_stopped() {
    let cancel = CancelToken::default();
    let params = QueryParams {
        cancel: cancel.clone(),
        ..QueryParams::default()
    };
    let engine = engine(EngineOptions::prometheus());
    let hook = Hook::on_decode(move || {
        cancel.cancel();
        Ok(())
    });
    let during = text(run(&engine, &hook, "sum(x)", &params));
    assert_eq!(during, "query was canceled in expression evaluation");
    let before = text(run(&engine, &hook, "sum(x)", &params));
    assert_eq!(before, "query was canceled in query execution");
}

#[test]
fn failing_stores_fail_the_query_alone() {
    let engine = engine(EngineOptions::prometheus());
    let params = QueryParams::default();
    let damaged = Hook::on_decode(|| {
        let what = "chunk 7".to_owned();
        Err(SelectError::Corrupt { what })
    });
    let error = text(run(&engine, &damaged, "x", &params));
    assert_eq!(error, "expanding series: damaged data: chunk 7");

    let away = Hook {
        fails: true,
        ..Hook::on_decode(|| Ok(()))
    };
    let error = text(run(&engine, &away, "x", &params));
    assert_eq!(error, "expanding series: cannot be read now: starting");

    let panics = Hook::on_decode(|| panic!("out of cheese"));
    let error = text(run(&engine, &panics, "x", &params));
    assert_eq!(error, "unexpected error: out of cheese");

    let fine = Hook::on_decode(|| Ok(()));
    let result = run(&engine, &fine, "x + x offset 1m", &params).expect("works");
    assert_eq!(result.warnings, ["one part is missing"]);
}

#[test]
fn deep_and_long_queries_need_no_stack() {
    let engine = engine(EngineOptions::prometheus());
    let store = store();
    let params = QueryParams::default();
    let x = r#"x{i="1"}"#;
    // As deep as the parser lets through.
    let nested = |open: &str, inner: &str, close: &str| {
        (1..=ferula_promql::syntax::DEPTH_MAX)
            .rev()
            .map(|depth| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)))
            .find(|query| engine.parse(query).is_ok())
            .expect("some depth is fine")
    };
    let queries = [
        nested("(", x, ")"),
        nested("abs(", x, ")"),
        nested("sum(", x, ")"),
        nested("-(", x, ")"),
        nested("scalar(vector(", "1", "))"),
        nested("1 + (", x, ")"),
        nested("x or (", "x", ")"),
        nested("x + (", "x", ")"),
        nested("1 + (", "1", ")"),
        nested("max_over_time(", x, "[1m:1m])"),
        nested("absent(", x, ")"),
        nested("topk(1, ", x, ")"),
        nested("sort(", x, ")"),
        nested("label_replace(", x, ", \"a\", \"b\", \"c\", \"d\")"),
        vec!["1"; 20_000].join(" + "),
        vec![x; 2_000].join(" + "),
        format!("{x}{}", " + 1".repeat(20_000)),
        format!("1{}", format!(" + 1 + {x}").repeat(500)),
    ];
    for query in queries {
        let result = run(&engine, &store, &query, &params);
        let start: String = query.chars().take(60).collect();
        assert!(result.is_ok(), "{start}: {:?}", result.err());
    }
}

#[test]
fn extreme_times_do_not_overflow() {
    let engine = engine(EngineOptions::prometheus());
    let store = store();
    let params = QueryParams::default();
    let tenant = TenantId::anonymous();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    for time in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        for query in [
            "x",
            "x offset 200y",
            "x offset -200y",
            "rate(x[100y])",
            "predict_linear(x[100y], 1e300)",
            "sum_over_time(x[1h:1m] offset -100y)",
            "x @ 9e15",
            "rate(x[5m] @ -9e15 offset 290y)",
            "timestamp(x)",
            "time()",
            "year()",
        ] {
            let done = runtime.block_on(engine.instant(&store, &tenant, query, time, &params));
            assert!(done.is_ok(), "{query} at {time}: {done:?}");
        }
        let range = engine.range(
            &store,
            &tenant,
            "x",
            time,
            time.saturating_add(5),
            1,
            &params,
        );
        assert!(runtime.block_on(range).is_ok());
    }
}

#[test]
fn what_is_no_query_says_so() {
    let engine = engine(EngineOptions::prometheus());
    let params = QueryParams::default();
    let error = run(&engine, &store(), "sum(x", &params).expect_err("should fail");
    assert!(matches!(&error, QueryError::Parse(text) if text.contains("parse error: ")));
    let tenant = TenantId::anonymous();
    let empty = MemStore::new();
    let range = |query| {
        let range = engine.range(&empty, &tenant, query, 0, 10, 1, &params);
        futures::executor::block_on(range).expect_err("should fail")
    };
    assert_eq!(
        range("x[5m]").to_string(),
        r#"invalid expression type "range vector" for range query, must be Scalar or instant Vector"#
    );
    assert!(matches!(range("\"text\""), QueryError::Parse(_)));
}

#[test]
fn samples_looked_at_are_counted_at_every_step() {
    let engine = engine(EngineOptions::prometheus());
    let params = QueryParams::default();
    let result = run(&engine, &store(), "rate(x[1m])", &params).expect("works");
    assert_eq!((result.stats.samples_total, result.stats.series), (40, 10));
    assert!(matches!(result.value, QueryValue::Vector(v) if v.len() == 10));
    assert_eq!(engine.active_count(), 0);
}
