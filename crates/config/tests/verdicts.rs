//! Which configurations are accepted, held against Prometheus 3.5's verdict on each.

use std::path::Path;

use ferula_config::{Surroundings, load};
use ferula_diag::{Severity, Source};

fn is_accepted(text: &str) -> bool {
    let surroundings = Surroundings {
        dir: Path::new(""),
        variable: &|_| None,
    };
    match load(&Source::new("f", text), surroundings) {
        Ok(_) => true,
        Err(findings) => {
            assert!(findings.iter().any(|f| f.severity == Severity::Error));
            false
        }
    }
}

/// Accepted by both.
const GOOD: &[&str] = &[
    "\u{feff}global: {}",
    "scrape_configs: [{job_name: a, honor_labels: y}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['*a*.json']}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['.json']}]}]",
    "global: {sample_limit: 1__0_}",
    "global: {sample_limit: 0b11}",
    "global: {metric_name_escaping_scheme: dots}\nscrape_configs: [{job_name: a, metric_name_validation_scheme: legacy}]",
    "global: {metric_name_escaping_scheme: dots}\nscrape_configs: [{job_name: a, metric_name_validation_scheme: utf8}]",
    "global: {metric_name_validation_scheme: legacy}\nscrape_configs: [{job_name: a, metric_name_validation_scheme: utf8}]",
    "global: {sample_limit: 0o17}",
    "scrape_configs: [{job_name: yes}]",
    "scrape_configs: [{job_name: 5}]",
    "global: {metric_name_validation_scheme: legacy}",
    "scrape_configs: [{job_name: a, <<: {metrics_path: /1}, <<: {metrics_path: /2}}]",
    "scrape_configs: [{job_name: a, <<: [{metrics_path: /1}, {metrics_path: /2}]}]",
    "global: {scrape_protocols: }",
    "scrape_configs: [{job_name: a, relabel_configs: [{regex: , action: drop}]}]",
    "scrape_configs: [{job_name: a, body_size_limit: 0}]",
    "scrape_configs: [{job_name: a, body_size_limit: 10MiB}]",
    "scrape_configs: [{job_name: a, static_configs: [{targets: ['a/b']}], relabel_configs: [{target_label: x}]}]",
    "global: {}\n---\nfoo: bar",
    "scrape_configs: [{job_name: a, sample_limit: 1e3}]",
    "scrape_configs: [{job_name: !foo a}]",
];

/// Refused by both.
const BAD: &[&str] = &[
    "global: {scrape_interval: 5}",
    "global: {scrape_interval: 300y}",
    "scrape_configs: [{job_name: a, honor_labels: 'true'}]",
    "scrape_configs: [{job_name: a},{job_name: a}]",
    "global: {scrape_interval: 5s, scrape_interval: 6s}",
    "global: {external_labels: {'': x}}",
    "scrape_configs: [{job_name: ''}]",
    "scrape_configs: [{job_name: a, static_configs: [{targets: [a], labels: {'': x}}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['a.Json']}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['*/a.json']}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: [a.txt]}]}]",
    "global: {sample_limit: .inf}",
    "global: {metric_name_validation_scheme: legacy}\nscrape_configs: [{job_name: a, metric_name_escaping_scheme: allow-utf-8}]",
    "global: {scrape_interval: 5s, scrape_timeout: 6s}",
    "scrape_configs: [{job_name: a, <<: ~}]",
    "global: {scrape_interval: -5s}",
    "scrape_configs: [{}]",
    "scrape_configs: [{job_name: a, static_configs: [~]}]",
    "scrape_configs: [~]",
    "scrape_configs: [{job_name: a, params: {x: y}}]",
    "global: {scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]}",
    "global: {scrape_protocols: []}",
    "scrape_configs: [{job_name: a, sample_limit: ''}]",
    "scrape_configs: [{job_name: a, relabel_configs: [~]}]",
    "scrape_configs: [{job_name: a, relabel_configs: [{action: , target_label: x}]}]",
    "- a",
    "hello",
    "scrape_configs: [{job_name: a, body_size_limit: 10}]",
    "scrape_configs: [{job_name: a, body_size_limit: 10mb}]",
    "scrape_configs: [{job_name: a, static_configs: [{targets: ['a/b']}]}]",
    "global:\n\tscrape_interval: 5s",
    "scrape_configs: [{job_name: a, static_configs: [{targets: x}]}]",
    "scrape_configs: [{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}]",
    "scrape_configs: [{job_name: a, sample_limit: -1}]",
    "scrape_configs: [{job_name: a, sample_limit: '5'}]",
];

/// Refused here alone: bytes for text, a fraction of a sample, a size below zero, and schemes
/// that no scrape would succeed with; names that contradict each other even where no job has them.
const STRICTER: &[&str] = &[
    "global: {metric_name_validation_scheme: legacy, metric_name_escaping_scheme: allow-utf-8}",
    "scrape_configs: [{job_name: !!binary YQ==}]",
    "scrape_configs: [{job_name: a, scheme: ftp}]",
    "scrape_configs: [{job_name: a, body_size_limit: -1MB}]",
    "scrape_configs: [{job_name: a, sample_limit: 1.5}]",
    "scrape_configs: [{job_name: a, scheme: }]",
];

/// Accepted here alone: a size with both spellings of units.
const LAXER: &[&str] = &["scrape_configs: [{job_name: a, body_size_limit: 1GiB512MB}]"];

#[test]
fn verdicts() {
    for (texts, want) in [(GOOD, true), (BAD, false), (STRICTER, false), (LAXER, true)] {
        for text in texts {
            assert_eq!(is_accepted(text), want, "{text}");
        }
    }
}
