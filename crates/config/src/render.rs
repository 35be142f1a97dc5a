//! A configuration as YAML, defaults and inheritance filled in: what `/api/v1/status/config`
//! shows. Keys are in the reference's order; limits that are not set are left out. Nothing that
//! is served holds a secret, so nothing is masked.

use std::fmt::{Display, Write};

use ferula_model::Labels;
use ferula_model::text::{NameScheme, duration, size};
use ferula_relabel::{Rule, RuleConfig};

use crate::yaml::{Kind, Value};
use crate::{
    Config, FileSdConfig, GlobalConfig, Limits, RetentionConfig, ScrapeConfig, StaticConfig,
    StorageConfig,
};

/// The effective configuration; [`crate::load`] reads it back to an equal one, unless an
/// external label holds a dollar.
pub fn render(config: &Config) -> String {
    let mut out = Writer::default();
    out.section("global", |out| global(out, &config.global));
    if config.storage != StorageConfig::default() {
        out.section("storage", |out| {
            out.section("tsdb", |out| {
                let window = config.storage.out_of_order_time_window;
                if !window.is_zero() {
                    out.set("out_of_order_time_window", duration::format(window));
                }
                if let Some(retention) = &config.storage.retention {
                    out.section("retention", |out| self::retention(out, retention));
                }
            });
        });
    }
    out.items("scrape_configs", &config.scrape_configs, job);
    out.text
}

fn global(out: &mut Writer, global: &GlobalConfig) {
    out.set("scrape_interval", duration::format(global.scrape_interval));
    out.set("scrape_timeout", duration::format(global.scrape_timeout));
    let protocols = global.scrape_protocols.iter().map(|p| p.name());
    out.texts("scrape_protocols", protocols);
    out.set(
        "evaluation_interval",
        duration::format(global.evaluation_interval),
    );
    if !global.query_log_file.as_os_str().is_empty() {
        let file = global.query_log_file.to_string_lossy();
        out.set("query_log_file", scalar(&file));
    }
    labels(out, "external_labels", &global.external_labels);
    limits(out, &global.limits);
    let names = name_scheme(global.metric_name_validation_scheme);
    out.set("metric_name_validation_scheme", names);
    let escaping = global.metric_name_escaping_scheme.name();
    out.set("metric_name_escaping_scheme", escaping);
    out.set("extra_scrape_metrics", global.extra_scrape_metrics);
}

fn retention(out: &mut Writer, retention: &RetentionConfig) {
    out.set("time", duration::format(retention.time));
    if retention.size > 0 {
        out.set("size", size::shown(retention.size).to_string());
    }
    if retention.percentage > 0 {
        out.set("percentage", retention.percentage);
    }
}

fn job(out: &mut Writer, job: &ScrapeConfig) {
    out.set("job_name", scalar(&job.job_name));
    if job.honor_labels {
        out.set("honor_labels", true);
    }
    out.set("honor_timestamps", job.honor_timestamps);
    out.set("track_timestamps_staleness", job.track_timestamps_staleness);
    if !job.params.is_empty() {
        out.section("params", |out| {
            for (name, values) in &job.params {
                out.texts(&scalar(name), values);
            }
        });
    }
    out.set("scrape_interval", duration::format(job.scrape_interval));
    out.set("scrape_timeout", duration::format(job.scrape_timeout));
    out.texts(
        "scrape_protocols",
        job.scrape_protocols.iter().map(|p| p.name()),
    );
    if let Some(protocol) = job.fallback_scrape_protocol {
        out.set("fallback_scrape_protocol", protocol.name());
    }
    out.set("extra_scrape_metrics", job.extra_scrape_metrics);
    out.set("metrics_path", scalar(&job.metrics_path));
    out.set("scheme", scalar(&job.scheme));
    out.set("enable_compression", job.enable_compression);
    limits(out, &job.limits);
    let names = name_scheme(job.metric_name_validation_scheme);
    out.set("metric_name_validation_scheme", names);
    let escaping = job.metric_name_escaping_scheme.name();
    out.set("metric_name_escaping_scheme", escaping);
    out.set("follow_redirects", job.follow_redirects);
    out.items("relabel_configs", &job.relabel_configs, rule);
    out.items("metric_relabel_configs", &job.metric_relabel_configs, rule);
    out.items("file_sd_configs", &job.file_sd_configs, file_sd);
    out.items("static_configs", &job.static_configs, static_config);
}

fn name_scheme(names: NameScheme) -> &'static str {
    match names {
        NameScheme::Utf8 => "utf8",
        NameScheme::Legacy => "legacy",
    }
}

