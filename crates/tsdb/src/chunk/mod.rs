//! Runs of one series' samples, compressed: bytes in, columns out.

pub(crate) mod bits;
pub(crate) mod histogram;
pub(crate) mod xor;
