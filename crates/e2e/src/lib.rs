//! What process-level tests and benchmarks share: starting real servers on free loopback ports,
//! talking HTTP to them, sending remote write, and knowing which peers this machine has.
//!
//! Never links the code under test: it meets Ferula only as a binary, over its ports and files, so
//! a mistake in our codecs cannot hide itself. Start with [`server::Server`], then `tests/`.
#![allow(clippy::disallowed_methods, clippy::print_stderr)] // test tool: real time, disk and ports

pub mod answer;
pub mod exporter;
pub mod history;
pub mod http;
pub mod peers;
pub mod process;
pub mod random;
pub mod remote_write;
pub mod server;

use std::time::{Duration, Instant};

/// Polls `condition` until it gives a value, for at most `limit`; `what` names it in the error.
///
/// # Errors
/// When the limit passes first; the text holds `what` and the last error `condition` gave.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(last) if start.elapsed() >= limit => {
                return Err(last.context(format!("waited {limit:?} for {what}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Notes that a test could not run here, where a reader of the test log and `cargo xtask test` find it.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {reason}");
    let Some(list) = std::env::var_os(SKIP_LIST_ENV) else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(list);
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{test}: {reason}");
    }
}

/// Names the file in which [`skip`] collects one line per skipped test.
pub const SKIP_LIST_ENV: &str = "FERULA_SKIP_LIST";
