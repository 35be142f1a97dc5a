//! The queries that are measured: what dashboards, alerts and curious people ask.
//!
//! Their order is that of the table. What the series look like is in `fleet.rs` and `natives.rs`.

/// At which times a query is evaluated. All end with the newest sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Instant,
    Range { hours: i64, step_s: i64 },
}

/// A query to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) times: Times,
    pub(crate) text: &'static str,
    /// Whether it needs native histograms, which VictoriaMetrics does not keep.
    pub(crate) native: bool,
    /// Whether it picks the greatest. Which of equal ones it picks is up to a server.
    pub(crate) picks: bool,
}

const fn query(times: Times, name: &'static str, text: &'static str) -> Query {
    Query {
        name,
        times,
        text,
        native: false,
        picks: false,
    }
}

const fn native(times: Times, name: &'static str, text: &'static str) -> Query {
    Query {
        native: true,
        ..query(times, name, text)
    }
}

const fn picking(times: Times, name: &'static str, text: &'static str) -> Query {
    Query {
        picks: true,
        ..query(times, name, text)
    }
}

const AT: Times = Times::Instant;
const HOUR: Times = Times::Range {
    hours: 1,
    step_s: 15,
};
const HALF_DAY: Times = Times::Range {
    hours: 12,
    step_s: 60,
};
const DAY_FINE: Times = Times::Range {
    hours: 24,
    step_s: 60,
};
const DAY: Times = Times::Range {
    hours: 24,
    step_s: 300,
};

