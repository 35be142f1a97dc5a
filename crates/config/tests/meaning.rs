//! What good configurations mean.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use ferula_config::{
    Config, RetentionConfig, ScrapeConfig, StaticConfig, Surroundings, load, load_bytes,
    load_target_groups, render,
};
use ferula_diag::Source;
use ferula_exposition::{EscapingScheme, ScrapeProtocol};
use ferula_model::Labels;
use ferula_model::text::NameScheme;
use proptest::prelude::*;

fn surroundings() -> Surroundings<'static> {
    Surroundings {
        dir: Path::new("/etc/ferula"),
        variable: &|name| (name == "ZONE").then(|| "eu".to_owned()),
    }
}

fn good(text: &str) -> Config {
    let source = Source::new("f", text);
    match load(&source, surroundings()) {
        Ok(loaded) => loaded.config,
        Err(findings) => {
            let shown = findings.iter().map(|f| ferula_diag::render(&source, f));
            panic!("{}", shown.collect::<String>())
        }
    }
}

fn messages(text: &str) -> Vec<String> {
    let findings = load(&Source::new("f", text), surroundings()).unwrap_err();
    findings.into_iter().map(|f| f.message).collect()
}

/// The only job of a file with these lines in it.
fn job(lines: &str) -> ScrapeConfig {
    let mut config = good(&format!("scrape_configs:\n- job_name: j\n{lines}\n"));
    config.scrape_configs.remove(0)
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn samples_may_come_out_of_order() {
    let config = good("storage: {tsdb: {out_of_order_time_window: 30m}}");
    assert_eq!(config.storage.out_of_order_time_window.as_secs(), 1_800);
    let again = good(&render(&config));
    assert_eq!(again, config);
    let none = good("global: {}");
    assert!(none.storage.out_of_order_time_window.is_zero());
}

#[test]
fn nothing_said_means_the_defaults() {
    for text in [
        "",
        "# only this\n",
        "---\n",
        "{}",
        "~",
        "global:",
        "global: {}\nscrape_configs:",
    ] {
        assert_eq!(good(text), Config::default(), "{text:?}");
    }
    let global = Config::default().global;
    assert_eq!(global.scrape_interval, seconds(60));
    assert_eq!(global.scrape_timeout, seconds(10));
    assert_eq!(global.evaluation_interval, seconds(60));
    let job = job("");
    assert_eq!(
        (job.metrics_path.as_str(), job.scheme.as_str()),
        ("/metrics", "http")
    );
    assert!(job.honor_timestamps && job.enable_compression && job.follow_redirects);
    assert!(!job.honor_labels && !job.track_timestamps_staleness);
    assert_eq!(job.scrape_protocols, ScrapeProtocol::DEFAULT);
    assert_eq!(job.fallback_scrape_protocol, None);
}

#[test]
fn times_are_inherited_and_cut() {
    let times = |text: &str| {
        let config = good(text);
        let (g, j) = (config.global, &config.scrape_configs[0]);
        [
            g.scrape_interval,
            g.scrape_timeout,
            j.scrape_interval,
            j.scrape_timeout,
        ]
        .map(|d| d.as_secs())
    };
    let global = "global: {scrape_interval: 30s, scrape_timeout: 20s}\n";
    let cases = [
        ("", "", [60, 10, 60, 10]),
        (global, "", [30, 20, 30, 20]),
        (global, "scrape_interval: 15s", [30, 20, 15, 15]),
        (global, "scrape_interval: 5m", [30, 20, 300, 20]),
        (global, "scrape_timeout: 30s", [30, 20, 30, 30]),
        ("global: {scrape_interval: 5s}\n", "", [5, 5, 5, 5]),
        (
            "global: {scrape_interval: 0s}\n",
            "scrape_interval: 0s",
            [60, 10, 60, 10],
        ),
        (
            "global: {scrape_interval: }\n",
            "scrape_interval:",
            [60, 10, 60, 10],
        ),
    ];
    for (global, line, want) in cases {
        let text = format!("{global}scrape_configs:\n- job_name: j\n  {line}\n");
        assert_eq!(times(&text), want, "{text}");
    }
}

#[test]
fn limits_and_schemes_are_inherited() {
    let config = good(
        "global: {body_size_limit: 1MB, sample_limit: 1_000, label_limit: 0x10, extra_scrape_metrics: on,\n\
         metric_name_escaping_scheme: dots, scrape_protocols: [PrometheusText0.0.4]}\n\
         scrape_configs:\n\
         - {job_name: a, sample_limit: 5, label_limit: 0, target_limit: 1e3}\n\
         - {job_name: b, metric_name_validation_scheme: legacy, extra_scrape_metrics: off}\n\
         - {job_name: c, metric_name_escaping_scheme: values, scrape_protocols: [OpenMetricsText1.0.0]}\n",
    );
    let [a, b, c] = &config.scrape_configs[..] else {
        panic!("three jobs")
    };
    assert_eq!(a.limits.body_size_limit, 1 << 20);
    assert_eq!((a.limits.sample_limit, a.limits.label_limit), (5, 16));
    assert_eq!((a.limits.target_limit, b.limits.target_limit), (1000, 0));
    assert_eq!(a.metric_name_escaping_scheme, EscapingScheme::Dots);
    assert_eq!(b.metric_name_validation_scheme, NameScheme::Legacy);
    assert_eq!(b.metric_name_escaping_scheme, EscapingScheme::Underscores);
    assert_eq!(c.metric_name_escaping_scheme, EscapingScheme::Values);
    assert!(a.extra_scrape_metrics && !b.extra_scrape_metrics);
    assert_eq!(a.scrape_protocols, [ScrapeProtocol::PrometheusText0_0_4]);
    assert_eq!(c.scrape_protocols, [ScrapeProtocol::OpenMetricsText1_0_0]);
}

#[test]
fn null_is_the_zero_value_even_over_a_default() {
    let job = job(
        "  honor_timestamps:\n  metrics_path: ~\n  sample_limit: null\n  params:\n  static_configs:",
    );
    assert!(!job.honor_timestamps);
    assert_eq!(job.metrics_path, "");
    assert_eq!(job.limits.sample_limit, 0);
    assert!(job.params.is_empty() && job.static_configs.is_empty());
}

#[test]
fn scalars_keep_their_text() {
    let job = job(
        "  params: {b: [1_000, yes, 0755], a: []}\n  static_configs:\n  - targets: [1.20]\n    \
         labels: {version: 1.10, on: off, none: , quoted: \"1\", tagged: !mine 5}",
    );
    assert_eq!(
        job.params,
        [
            ("a".to_owned(), vec![]),
            (
                "b".to_owned(),
                ["1_000", "yes", "0755"].map(str::to_owned).to_vec()
            )
        ]
    );
    let labels = [
        ("on", "off"),
        ("quoted", "1"),
        ("tagged", "5"),
        ("version", "1.10"),
    ];
    let want = StaticConfig {
        targets: vec!["1.20".to_owned()],
        labels: Labels::from_pairs(labels),
    };
    assert_eq!(job.static_configs, [want]);
}

#[test]
fn of_what_is_said_and_what_is_merged_the_later_wins() {
    let config = good(
        "scrape_configs:\n\
         - job_name: a\n  <<: &x {metrics_path: /x, honor_labels: true}\n  metrics_path: /a\n\
         - job_name: b\n  metrics_path: /b\n  <<: *x\n\
         - <<: [{scheme: http, metrics_path: /first}, *x]\n  job_name: c\n\
         - {job_name: d, <<: {metrics_path: /1}, <<: {metrics_path: /2}}\n",
    );
    let jobs = config.scrape_configs.iter();
    let got: Vec<_> = jobs
        .map(|j| (j.metrics_path.as_str(), j.honor_labels))
        .collect();
    assert_eq!(
        got,
        [("/a", true), ("/x", true), ("/first", true), ("/2", false)]
    );
}

#[test]
fn the_query_log_lies_beside_the_configuration() {
    let file = |value: &str| {
        let config = good(&format!("global: {{query_log_file: {value}}}"));
        config.global.query_log_file.display().to_string()
    };
    assert_eq!(file("q.log"), "/etc/ferula/q.log");
    assert_eq!(file("/var/log/q.log"), "/var/log/q.log");
    for nothing in ["", "~", "''"] {
        assert_eq!(file(nothing), "", "{nothing}");
    }
}

#[test]
fn external_labels_take_the_environment() {
    let config =
        good("global: {external_labels: {zone: '${ZONE}-1', price: $$5, gone: '${GONE}'}}");
    let want = Labels::from_pairs([("zone", "eu-1"), ("price", "$5")]);
    assert_eq!(config.global.external_labels, want);
}

#[test]
fn files_start_where_the_configuration_is() {
    let job = job(
        "  file_sd_configs:\n  - files: [a/*.yml, /b.JSON]\n  - {files: [c.yaml], refresh_interval: 1m}",
    );
    let paths = |i: usize| -> Vec<&str> {
        let files = job.file_sd_configs[i].files.iter();
        files.map(|path| path.to_str().unwrap()).collect()
    };
    assert_eq!(paths(0), ["/etc/ferula/a/*.yml", "/b.JSON"]);
    assert_eq!(job.file_sd_configs[0].refresh_interval, seconds(300));
    assert_eq!(job.file_sd_configs[1].refresh_interval, seconds(60));
}

#[test]
fn addresses_need_be_none_where_rules_follow() {
    let target = "  static_configs: [{targets: ['http://a/b']}]\n";
    let rule = "  relabel_configs: [{target_label: x, replacement: y}]\n";
    assert_eq!(job(&format!("{target}{rule}")).static_configs.len(), 1);
    let text = format!("scrape_configs:\n- job_name: j\n{target}  relabel_configs: []\n");
    assert_eq!(messages(&text), ["`http://a/b` is not a valid host name"]);
}

#[test]
fn equal_jobs_are_equal_and_others_are_not() {
    let rule = "  relabel_configs: [{source_labels: [a], regex: b+, action: keep}]";
    assert_eq!(job(rule), job(rule));
    assert_ne!(job(rule), job(&rule.replace("b+", "b*")));
    assert_ne!(job(""), job("  scrape_interval: 59s"));
}

#[test]
fn too_much_is_refused() {
    let deep = format!("scrape_configs: {}{}", "[".repeat(100), "]".repeat(100));
    let mut bombs = "a0: &a0 [x, x]\n".to_owned();
    for i in 1..40 {
        bombs += &format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1);
    }
    let cases = [
        (deep, "nested too deep"),
        (bombs, "its aliases are followed"),
        ("a: &a [*a]".to_owned(), "stands inside what it names"),
        ("x".repeat((16 << 20) + 1), "larger than 16 MiB"),
        ("a: [".repeat(5000), ""),
    ];
    for (text, want) in cases {
        let messages = messages(&text);
        assert!(
            messages.len() == 1 && messages[0].contains(want),
            "{messages:?}"
        );
    }
    let many: String = (0..10_000).map(|i| format!("k{i}: 1\n")).collect();
    let messages = messages(&many);
    assert_eq!(messages.len(), 201);
    assert_eq!(messages[200], "and 9800 more");
}

