//! What discovery counts about itself.

use std::sync::atomic::AtomicU64;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Results that providers handed in.
    pub received_updates: AtomicU64,
    /// States that were published; several results can end up in one.
    pub updates: AtomicU64,
    /// Results that came with an error.
    pub failures: AtomicU64,
    /// Target files that were not read.
    pub file_read_errors: AtomicU64,
}
