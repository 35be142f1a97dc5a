//! Several threads for one query.
//!
//! Helpers decode series and compute what follows from each alone, a batch of series at a time.
//! The query's own thread takes what they made in the order of the series, as if it had made all
//! of it itself: sums come out the same to the last bit, and so do errors and annotations. Where
//! the next batch is not there yet, it makes one.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::{Condvar, Mutex};

use crate::error::QueryError;

/// Series made together.
pub(super) const BATCH: usize = 16;

/// Batches that may be begun and not taken yet, for each thread.
const BATCHES_AHEAD: usize = 2;

/// The threads that may help queries, counted.
#[derive(Debug)]
pub(crate) struct Helpers {
    free: AtomicUsize,
}

impl Helpers {
    /// So many threads.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: AtomicUsize::new(count),
        }
    }

    /// Takes as many as there are, at most `wanted`, until the permit is dropped.
    pub(super) fn take(&self, wanted: usize) -> Permit<'_> {
        let mut count = 0;
        let taken = self.free.fetch_update(Relaxed, Relaxed, |free| {
            count = free.min(wanted);
            Some(free - count)
        });
        Permit {
            helpers: self,
            count: taken.map_or(0, |_| count),
        }
    }
}

/// Threads that may be started.
pub(super) struct Permit<'h> {
    helpers: &'h Helpers,
    pub(super) count: usize,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.helpers.free.fetch_add(self.count, Relaxed);
    }
}

/// How many items are begun and not taken yet, at most.
pub(super) fn items_ahead(helpers: usize) -> usize {
    window(helpers) * BATCH
}

fn window(helpers: usize) -> usize {
    (helpers + 1) * BATCHES_AHEAD
}

/// Items made together, and the error that ended the making.
struct Batch<T> {
    items: Vec<T>,
    made: usize,
    error: Option<QueryError>,
}

struct State<T> {
    /// Batches begun.
    begun: usize,
    /// Batches taken.
    taken: usize,
    /// Finished batches; batch `i` is at `i` modulo the length.
    finished: Vec<Option<Batch<T>>>,
    /// Memory of batches that were taken.
    spare: Vec<Vec<T>>,
    over: bool,
}

struct Line<T> {
    count: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T: Default> Line<T> {
    fn batches(&self) -> usize {
        self.count.div_ceil(BATCH)
    }

    /// The next batch to make, unless too many wait to be taken.
    fn begin(&self, state: &mut State<T>) -> Option<(usize, Vec<T>)> {
        let ahead = state.begun - state.taken;
        if state.over || state.begun >= self.batches() || ahead >= state.finished.len() {
            return None;
        }
        state.begun += 1;
        Some((state.begun - 1, state.spare.pop().unwrap_or_default()))
    }

    /// Makes a batch.
    fn make(
        &self,
        batch: usize,
        mut items: Vec<T>,
        make: &mut dyn FnMut(usize, &mut T) -> Result<(), QueryError>,
    ) -> Batch<T> {
        items.resize_with(BATCH, T::default);
        let range = batch * BATCH..((batch + 1) * BATCH).min(self.count);
        for (made, (i, item)) in range.zip(&mut items).enumerate() {
            if let Err(error) = make(i, item) {
                let error = Some(error);
                return Batch { items, made, error };
            }
        }
        Batch {
            made: BATCH.min(self.count - batch * BATCH),
            items,
            error: None,
        }
    }

    fn finish(&self, number: usize, batch: Batch<T>) {
        let mut state = self.state.lock();
        let at = number % state.finished.len();
        state.finished[at] = Some(batch);
        self.changed.notify_all();
    }

    /// Makes batches until there are no more to make.
    fn help(&self, make: &mut dyn FnMut(usize, &mut T) -> Result<(), QueryError>) {
        let _leaving = Leaving {
            line: self,
            always: false,
        };
        loop {
            let mut state = self.state.lock();
            let (number, items) = loop {
                if state.over || state.begun >= self.batches() {
                    return;
                }
                match self.begin(&mut state) {
                    Some(begun) => break begun,
                    None => self.changed.wait(&mut state),
                }
            };
            drop(state);
            let batch = self.make(number, items, make);
            self.finish(number, batch);
        }
    }

    /// The batch with this number, made by whoever began it.
    fn next(
        &self,
        number: usize,
        make: &mut dyn FnMut(usize, &mut T) -> Result<(), QueryError>,
    ) -> Result<Batch<T>, QueryError> {
        loop {
            let mut state = self.state.lock();
            let at = number % state.finished.len();
            if let Some(batch) = state.finished[at].take() {
                return Ok(batch);
            }
            if state.over {
                return Err(QueryError::Internal("a helper ended early".to_owned()));
            }
            match self.begin(&mut state) {
                Some((own, items)) => {
                    drop(state);
                    let batch = self.make(own, items, make);
                    if own == number {
                        return Ok(batch);
                    }
                    self.finish(own, batch);
                }
                None => self.changed.wait(&mut state),
            }
        }
    }

    fn taken(&self, items: Vec<T>) {
        let mut state = self.state.lock();
        state.taken += 1;
        state.spare.push(items);
        self.changed.notify_all();
    }
}

/// Tells the others when the query's thread is done, or when a helper panics.
struct Leaving<'l, T: Default> {
    line: &'l Line<T>,
    always: bool,
}