#[test]
fn many_warnings_hide_no_error() {
    let jobs = "- {job_name: x, native_histogram_bucket_limit: 1}\n".repeat(300);
    let text = format!("scrape_configs:\n{jobs}wrong: 1\n");
    assert!(load(&Source::new("f", &text), surroundings()).is_err());
    let jobs: String = (0..300)
        .map(|i| format!("- {{job_name: x{i}, native_histogram_bucket_limit: 1}}\n"))
        .collect();
    let text = format!("scrape_configs:\n{jobs}- {{job_name: x0}}");
    assert!(load(&Source::new("f", &text), surroundings()).is_err());
}

#[test]
fn target_files() {
    let groups = |text: &str| load_target_groups(&Source::new("f", text));
    let got = groups("- targets: [a:1, b:2]\n  labels: {env: x}\n- targets:\n").unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].targets, ["a:1", "b:2"]);
    assert_eq!(groups("").unwrap(), []);
    for bad in [
        "- ",
        "- {target: [a]}",
        "a: b",
        "- targets: a",
        "- {labels: {'': x}}",
    ] {
        assert!(groups(bad).is_err(), "{bad}");
    }
}

/// A configuration that uses whatever is served.
const FULL: &str = r#"
global:
  scrape_interval: 15s
  scrape_protocols: [PrometheusText1.0.0, PrometheusText0.0.4]
  evaluation_interval: 1h30m
  query_log_file: 'logs/a b.log'
  external_labels: {zone: eu, "strange label": "it's \"so\": #1\n"}
  body_size_limit: 10MB
  keep_dropped_targets: 7
