//! What a query took, as its answer and the query log show it.

use std::time::Duration;

use ferula_promql::QueryStats;
use serde::Serialize;

/// Fields in the reference's order.
#[derive(Serialize)]
struct Stats {
    timings: Timings,
    samples: Samples,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timings {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples {
    total_queryable_samples: u64,
    peak_samples: u64,
}

/// The value of `stats`.
pub(crate) fn json(stats: &QueryStats) -> String {
    let seconds = |time: Duration| time.as_secs_f64();
    let stats = Stats {
        timings: Timings {
            eval_total_time: seconds(stats.prepare_time + stats.eval_time),
            result_sort_time: 0.0,
            query_preparation_time: seconds(stats.prepare_time),
            inner_eval_time: seconds(stats.eval_time),
            exec_queue_time: seconds(stats.queue_time),
            exec_total_time: seconds(stats.queue_time + stats.prepare_time + stats.eval_time),
        },
        samples: Samples {
            total_queryable_samples: stats.samples_total,
            peak_samples: stats.samples_peak,
        },
    };
    serde_json::to_string(&stats).expect("numbers under names that are text")
}
