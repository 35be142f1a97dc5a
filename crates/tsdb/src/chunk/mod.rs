//! A series' samples, compressed: bytes in, columns out.
//!
//! A finished chunk begins with a byte that says how it is written.

pub(crate) mod bits;
pub(crate) mod column;
pub(crate) mod histogram;
pub(crate) mod ints;
pub(crate) mod pack;
pub(crate) mod xor;

/// A Prometheus XOR chunk of floats follows.
pub(crate) const XOR: u8 = 1;

/// Native histograms follow: how many, a big-endian `u16`, then timestamp difference and
/// histogram of each.
pub(crate) const HISTOGRAMS: u8 = 2;

/// A column chunk of floats follows.
pub(crate) const COLUMNS: u8 = 3;