storage: {tsdb: {retention: {time: 30d, size: 512GB, percentage: 80}}}
scrape_configs:
- job_name: 'true'
  honor_labels: true
  honor_timestamps: false
  track_timestamps_staleness: true
  params: {module: [a, ''], 'x y': []}
  fallback_scrape_protocol: OpenMetricsText0.0.1
  metrics_path: /a b?c
  enable_compression: false
  follow_redirects: false
  sample_limit: 5
  metric_name_validation_scheme: legacy
  extra_scrape_metrics: true
  static_configs:
  - targets: ['localhost:9090', '[::1]:80']
    labels: {a: b}
  - targets: []
  file_sd_configs: [{files: [a.yml], refresh_interval: 10s}]
  relabel_configs:
  - {source_labels: [__address__, x], separator: '', regex: '(.*):\d+', target_label: host, replacement: '${1}'}
  - {source_labels: [x], modulus: 8, target_label: __tmp, action: HashMod}
  metric_relabel_configs:
  - {regex: 'a|b', action: labeldrop}
- job_name: plain
"#;

#[test]
fn what_is_rendered_is_read_back() {
    for text in ["", FULL] {
        let config = good(text);
        let rendered = render(&config);
        assert_eq!(good(&rendered), config, "{rendered}");
    }
}

