//! Rules applied to label sets, with a trace of each step.
//!
//! Targets, scraped samples, remotely written samples and alerts all pass through the same
//! rules. Pure: labels in, labels out; never does I/O, never logs, keeps nothing between calls.
//! Start with [`RuleConfig`], then [`apply`].

mod apply;
mod case;
mod rule;

pub use apply::{Step, apply, apply_traced};
pub use rule::{Action, Rule, RuleConfig, RuleError, UnknownAction};
