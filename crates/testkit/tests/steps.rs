//! A step of a range query yields what an instant query at its time yields: the engine computes
//! all steps of a series at once, and must not let one step look at another.

use std::collections::BTreeMap;

use ferula_env::SystemClock;
use ferula_model::{Labels, TenantId, Timestamp, stale_marker};
use ferula_promql::{Engine, EngineOptions, QueryParams, QueryValue};
use ferula_testkit::MemStore;
use proptest::prelude::*;
use proptest::test_runner::Config;

/// Queries without ties: equal values would leave the choice to the order of series.
const QUERIES: &[&str] = &[
    "m",
    "m offset 17s",
    "m offset -1m",
    "m @ 100",
    "-m",
    "abs(m) * 2 > 5",
    "timestamp(m)",
    "rate(m[1m])",
    "increase(m[43s] offset 10s)",
    "delta(m[2m])",
    "irate(m[1m])",
    "idelta(m[1m])",
    "sum_over_time(m[1m])",
    "avg_over_time(m[50s])",
    "min_over_time(m[1m]) + max_over_time(m[1m])",
    "stddev_over_time(m[2m])",
    "quantile_over_time(0.3, m[1m])",
    "changes(m[2m]) + resets(m[2m])",
    "count_over_time(m[30s])",
    "last_over_time(m[1m]) - first_over_time(m[1m])",
    "deriv(m[1m])",
    "predict_linear(m[1m], 30)",
    "predict_linear(m[1m] @ 100, 30)",
    "absent(m)",
    "absent_over_time(m[20s])",
    "sum(m)",
    "sum by (a) (rate(m[1m]))",
    "avg without (a) (m)",
    "stdvar by (b) (m)",
    "count by (a) (m > 2)",
    "quantile(0.7, m)",
    "topk(2, m + time() / 1e9)",
    "bottomk by (a) (1, m)",
    "count_values(\"v\", m)",
    "limitk(2, m)",
    "limit_ratio(0.5, m)",
    "m + n",
    "m / on(a) group_left n",
    "m and n",
    "m or n",
    "m unless on(b) n",
    "m == bool n",
    "max_over_time(sum(m)[1m:13s])",
    "sum_over_time(rate(m[30s])[1m:10s] offset 5s)",
    "count_over_time(m[50s:7s] @ 130)",
    "label_replace(m, \"c\", \"$1\", \"a\", \"(.)\")",
    "scalar(sum(m)) + n",
    "clamp(m, 0, time() / 60)",
];

type Points = BTreeMap<(Labels, Timestamp), u64>;

struct World {
    engine: Engine,
    store: MemStore,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(series: &[Vec<(i64, f64)>], delayed_name_removal: bool) -> Self {
        let options = EngineOptions {
            experimental_functions: true,
            delayed_name_removal,
            ..EngineOptions::prometheus()
        };
        let mut store = MemStore::new();
        for (i, samples) in series.iter().enumerate() {
            let (name, a, b) = (["m", "n"][i % 2], i / 2 % 2, i / 4);
            let labels = Labels::from_pairs([
                ("__name__", name.to_owned()),
                ("a", a.to_string()),
                ("b", b.to_string()),
            ]);
            let mut time = 0;
            for &(gap, value) in samples {
                time += gap;
                store.push(&labels, time, value);
            }
        }
        Self {
            engine: Engine::new(options, SystemClock::shared()),
            store,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
        }
    }

    /// The points of a range query, or the error's text.
    fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Points, String> {
        let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
        let run = self
            .engine
            .range(&self.store, &tenant, query, start, end, step, &params);
        let result = self.runtime.block_on(run).map_err(|e| e.to_string())?;
        let QueryValue::Matrix(series) = result.value else {
            panic!("no matrix")
        };
        Ok(series
            .into_iter()
            .flat_map(|s| {
                let points = s.columns.timestamps.into_iter().zip(s.columns.values);
                points.map(move |(t, v)| ((s.labels.clone(), t), bits(v)))
            })
            .collect())
    }
}

/// NaN is NaN, however it came about.
fn bits(v: f64) -> u64 {
    if v.is_nan() {
        f64::NAN.to_bits()
    } else {
        v.to_bits()
    }
}

fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![
        8 => (-5i32..20).prop_map(|v| f64::from(v) * 1.37),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        2 => Just(stale_marker()),
    ];
    proptest::collection::vec((1_000i64..40_000, value), 0..20)
}

proptest! {
    #![proptest_config(Config { cases: 40, failure_persistence: None, ..Config::default() })]

    #[test]
    fn steps_do_not_see_each_other(
        series in proptest::collection::vec(samples(), 8),
        start in -30_000i64..60_000,
        step in 1_000i64..45_000,
        steps in 2i64..12,
        delayed in any::<bool>(),
    ) {
        let world = World::new(&series, delayed);
        let end = start + step * (steps - 1);
        for query in QUERIES {
            let all = world.range(query, start, end, step);
            let mut each = Ok(Points::new());
            for i in 0..steps {
                let time = start + step * i;
                match (&mut each, world.range(query, time, time, 1)) {
                    (Ok(points), Ok(more)) => points.extend(more),
                    (Ok(_), Err(error)) => each = Err(error),
                    (Err(_), _) => break,
                }
            }
            prop_assert_eq!(all, each, "{}", query);
        }
    }
}
