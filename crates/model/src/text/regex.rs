//! Go's regular expressions, fully anchored.

/// Why a pattern is no regular expression; displays Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct Error(String);

/// A pattern that must match a whole value; `.` matches newline too.
#[derive(Clone, Debug)]
pub struct Regex {
    meta: regex_automata::meta::Regex,
}

impl Regex {
    /// Compiles `^(?s:pattern)$`.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let meta = regex_automata::meta::Regex::new(&format!("^(?s:{pattern})$"))
            .map_err(|e| Error(e.to_string()))?;
        Ok(Self { meta })
    }

    /// Whether the whole of `value` matches.
    pub fn is_match(&self, value: &str) -> bool {
        self.meta.is_match(value)
    }
}
