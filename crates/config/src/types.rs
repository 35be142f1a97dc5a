//! What a configuration says, after defaults and inheritance: every value here is the one that
//! counts.

use std::path::PathBuf;
use std::time::Duration;

use ferula_exposition::{EscapingScheme, ScrapeProtocol};
use ferula_model::Labels;
use ferula_model::text::NameScheme;
use ferula_relabel::Rule;

/// A whole `prometheus.yml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What jobs inherit, and what concerns no single job.
    pub global: GlobalConfig,
    /// How samples are kept.
    pub storage: StorageConfig,
    /// The jobs, in the order of the file; their names are unique.
    pub scrape_configs: Vec<ScrapeConfig>,
}

/// The `global` section.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalConfig {
    /// From one scrape of a target to the next.
    pub scrape_interval: Duration,
    /// How long a scrape may take; never more than the interval.
    pub scrape_timeout: Duration,
    /// Formats to ask for, most wanted first; never empty.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// From one evaluation of a rule group to the next.
    pub evaluation_interval: Duration,
    /// Where each query is written down, absolute or relative to the working directory; empty for
    /// nowhere.
    pub query_log_file: PathBuf,
    /// Labels for whatever leaves this server; `${VAR}` is already filled in.
    pub external_labels: Labels,
    /// Bounds on what is scraped.
    pub limits: Limits,
    /// Which names of metrics and labels are good.
    pub metric_name_validation_scheme: NameScheme,
    /// What targets shall do with names outside the old alphabet.
    pub metric_name_escaping_scheme: EscapingScheme,
    /// Whether scrapes report their timeout, limit and body size as series, too.
    pub extra_scrape_metrics: bool,
}

/// The `storage` section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageConfig {
    /// How far behind the newest sample others may come out of order; zero for not at all.
    pub out_of_order_time_window: Duration,
    /// How long and how much is kept; absent, the command line says.
    pub retention: Option<RetentionConfig>,
}

/// How long and how much is kept. Zero is no bound; one that is left out is none either, whatever
/// the command line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Age of samples.
    pub time: Duration,
    /// Bytes on disk.
    pub size: u64,
    /// Bytes on disk in hundredths of the file system; then `size` does not count.
    pub percentage: u64,
}

/// Bounds on what a job's targets may expose. Zero is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes of one answer.
    pub body_size_limit: u64,
    /// Samples of one scrape, after relabelling.
    pub sample_limit: u64,
    /// Labels of one series, the metric's name included.
    pub label_limit: u64,
    /// Bytes of a label's name.
    pub label_name_length_limit: u64,
    /// Bytes of a label's value.
    pub label_value_length_limit: u64,
    /// Targets of the job, after relabelling.
    pub target_limit: u64,
    /// Dropped targets that are remembered for display.
    pub keep_dropped_targets: u64,
}

/// One job. Two equal ones scrape alike, so that a reload can leave the job alone.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// The job's name, never empty.
    pub job_name: String,
    /// Whether labels a target exposes win over the target's own.
    pub honor_labels: bool,
    /// Whether timestamps a target exposes count.
    pub honor_timestamps: bool,
    /// Whether series with exposed timestamps get stale markers, too.
    pub track_timestamps_staleness: bool,
    /// Query parameters by name.
    pub params: Vec<(String, Vec<String>)>,
    /// From one scrape of a target to the next.
    pub scrape_interval: Duration,
    /// How long a scrape may take; never more than the interval.
    pub scrape_timeout: Duration,
    /// Formats to ask for, most wanted first; never empty.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// The format of answers whose content type does not say.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Where targets expose their metrics.
    pub metrics_path: String,
    /// `http`.
    pub scheme: String,
    /// Whether compressed answers are asked for.
    pub enable_compression: bool,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Bounds on what is scraped.
    pub limits: Limits,
    /// Which names of metrics and labels are good.
    pub metric_name_validation_scheme: NameScheme,
    /// What targets shall do with names outside the old alphabet.
    pub metric_name_escaping_scheme: EscapingScheme,
    /// Whether scrapes report their timeout, limit and body size as series, too.
    pub extra_scrape_metrics: bool,
    /// Targets written into the configuration.
    pub static_configs: Vec<StaticConfig>,
    /// Targets read from files.
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Applied to targets.
    pub relabel_configs: Vec<Rule>,
    /// Applied to samples.
    pub metric_relabel_configs: Vec<Rule>,
}

/// Targets with the labels they share, as `static_configs` and target files state them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StaticConfig {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: Labels,
}

/// An entry of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileSdConfig {
    /// Files to read, absolute or relative to the working directory; the last segment may hold
    /// one `*`.
    pub files: Vec<PathBuf>,
    /// How long a change may go unnoticed at most.
    pub refresh_interval: Duration,
}
