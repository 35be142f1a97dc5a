//! Configuration files: parsing with spans, defaults, checks.
