//! The one list of what differs between Ferula and the Prometheus it is compared with, and why.
//!
//! A class is a cause: a rule of 3.14 that the packaged release does not have yet, or something
//! that the reference leaves open. It names the queries it can touch and what it changes in their
//! answers; it never names a seed.

use super::case::Case;

/// A cause of differences.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub class: &'static str,
    /// Why the answers differ.
    pub reason: &'static str,
    /// Whether a difference comes from it.
    pub explains: fn(&Case) -> bool,
}

/// Every known cause.
pub const KNOWN: &[Known] = &[];

/// The first cause that explains how a case's answers differ.
pub(super) fn explains(case: &Case) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.explains)(case))
}
