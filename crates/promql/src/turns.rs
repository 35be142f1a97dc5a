//! Who may compute next.
//!
//! A fixed number of queries computes at a time. Turns go round the tenants that wait, one each,
//! and in order of arrival within a tenant: whoever asks for much waits for itself, not others
//! for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ferula_model::TenantId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::QueryError;

/// Hands out turns.
#[derive(Debug)]
pub(crate) struct Turns {
    running_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Numbers of turns that were given back. Empty while anybody waits.
    free: Vec<usize>,
    /// How many numbers are in use, or free again.
    numbered: usize,
    /// The tenants that wait, the next one first.
    ring: VecDeque<TenantId>,
    /// Who waits, by tenant; no queue is empty.
    queues: HashMap<TenantId, VecDeque<Waiter>>,
    waiting: usize,
    next_id: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    turn: oneshot::Sender<usize>,
}

/// The right to compute, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: usize,
}

impl Turns {
    /// At most `running_max` queries compute at a time, and at most `waiting_max` wait.
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Arc<Self> {
        let state = State {
            free: Vec::new(),
            numbered: 0,
            ring: VecDeque::new(),
            queues: HashMap::new(),
            waiting: 0,
            next_id: 0,
        };
        Arc::new(Self {
            running_max: running_max.max(1),
            waiting_max,
            state: Mutex::new(state),
        })
    }

    /// Waits for a turn. Whoever drops the future leaves the queue.
    pub(crate) async fn take(self: &Arc<Self>, tenant: &TenantId) -> Result<Turn, QueryError> {
        let mut place = match self.enter(tenant)? {
            Entered::Turn(turn) => return Ok(turn),
            Entered::Queue(place) => place,
        };
        let number = (&mut place.turn).await;
        place.waits = false;
        let number = number.map_err(|_| QueryError::Internal("a turn was lost".to_owned()))?;
        Ok(self.turn(number))
    }

    fn turn(self: &Arc<Self>, number: usize) -> Turn {
        Turn {
            turns: Arc::clone(self),
            number,
        }
    }

    fn enter(self: &Arc<Self>, tenant: &TenantId) -> Result<Entered, QueryError> {
        let mut state = self.state.lock();
        if let Some(number) = state.free.pop() {
            return Ok(Entered::Turn(self.turn(number)));
        }
        if state.numbered < self.running_max {
            state.numbered += 1;
            return Ok(Entered::Turn(self.turn(state.numbered - 1)));
        }
        if state.waiting >= self.waiting_max {
            return Err(QueryError::QueueFull {
                waiting: state.waiting,
            });
        }
        let (sender, receiver) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        state.waiting += 1;
        if !state.queues.contains_key(tenant) {
            state.ring.push_back(tenant.clone());
        }
        let queue = state.queues.entry(tenant.clone()).or_default();
        queue.push_back(Waiter { id, turn: sender });
        Ok(Entered::Queue(Place {
            turns: Arc::clone(self),
            tenant: tenant.clone(),
            id,
            turn: receiver,
            waits: true,
        }))
    }

    /// Hands a turn to the next who waits.
    fn give_back(&self, number: usize) {
        let mut state = self.state.lock();
        while let Some(waiter) = state.next() {
            // Sent under the lock, so that a waiter is either in its queue or has its turn.
            if waiter.turn.send(number).is_ok() {
                return;
            }
        }
        state.free.push(number);
    }

    /// How many wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.state.lock().waiting
    }
}

impl State {
    /// Takes the next waiter out.
    fn next(&mut self) -> Option<Waiter> {
        let tenant = self.ring.pop_front()?;
        let queue = self.queues.get_mut(&tenant)?;
        let waiter = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&tenant);
        } else {
            self.ring.push_back(tenant);
        }
        self.waiting -= usize::from(waiter.is_some());
        waiter
    }

    /// Takes a waiter out who does not want to wait any longer; false if it has its turn.
    fn leave(&mut self, tenant: &TenantId, id: u64) -> bool {
        let Some(queue) = self.queues.get_mut(tenant) else {
            return false;
        };
        let Some(at) = queue.iter().position(|waiter| waiter.id == id) else {
            return false;
        };
        queue.remove(at);
        if queue.is_empty() {
            self.queues.remove(tenant);
            self.ring.retain(|other| other != tenant);
        }
        self.waiting -= 1;
        true
    }
}

enum Entered {
    Turn(Turn),
    Queue(Place),
}