impl<T: Default> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            self.line.state.lock().over = true;
            self.line.changed.notify_all();
        }
    }
}

/// Makes `count` items with the help of `helpers` threads; each thread makes with a closure of
/// its own from `maker`. Hands them to `take` in order, and ends at the first error in that order.
pub(super) fn in_order<T, M>(
    helpers: usize,
    count: usize,
    maker: impl Fn() -> M + Sync,
    mut take: impl FnMut(usize, &mut T) -> Result<(), QueryError>,
) -> Result<(), QueryError>
where
    T: Default + Send,
    M: FnMut(usize, &mut T) -> Result<(), QueryError>,
{
    let line = Line {
        count,
        state: Mutex::new(State {
            begun: 0,
            taken: 0,
            finished: (0..window(helpers)).map(|_| None).collect(),
            spare: Vec::new(),
            over: false,
        }),
        changed: Condvar::new(),
    };
    let work = || {
        let _leaving = Leaving {
            line: &line,
            always: true,
        };
        let mut make = maker();
        for number in 0..line.batches() {
            let mut batch = line.next(number, &mut make)?;
            for (i, item) in batch.items.iter_mut().take(batch.made).enumerate() {
                take(number * BATCH + i, item)?;
            }
            if let Some(error) = batch.error {
                return Err(error);
            }
            line.taken(batch.items);
        }
        Ok(())
    };
    ferula_env::spawn::beside(helpers, || line.help(&mut maker()), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squares of 0 to `count`, in the order in which they were taken.
    fn squares(helpers: usize, count: usize, fails_at: usize) -> (Vec<usize>, Option<String>) {
        let mut seen = Vec::new();
        let maker = || {
            move |i: usize, item: &mut usize| {
                if i == fails_at {
                    return Err(QueryError::execution(format!("at {i}")));
                }
                *item = i * i;
                Ok(())
            }
        };
        let result = in_order(helpers, count, maker, |i, item: &mut usize| {
            assert_eq!(*item, i * i);
            seen.push(i);
            Ok(())
        });
        (seen, result.err().map(|error| error.to_string()))
    }

    #[test]
    fn what_is_made_is_taken_in_order() {
        for helpers in 0..4 {
            for count in [0, 1, BATCH, BATCH + 1, 1_000] {
                let (seen, error) = squares(helpers, count, usize::MAX);
                assert!(seen.into_iter().eq(0..count) && error.is_none());
            }
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        for helpers in 0..4 {
            let (seen, error) = squares(helpers, 1_000, 500);
            assert!(seen.into_iter().eq(0..500));
            assert_eq!(error.as_deref(), Some("at 500"));
        }
    }

    #[test]
    fn whoever_takes_may_stop_early() {
        let maker = || |_: usize, _: &mut ()| Ok(());
        let stopped = in_order(2, 10_000, maker, |i, ()| match i {
            100 => Err(QueryError::execution("enough")),
            _ => Ok(()),
        });
        assert!(stopped.is_err());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_helper_that_panics_stops_everyone() {
        let own = std::thread::current().id();
        let maker = || {
            move |_: usize, _: &mut ()| {
                assert!(std::thread::current().id() == own, "a helper panics");
                Ok(())
            }
        };
        let _ = in_order(1, 1_000_000, maker, |_, ()| Ok(()));
    }

    #[test]
    fn helpers_are_counted() {
        let helpers = Helpers::new(3);
        let two = helpers.take(2);
        let rest = helpers.take(2);
        assert_eq!((two.count, rest.count, helpers.take(9).count), (2, 1, 0));
        drop(two);
        assert_eq!(helpers.take(9).count, 2);
    }
}
