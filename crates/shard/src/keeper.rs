//! The thread that does a shard's upkeep, and how others reach it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferula_tsdb::compact::Retention;
use parking_lot::{Condvar, Mutex};

use crate::shard::Shared;
use crate::upkeep::{CutRule, Upkeep, UpkeepError};
use crate::{Effect, Event};

/// How often the keeper looks for something to do.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long it waits after failures: doubled with each, up to the maximum.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A shard's upkeep and the thread that does it.
pub(crate) struct Keeper {
    upkeep: Mutex<Upkeep>,
    cuts: CutRule,
    wanted: Mutex<bool>,
    /// What is to be kept from now on, until the upkeep knows it.
    retention: Mutex<Option<Retention>>,
    wake: Condvar,
    stopping: AtomicBool,
    /// Whether a cut is under way, so that a writer without room may wait for it.
    frees: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(upkeep: Upkeep) -> Arc<Self> {
        Arc::new(Self {
            cuts: upkeep.cut_rule(),
            upkeep: Mutex::new(upkeep),
            wanted: Mutex::new(false),
            retention: Mutex::new(None),
            wake: Condvar::new(),
            stopping: AtomicBool::new(false),
            frees: AtomicBool::new(false),
        })
    }

    /// Does upkeep until it is told to stop.
    pub(crate) fn run(&self, shared: &Shared, shut: impl Fn(&str)) {
        let mut pause = INTERVAL;
        while !self.stopping() {
            let done = self.all_due();
            self.frees.store(false, Ordering::Relaxed);
            pause = match done {
                Ok(()) => INTERVAL,
                Err(error) if error.is_stopped() => break,
                Err(error) if error.is_fenced() => {
                    let why = error.to_string();
                    tracing::error!(shard = shared.number, %error, "the shard takes no more samples");
                    let effects = shared.happened(Event::LogBroken { why: why.clone() });
                    if effects.contains(&Effect::RefuseAppends) {
                        shut(&why);
                    }
                    break;
                }
                Err(error) => {
                    tracing::error!(
                        shard = shared.number, %error,
                        retry_in = ?pause, "the shard's upkeep failed; nothing is lost"
                    );
                    (pause * 2).min(BACKOFF_MAX)
                }
            };
            let mut wanted = self.wanted.lock();
            if !*wanted && !self.stopping() {
                self.wake.wait_for(&mut wanted, pause);
            }
            *wanted = false;
        }
    }

    /// Does what there is to do now, on this thread.
    pub(crate) fn all_due(&self) -> Result<(), UpkeepError> {
        self.with(|upkeep, stop| {
            loop {
                self.frees
                    .store(self.cuts.due().is_some(), Ordering::Relaxed);
                if let Some(retention) = self.retention.lock().take() {
                    upkeep.set_retention(retention);
                }
                if !upkeep.step(stop)? {
                    return Ok(());
                }
            }
        })
    }

    /// Does something with the upkeep, between its steps.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Upkeep, &dyn Fn() -> bool) -> Result<T, UpkeepError>,
    ) -> Result<T, UpkeepError> {
        let mut upkeep = self.upkeep.lock();
        let counts = upkeep.counts().clone();
        let done = work(&mut upkeep, &|| self.stopping());
        if done.as_ref().is_err_and(|error| !error.is_stopped()) {
            counts.failures.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Changes what is kept; blocks are given up soon.
    pub(crate) fn set_retention(&self, retention: Retention) {
        *self.retention.lock() = Some(retention);
        self.wake();
    }

    /// Has the thread look for something to do at once.
    pub(crate) fn wake(&self) {
        *self.wanted.lock() = true;
        self.wake.notify_all();
    }

    /// Whether memory of the head will be given back soon.
    pub(crate) fn frees(&self) -> bool {
        !self.stopping() && (self.frees.load(Ordering::Relaxed) || self.cuts.due().is_some())
    }

    /// Has the thread stop at the next series it comes to.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