/// A place in the queue, left when dropped.
struct Place {
    turns: Arc<Turns>,
    tenant: TenantId,
    id: u64,
    turn: oneshot::Receiver<usize>,
    waits: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.waits || self.turns.state.lock().leave(&self.tenant, self.id) {
            return;
        }
        if let Ok(number) = self.turn.try_recv() {
            self.turns.give_back(number);
        }
    }
}

impl Turn {
    /// Which of the turns it is, from 0 up; nobody else has the same one.
    pub(crate) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use ferula_env::{Clock, Elapsed, ManualClock};
    use futures::task::noop_waker;

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, QueryError>>>>;

    fn ask(turns: &Arc<Turns>, tenant: &str) -> Waiting {
        let (turns, tenant) = (Arc::clone(turns), TenantId::new(tenant).unwrap());
        Box::pin(async move { turns.take(&tenant).await })
    }

    fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Poll<T> {
        future
            .as_mut()
            .poll(&mut Context::from_waker(&noop_waker()))
    }

    fn got(waiting: &mut Waiting) -> Option<Turn> {
        match poll(waiting) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    /// Lets `asked` wait behind one that computes; the order in which they get their turns.
    fn order(asked: &[&str]) -> String {
        let turns = Turns::new(1, 100);
        let mut computing = got(&mut ask(&turns, "first"));
        let mut waiting: Vec<_> = asked.iter().map(|name| Some(ask(&turns, name))).collect();
        for place in waiting.iter_mut().flatten() {
            assert!(got(place).is_none());
        }
        let mut order = Vec::new();
        for _ in asked {
            drop(computing.take());
            for (i, name) in asked.iter().enumerate() {
                if let Some(turn) = waiting[i].as_mut().and_then(got) {
                    assert!(computing.is_none(), "one at a time");
                    computing = Some(turn);
                    waiting[i] = None;
                    order.push(format!("{name}{i}"));
                }
            }
        }
        assert_eq!(turns.waiting(), 0);
        order.join(" ")
    }

    #[test]
    fn tenants_take_turns() {
        assert_eq!(order(&["a", "a", "a"]), "a0 a1 a2");
        assert_eq!(
            order(&["a", "a", "a", "a", "b", "b", "c"]),
            "a0 b4 c6 a1 b5 a2 a3"
        );
    }

    #[test]
    fn numbers_are_nobody_elses() {
        let turns = Turns::new(2, 0);
        let (a, b) = (ask(&turns, "a"), ask(&turns, "a"));
        let taken = [a, b].map(|mut place| got(&mut place).unwrap());
        assert_eq!([taken[0].number(), taken[1].number()], [0, 1]);
        let full = poll(&mut ask(&turns, "a"));
        assert!(matches!(
            full,
            Poll::Ready(Err(QueryError::QueueFull { waiting: 0 }))
        ));
        drop(taken);
        assert!(got(&mut ask(&turns, "a")).is_some());
    }

    #[test]
    fn who_leaves_holds_nobody_up() {
        let turns = Turns::new(1, 3);
        let computing = got(&mut ask(&turns, "a")).unwrap();
        let mut places: Vec<_> = ["b", "a", "b"].map(|name| ask(&turns, name)).into();
        for place in &mut places {
            assert!(got(place).is_none());
        }
        let full = poll(&mut ask(&turns, "c"));
        assert!(matches!(
            full,
            Poll::Ready(Err(QueryError::QueueFull { waiting: 3 }))
        ));
        drop(places.remove(0));
        assert_eq!(turns.waiting(), 2);
        drop(computing);
        // The turn is `a`'s, who leaves before it takes it.
        drop(places.remove(0));
        let turn = got(&mut places[0]).expect("the turn goes on to the last one");
        drop((turn, places));
        assert_eq!(turns.waiting(), 0);
        assert!(got(&mut ask(&turns, "c")).is_some());
    }

    #[test]
    fn time_runs_out_in_the_queue() {
        let clock = ManualClock::at(0);
        let turns = Turns::new(1, 10);
        let _computing = got(&mut ask(&turns, "a")).unwrap();
        let limit = Duration::from_secs(2);
        let waiting = ask(&turns, "a");
        let mut waiting: Pin<Box<dyn Future<Output = Result<_, Elapsed>>>> =
            Box::pin(ferula_env::timeout(&*clock as &dyn Clock, limit, waiting));
        assert!(poll(&mut waiting).is_pending());
        assert_eq!(turns.waiting(), 1);
        clock.advance(limit);
        assert!(matches!(poll(&mut waiting), Poll::Ready(Err(Elapsed))));
        drop(waiting);
        assert_eq!(turns.waiting(), 0);
    }
}
