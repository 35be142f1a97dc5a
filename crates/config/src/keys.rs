//! Every key of `prometheus.yml`, and what becomes of it here.

/// What becomes of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    /// It does what it says.
    Supported,
    /// It is read, and a warning says what happens instead.
    NoEffect(&'static str),
    /// It is an error, unless its value asks for nothing; the text says what to do.
    Unserved(&'static str),
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) status: Status,
}

/// The keys of one kind of mapping.
#[derive(Debug)]
pub(crate) struct Section {
    /// How messages call it; empty for the file as a whole.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn yes(name: &'static str) -> Key {
    let status = Status::Supported;
    Key { name, status }
}

const fn idle(name: &'static str, instead: &'static str) -> Key {
    let status = Status::NoEffect(instead);
    Key { name, status }
}

const fn no(name: &'static str, help: &'static str) -> Key {
    let status = Status::Unserved(help);
    Key { name, status }
}

const RULES: &str =
    "remove it and keep another server for rules; a later version will evaluate them";
const ALERTS: &str = "remove it; a later version will evaluate rules and send alerts";
const REMOTE_WRITE: &str =
    "remove it; a later version will send samples on. Receiving them works without a key";
const STALE_SERIES: &str = "remove it; series that have ended leave memory with their last samples";
const NATIVE: &str = "set it to false; native histograms are scraped as protobuf, which a later \
                      version will read. Remote write receives them";
const NHCB: &str = "set it to false; a later version will convert";
const NO_NATIVE: &str = "only text formats are scraped, and they carry no native histograms";
const CLASSIC: &str = "classic histograms are always scraped";
const TLS: &str = "remove it and scrape over plain http; a later version will support TLS";
const AUTH: &str = "remove it and scrape without credentials; a later version will support them";
const PROXY: &str = "remove it and scrape without a proxy; a later version will support them";
const HEADERS: &str = "remove it; a later version will send headers of your own";
const FAILURE_LOG: &str = "remove it; the targets page shows each target's last error";
const DISCOVERY: &str = "list the targets in `static_configs`, or write them to a file for \
                         `file_sd_configs`; a later version will find them";

/// The file as a whole.
pub(crate) static ROOT: Section = Section {
    name: "",
    keys: &[
        yes("global"),
        yes("runtime"),
        no("rule_files", RULES),
        no(
            "scrape_config_files",
            "put the jobs into `scrape_configs`; a later version will read more files",
        ),
        yes("scrape_configs"),
        no("alerting", ALERTS),
        no("remote_write", REMOTE_WRITE),
        no(
            "remote_read",
            "remove it; a later version will ask other servers",
        ),
        no("otlp", "remove it; a later version will receive OTLP"),
        yes("storage"),
        no("tracing", "remove it; a later version will send traces"),
    ],
};

pub(crate) static GLOBAL: Section = Section {
    name: "`global`",
    keys: &[
        yes("scrape_interval"),
        yes("scrape_timeout"),
        yes("scrape_protocols"),
        yes("evaluation_interval"),
        no("rule_query_offset", RULES),
        yes("query_log_file"),
        no("scrape_failure_log_file", FAILURE_LOG),
        yes("external_labels"),
        yes("body_size_limit"),
        yes("sample_limit"),
        yes("target_limit"),
        yes("label_limit"),
        yes("label_name_length_limit"),
        yes("label_value_length_limit"),
        yes("keep_dropped_targets"),
        yes("metric_name_validation_scheme"),
        yes("metric_name_escaping_scheme"),
        no("scrape_native_histograms", NATIVE),
        no("convert_classic_histograms_to_nhcb", NHCB),
        idle("always_scrape_classic_histograms", CLASSIC),
        yes("extra_scrape_metrics"),
    ],
};

pub(crate) static RUNTIME: Section = Section {
    name: "`runtime`",
    keys: &[idle("gogc", "there is no garbage collector to tune")],
};

pub(crate) static STORAGE: Section = Section {
    name: "`storage`",
    keys: &[yes("tsdb"), yes("exemplars")],
};

pub(crate) static TSDB: Section = Section {
    name: "`storage.tsdb`",
    keys: &[
        yes("out_of_order_time_window"),
        no("stale_series_compaction_threshold", STALE_SERIES),
        yes("chunk_encoding"),
        yes("retention"),
    ],
};