/// All of them.
pub(crate) const QUERIES: &[Query] = &[
    query(
        AT,
        "one series",
        r#"fleet_load_5_ratio{instance="10.0.0.1:9100",device="nvme3n1"}"#,
    ),
    query(AT, "selector", "fleet_load_5_ratio"),
    query(AT, "sum by", "sum by (job) (fleet_queue_7_length)"),
    query(AT, "count all", r#"count({__name__=~".+"})"#),
    query(
        AT,
        "count by name",
        r#"count by (__name__) ({__name__=~"fleet_.+"})"#,
    ),
    picking(
        AT,
        "topk of rate",
        "topk(10, rate(fleet_operations_0_total[5m]))",
    ),
    query(
        AT,
        "sum by of rate",
        "sum by (job, code) (rate(fleet_operations_0_total[5m]))",
    ),
    query(
        AT,
        "high-cardinality regex",
        r#"sum by (job) ({__name__=~"fleet_operations_.+_total",pod=~"service-1.*-.+"})"#,
    ),
    query(
        AT,
        "rate, two regexes",
        r#"sum by (handler) (rate(fleet_operations_0_total{handler=~".*_[0-3]",pod=~"service-1.*-.+"}[5m]))"#,
    ),
    query(
        AT,
        "negative matchers",
        r#"count by (job) (fleet_operations_1_total{code!~"2..",method!="GET",pod!~"service-1.-.*"})"#,
    ),
    query(
        AT,
        "classic histogram_quantile",
        "histogram_quantile(0.99, sum by (le, job) (rate(fleet_latency_8_seconds_bucket[5m])))",
    ),
    native(
        AT,
        "native histogram_quantile",
        "histogram_quantile(0.99, sum by (job) (rate(fleet_request_duration_seconds[5m])))",
    ),
    query(
        AT,
        "group_left join",
        "sum by (node) (fleet_queue_7_length * on (namespace, pod) group_left (node) fleet_pod_info)",
    ),
    query(
        AT,
        "absent",
        r#"absent(fleet_missing_total{job="default/service-1"})"#,
    ),
    query(
        AT,
        "offset",
        "sum by (job) (fleet_load_5_ratio) - sum by (job) (fleet_load_5_ratio offset 1h)",
    ),
    query(
        AT,
        "label_replace",
        r#"label_replace(fleet_queue_7_length, "service", "$1", "job", "default/(.+)")"#,
    ),
    query(
        AT,
        "count_values",
        r#"count_values("v", fleet_queue_7_length)"#,
    ),
    query(
        AT,
        "predict_linear, 1h",
        "topk(5, predict_linear(fleet_load_6_ratio[1h], 3600))",
    ),
    query(
        AT,
        "changes, 6h",
        "sum by (job) (changes(fleet_queue_7_length[6h]))",
    ),
    query(
        AT,
        "increase, 24h",
        "sum by (job) (increase(fleet_operations_2_total[24h]))",
    ),
    query(
        AT,
        "resets, 24h",
        "sum by (instance) (resets(fleet_operations_3_total[24h]))",
    ),
    query(
        AT,
        "avg_over_time, 24h",
        "sort_desc(avg by (job) (avg_over_time(fleet_load_5_ratio[24h])))",
    ),
    query(
        AT,
        "subquery of a sum",
        "max_over_time(sum(rate(fleet_operations_0_total[5m]))[6h:1m])",
    ),
    query(
        AT,
        "subquery of rates",
        r#"max by (job) (max_over_time(rate(fleet_operations_0_total{code="500"}[5m])[1h:1m]))"#,
    ),
    query(
        HOUR,
        "rate of one job",
        r#"rate(fleet_operations_0_total{job="default/service-3"}[5m])"#,
    ),
    query(
        HOUR,
        "sum by of rate",
        "sum by (job) (rate(fleet_operations_0_total[5m]))",
    ),
    query(
        HOUR,
        "share of errors",
        r#"sum by (job) (rate(fleet_operations_0_total{code="500"}[5m])) / sum by (job) (rate(fleet_operations_0_total[5m]))"#,
    ),
    query(
        HOUR,
        "classic histogram_quantile",
        "histogram_quantile(0.95, sum by (le, job) (rate(fleet_latency_9_seconds_bucket[5m])))",
    ),
    native(
        HOUR,
        "native histogram_quantile",
        "histogram_quantile(0.95, sum by (job) (rate(fleet_request_duration_seconds[5m])))",
    ),
    picking(
        HOUR,
        "topk",
        "topk(5, sum by (pod) (rate(fleet_operations_1_total[5m])))",
    ),
    query(
        HOUR,
        "group_left join of rates",
        "sum by (node, version) (rate(fleet_operations_0_total[5m]) * on (namespace, pod) group_left (node, version) fleet_pod_info)",
    ),
    query(
        HOUR,
        "vector arithmetic",
        "(fleet_load_5_ratio - fleet_load_6_ratio) / (fleet_load_5_ratio + fleet_load_6_ratio)",
    ),
    query(
        HOUR,
        "and, unless",
        "count(fleet_queue_7_length > 25 and on (instance, pool) fleet_queue_17_length < 25 unless on (instance, pool) fleet_queue_27_length > 40)",
    ),
    query(
        HOUR,
        "@ end()",
        "sum by (job) (fleet_load_5_ratio) / sum by (job) (fleet_load_5_ratio @ end())",
    ),
    query(
        HOUR,
        "subquery of rates",
        r#"avg by (job) (max_over_time(rate(fleet_operations_0_total{code="500"}[5m])[30m:1m]))"#,
    ),
    query(
        HALF_DAY,
        "difference to 12 hours before",
        "sum(rate(fleet_operations_0_total[5m])) - sum(rate(fleet_operations_0_total[5m] offset 12h))",
    ),
    query(DAY_FINE, "max by", "max by (job) (fleet_load_5_ratio)"),
    query(
        DAY_FINE,
        "sum by of rate",
        "sum by (job) (rate(fleet_operations_0_total[5m]))",
    ),
    query(
        DAY_FINE,
        "selector of one instance",
        r#"fleet_load_5_ratio{instance="10.0.0.1:9100"}"#,
    ),
    query(
        DAY,
        "sum by metric, regex",
        r#"sum by (__name__) ({__name__=~"fleet_operations_.+_total",code="500"})"#,
    ),
    query(
        DAY,
        "quantile_over_time",
        "max by (job) (quantile_over_time(0.95, fleet_load_5_ratio[10m]))",
    ),
    query(
        DAY,
        "count_over_time",
        "sum(count_over_time(fleet_queue_7_length[10m]))",
    ),
    query(
        DAY,
        "stddev_over_time",
        "max by (job) (stddev_over_time(fleet_load_6_ratio[30m]))",
    ),
    query(
        DAY,
        "deriv",
        "max by (job) (deriv(fleet_queue_7_length[15m]))",
    ),
    query(
        DAY,
        "rate over 1h windows",
        "sum by (job) (rate(fleet_operations_0_total[1h]))",
    ),
    query(
        DAY,
        "classic histogram_quantile",
        "histogram_quantile(0.99, sum by (le) (rate(fleet_latency_8_seconds_bucket[5m])))",
    ),
    native(
        DAY,
        "native histogram_quantile",
        "histogram_quantile(0.99, sum(rate(fleet_request_duration_seconds[5m])))",
    ),
    query(
        DAY,
        "quantile across series",
        "quantile(0.9, fleet_load_5_ratio)",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_and_its_times_tell_queries_apart() {
        let names: BTreeSet<String> = QUERIES
            .iter()
            .map(|query| format!("{} {:?}", query.name, query.times))
            .collect();
        assert_eq!(names.len(), QUERIES.len());
    }
}
