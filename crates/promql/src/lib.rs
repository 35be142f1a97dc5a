//! PromQL: from text to a tree ([`syntax`]), from the tree to results.
//!
//! Never knows where samples come from: it reads through `ferula_storage::Select`.

pub mod syntax;
