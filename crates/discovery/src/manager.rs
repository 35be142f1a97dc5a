//! Runs the providers that are wanted and publishes what they find.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ferula_env::{Clock, Disk, spawn};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::provider::{Found, World};
use crate::{Metrics, ProviderConfig, TargetGroup, Targets};

/// From one published state to the next at least: what changes in between is published together.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// While changes keep coming, the pause doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Keeps the providers running that jobs want. Stops them all when dropped.
#[derive(Debug)]
pub struct Manager {
    shared: Arc<Shared>,
    _publisher: Task,
}

/// How a provider is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    /// What it provides from.
    pub config: ProviderConfig,
    /// The jobs that have it, sorted.
    pub jobs: Vec<String>,
    /// How many targets it provides.
    pub targets: usize,
    /// When it last had a result without an error, in milliseconds since the Unix epoch.
    pub last_good_ms: Option<i64>,
    /// What its latest result lacks, if anything, and since when it does. Its targets are those
    /// of before.
    pub error: Option<(String, i64)>,
}

impl Manager {
    /// A manager without jobs.
    pub fn new(clock: Arc<dyn Clock>, disk: Arc<dyn Disk>) -> Self {
        let (published, _) = watch::channel(Targets::default());
        let shared = Arc::new(Shared {
            world: World {
                clock,
                disk,
                metrics: Arc::default(),
            },
            state: Mutex::default(),
            changed: Notify::new(),
            published,
        });
        let publisher = Task(spawn::task(publish(shared.clone())));
        Self {
            shared,
            _publisher: publisher,
        }
    }

    /// Makes `wanted`, by job, what is provided from. Providers that stay wanted run on and keep
    /// what they found. A job that was there keeps its targets until each of its added providers
    /// had its first result.
    pub fn apply(&self, wanted: HashMap<String, Vec<ProviderConfig>>) {
        let configs: HashSet<_> = wanted.values().flatten().collect();
        let mut state = self.shared.state.lock();
        state.providers.retain(|config, _| configs.contains(config));
        let added: Vec<_> = configs
            .into_iter()
            .filter(|config| !state.providers.contains_key(*config))
            .cloned()
            .collect();
        state.jobs = wanted;
        for config in added {
            state.next_id += 1;
            let id = state.next_id;
            let outbox = Outbox {
                config: config.clone(),
                id,
                shared: Arc::downgrade(&self.shared),
            };
            let running = config.provider().run(self.shared.world.clone(), outbox);
            let provider = Running {
                id,
                found: None,
                last_good_ms: None,
                failing_since_ms: None,
                _task: Task(spawn::task(running)),
            };
            state.providers.insert(config, provider);
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    /// The targets of every job, from now on. There are none of a job until the first provider
    /// had a result.
    pub fn subscribe(&self) -> watch::Receiver<Targets> {
        self.shared.published.subscribe()
    }

    /// How each provider is doing.
    pub fn status(&self) -> Vec<ProviderStatus> {
        let state = self.shared.state.lock();
        let one = |(config, running): (&ProviderConfig, &Running)| {
            let found = running.found.as_deref();
            let groups = found.map_or(&[][..], |found| &found.groups);
            let error = found.and_then(|found| found.error.clone());
            let has = |(_, configs): &(&String, &Vec<_>)| configs.contains(config);
            let jobs = state.jobs.iter().filter(has);
            let mut jobs: Vec<_> = jobs.map(|(name, _)| name.clone()).collect();
            jobs.sort();
            ProviderStatus {
                config: config.clone(),
                jobs,
                targets: groups.iter().map(|group| group.targets.len()).sum(),
                last_good_ms: running.last_good_ms,
                error: error.zip(running.failing_since_ms),
            }
        };
        let mut all: Vec<_> = state.providers.iter().map(one).collect();
        all.sort_by(|a, b| (&a.jobs, a.config.kind()).cmp(&(&b.jobs, b.config.kind())));
        all
    }

    /// What discovery counts about itself.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.world.metrics
    }
}

#[derive(Debug)]
struct Shared {
    world: World,
    state: Mutex<State>,
    changed: Notify,
    published: watch::Sender<Targets>,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<String, Vec<ProviderConfig>>,
    providers: HashMap<ProviderConfig, Running>,
    next_id: u64,
}

#[derive(Debug)]
struct Running {
    /// Tells it from one with the same configuration that was stopped.
    id: u64,
    /// Its latest result.
    found: Option<Arc<Found>>,
    last_good_ms: Option<i64>,
    failing_since_ms: Option<i64>,
    _task: Task,
}

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a provider hands in its results.
#[derive(Debug)]
pub(crate) struct Outbox {
    config: ProviderConfig,
    id: u64,
    shared: Weak<Shared>,
}

impl Outbox {
    /// Hands in a result. It goes nowhere once the provider is not wanted.
    pub(crate) fn send(&self, found: Found) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let metrics = &shared.world.metrics;
        metrics.received_updates.fetch_add(1, Ordering::Relaxed);
        let now_ms = shared.world.clock.now_ms();
        let mut state = shared.state.lock();
        let running = state.providers.get_mut(&self.config);
        let Some(running) = running.filter(|running| running.id == self.id) else {
            return;
        };
        let kind = self.config.kind();
        match &found.error {
            Some(error) => {
                metrics.failures.fetch_add(1, Ordering::Relaxed);
                running.failing_since_ms.get_or_insert(now_ms);
                let before = running
                    .found
                    .as_ref()
                    .and_then(|found| found.error.as_ref());
                if before != Some(error) {
                    warn!(kind, %error, "discovery failed, keeping what it found before");
                }
            }
            None => {
                running.last_good_ms = Some(now_ms);
                if running.failing_since_ms.take().is_some() {
                    info!(kind, "discovery works again");
                }
            }
        }
        running.found = Some(Arc::new(found));
        drop(state);
        shared.changed.notify_one();
    }
}

/// Publishes changes, not too often. Ends with the manager, which drops it.
async fn publish(shared: Arc<Shared>) {
    let mut pause = PAUSE_MIN;
    loop {
        pause = match shared.changed.notified().now_or_never() {
            Some(()) => (2 * pause).min(PAUSE_MAX),
            None => {
                shared.changed.notified().await;
                PAUSE_MIN
            }
        };
        let targets = shared.state.lock().targets(&shared.published.borrow());
        shared.published.send_if_modified(|published| {
            let changed = **published != targets;
            if changed {
                *published = Arc::new(targets);
                let updates = &shared.world.metrics.updates;
                updates.fetch_add(1, Ordering::Relaxed);
            }
            changed
        });
        shared.world.clock.sleep(pause).await;
    }
}

impl State {
    /// The groups of every job, given those published last.
    fn targets(&self, published: &Targets) -> HashMap<String, Vec<TargetGroup>> {
        let one = |(name, configs): (&String, &Vec<ProviderConfig>)| {
            let found: Vec<_> = configs
                .iter()
                .filter_map(|config| self.providers.get(config)?.found.as_ref())
                .collect();
            let groups = match published.get(name) {
                Some(before) if found.len() < configs.len() => before.clone(),
                _ => found
                    .iter()
                    .flat_map(|f| f.groups.iter().cloned())
                    .collect(),
            };
            (name.clone(), groups)
        };
        self.jobs.iter().map(one).collect()
    }
}
