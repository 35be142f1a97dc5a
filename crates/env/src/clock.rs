//! Time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Wall time, monotonic time and waiting.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the Unix epoch, as the wall clock says.
    fn now_ms(&self) -> i64;
    /// Time since some fixed instant, never falling.
    fn monotonic(&self) -> Duration;
    /// Returns once `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// The machine's clock, shared.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self {
            origin: Instant::now(),
        })
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    state: Mutex<ManualState>,
}

#[derive(Debug, Default)]
struct ManualState {
    wall_ms: i64,
    elapsed: Duration,
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    next_id: u64,
}

impl ManualClock {
    /// A clock that shows `wall_ms`.
    pub fn at(wall_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(ManualState {
                wall_ms,
                ..ManualState::default()
            }),
        })
    }

    /// Moves both clocks on and wakes who waited for an instant passed.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock();
        state.wall_ms += by.as_millis() as i64;
        state.elapsed += by;
        let past = (state.elapsed, u64::MAX);
        let later = state.sleepers.split_off(&past);
        for (_, wake) in std::mem::replace(&mut state.sleepers, later) {
            // A sleeper that was dropped needs no waking.
            let _ = wake.send(());
        }
    }

    /// How many tasks are waiting.
    pub fn sleepers(&self) -> usize {
        self.state.lock().sleepers.len()
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.state.lock().wall_ms
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut state = self.state.lock();
        let key = (state.elapsed + duration, state.next_id);
        state.next_id += 1;
        state.sleepers.insert(key, wake);
        Box::pin(async move {
            // The sender goes away only with the clock; then nothing can be waited for.
            let _ = woken.await;
        })
    }
}

/// The time was up before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// Runs `work`, but no longer than `limit` on `clock`.
pub fn timeout<F: Future>(
    clock: &dyn Clock,
    limit: Duration,
    work: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
    let sleep = clock.sleep(limit);
    async move {
        let work = std::pin::pin!(work);
        match futures::future::select(work, sleep).await {
            futures::future::Either::Left((output, _)) => Ok(output),
            futures::future::Either::Right(((), _)) => Err(Elapsed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_wakes_in_time() {
        let clock = ManualClock::at(1_000);
        let mut nap = clock.sleep(Duration::from_millis(50));
        let waker = futures::task::noop_waker();
        let mut cx = std::task::Context::from_waker(&waker);
        clock.advance(Duration::from_millis(49));
        assert!(nap.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_millis(1));
        assert!(nap.as_mut().poll(&mut cx).is_ready());
        assert_eq!(clock.now_ms(), 1_050);
    }
}
