//! One shard's data: head and log.
