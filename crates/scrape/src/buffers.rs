//! Memory for bodies: a few buffers used again and again, and a bound on what all scrapes
//! hold at once.

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Buffers kept for the next scrape. More are in use at times, those are given back.
const KEPT_MAX: usize = 4;

/// A larger buffer is given back instead of kept: 4 × 4 MiB is what idle buffers may hold.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// What the bodies of all scrapes in progress may hold together, by the sizes they had last
/// time. Scrapes beyond it wait. Targets spread over time, so this is met only when storing
/// stalls.
const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;

/// The unit in which that is counted.
const PERMIT_BYTES: usize = 1 << 10;

/// What a scrape is taken to hold at least: its body is not known, or small.
const EXPECTED_BYTES_MIN: usize = 64 << 10;

const PERMITS: usize = IN_FLIGHT_BYTES_MAX / PERMIT_BYTES;

#[derive(Debug)]
pub(crate) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    in_flight: Semaphore,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            free: Mutex::default(),
            in_flight: Semaphore::new(PERMITS),
        }
    }

    /// Waits until there is room for a body as long as the last one. One body larger than all
    /// the room may be alone.
    pub(crate) async fn admit(&self, last_len: usize) -> Option<SemaphorePermit<'_>> {
        let permits = (last_len.max(EXPECTED_BYTES_MIN) / PERMIT_BYTES).min(PERMITS);
        // Never closed, so there is always a permit in the end.
        self.in_flight.acquire_many(permits as u32).await.ok()
    }

    /// A buffer, empty or not.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.free.lock().pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > KEPT_BYTES_MAX {
            return;
        }
        let mut free = self.free.lock();
        if free.len() < KEPT_MAX {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_in_flight_are_bounded() {
        let buffers = Buffers::new();
        let half = buffers.admit(IN_FLIGHT_BYTES_MAX / 2).await;
        let rest = buffers.admit(IN_FLIGHT_BYTES_MAX / 2).await;
        let mut waiting = std::pin::pin!(buffers.admit(0));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(half);
        assert!(waiting.await.is_some());
        drop(rest);
        assert!(buffers.admit(usize::MAX).await.is_some());
    }

    #[test]
    fn huge_buffers_are_not_kept() {
        let buffers = Buffers::new();
        buffers.put(Vec::with_capacity(KEPT_BYTES_MAX + 1));
        assert_eq!(buffers.take().capacity(), 0);
        buffers.put(Vec::with_capacity(100));
        assert_eq!(buffers.take().capacity(), 100);
    }
}
