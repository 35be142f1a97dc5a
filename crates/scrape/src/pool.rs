//! One job's targets and their loops.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ferula_config::ScrapeConfig;
use ferula_discovery::TargetGroup;
use ferula_model::Labels;

use crate::job::{Assignment, Job, Shared};
use crate::loop_::{Handle, Order};
use crate::metrics::PoolMetrics;
use crate::status::{ActiveTarget, DroppedTarget, PoolStatus, Status};
use crate::target::{Target, discovered, target};

pub(crate) struct Pool {
    shared: Arc<Shared>,
    job: Arc<Job>,
    metrics: PoolMetrics,
    /// By identity.
    targets: BTreeMap<u64, ActiveLoop>,
    /// Loops whose target is gone and that have yet to say so in the storage.
    ending: HashMap<u64, Handle>,
    dropped: Vec<Labels>,
    dropped_total: u64,
    groups: Vec<TargetGroup>,
}

struct ActiveLoop {
    assignment: Arc<Assignment>,
    discovered: Labels,
    handle: Handle,
}

/// A target that should be scraped.
struct Wanted {
    target: Target,
    discovered: Labels,
}

impl Pool {
    /// A pool without targets.
    pub(crate) fn new(shared: &Arc<Shared>, config: ScrapeConfig) -> Self {
        shared.metrics.scrape_pools.add(1);
        Self {
            job: Arc::new(Job::new(shared, config)),
            shared: Arc::clone(shared),
            metrics: PoolMetrics::default(),
            targets: BTreeMap::new(),
            ending: HashMap::new(),
            dropped: Vec::new(),
            dropped_total: 0,
            groups: Vec::new(),
        }
    }

    pub(crate) fn config(&self) -> &ScrapeConfig {
        &self.job.config
    }

    /// Takes another configuration of the job. Loops go on with what they know.
    pub(crate) fn reload(&mut self, config: ScrapeConfig) {
        self.shared.metrics.scrape_pool_reloads.add(1);
        self.job = Arc::new(self.job.with(&self.shared, config));
        self.sync();
    }

    /// Takes another set of targets.
    pub(crate) fn set_groups(&mut self, groups: &[TargetGroup]) {
        if self.groups != groups || self.metrics.syncs.get() == 0 {
            self.groups = groups.to_vec();
            self.sync();
        }
    }

    /// Starts, changes and stops loops until they are those of the groups.
    fn sync(&mut self) {
        self.metrics.syncs.add(1);
        let wanted = self.wanted();
        let forced_error = self.forced_error(wanted.len());
        let mut gone: BTreeMap<u64, ActiveLoop> = std::mem::take(&mut self.targets);
        let mut fresh = Vec::new();
        for (identity, wanted) in wanted {
            match gone.remove(&identity) {
                Some(known) => self.keep(identity, known, wanted, forced_error.clone()),
                None => fresh.push((identity, wanted)),
            }
        }
        // Scraped from the same place under the same labels, but at another time: the same loop.
        let kin: HashMap<(String, Labels), u64> = gone
            .iter()
            .map(|(identity, l)| (l.assignment.target.kinship(), *identity))
            .collect();
        for (identity, wanted) in fresh {
            let known = kin
                .get(&wanted.target.kinship())
                .and_then(|i| gone.remove(i));
            match known {
                Some(known) => self.keep(identity, known, wanted, forced_error.clone()),
                None => self.start(identity, wanted, forced_error.clone()),
            }
        }
        self.ending.retain(|_, handle| !handle.is_finished());
        for (identity, known) in gone {
            if known.handle.give(Order::Vanish) {
                self.ending.insert(identity, known.handle);
            }
        }
    }

