//! Several threads give the same answers as one, to the last bit.

use ferula_env::SystemClock;
use ferula_model::TenantId;
use ferula_promql::{Engine, EngineOptions, QueryParams, QueryValue, Times};
use ferula_testkit::{MemStore, parse_series};

/// Enough samples for several threads to be used: 600,000.
fn store() -> MemStore {
    let mut store = MemStore::new();
    for i in 0..300 {
        let (group, step) = (i % 7, 0.1 + f64::from(i) / 3.0);
        let name = if i % 50 == 49 { "y_total" } else { "x_total" };
        let line = format!(
            "{name}{{i=\"{i}\",group=\"{group}\"}} 0+{step}x{} stale 0+{step}x999",
            1_000 - i
        );
        store.load(&parse_series(&line).expect("a series"), 15_000);
    }
    store
}

#[test]
fn several_threads_give_the_same_bits() {
    let store = store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let run = |threads_max: usize, query: &str| -> String {
        let options = EngineOptions {
            threads_max,
            ..EngineOptions::prometheus()
        };
        let engine = Engine::new(options, SystemClock::shared());
        let query = engine.parse(query).expect("a query");
        let times = Times::Range {
            start: 0,
            end: 30_000_000,
            step_ms: 300_000,
        };
        let (params, tenant) = (QueryParams::default(), TenantId::anonymous());
        let result = runtime.block_on(engine.run(&store, &tenant, &query, times, &params));
        match result {
            Ok(result) => match result.value {
                QueryValue::Matrix(series) if !series.is_empty() => {
                    format!("{series:?} {:?} {:?}", result.warnings, result.infos)
                }
                other => panic!("{other:?}"),
            },
            Err(error) => error.to_string(),
        }
    };
    for query in [
        "sum by (group) (rate(x_total[5m]))",
        "avg(x_total)",
        "x_total - x_total offset 1h",
        "stddev by (group) (increase(x_total[1h]))",
        "topk(3, deriv(x_total[10m]))",
        // The same labels once names are gone: the same error, however many threads.
        "rate({__name__=~\"x_total|y_total\",i=~\"4.|48|49\"}[5m])",
        "label_replace(timestamp(x_total), \"i\", \"\", \"\", \"\")",
    ] {
        let alone = run(1, query);
        for threads in [2, 5] {
            assert!(
                alone == run(threads, query),
                "{query} with {threads} threads"
            );
        }
    }
}
