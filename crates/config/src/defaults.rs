//! What counts where a configuration says nothing: all of it, here alone.

use std::path::PathBuf;
use std::time::Duration;

use ferula_exposition::{EscapingScheme, ScrapeProtocol};
use ferula_model::Labels;
use ferula_model::text::NameScheme;

use crate::{GlobalConfig, Limits, ScrapeConfig};

pub(crate) const SCRAPE_INTERVAL: Duration = Duration::from_secs(60);
/// Cut to the interval where that is shorter.
pub(crate) const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const FILE_SD_REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            scrape_interval: SCRAPE_INTERVAL,
            scrape_timeout: SCRAPE_TIMEOUT,
            scrape_protocols: ScrapeProtocol::DEFAULT.to_vec(),
            evaluation_interval: EVALUATION_INTERVAL,
            query_log_file: PathBuf::new(),
            external_labels: Labels::empty(),
            limits: Limits::default(),
            metric_name_validation_scheme: NameScheme::Utf8,
            metric_name_escaping_scheme: EscapingScheme::AllowUtf8,
            extra_scrape_metrics: false,
        }
    }
}

impl ScrapeConfig {
    /// A job that says nothing but its name, under this `global` section.
    pub fn inheriting(global: &GlobalConfig, job_name: &str) -> Self {
        Self {
            job_name: job_name.to_owned(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            params: Vec::new(),
            scrape_interval: global.scrape_interval,
            scrape_timeout: global.scrape_timeout,
            scrape_protocols: global.scrape_protocols.clone(),
            fallback_scrape_protocol: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            enable_compression: true,
            follow_redirects: true,
            limits: global.limits,
            metric_name_validation_scheme: global.metric_name_validation_scheme,
            metric_name_escaping_scheme: global.metric_name_escaping_scheme,
            extra_scrape_metrics: global.extra_scrape_metrics,
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
        }
    }
}