    /// Applies relabelling to everything discovered. Targets with one identity are one.
    fn wanted(&mut self) -> BTreeMap<u64, Wanted> {
        let config = &self.job.config;
        let keep = match config.limits.keep_dropped_targets {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let mut wanted = BTreeMap::new();
        self.dropped.clear();
        self.dropped_total = 0;
        for group in &self.groups {
            for own in &group.targets {
                let builder = discovered(config, own, &group.labels);
                let discovered = builder.build();
                match target(config, builder) {
                    Ok(Some(target)) => {
                        wanted.insert(target.identity(), Wanted { target, discovered });
                    }
                    Ok(None) => {
                        self.dropped_total += 1;
                        if self.dropped.len() < keep {
                            self.dropped.push(discovered);
                        }
                    }
                    Err(error) => {
                        self.metrics.sync_failed.add(1);
                        let (job, source) = (&self.job.name, &group.source);
                        tracing::error!(%job, %source, target = %own, %error, "not a target");
                    }
                }
            }
        }
        wanted
    }

    fn forced_error(&self, targets: usize) -> Option<Arc<str>> {
        let limit = self.job.config.limits.target_limit;
        if limit == 0 || targets as u64 <= limit {
            return None;
        }
        self.shared.metrics.scrape_pool_exceeded_target_limit.add(1);
        let text = format!("target_limit exceeded (number of targets: {targets}, limit: {limit})");
        Some(text.into())
    }

    /// Lets a running loop go on, with another assignment if it is another.
    fn keep(
        &mut self,
        identity: u64,
        mut known: ActiveLoop,
        wanted: Wanted,
        forced_error: Option<Arc<str>>,
    ) {
        let current = &known.assignment;
        let same = current.identity == identity
            && Arc::ptr_eq(&current.job, &self.job)
            && current.forced_error == forced_error;
        known.discovered = wanted.discovered.clone();
        if !same {
            known.assignment = self.assignment(wanted.target.clone(), forced_error.clone());
        }
        let heard = match same {
            true => !known.handle.is_finished(),
            false => known.handle.give(Order::Run(Arc::clone(&known.assignment))),
        };
        if heard {
            self.targets.insert(identity, known);
        } else {
            self.start(identity, wanted, forced_error);
        }
    }

    fn start(&mut self, identity: u64, wanted: Wanted, forced_error: Option<Arc<str>>) {
        let assignment = self.assignment(wanted.target, forced_error);
        let order = Order::Run(Arc::clone(&assignment));
        let back = self
            .ending
            .remove(&identity)
            .filter(|handle| handle.give(order));
        let handle = back.unwrap_or_else(|| Handle::start(&self.shared, Arc::clone(&assignment)));
        let active = ActiveLoop {
            assignment,
            discovered: wanted.discovered,
            handle,
        };
        self.targets.insert(identity, active);
    }

    fn assignment(&self, target: Target, forced_error: Option<Arc<str>>) -> Arc<Assignment> {
        let options = &self.shared.options;
        Arc::new(Assignment::new(options, &self.job, target, forced_error))
    }

    /// Tells all loops to end without markers; the caller may wait for them.
    pub(crate) fn stop(self) -> Vec<Handle> {
        let active = self.targets.into_values().map(|l| l.handle);
        let handles: Vec<Handle> = active.chain(self.ending.into_values()).collect();
        for handle in &handles {
            // One that does not hear it has ended.
            let _ = handle.give(Order::Fade);
        }
        handles
    }

    pub(crate) fn active_targets(&self) -> impl Iterator<Item = ActiveTarget> {
        self.targets.values().map(|l| {
            let target = &l.assignment.target;
            let last = l.handle.status.last.lock().clone();
            ActiveTarget {
                scrape_pool: Arc::clone(&self.job.name),
                discovered_labels: l.discovered.clone(),
                labels: target.labels.clone(),
                scrape_url: target.url.to_string(),
                last_error: last.error,
                last_scrape: last.at,
                last_scrape_duration: last.took,
                health: last.health,
                scrape_interval: target.interval,
                scrape_timeout: target.timeout,
            }
        })
    }

    pub(crate) fn dropped_targets(&self) -> impl Iterator<Item = DroppedTarget> {
        self.dropped.iter().map(|labels| DroppedTarget {
            scrape_pool: Arc::clone(&self.job.name),
            discovered_labels: labels.clone(),
        })
    }

    /// The labels and what is known of each active target.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = (Labels, Arc<Status>)> {
        let of = |l: &ActiveLoop| {
            (
                l.assignment.target.labels.clone(),
                Arc::clone(&l.handle.status),
            )
        };
        self.targets.values().map(of)
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let sizes = self
            .targets
            .values()
            .map(|l| l.handle.status.metadata.lock().size());
        let (families, bytes) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        PoolStatus {
            scrape_pool: Arc::clone(&self.job.name),
            active: self.targets.len(),
            dropped: self.dropped_total,
            target_limit: self.job.config.limits.target_limit,
            syncs: self.metrics.syncs.get(),
            sync_failed: self.metrics.sync_failed.get(),
            metadata_families: families,
            metadata_bytes: bytes,
        }
    }
}
