//! What both servers are asked.

use ferula_e2e::server::seconds;

/// No query looks further back than this from its evaluation time.
pub(crate) const REACH_MS: i64 = 14_000;

/// A query and how its answers are compared.
pub(crate) struct Query {
    pub(crate) text: String,
    /// How far values may differ, relative to the larger one.
    pub(crate) tolerance: f64,
    /// Whether the order of an instant vector is part of the answer.
    pub(crate) ordered: bool,
    /// Whether a range query makes no sense of it.
    pub(crate) instant_only: bool,
}

/// Identical samples must give values equal to this.
const EXACT: f64 = 1e-9;

/// One line for each kind of query over the fixed target, whose samples are the same everywhere.
const FIXED: &[&str] = &[
    // Selectors and their modifiers.
    "fixed_gauge",
    r#"fixed_requests_total{path=~"/a|/b", code!="500", job!~"x.*"}"#,
    r#"{__name__=~"fixed_(info|constant)"}"#,
    "fixed_gauge offset 4s",
    "fixed_special",
    // Counters and windows.
    "rate(fixed_requests_total[10s])",
    "increase(fixed_restarts_total[12s])",
    "irate(fixed_requests_total[6s])",
    "delta(fixed_gauge[10s])",
    "idelta(fixed_gauge[6s])",
    "deriv(fixed_gauge[12s])",
    "predict_linear(fixed_gauge[12s], 60)",
    "changes(fixed_limit[12s]) + resets(fixed_limit[12s])",
    "avg_over_time(fixed_gauge[8s]) - last_over_time(fixed_gauge[8s])",
    "quantile_over_time(0.7, fixed_gauge[10s])",
    "stddev_over_time(fixed_gauge[10s]) + stdvar_over_time(fixed_gauge[10s])",
    "sum_over_time(fixed_special[8s])",
    "max_over_time(rate(fixed_requests_total[6s])[6s:2s])",
    "min_over_time(fixed_gauge[8s]) * count_over_time(fixed_gauge[8s])",
    // Aggregation.
    "sum by (path) (fixed_requests_total)",
    "avg without (code, instance) (fixed_requests_total)",
    "topk(2, fixed_gauge)",
    "bottomk by (code) (1, fixed_requests_total)",
    "quantile(0.9, fixed_gauge)",
    r#"count_values("limit", fixed_limit)"#,
    "stddev(fixed_gauge) / stdvar(fixed_gauge)",
    "group by (job) (fixed_gauge) + count by (job) (fixed_gauge)",
    "min(fixed_gauge) < max(fixed_gauge)",
    // Histograms.
    "histogram_quantile(0.9, sum by (le) (rate(fixed_latency_seconds_bucket[10s])))",
    "rate(fixed_latency_seconds_sum[10s]) / rate(fixed_latency_seconds_count[10s])",
    // Operators and matching.
    r#"fixed_requests_total{code="500"} / ignoring(code) fixed_requests_total{code="200"}"#,
    "fixed_gauge * on (instance) group_left (version) fixed_info",
    "fixed_gauge > 30",
    "fixed_gauge > bool fixed_limit",
    r#"fixed_gauge and fixed_limit > 51 or fixed_gauge{shard="0"}"#,
    r#"fixed_gauge unless on (shard) fixed_limit{shard=~"1|2"}"#,
    "-fixed_gauge ^ 2 % 7",
    "fixed_limit atan2 fixed_gauge",
    // Labels, times and scalars.
    r#"label_replace(fixed_info, "major", "v$1", "version", "(\\d+)\\..*")"#,
    r#"label_join(fixed_requests_total, "both", "-", "path", "code")"#,
    "timestamp(fixed_gauge) - 1",
    "vector(scalar(fixed_constant)) + time()",
    "hour(fixed_time_seconds) * 100 + minute(fixed_time_seconds) + day_of_week()",
    "days_in_month(fixed_time_seconds) + month() + year()",
    r#"absent(fixed_nothing{shard="7", job=~"f.*"})"#,
    "absent_over_time(fixed_gauge[8s])",
    "present_over_time(fixed_gauge[8s])",
    "clamp(round(fixed_gauge, 0.25), -5, scalar(clamp_max(fixed_constant, 40)))",
    "ln(abs(fixed_gauge)) + exp(fixed_limit / 10) + sqrt(fixed_limit) + sgn(fixed_gauge)",
    "1 + 2 * 3 ^ 2 % 5 - -1",
    "pi() > bool 3",
];

