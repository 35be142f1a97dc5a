//! Source spans, diagnostics with stable codes, and how they are shown.
//!
//! Knows no feature: whoever finds a mistake makes a [`Diagnostic`], whoever reports it calls
//! [`render`].

mod diagnostic;
mod span;

pub use diagnostic::{Diagnostic, Severity, render};
pub use span::{Position, Source, Span};
