//! Threads and tasks.

use std::future::Future;
use std::io;
use std::thread;

use tokio::task::JoinHandle;

/// Runs `future` on the current runtime. Dropping the handle leaves it running.
pub fn task<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs `work`, which may block or compute for long, beside the runtime's workers.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Runs `work`, which may wait for a disk, beside the runtime's workers; where there is no
/// runtime, at once on this thread.
pub async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => blocking(work).await,
        Err(_) => Ok(work()),
    }
}

/// Starts a thread of its own, named for those who look at the process.
pub fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// How many threads can compute at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `work` on this thread, and `help` on up to `helpers` more until `work` is done: `help`
/// must come to an end once it is. Where no more threads can be started there are fewer.
///
/// # Panics
/// If a helper did.
pub fn beside<T>(helpers: usize, help: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        for _ in 0..helpers {
            let builder = thread::Builder::new().name("query-helper".to_owned());
            if builder.spawn_scoped(scope, &help).is_err() {
                break;
            }
        }
        work()
    })
}
