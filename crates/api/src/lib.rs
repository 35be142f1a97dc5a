//! HTTP routes that speak Prometheus's API.
