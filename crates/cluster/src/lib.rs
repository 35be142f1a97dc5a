//! Admission, routing and fan-out over shards.
