//! Providers of scrape targets.
