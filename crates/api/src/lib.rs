//! HTTP routes that speak Prometheus's API, and the page at `/play`.
//!
//! Holds no state of its own: everything it serves is handed in as [`Api`]. Start with
//! [`router`].

mod asker;
mod compress;
mod error;
mod host;
mod json;
mod params;
mod query_log;
mod query_stats;
mod reply;
mod routes;
mod server;
mod stats;
mod tenant;

pub use host::{BuildInfo, Host, Readiness, RuntimeInfo};
pub use query_log::query_log_line;
pub use routes::{Api, router};
pub use server::{ServerSettings, serve};
pub use stats::{DURATION_BOUNDS, HandlerStats, HttpStats};
