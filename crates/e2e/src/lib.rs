//! What process-level tests and benchmarks share: starting real servers on free loopback ports,
//! talking HTTP to them, sending remote write, and knowing which peers this machine has.
//!
//! Meets Ferula only as a binary, over its ports and files, so that a mistake in our codecs cannot
//! hide itself. Code of ours is linked by [`differential`], to make up samples and queries that
//! another server judges, by `tests/scripts`, for what is expected, and by `tests/migrate`,
//! whose files the reference's tools write and judge; what the server does comes over the wire
//! there, too. Start with [`server::Server`], then `tests/`.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout)] // test tool: real time, disk and ports

pub mod answer;
pub mod differential;
pub mod exporter;
pub mod files;
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

/// Says that a test could not run here. `cargo xtask test` lists these lines at its end.
pub fn skip(test: &str, reason: &str) {
    println!("{SKIPPED}{test}: {reason}");
}

/// How the line of a test that did not run begins.
pub const SKIPPED: &str = "skipped: ";
