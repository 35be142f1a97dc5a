//! Expressions broken into lines.

use crate::syntax::{ParseOptions, parse, pretty};

/// Checks that each text is shown in these lines.
fn check(cases: &[(&str, &[&str])]) {
    for &(text, want) in cases {
        match parse(text, &ParseOptions::ALL) {
            Ok(expr) => assert_eq!(pretty(&expr).lines().collect::<Vec<_>>(), want, "{text}"),
            Err(error) => panic!("{text}: {}", error.display(text)),
        }
    }
}

#[test]
fn a_hundred_bytes_fit_a_line() {
    let fits = "a".repeat(98);
    let too_long = format!("{fits}a");
    check(&[
        ("foo+bar", &["foo + bar"]),
        (&format!("({fits})"), &[&format!("({fits})")]),
        (
            &format!("({too_long})"),
            &["(", &format!("  {too_long}"), ")"],
        ),
        // Selectors and signs have nowhere to break.
        (&format!("{fits}{fits}"), &[&format!("{fits}{fits}")]),
        (&format!("-{fits}{fits}"), &[&format!("-{fits}{fits}")]),
    ]);
}

#[test]
fn aggregations() {
    check(&[
        (
            "topk by (x) (3, a_metric_with_a_name_that_goes_on_and_on_until_it_does_not_fit_into_a_single_line_any_more)",
            &[
                "topk by (x) (",
                "  3,",
                "  a_metric_with_a_name_that_goes_on_and_on_until_it_does_not_fit_into_a_single_line_any_more",
                ")",
            ],
        ),
        (
            r#"count_values without () ("the_label", first_metric_of_some_length{job="api",instance="localhost:9090",x="y", z="w"})"#,
            &[
                "count_values without () (",
                r#"  "the_label","#,
                r#"  first_metric_of_some_length{instance="localhost:9090",job="api",x="y",z="w"}"#,
                ")",
            ],
        ),
    ]);
}

#[test]
fn binary_operations() {
    check(&[
        (
            r#"first_metric_of_some_length{job="api"} + second_metric_of_some_length{job="api"} + third_metric{job="api"}"#,
            &[
                r#"  first_metric_of_some_length{job="api"} + second_metric_of_some_length{job="api"}"#,
                "+",
                r#"  third_metric{job="api"}"#,
            ],
        ),
        (
            r#"first_metric_of_some_length{job="api"} == bool on (a, b) group_left (c) second_metric_of_some_length{job="api"}"#,
            &[
                r#"  first_metric_of_some_length{job="api"}"#,
                "== bool on (a, b) group_left (c)",
                r#"  second_metric_of_some_length{job="api"}"#,
            ],
        ),
        (
            r#"sum by (job, instance) (rate(http_requests_total{code=~"5..",handler!="/metrics",job="api"}[5m])) / on (job) group_left () sum by (job) (rate(http_requests_total{job="api"}[5m])) > bool 0.05 and on () vector(1)"#,
            &[
                r#"      sum by (job, instance) (rate(http_requests_total{code=~"5..",handler!="/metrics",job="api"}[5m]))"#,
                "    / on (job) group_left ()",
                r#"      sum by (job) (rate(http_requests_total{job="api"}[5m]))"#,
                "  > bool",
                "    0.05",
                "and on ()",
                "  vector(1)",
            ],
        ),
        (
            r#"1 + -(first_metric_of_some_length{job="api"} + second_metric_of_some_length{job="api"} - third_metric_of_some_length)"#,
            &[
                "  1",
                "+",
                "  -(",
                r#"      first_metric_of_some_length{job="api"} + second_metric_of_some_length{job="api"}"#,
                "    -",
                "      third_metric_of_some_length",
                "  )",
            ],
        ),
    ]);
}

#[test]
fn calls() {
    check(&[
        (
            r#"label_replace(first_metric_of_some_length{job="api"}, "destination", "$1-something-longer", "source", "(.*)-(.*)")"#,
            &[
                "label_replace(",
                r#"  first_metric_of_some_length{job="api"},"#,
                r#"  "destination","#,
                r#"  "$1-something-longer","#,
                r#"  "source","#,
                r#"  "(.*)-(.*)""#,
                ")",
            ],
        ),
        (
            r#"clamp_max(max_over_time(first_metric_of_some_length[5m:1m]), scalar(second_metric_of_some_length{job="api",x="y"}))"#,
            &[
                "clamp_max(",
                "  max_over_time(first_metric_of_some_length[5m:1m]),",
                r#"  scalar(second_metric_of_some_length{job="api",x="y"})"#,
                ")",
            ],
        ),
    ]);
}

#[test]
fn subqueries() {
    check(&[
        (
            r#"avg_over_time(sum(first_metric_of_some_length{job="api",instance="localhost:9090"} offset 5m @ 1700000000)[5m:])"#,
            &[
                "avg_over_time(",
                r#"  sum(first_metric_of_some_length{instance="localhost:9090",job="api"} @ 1700000000.000 offset 5m)[5m:]"#,
                ")",
            ],
        ),
        (
            r#"sum(max_over_time((first_metric_of_some_length{job="api"} + second_metric_of_some_length{job="api"})[5m:1m] @ 5 offset 1m))"#,
            &[
                "sum(",
                "  max_over_time(",
                r#"    (first_metric_of_some_length{job="api"} + second_metric_of_some_length{job="api"})[5m:1m] @ 5.000 offset 1m"#,
                "  )",
                ")",
            ],
        ),
        (
            r#"quantile_over_time(scalar(first_metric_of_some_length{job="api",instance="localhost:9090"}), second_metric_xy[5m:1m])"#,
            &[
                "quantile_over_time(",
                r#"  scalar(first_metric_of_some_length{instance="localhost:9090",job="api"}),"#,
                "second_metric_xy[5m:1m]",
                ")",
            ],
        ),
    ]);
}

#[test]
fn deep_nesting_is_not_indented_without_end() {
    let text = format!("{}x{}", "(1 + ".repeat(120), ")".repeat(120));
    match parse(&text, &ParseOptions::ALL) {
        Ok(expr) => {
            let lines = pretty(&expr);
            let indentation = |line: &str| line.len() - line.trim_start().len();
            assert_eq!(lines.lines().map(indentation).max(), Some(200));
            let again = parse(&lines, &ParseOptions::ALL);
            assert_eq!(again.map(|e| e.to_string()), Ok(text));
        }
        Err(error) => panic!("{error}"),
    }
}
