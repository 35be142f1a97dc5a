//! The language: tokens, tree, types, canonical text.

pub mod ast;
pub mod functions;

/// How deep an expression may be nested, in levels.
pub const DEPTH_MAX: usize = 500;

/// How many nodes an expression may have.
pub const NODES_MAX: usize = 100_000;
