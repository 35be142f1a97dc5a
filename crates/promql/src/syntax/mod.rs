//! The language: tokens, tree, types, canonical text.

pub mod ast;
pub mod functions;
