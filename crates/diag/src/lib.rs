//! Source spans, diagnostics with stable codes, and how they are shown.
//!
//! Knows no feature: whoever finds a mistake makes a [`Diagnostic`], whoever reports it calls
//! [`render`] or [`render_all`].

mod diagnostic;
mod excerpt;
mod render;
mod span;

pub use diagnostic::{Diagnostic, Severity};
pub use render::{render, render_all};
pub use span::{Position, Source, Span};