/// Range vectors, orders and strings exist in instant queries only.
const FIXED_INSTANT: &[&str] = &[
    r#"fixed_gauge{shard="1"}[8s]"#,
    r#"fixed_gauge{shard="1"}[8s:2s]"#,
    "sort_desc(fixed_gauge)",
    "sort(fixed_requests_total)",
    r#""a string""#,
];

/// Queries over the real exporter that do not depend on the moment it was scraped.
const NODE: &[&str] = &[
    "up",
    "node_uname_info",
    r#"count by (cpu) (node_cpu_seconds_total{job="node"})"#,
    "node_memory_MemTotal_bytes / 1024 / 1024",
    "max by (device) (node_network_mtu_bytes)",
    "node_boot_time_seconds + 0",
    "sum by (fstype) (node_filesystem_size_bytes) > 0",
    "node_filesystem_size_bytes * on (instance) group_left (nodename) node_uname_info",
    r#"label_replace(node_uname_info, "kernel", "$1", "release", "(\\d+)\\..*")"#,
    r#"absent(node_uname_info{job="node"})"#,
    r#"count(node_exporter_build_info) or vector(0)"#,
];

/// Real values that move: how far apart two scrapes may put them.
const NODE_MOVING: &[(&str, f64)] = &[
    ("sum(rate(node_cpu_seconds_total[10s]))", 0.25),
    ("node_time_seconds", 1e-8),
    ("avg_over_time(node_memory_MemAvailable_bytes[10s])", 0.2),
    (r#"count({job="node"})"#, 0.02),
    (r#"scrape_samples_scraped{job=~"node|fixed"}"#, 0.02),
    (
        r#"scrape_samples_post_metric_relabeling{job=~"node|fixed"}"#,
        0.02,
    ),
];

/// Everything that is compared at `end` and, unless instant only, over a range up to it.
pub(crate) fn all(end: i64) -> Vec<Query> {
    let exact = |text: &str, instant_only: bool| Query {
        text: text.to_owned(),
        tolerance: EXACT,
        ordered: text.starts_with("sort"),
        instant_only,
    };
    let at = seconds(end - 6_000);
    let pinned = [
        format!("fixed_gauge @ {at}"),
        format!("rate(fixed_requests_total[8s] @ {at} offset 2s)"),
        "fixed_gauge - fixed_gauge @ end()".to_owned(),
    ];
    let moving = NODE_MOVING.iter().map(|&(text, tolerance)| Query {
        tolerance,
        ..exact(text, false)
    });
    let fixed = FIXED.iter().map(|text| exact(text, false));
    fixed
        .chain(FIXED_INSTANT.iter().map(|text| exact(text, true)))
        .chain(pinned.iter().map(|text| exact(text, false)))
        .chain(NODE.iter().map(|text| exact(text, false)))
        .chain(moving)
        .collect()
}

/// Both servers must refuse these with the same words.
pub(crate) const REFUSED: &[&str] = &[
    "",
    "sum(",
    "fixed_gauge{",
    "fixed_gauge[5m",
    "rate(fixed_gauge)",
    "fixed_gauge + on (shard) group_left fixed_limit +",
    "sum(fixed_gauge) by",
    "{}",
    r#"{job=~".*"}"#,
    "nosuchfunction(1)",
    "fixed_gauge{shard=~\"(\"}",
    "1 and 2",
    "1 == 2",
    "\"a\" + 1",
    "topk(fixed_gauge)",
    "label_replace(fixed_gauge, \"x y\", \"$1\", \"shard\", \"(\")",
];
