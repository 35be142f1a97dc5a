//! What the scraper counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        // A plain load is cheaper than a locked addition of nothing, which is the usual case.
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts over all jobs. Each is the Prometheus metric of this name with
/// `prometheus_target_` in front and `_total` behind.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Scrape pools that were to be created.
    pub scrape_pools: Counter,
    /// Scrape pools that were to be changed.
    pub scrape_pool_reloads: Counter,
    /// Scrapes that exceeded `sample_limit`.
    pub scrapes_exceeded_sample_limit: Counter,
    /// Scrapes that exceeded `body_size_limit`.
    pub scrapes_exceeded_body_size_limit: Counter,
    /// Samples with another value than the one stored for that time.
    pub scrapes_sample_duplicate_timestamp: Counter,
    /// Samples older than their series' newest.
    pub scrapes_sample_out_of_order: Counter,
    /// Samples older than what is still taken, or too far in the future.
    pub scrapes_sample_out_of_bounds: Counter,
    /// Times a job had more targets than `target_limit`.
    pub scrape_pool_exceeded_target_limit: Counter,
    /// Scrapes that exceeded one of the label limits.
    pub scrape_pool_exceeded_label_limits: Counter,
    /// Scrapes tried.
    pub scrapes: Counter,
    /// Samples exposed to all of them.
    pub samples_scraped: Counter,
}

/// Counts of one job.
#[derive(Debug, Default)]
pub(crate) struct PoolMetrics {
    /// `prometheus_target_scrape_pool_sync_total`
    pub(crate) syncs: Counter,
    /// `prometheus_target_sync_failed_total`: targets that could not be made.
    pub(crate) sync_failed: Counter,
}
