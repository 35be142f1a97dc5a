//! Configuration files: parsing with spans, defaults, checks.
//!
//! Never acts on what it reads and never opens a file: text in, [`Config`] or findings out. A
//! key it knows but does not serve is an error, never ignored. Start with [`load`] and
//! [`Config`]; `keys` lists what becomes of each key.

mod decode;
mod defaults;
mod expand;
mod keys;
mod load;
mod render;
mod types;
mod yaml;

pub use load::{CONFIG_BYTES_MAX, Loaded, Surroundings, load, load_bytes, load_target_groups};
pub use render::render;
pub use types::{
    Config, FileSdConfig, GlobalConfig, Limits, RetentionConfig, ScrapeConfig, StaticConfig,
    StorageConfig,
};
