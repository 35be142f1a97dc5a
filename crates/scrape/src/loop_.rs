//! The life of one target: wait, scrape, wait; and what happens at its end.

use std::sync::Arc;
use std::time::Duration;

use ferula_env::spawn;
use ferula_model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::job::{Assignment, Shared};
use crate::scraper::{Scraper, mark_stale};
use crate::status::Status;
use crate::timing::{Aligner, until_first_scrape};

/// What a loop is told. Only the latest word counts; a scrape in flight is finished first.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Scrape this.
    Run(Arc<Assignment>),
    /// The target is gone: end with markers, unless it comes back.
    Vanish,
    /// End without markers: the server stops, or the job is gone.
    Fade,
}

/// A running loop as its pool sees it.
#[derive(Debug)]
pub(crate) struct Handle {
    orders: watch::Sender<Order>,
    /// Whether an order given is still heard.
    open: Arc<Mutex<bool>>,
    task: JoinHandle<()>,
    pub(crate) status: Arc<Status>,
}

impl Handle {
    /// Starts a loop.
    pub(crate) fn start(shared: &Arc<Shared>, assignment: Arc<Assignment>) -> Self {
        let (orders, heard) = watch::channel(Order::Fade);
        let open = Arc::new(Mutex::new(true));
        let status = Arc::<Status>::default();
        let scraper = Scraper::new(Arc::clone(shared), Arc::clone(&status));
        let target_loop = Loop {
            shared: Arc::clone(shared),
            orders: heard,
            scraper,
        };
        let task = spawn::task(target_loop.run(assignment, Arc::clone(&open)));
        Self {
            orders,
            open,
            task,
            status,
        }
    }

    /// Gives an order; answers whether it is heard.
    pub(crate) fn give(&self, order: Order) -> bool {
        let open = self.open.lock();
        *open && !self.task.is_finished() && self.orders.send(order).is_ok()
    }

    /// Whether the loop has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the loop's end.
    pub(crate) async fn join(self) {
        // A loop that panicked has ended, too.
        let _ = self.task.await;
    }
}

struct Loop {
    shared: Arc<Shared>,
    orders: watch::Receiver<Order>,
    scraper: Scraper,
}

impl Loop {
    async fn run(mut self, assignment: Arc<Assignment>, open: Arc<Mutex<bool>>) {
        let mut assignment = assignment;
        let mut ticker = self.ticker(&assignment);
        loop {
            let vanished = self.scrape_until_told(&mut assignment, &mut ticker).await;
            if vanished && let Some(next) = self.end_of_run(&assignment, &ticker).await {
                self.adopt(&mut assignment, next, &mut ticker);
                continue;
            }
            let mut open = open.lock();
            // An order given in the meantime is still heard; after this none is given.
            if !self.orders.has_changed().unwrap_or(false) {
                *open = false;
                return;
            }
        }
    }

    fn ticker(&self, assignment: &Assignment) -> Ticker {
        let clock = &self.shared.clock;
        let interval = assignment.target.interval;
        let seed = self.shared.options.offset_seed;
        let wait = until_first_scrape(clock.now_ms(), interval, assignment.identity, seed);
        Ticker {
            interval,
            due: clock.monotonic() + wait,
            aligner: None,
        }
    }

    /// Goes on with another assignment.
    fn adopt(&mut self, current: &mut Arc<Assignment>, next: Arc<Assignment>, ticker: &mut Ticker) {
        self.scraper.adopt(&current.job, &next.job);
        let same_times = current.identity == next.identity;
        *current = next;
        if !same_times {
            *ticker = self.ticker(current);
        }
    }

    /// Scrapes at every tick. Answers whether the end is one with markers.
    async fn scrape_until_told(
        &mut self,
        assignment: &mut Arc<Assignment>,
        ticker: &mut Ticker,
    ) -> bool {
        loop {
            match self.wait_until(ticker.due).await {
                Some(Order::Run(next)) => {
                    self.adopt(assignment, next, ticker);
                    continue;
                }
                Some(Order::Vanish) => return true,
                Some(Order::Fade) => return false,
                None => {}
            }
            let alignment = self.shared.options.alignment;
            let aligned = |now: Timestamp| {
                let aligner = ticker.aligner.get_or_insert(Aligner::starting_at(now));
                aligner.timestamp(now, ticker.interval, alignment)
            };
            self.scraper.scrape(assignment, aligned).await;
            ticker.advance(self.shared.clock.monotonic());
        }
    }

    /// Waits, so that a target that comes back or moved to another loop leaves no gap; then marks
    /// its series as gone since the first tick missed. Answers how to go on, if it came back.
    async fn end_of_run(
        &mut self,
        assignment: &Assignment,
        ticker: &Ticker,
    ) -> Option<Arc<Assignment>> {
        let clock = Arc::clone(&self.shared.clock);
        let mut missed: Timestamp = clock.now_ms();
        let second = ticker.due + ticker.interval;
        for until in [ticker.due, second, second + ticker.interval / 10] {
            loop {
                match self.wait_until(until).await {
                    Some(Order::Run(next)) => return Some(next),
                    Some(Order::Vanish) => {}
                    Some(Order::Fade) => return None,
                    None => break,
                }
            }
            if until == ticker.due {
                missed = clock.now_ms();
            }
        }
        if let Err(error) = mark_stale(&self.shared, self.scraper.live_series(), missed).await {
            let target = &assignment.target.url;
            tracing::warn!(%target, %error, "no stale markers for a target that is gone");
        }
        None
    }

    /// Waits for an order, or for `due` (`None`).
    async fn wait_until(&mut self, due: Duration) -> Option<Order> {
        let clock = Arc::clone(&self.shared.clock);
        let wait = due.saturating_sub(clock.monotonic());
        let tick = async {
            if !wait.is_zero() {
                clock.sleep(wait).await;
            }
        };
        tokio::select! {
            biased;
            told = self.orders.changed() => Some(match told {
                Ok(()) => self.orders.borrow_and_update().clone(),
                // Nobody is left to give orders.
                Err(_) => Order::Fade,
            }),
            () = tick => None,
        }
    }
}

/// When a loop scrapes.
struct Ticker {
    interval: Duration,
    /// The next tick, on the monotonic clock.
    due: Duration,
    aligner: Option<Aligner>,
}

impl Ticker {
    /// Moves on to the next tick after a scrape that ended at `now`. Of the ticks a scrape
    /// overran only the last one counts.
    fn advance(&mut self, now: Duration) {
        self.due += self.interval;
        let late = now.saturating_sub(self.due);
        let skipped = late.as_nanos() / self.interval.as_nanos().max(1);
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
        self.due += self.interval.saturating_mul(skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrun_ticks_are_dropped_but_for_one() {
        for (now, due) in [(0, 10), (9, 10), (10, 10), (12, 10), (20, 20), (35, 30)] {
            let mut ticker = Ticker {
                interval: Duration::from_secs(10),
                due: Duration::ZERO,
                aligner: None,
            };
            ticker.advance(Duration::from_secs(now));
            assert_eq!(ticker.due, Duration::from_secs(due), "now {now}");
        }
    }
}
