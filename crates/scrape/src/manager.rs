//! All jobs: follows the configuration and what discovery finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferula_config::Config;
use ferula_discovery::Targets;
use ferula_env::Clock;
use ferula_model::Labels;
use ferula_storage::Append;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::buffers::Buffers;
use crate::job::{Options, Shared};
use crate::loop_::Handle;
use crate::metadata::FamilyMetadata;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::status::{ActiveTarget, DroppedTarget, PoolStatus};

/// Scrapes what configuration and discovery say. Shared; every method takes `&self`.
pub struct Manager {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By job.
    pools: BTreeMap<String, Pool>,
    /// What discovery found last.
    targets: Targets,
    stopped: bool,
}

impl Manager {
    /// A manager without jobs.
    pub fn new(clock: Arc<dyn Clock>, append: Arc<dyn Append>, options: Options) -> Self {
        let shared = Shared {
            clock,
            append,
            options,
            metrics: Arc::default(),
            buffers: Buffers::new(),
        };
        Self {
            shared: Arc::new(shared),
            state: Mutex::default(),
        }
    }

    /// Takes a configuration, all of it. Jobs that are the same as before are left alone; those
    /// that changed go on with what their loops know; series of those that are gone fade. Must be
    /// called within the runtime that is to run the loops.
    pub fn apply(&self, config: &Config) {
        let mut state = self.state.lock();
        let State {
            pools,
            targets,
            stopped,
        } = &mut *state;
        if *stopped {
            return;
        }
        let jobs = &config.scrape_configs;
        let is_configured = |name: &String| jobs.iter().any(|j| j.job_name == *name);
        let gone: Vec<String> = pools
            .keys()
            .filter(|n| !is_configured(n))
            .cloned()
            .collect();
        for name in gone {
            // Scrapes in flight end by themselves.
            drop(pools.remove(&name).map(Pool::stop));
        }
        for job in jobs {
            match pools.get_mut(&job.job_name) {
                Some(pool) if pool.config() == job => {}
                Some(pool) => pool.reload(job.clone()),
                None => {
                    let mut pool = Pool::new(&self.shared, job.clone());
                    if let Some(groups) = targets.get(&job.job_name) {
                        pool.set_groups(groups);
                    }
                    pools.insert(job.job_name.clone(), pool);
                }
            }
        }
    }

    /// Takes what discovery found: at once the first time, then no more often than
    /// [`Options::discovery_reload_interval`]. Returns when discovery ends or after
    /// [`Manager::shutdown`].
    pub async fn follow(&self, mut targets: watch::Receiver<Targets>) {
        loop {
            let found = Arc::clone(&targets.borrow_and_update());
            if !self.set_targets(found) {
                return;
            }
            if targets.changed().await.is_err() {
                return;
            }
            let pause = self.shared.options.discovery_reload_interval;
            if !pause.is_zero() {
                self.shared.clock.sleep(pause).await;
            }
        }
    }

    /// Answers whether the manager still runs.
    fn set_targets(&self, targets: Targets) -> bool {
        let mut state = self.state.lock();
        if state.stopped {
            return false;
        }
        for (name, pool) in &mut state.pools {
            pool.set_groups(targets.get(name).map_or(&[], Vec::as_slice));
        }
        state.targets = targets;
        true
    }

    /// Stops all loops, without markers. Returns once the scrapes in flight have been stored;
    /// each is bounded by its timeout.
    pub async fn shutdown(&self) {
        let pools = {
            let mut state = self.state.lock();
            state.stopped = true;
            std::mem::take(&mut state.pools)
        };
        let handles: Vec<Handle> = pools.into_values().flat_map(Pool::stop).collect();
        for handle in handles {
            handle.join().await;
        }
    }

    /// The jobs' names, sorted.
    pub fn scrape_pools(&self) -> Vec<String> {
        self.state.lock().pools.keys().cloned().collect()
    }

    /// Every target that is scraped, by job.
    pub fn active_targets(&self) -> Vec<ActiveTarget> {
        let state = self.state.lock();
        state
            .pools
            .values()
            .flat_map(Pool::active_targets)
            .collect()
    }

    /// The targets that relabelling drops, as far as they are remembered, by job.
    pub fn dropped_targets(&self) -> Vec<DroppedTarget> {
        let state = self.state.lock();
        state
            .pools
            .values()
            .flat_map(Pool::dropped_targets)
            .collect()
    }

    /// Each job in numbers, `droppedTargetCounts` among them.
    pub fn pools(&self) -> Vec<PoolStatus> {
        self.state.lock().pools.values().map(Pool::status).collect()
    }

    /// What targets say about their metrics: calls `visit` with a target's labels, a family's
    /// name, and what is known of it; with `family`, only for that one.
    pub fn visit_metadata(
        &self,
        family: Option<&str>,
        mut visit: impl FnMut(&Labels, &str, &FamilyMetadata),
    ) {
        let statuses: Vec<_> = {
            let state = self.state.lock();
            state.pools.values().flat_map(Pool::statuses).collect()
        };
        for (labels, status) in statuses {
            let metadata = status.metadata.lock();
            match family {
                Some(name) => {
                    if let Some(known) = metadata.get(name) {
                        visit(&labels, name, known);
                    }
                }
                None => metadata
                    .iter()
                    .for_each(|(name, m)| visit(&labels, name, m)),
            }
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }
}