pub(crate) static RETENTION: Section = Section {
    name: "`retention`",
    keys: &[yes("time"), yes("size"), yes("percentage")],
};

pub(crate) static CHUNK_ENCODING: Section = Section {
    name: "`chunk_encoding`",
    keys: &[idle("floats", "chunks have an encoding of their own")],
};

pub(crate) static EXEMPLARS: Section = Section {
    name: "`storage.exemplars`",
    keys: &[idle("max_exemplars", "exemplars are not kept yet")],
};

pub(crate) static SCRAPE: Section = Section {
    name: "a scrape configuration",
    keys: &[
        yes("job_name"),
        yes("honor_labels"),
        yes("honor_timestamps"),
        yes("track_timestamps_staleness"),
        yes("params"),
        yes("scrape_interval"),
        yes("scrape_timeout"),
        yes("scrape_protocols"),
        yes("fallback_scrape_protocol"),
        no("scrape_native_histograms", NATIVE),
        idle("always_scrape_classic_histograms", CLASSIC),
        no("convert_classic_histograms_to_nhcb", NHCB),
        yes("extra_scrape_metrics"),
        no("scrape_failure_log_file", FAILURE_LOG),
        yes("metrics_path"),
        yes("scheme"),
        yes("enable_compression"),
        yes("body_size_limit"),
        yes("sample_limit"),
        yes("target_limit"),
        yes("label_limit"),
        yes("label_name_length_limit"),
        yes("label_value_length_limit"),
        idle("native_histogram_bucket_limit", NO_NATIVE),
        idle("native_histogram_min_bucket_factor", NO_NATIVE),
        yes("keep_dropped_targets"),
        yes("metric_name_validation_scheme"),
        yes("metric_name_escaping_scheme"),
        // The HTTP client. Over plain http there is no way to HTTP/2, whatever the key says.
        yes("follow_redirects"),
        yes("enable_http2"),
        no("basic_auth", AUTH),
        no("authorization", AUTH),
        no("bearer_token", AUTH),
        no("bearer_token_file", AUTH),
        no("oauth2", AUTH),
        no("tls_config", TLS),
        no("proxy_url", PROXY),
        no("no_proxy", PROXY),
        no("proxy_from_environment", PROXY),
        no("proxy_connect_header", PROXY),
        no("http_headers", HEADERS),
        yes("relabel_configs"),
        yes("metric_relabel_configs"),
        yes("static_configs"),
        yes("file_sd_configs"),
        no("aws_sd_configs", DISCOVERY),
        no("azure_sd_configs", DISCOVERY),
        no("consul_sd_configs", DISCOVERY),
        no("digitalocean_sd_configs", DISCOVERY),
        no("dns_sd_configs", DISCOVERY),
        no("docker_sd_configs", DISCOVERY),
        no("dockerswarm_sd_configs", DISCOVERY),
        no("ec2_sd_configs", DISCOVERY),
        no("eureka_sd_configs", DISCOVERY),
        no("gce_sd_configs", DISCOVERY),
        no("hetzner_sd_configs", DISCOVERY),
        no("http_sd_configs", DISCOVERY),
        no("ionos_sd_configs", DISCOVERY),
        no("kubernetes_sd_configs", DISCOVERY),
        no("kuma_sd_configs", DISCOVERY),
        no("lightsail_sd_configs", DISCOVERY),
        no("linode_sd_configs", DISCOVERY),
        no("marathon_sd_configs", DISCOVERY),
        no("nerve_sd_configs", DISCOVERY),
        no("nomad_sd_configs", DISCOVERY),
        no("oci_sd_configs", DISCOVERY),
        no("openstack_sd_configs", DISCOVERY),
        no("outscale_sd_configs", DISCOVERY),
        no("ovhcloud_sd_configs", DISCOVERY),
        no("puppetdb_sd_configs", DISCOVERY),
        no("scaleway_sd_configs", DISCOVERY),
        no("serverset_sd_configs", DISCOVERY),
        no("stackit_sd_configs", DISCOVERY),
        no("triton_sd_configs", DISCOVERY),
        no("uyuni_sd_configs", DISCOVERY),
        no("vultr_sd_configs", DISCOVERY),
    ],
};

