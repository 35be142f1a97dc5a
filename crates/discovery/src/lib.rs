//! Providers of scrape targets: from what a job's configuration says to target groups, kept up
//! to date.
//!
//! Never scrapes, never relabels, never logs but for the failure of a provider. Start with
//! [`Manager`]. A kind of discovery is one folder behind [`ProviderConfig`]; `file` shows how
//! one looks.

mod file;
mod group;
mod manager;
mod metrics;
mod provider;

pub use group::{ADDRESS, TargetGroup, Targets};
pub use manager::{Manager, ProviderStatus};
pub use metrics::Metrics;
pub use provider::ProviderConfig;
