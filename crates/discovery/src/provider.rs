//! What a provider is.

use std::sync::Arc;

use ferula_config::{FileSdConfig, ScrapeConfig, StaticConfig};
use ferula_env::{Clock, Disk};
use futures::future::BoxFuture;

use crate::manager::Outbox;
use crate::{Metrics, TargetGroup, file};

/// What a provider provides from. Of equal ones, one is run for all jobs that have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProviderConfig {
    /// Targets written into the configuration.
    Static(Vec<StaticConfig>),
    /// Targets read from files.
    File(FileSdConfig),
}

impl ProviderConfig {
    /// The providers of a job.
    pub fn of_job(job: &ScrapeConfig) -> Vec<Self> {
        let mut providers = Vec::new();
        if !job.static_configs.is_empty() {
            providers.push(Self::Static(job.static_configs.clone()));
        }
        providers.extend(job.file_sd_configs.iter().cloned().map(Self::File));
        providers
    }

    /// The kind of discovery, as the configuration calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::File(_) => "file",
        }
    }

    pub(crate) fn provider(&self) -> Box<dyn Provider> {
        match self {
            Self::Static(groups) => Box::new(Static(groups.clone())),
            Self::File(config) => Box::new(file::Files::new(config.clone())),
        }
    }
}

/// What providers use of the world.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) metrics: Arc<Metrics>,
}

/// A running source of target groups.
pub(crate) trait Provider: Send {
    /// Hands in results until it has no more to say, or is dropped because nobody wants it. The
    /// first one must come soon, even if it is an error: a job's changed targets wait for it.
    fn run(self: Box<Self>, world: World, outbox: Outbox) -> BoxFuture<'static, ()>;
}

/// A result of a provider: always all its groups. After a failure those of before, as far as
/// they still are the best guess.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) groups: Vec<TargetGroup>,
    pub(crate) error: Option<String>,
}

/// Has one result.
struct Static(Vec<StaticConfig>);

impl Provider for Static {
    fn run(self: Box<Self>, _: World, outbox: Outbox) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let stated = self.0.iter().enumerate();
            let groups = stated.map(|(i, group)| TargetGroup::new(i.to_string(), group));
            outbox.send(Found {
                groups: groups.collect(),
                error: None,
            });
        })
    }
}
