//! Configuration files: parsing with spans, defaults, checks.
//!
//! Never acts on what it reads and never opens a file: text in, [`Config`] or diagnostics out.
//! Start with [`Config`].

mod defaults;
mod types;

pub use types::{Config, FileSdConfig, GlobalConfig, Limits, ScrapeConfig, StaticConfig};
