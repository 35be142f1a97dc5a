//! The HTTP client that scrapes and notifies.
