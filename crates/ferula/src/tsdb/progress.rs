//! How far a command is, on stderr.

use std::sync::Arc;
use std::time::Duration;

use ferula_env::Clock;
use ferula_model::Timestamp;

/// No more often than this.
const INTERVAL: Duration = Duration::from_secs(1);

/// Says now and then how far it goes.
pub(crate) struct Progress {
    clock: Arc<dyn Clock>,
    started: Duration,
    said: Duration,
}

impl Progress {
    pub(crate) fn start(clock: Arc<dyn Clock>) -> Self {
        let started = clock.monotonic();
        Self {
            clock,
            started,
            said: started,
        }
    }

    /// Says something now.
    #[allow(clippy::print_stderr)] // a command speaks with its caller
    pub(crate) fn say(&mut self, text: &str) {
        self.said = self.clock.monotonic();
        eprintln!("{text}");
    }

    /// Says something if nothing was said for a while.
    pub(crate) fn tick(&mut self, text: impl FnOnce(f64) -> String) {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.said) >= INTERVAL {
            let text = text(self.seconds());
            self.say(&text);
        }
    }

    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> f64 {
        let elapsed = self.clock.monotonic().saturating_sub(self.started);
        elapsed.as_secs_f64()
    }
}

/// A time for people.
pub(crate) fn shown(t: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(t) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{t} ms"),
    }
}