pub(crate) static STATIC: Section = Section {
    name: "a target group",
    keys: &[yes("targets"), yes("labels")],
};

pub(crate) static FILE_SD: Section = Section {
    name: "`file_sd_configs`",
    keys: &[yes("files"), yes("refresh_interval")],
};

pub(crate) static RELABEL: Section = Section {
    name: "a relabelling rule",
    keys: &[
        yes("source_labels"),
        yes("separator"),
        yes("target_label"),
        yes("regex"),
        yes("modulus"),
        yes("replacement"),
        yes("action"),
    ],
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ferula_diag::{Severity, Source};

    use super::*;
    use crate::{Surroundings, load};

    /// How a file gets to a section: text before the section's keys, and their indentation.
    const PLACES: [(&Section, &str, usize); 13] = [
        (&ROOT, "", 0),
        (&GLOBAL, "global:\n", 2),
        (&RUNTIME, "runtime:\n", 2),
        (&STORAGE, "storage:\n", 2),
        (&TSDB, "storage:\n  tsdb:\n", 4),
        (
            &CHUNK_ENCODING,
            "storage:\n  tsdb:\n    chunk_encoding:\n",
            6,
        ),
        (&RETENTION, "storage:\n  tsdb:\n    retention:\n", 6),
        (&EXEMPLARS, "storage:\n  exemplars:\n", 4),
        (&SCRAPE, "scrape_configs:\n- x:\n", 2),
        (&STATIC, "scrape_configs:\n- static_configs:\n  - x:\n", 4),
        (&FILE_SD, "scrape_configs:\n- file_sd_configs:\n  - x:\n", 4),
        (&RELABEL, "scrape_configs:\n- relabel_configs:\n  - x:\n", 4),
        (
            &RELABEL,
            "scrape_configs:\n- metric_relabel_configs:\n  - x:\n",
            4,
        ),
    ];

    /// Codes and messages that a file gives which holds `key: value`.
    fn findings(before: &str, indent: usize, key: &str, value: &str) -> Vec<(Severity, String)> {
        let text = format!("{before}{:indent$}{key}: {value}\n", "");
        let source = Source::new("f", &text);
        let surroundings = Surroundings {
            dir: Path::new(""),
            variable: &|_| None,
        };
        let found = match load(&source, surroundings) {
            Ok(loaded) => loaded.warnings,
            Err(findings) => findings,
        };
        let show = |d: ferula_diag::Diagnostic| (d.severity, format!("{} {}", d.code, d.message));
        found.into_iter().map(show).collect()
    }

    #[test]
    fn every_key_is_what_the_table_says() {
        for (section, before, indent) in PLACES {
            for key in section.keys {
                let name = key.name;
                let set = findings(before, indent, name, "[wanted]");
                let unset = findings(before, indent, name, "");
                let has = |list: &[(Severity, String)], severity, text: String| {
                    list.iter().any(|(s, t)| *s == severity && *t == text)
                };
                let unknown = format!("E-config-unknown-key unknown key `{name}`");
                assert!(!has(&set, Severity::Error, unknown.clone()), "{name}");
                let refusal = format!("E-config-unserved `{name}` is not supported yet");
                let idle = format!("W-config-no-effect `{name}` has no effect");
                let refused = |list: &[_]| has(list, Severity::Error, refusal.clone());
                let warned = |list: &[_]| has(list, Severity::Warning, idle.clone());
                let want = match key.status {
                    Status::Supported => (false, false),
                    Status::NoEffect(_) => (false, true),
                    Status::Unserved(_) => (true, false),
                };
                assert_eq!((refused(&set), warned(&set)), want, "{name}");
                assert!(
                    !refused(&unset) && !warned(&unset),
                    "{name} without a value"
                );
            }
            let made_up = findings(before, indent, "made_up_key", "1");
            assert!(
                made_up
                    .iter()
                    .any(|(_, t)| t.contains("unknown key `made_up_key`")),
                "{}",
                section.name
            );
        }
    }

    #[test]
    fn names_are_unique() {
        for (section, _, _) in PLACES {
            let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{}", section.name);
        }
    }
}
