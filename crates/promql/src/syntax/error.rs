//! What is wrong with a text, and where.

use std::fmt;

use ferula_diag::Span;

/// The first thing wrong with a text.
///
/// Displays the message alone; [`display`](Self::display) adds the place, as Prometheus does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// Where.
    pub span: Span,
    /// What, in Prometheus's words.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }

    /// `<line>:<column>: parse error: <message>`, for the text that was parsed.
    pub fn display<'a>(&'a self, text: &'a str) -> impl fmt::Display + 'a {
        Located { error: self, text }
    }
}

struct Located<'a> {
    error: &'a ParseError,
    text: &'a str,
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.error.span.start as usize;
        if self.text.is_empty() {
            f.write_str("unknown position")?;
        } else if start > self.text.len() {
            f.write_str("invalid position")?;
        } else {
            let before = &self.text.as_bytes()[..start];
            let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
            write!(f, "{line}:{column}")?;
        }
        write!(f, ": parse error: {}", self.error.message)
    }
}
