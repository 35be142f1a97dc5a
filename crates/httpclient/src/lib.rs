//! The HTTP client that scrapes: one `GET` into the caller's buffer, with the limits and the
//! error texts Prometheus users know.
//!
//! Speaks plain HTTP/1.1 and keeps connections alive, one pool per [`Client`]. Never looks at
//! what it fetches, never logs, never retries an answer. `https`, authentication and proxies are
//! refused. Start with [`Client::get`].

mod body;
mod client;
mod connect;
mod error;
mod redirect;

pub use body::BODY_BYTES_MAX;
pub use client::{Client, Get, Response, Settings};
pub use error::Error;
