//! Text as Prometheus, a Go program, reads and prints it: error messages, label values and
//! results are compared byte for byte by clients.

pub mod duration;
pub mod number;
pub mod quote;
pub mod regex;
pub mod size;
mod unicode;

/// Which names of metrics and labels are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// Any text but the empty one.
    #[default]
    Utf8,
    /// Those that need no quotes.
    Legacy,
}

impl NameScheme {
    /// Whether a label may have this name.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_legacy_label_name(name),
        }
    }

    /// Whether a metric may have this name.
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_legacy_metric_name(name),
        }
    }
}

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
