//! Providers of scrape targets.
//!
//! Never scrapes, never relabels. Start with [`TargetGroup`].

mod group;

pub use group::{ADDRESS, TargetGroup, Targets};
