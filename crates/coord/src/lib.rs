//! Revisions and leases: who may own what.
