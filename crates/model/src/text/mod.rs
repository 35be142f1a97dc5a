//! Text as Prometheus, a Go program, reads and prints it: error messages, label values and
//! results are compared byte for byte by clients.

pub mod quote;
pub mod regex;

/// `[a-zA-Z_][a-zA-Z0-9_]*`: label names that need no quotes.
pub fn is_legacy_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`: metric names that need no quotes.
pub fn is_legacy_metric_name(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}
