//! A job as its loops use it, and what they all share.

use std::sync::Arc;
use std::time::Duration;

use ferula_config::ScrapeConfig;
use ferula_env::Clock;
use ferula_exposition::accept_header;
use ferula_httpclient::{Client, Settings};
use ferula_model::TenantId;
use ferula_storage::Append;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::buffers::Buffers;
use crate::metrics::Metrics;
use crate::target::Target;
use crate::timing::Alignment;

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// How a scraper behaves, whatever the configuration file says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose series the scraped ones are.
    pub tenant: TenantId,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// See [`crate::offset_seed`].
    pub offset_seed: u64,
    /// How timestamps are straightened.
    pub alignment: Alignment,
    /// The least time between two changes of the targets.
    pub discovery_reload_interval: Duration,
}

/// What all loops of a scraper use.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) append: Arc<dyn Append>,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) buffers: Buffers,
}

/// What the loops of one job use.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: Arc<str>,
    pub(crate) config: ScrapeConfig,
    pub(crate) client: Client,
}

impl Job {
    pub(crate) fn new(shared: &Shared, config: ScrapeConfig) -> Self {
        let follow_redirects = config.follow_redirects;
        Self {
            name: config.job_name.as_str().into(),
            client: Client::new(Arc::clone(&shared.clock), Settings { follow_redirects }),
            config,
        }
    }

    /// The same job with another configuration; its connections stay if they may.
    pub(crate) fn with(&self, shared: &Shared, config: ScrapeConfig) -> Self {
        if self.config.follow_redirects != config.follow_redirects {
            return Self::new(shared, config);
        }
        Self {
            name: Arc::clone(&self.name),
            client: self.client.clone(),
            config,
        }
    }

    /// Whether the same exposed text means the same series under both configurations.
    pub(crate) fn makes_series_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.config, &other.config);
        let label_limits = |c: &ScrapeConfig| {
            let limits = &c.limits;
            (
                limits.label_limit,
                limits.label_name_length_limit,
                limits.label_value_length_limit,
            )
        };
        a.honor_labels == b.honor_labels
            && a.metric_relabel_configs == b.metric_relabel_configs
            && a.metric_name_validation_scheme == b.metric_name_validation_scheme
            && label_limits(a) == label_limits(b)
    }
}

/// What a loop is to do.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) job: Arc<Job>,
    pub(crate) target: Target,
    /// The target's identity, computed once.
    pub(crate) identity: u64,
    /// The headers of every request.
    pub(crate) headers: HeaderMap,
    /// Every scrape fails with this instead of being tried.
    pub(crate) forced_error: Option<Arc<str>>,
}

impl Assignment {
    pub(crate) fn new(
        options: &Options,
        job: &Arc<Job>,
        target: Target,
        forced_error: Option<Arc<str>>,
    ) -> Self {
        Self {
            headers: headers(options, &job.config, target.timeout),
            identity: target.identity(),
            job: Arc::clone(job),
            target,
            forced_error,
        }
    }
}

fn headers(options: &Options, config: &ScrapeConfig, timeout: Duration) -> HeaderMap {
    let accept = accept_header(&config.scrape_protocols, config.metric_name_escaping_scheme);
    let encoding = if config.enable_compression {
        "gzip"
    } else {
        "identity"
    };
    let mut headers = HeaderMap::with_capacity(4);
    for (name, value) in [
        (header::ACCEPT, accept.as_str()),
        (header::ACCEPT_ENCODING, encoding),
        (header::USER_AGENT, options.user_agent.as_str()),
        (TIMEOUT_HEADER, timeout.as_secs_f64().to_string().as_str()),
    ] {
        // All are made of visible ASCII but the user agent, which is left out if it is not.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_config::GlobalConfig;

    #[test]
    fn headers_are_the_ones_exporters_know() {
        let mut config = ScrapeConfig::inheriting(&GlobalConfig::default(), "j");
        let options = Options {
            tenant: TenantId::anonymous(),
            user_agent: "Ferula/1.2.3".to_owned(),
            offset_seed: 0,
            alignment: Alignment {
                tolerance: Duration::ZERO,
            },
            discovery_reload_interval: Duration::ZERO,
        };
        let made = headers(&options, &config, Duration::from_millis(500));
        assert_eq!(made[header::ACCEPT_ENCODING], "gzip");
        assert_eq!(made[header::USER_AGENT], "Ferula/1.2.3");
        assert_eq!(made["X-Prometheus-Scrape-Timeout-Seconds"], "0.5");
        assert!(
            made[header::ACCEPT]
                .to_str()
                .unwrap()
                .ends_with(",*/*;q=0.2")
        );
        config.enable_compression = false;
        let made = headers(&options, &config, Duration::from_secs(10));
        assert_eq!(made[header::ACCEPT_ENCODING], "identity");
        assert_eq!(made["X-Prometheus-Scrape-Timeout-Seconds"], "10");
    }
}