#[test]
fn retention_is_what_its_block_says() {
    let retention = |text: &str| {
        good(&format!("storage: {{tsdb: {text}}}"))
            .storage
            .retention
    };
    assert_eq!(retention("{}"), None);
    assert_eq!(retention("{retention: }"), None);
    let none = RetentionConfig::default();
    assert_eq!(retention("{retention: {}}"), Some(none));
    assert_eq!(retention("{retention: {size: 0, time: 0s}}"), Some(none));
    let size = 5 << 30;
    let some = RetentionConfig { size, ..none };
    assert_eq!(retention("{retention: {size: 5GB}}"), Some(some));
    let refused = messages("storage: {tsdb: {retention: {percentage: 101}}}");
    assert_eq!(refused, ["a disk has no more than 100 percent"]);
}

#[test]
fn renders_as_the_reference_does() {
    let config = good(
        "scrape_configs: [{job_name: p, static_configs: [{targets: ['localhost:9090'], labels: {app: p}}]}]",
    );
    let want = "\
global:
  scrape_interval: 1m
  scrape_timeout: 10s
  scrape_protocols:
  - OpenMetricsText1.0.0
  - OpenMetricsText0.0.1
  - PrometheusText1.0.0
  - PrometheusText0.0.4
  evaluation_interval: 1m
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: allow-utf-8
  extra_scrape_metrics: false
scrape_configs:
- job_name: p
  honor_timestamps: true
  track_timestamps_staleness: false
  scrape_interval: 1m
  scrape_timeout: 10s
  scrape_protocols:
  - OpenMetricsText1.0.0
  - OpenMetricsText0.0.1
  - PrometheusText1.0.0
  - PrometheusText0.0.4
  extra_scrape_metrics: false
  metrics_path: /metrics
  scheme: http
  enable_compression: true
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: allow-utf-8
  follow_redirects: true
  static_configs:
  - targets:
    - localhost:9090
    labels:
      app: p
";
    assert_eq!(render(&config), want);
}

/// Loads and shows whatever comes of it.
fn survives(bytes: &[u8]) {
    let (source, loaded) = load_bytes("f", bytes, surroundings());
    let findings = match loaded {
        Ok(loaded) => {
            let again = good(&render(&loaded.config));
            assert_eq!(again, loaded.config);
            loaded.warnings
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            findings
        }
    };
    for finding in findings {
        let (start, end) = (finding.span.start as usize, finding.span.end as usize);
        assert!(start <= end, "{finding:?}");
        assert!(
            source.text.get(start..end.min(source.text.len())).is_some(),
            "{finding:?}"
        );
        assert!(!ferula_diag::render(&source, &finding).is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn any_yaml_is_judged(text in "[ab:\\-,\\[\\]{}&*!|>'\"#%?~<0-9 \n\té日]{0,60}") {
        survives(text.as_bytes());
    }

    /// A good file with one piece of it replaced by something else; a dollar in an external
    /// label would not be read back.
    #[test]
    fn any_edit_is_judged(at in 0..FULL.len(), cut in 0usize..30, put in "[ -#%-~\n\té日]{0,8}") {
        let mut bytes = FULL.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        survives(&bytes);
    }
}