fn limits(out: &mut Writer, limits: &Limits) {
    if limits.body_size_limit > 0 {
        out.set(
            "body_size_limit",
            size::shown(limits.body_size_limit).to_string(),
        );
    }
    for (name, limit) in [
        ("sample_limit", limits.sample_limit),
        ("target_limit", limits.target_limit),
        ("label_limit", limits.label_limit),
        ("label_name_length_limit", limits.label_name_length_limit),
        ("label_value_length_limit", limits.label_value_length_limit),
        ("keep_dropped_targets", limits.keep_dropped_targets),
    ] {
        if limit > 0 {
            out.set(name, limit);
        }
    }
}

fn rule(out: &mut Writer, rule: &Rule) {
    let config = rule.config();
    if !config.source_labels.is_empty() {
        let names: Vec<_> = config
            .source_labels
            .iter()
            .map(|name| scalar(name))
            .collect();
        out.set("source_labels", format_args!("[{}]", names.join(", ")));
    }
    out.set("separator", scalar(&config.separator));
    if config.regex != RuleConfig::default().regex {
        out.set("regex", scalar(&config.regex));
    }
    if config.modulus > 0 {
        out.set("modulus", config.modulus);
    }
    if !config.target_label.is_empty() {
        out.set("target_label", scalar(&config.target_label));
    }
    out.set("replacement", scalar(&config.replacement));
    out.set("action", config.action);
}

fn file_sd(out: &mut Writer, files: &FileSdConfig) {
    out.texts(
        "files",
        files.files.iter().map(|path| path.to_string_lossy()),
    );
    out.set("refresh_interval", duration::format(files.refresh_interval));
}

fn static_config(out: &mut Writer, group: &StaticConfig) {
    out.texts("targets", &group.targets);
    labels(out, "labels", &group.labels);
}

fn labels(out: &mut Writer, name: &str, labels: &Labels) {
    if labels.is_empty() {
        return;
    }
    out.section(name, |out| {
        for (name, value) in labels {
            out.set(&scalar(name), scalar(value));
        }
    });
}

/// Writes block style, lists at the depth of their key.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
    /// Whether the next line starts an item of a list.
    item: bool,
}

impl Writer {
    fn line(&mut self, line: impl Display) {
        let dash = if self.item { "- " } else { "" };
        let indent = 2 * self.depth - dash.len();
        self.item = false;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{dash}{line}", "");
    }

    fn set(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}: {value}"));
    }

    fn section(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.line(format_args!("{name}:"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    fn texts<T: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = T>) {
        let mut texts = texts.into_iter().peekable();
        if texts.peek().is_none() {
            return self.set(name, "[]");
        }
        self.section(name, |out| {
            for text in texts {
                out.item = true;
                out.line(scalar(text.as_ref()));
            }
        });
    }

    /// Nothing at all if there are no items.
    fn items<T>(&mut self, name: &str, items: &[T], one: impl Fn(&mut Self, &T)) {
        if items.is_empty() {
            return;
        }
        self.section(name, |out| {
            for item in items {
                out.item = true;
                one(out, item);
            }
        });
    }
}

/// Text as YAML reads it back: plain where it can be, else in quotes, double ones if it would
/// mean something else without them.
fn scalar(text: &str) -> String {
    let kind = Kind::Scalar {
        text: text.into(),
        plain: true,
        tag: None,
    };
    let means_text = matches!(Value::of(&kind), Some(Value::Text));
    if means_text && is_plain(text) {
        return text.to_owned();
    }
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}');
    if means_text && text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Whether text can stand without quotes. Careful rather than complete: what it refuses is
/// quoted, which is never wrong.
fn is_plain(text: &str) -> bool {
    let starts_plain = |c: char| c.is_alphanumeric() || "_/$(.^;+".contains(c);
    let inside_plain = |c: char| c.is_alphanumeric() || "_/$().*^;+-:@%=|?<>~! ".contains(c);
    text.starts_with(starts_plain)
        && text.chars().all(inside_plain)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars() {
        let cases = [
            ("node", "node"),
            ("localhost:9090", "localhost:9090"),
            ("/metrics", "/metrics"),
            ("(.*)", "(.*)"),
            ("$1", "$1"),
            (";", ";"),
            ("", "\"\""),
            ("true", "\"true\""),
            ("15", "\"15\""),
            ("a: b", "'a: b'"),
            ("it's", "'it''s'"),
            ("a #b", "'a #b'"),
            ("- a", "'- a'"),
            ("a\nb\u{7}\"", r#""a\nb\U00000007\"""#),
        ];
        for (text, want) in cases {
            assert_eq!(scalar(text), want);
        }
    }
}
