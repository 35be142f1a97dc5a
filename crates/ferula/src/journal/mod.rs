//! Writes down what queries do: those that compute, so that the next start can say what a crash
//! interrupted, and those that are over, where the configuration asks for it.

mod active_file;
mod query_log;

use std::sync::Arc;

use ferula_env::Clock;
use ferula_promql::{Finished, Journal};

pub(crate) use active_file::ActiveFile;
pub(crate) use query_log::{LogFile, QueryLog};

/// What the engine's queries are told to.
#[derive(Debug)]
pub(crate) struct ServerJournal {
    clock: Arc<dyn Clock>,
    /// Absent where the file could not be made: queries are served all the same.
    active: Option<ActiveFile>,
    log: Arc<QueryLog>,
}

impl ServerJournal {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        active: Option<ActiveFile>,
        log: Arc<QueryLog>,
    ) -> Self {
        Self { clock, active, log }
    }
}

impl Journal for ServerJournal {
    fn began(&self, turn: usize, query: &str) {
        if let Some(active) = &self.active {
            active.begin(turn, query, self.clock.now_ms().div_euclid(1_000));
        }
    }

    fn ended(&self, turn: usize) {
        if let Some(active) = &self.active {
            active.end(turn);
        }
    }

    fn finished(&self, finished: &Finished<'_>) {
        self.log.write(finished, self.clock.now_ms());
    }
}
