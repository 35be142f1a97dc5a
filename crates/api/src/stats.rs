//! Counts requests by handler and status, for the server's own metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Response;
use axum::middleware::Next;
use ferula_env::Clock;
use parking_lot::Mutex;

/// Upper bounds of the duration buckets, in seconds: the reference's.
pub const DURATION_BOUNDS: [f64; 10] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0, 300.0];

/// How often a handler answered what, and how long it took.
#[derive(Clone, Debug, Default)]
pub struct HandlerStats {
    /// Answers by status code.
    pub codes: BTreeMap<u16, u64>,
    /// Answers per bucket of [`DURATION_BOUNDS`], the last one without bound.
    pub durations: [u64; DURATION_BOUNDS.len() + 1],
    /// Time taken in all.
    pub duration_sum: Duration,
}

/// Requests counted since the start. One entry per route, so its size is bounded.
#[derive(Debug)]
pub struct HttpStats {
    clock: Arc<dyn Clock>,
    handlers: Mutex<BTreeMap<String, HandlerStats>>,
}

impl HttpStats {
    /// Nothing counted yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            handlers: Mutex::default(),
        }
    }

    /// The counts so far, by handler.
    pub fn snapshot(&self) -> BTreeMap<String, HandlerStats> {
        self.handlers.lock().clone()
    }

    fn count(&self, handler: &str, code: u16, took: Duration) {
        let mut handlers = self.handlers.lock();
        if !handlers.contains_key(handler) {
            handlers.insert(handler.to_owned(), HandlerStats::default());
        }
        let Some(stats) = handlers.get_mut(handler) else {
            return;
        };
        *stats.codes.entry(code).or_default() += 1;
        let bucket = DURATION_BOUNDS.partition_point(|&bound| bound < took.as_secs_f64());
        stats.durations[bucket] += 1;
        stats.duration_sum += took;
    }
}

/// Middleware that counts.
pub(crate) async fn layer(
    State(stats): State<Arc<HttpStats>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let handler = request.extensions().get::<MatchedPath>().cloned();
    let begun = stats.clock.monotonic();
    let response = next.run(request).await;
    let handler = handler.as_ref().map_or("/", MatchedPath::as_str);
    stats.count(
        handler,
        response.status().as_u16(),
        stats.clock.monotonic() - begun,
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fall_into_their_buckets() {
        let stats = HttpStats::new(ferula_env::ManualClock::at(0));
        stats.count("/a", 200, Duration::from_millis(100));
        stats.count("/a", 200, Duration::from_millis(101));
        stats.count("/a", 500, Duration::from_secs(999));
        let a = &stats.snapshot()["/a"];
        assert_eq!((a.codes[&200], a.codes[&500]), (2, 1));
        assert_eq!((a.durations[0], a.durations[1], a.durations[10]), (1, 1, 1));
    }
}
