//! Stopping a query from outside.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::Notify;

/// Stops a query from outside. Clones stop the same query.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    canceled: AtomicBool,
    changed: Notify,
}

impl CancelToken {
    /// Stops the query: at once while it waits, at its next look at the token while it computes.
    pub fn cancel(&self) {
        self.0.canceled.store(true, Relaxed);
        self.0.changed.notify_waiters();
    }

    /// Whether the query is to stop.
    pub fn is_canceled(&self) -> bool {
        self.0.canceled.load(Relaxed)
    }

    /// Resolves once the query is to stop.
    pub(crate) async fn canceled(&self) {
        let mut changed = pin!(self.0.changed.notified());
        // Listens before it looks, so that a call in between is not missed.
        changed.as_mut().enable();
        if !self.is_canceled() {
            changed.await;
        }
    }
}
