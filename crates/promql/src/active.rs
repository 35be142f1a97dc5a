//! The queries that wait or compute at this moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ferula_env::Clock;
use ferula_model::{TenantId, Timestamp};
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::cancel::CancelToken;
use crate::engine::{Query, Times};

/// A query that waits or computes.
#[derive(Clone, Debug)]
pub struct ActiveQuery {
    /// What [`crate::Engine::stop`] calls it; never given twice by one engine.
    pub id: u64,
    /// Its text.
    pub text: Arc<str>,
    /// When it is evaluated.
    pub times: Times,
    /// When it was asked for.
    pub started: Timestamp,
    /// How long ago that is.
    pub elapsed: Duration,
    /// Whether it has its turn.
    pub running: bool,
    /// Samples it holds.
    pub samples: u64,
    /// The most samples it has held at once.
    pub samples_peak: u64,
    /// Bytes it holds.
    pub bytes: u64,
    /// The most bytes it has held at once.
    pub bytes_peak: u64,
}

/// All active queries of an engine.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    entries: BTreeMap<u64, Arc<Entry>>,
}

#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    text: Arc<str>,
    times: Times,
    started: Timestamp,
    begun: Duration,
    running: AtomicBool,
    budget: Arc<Budget>,
    stop: CancelToken,
}

/// Keeps a query in the list until it is dropped.
#[derive(Debug)]
pub(crate) struct Active {
    registry: Arc<Registry>,
    id: u64,
    entry: Arc<Entry>,
}

impl Registry {
    /// Adds a query to the list. `stop` is what stops it.
    pub(crate) fn enter(
        self: &Arc<Self>,
        tenant: &TenantId,
        query: &Query,
        times: Times,
        budget: Arc<Budget>,
        stop: CancelToken,
        clock: &dyn Clock,
    ) -> Active {
        let entry = Arc::new(Entry {
            tenant: tenant.clone(),
            text: Arc::clone(&query.text),
            times,
            started: clock.now_ms(),
            begun: clock.monotonic(),
            running: AtomicBool::new(false),
            budget,
            stop,
        });
        let mut state = self.state.lock();
        state.last_id += 1;
        let id = state.last_id;
        state.entries.insert(id, Arc::clone(&entry));
        Active {
            registry: Arc::clone(self),
            id,
            entry,
        }
    }

    /// The queries of a tenant, the oldest first.
    pub(crate) fn list(&self, tenant: &TenantId, now: Duration) -> Vec<ActiveQuery> {
        let state = self.state.lock();
        let own = state.entries.iter().filter(|(_, e)| e.tenant == *tenant);
        own.map(|(&id, entry)| ActiveQuery {
            id,
            text: Arc::clone(&entry.text),
            times: entry.times,
            started: entry.started,
            elapsed: now.saturating_sub(entry.begun),
            running: entry.running.load(Relaxed),
            samples: entry.budget.held(),
            samples_peak: entry.budget.peak(),
            bytes: entry.budget.bytes_held(),
            bytes_peak: entry.budget.bytes_peak(),
        })
        .collect()
    }

    /// Stops a query of a tenant; false if it has none with this id.
    pub(crate) fn stop(&self, tenant: &TenantId, id: u64) -> bool {
        let entry = self.state.lock().entries.get(&id).cloned();
        match entry.filter(|entry| entry.tenant == *tenant) {
            Some(entry) => {
                entry.stop.cancel();
                true
            }
            None => false,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}

impl Active {
    /// The query has its turn.
    pub(crate) fn set_running(&self) {
        self.entry.running.store(true, Relaxed);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.registry.state.lock().entries.remove(&self.id);
    }
}
