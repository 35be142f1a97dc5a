//! A query on its way: what stops it, and what is told of it at its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ferula_model::TenantId;
use futures::future::{self, Either};

use crate::active::Active;
use crate::budget::{Budget, Limits};
use crate::cancel::CancelToken;
use crate::engine::{Engine, Query, QueryParams, Times};
use crate::error::{QueryError, Stage};
use crate::journal::{Finished, Journal};
use crate::result::QueryStats;
use crate::turns::Turn;

/// A query from the moment it is asked for until its answer is there, or nobody waits for one.
pub(crate) struct Going<'q> {
    engine: &'q Engine,
    pub(crate) query: &'q Query,
    pub(crate) times: Times,
    pub(crate) params: &'q QueryParams,
    pub(crate) begun: Duration,
    deadline: Duration,
    stop: CancelToken,
    pub(crate) budget: Arc<Budget>,
    pub(crate) stage: Stage,
    pub(crate) stats: QueryStats,
    over: bool,
}

impl<'q> Going<'q> {
    /// A query that is asked for at this moment.
    pub(crate) fn new(
        engine: &'q Engine,
        query: &'q Query,
        times: Times,
        params: &'q QueryParams,
    ) -> Self {
        let begun = engine.clock.monotonic();
        let longest = engine.options().timeout;
        let timeout = params.timeout.map_or(longest, |t| t.min(longest));
        let deadline = begun.saturating_add(timeout);
        let stop = CancelToken::default();
        let limits = Limits {
            deadline,
            cancel: [params.cancel.clone(), stop.clone()],
            samples_max: engine.options().samples_max,
            bytes_max: engine.options().bytes_max,
        };
        let (clock, memory) = (Arc::clone(&engine.clock), Arc::clone(&engine.memory));
        let budget = Arc::new(Budget::new(clock, limits, memory));
        Self {
            engine,
            query,
            times,
            params,
            begun,
            deadline,
            stop,
            budget,
            stage: Stage::Queue,
            stats: QueryStats::default(),
            over: false,
        }
    }

    /// Puts the query on the list of active ones.
    pub(crate) fn enter(&self, tenant: &TenantId) -> Active {
        let (budget, stop) = (Arc::clone(&self.budget), self.stop.clone());
        let (engine, query, times) = (self.engine, self.query, self.times);
        engine
            .active
            .enter(tenant, query, times, budget, stop, &*engine.clock)
    }

    /// Waits for `work` while there is time and anybody wants it.
    pub(crate) async fn waits<T>(&self, work: impl Future<Output = T>) -> Result<T, QueryError> {
        let clock = &*self.engine.clock;
        let left = self.deadline.saturating_sub(clock.monotonic());
        let work = pin!(work);
        let stopped = pin!(self.stop.canceled());
        let canceled = pin!(self.params.cancel.canceled());
        let work = future::select(work, future::select(stopped, canceled));
        match ferula_env::timeout(clock, left, work).await {
            Ok(Either::Left((done, _))) => Ok(done),
            Ok(Either::Right(_)) => Err(QueryError::Canceled(self.stage)),
            Err(_) => Err(QueryError::Timeout(self.stage)),
        }
    }

    /// Counts the query and tells the journal of it.
    pub(crate) fn end(&mut self, error: Option<&QueryError>) {
        self.over = true;
        if error.is_some() {
            self.stats.samples_total = self.budget.total();
            self.stats.samples_peak = self.budget.peak();
            self.stats.bytes_peak = self.budget.bytes_peak();
            self.stats.series = self.budget.series();
        }
        let (total, read) = (self.stats.samples_total, self.stats.samples_read);
        self.engine.metrics.count_samples(total, read);
        if let Some(journal) = self.engine.journal.get() {
            journal.finished(&Finished {
                query: &self.query.text,
                times: self.times,
                origin: self.params.origin.as_ref(),
                error,
                stats: &self.stats,
            });
        }
    }
}

impl Drop for Going<'_> {
    /// Nobody waits for the answer any more: the computing stops.
    fn drop(&mut self) {
        self.stop.cancel();
        if !self.over {
            self.end(Some(&QueryError::Canceled(self.stage)));
        }
    }
}

/// A query's place among those that compute: its turn, its line in the list of active queries,
/// its entry in the journal. All are given up together, by whoever computes last.
pub(crate) struct Seat {
    journal: Option<Arc<dyn Journal>>,
    // The turn before the line in the list: whoever sees the list empty finds a turn free.
    turn: Turn,
    _active: Active,
}

impl Seat {
    pub(crate) fn take(
        turn: Turn,
        journal: Option<Arc<dyn Journal>>,
        query: &str,
        active: Active,
    ) -> Self {
        active.set_running();
        if let Some(journal) = &journal {
            journal.began(turn.number(), query);
        }
        Self {
            journal,
            turn,
            _active: active,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(journal) = &self.journal {
            journal.ended(self.turn.number());
        }
    }
}
