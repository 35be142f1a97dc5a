//! What is wrong with a body, and where.

/// How much of the body an error quotes, in bytes: enough to recognise the line.
const EXCERPT_BYTES_MAX: usize = 48;

/// Why a body is not well-formed. Nothing after it is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}, found {found}")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The byte in the line, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
    /// The text found there, quoted and cut short.
    pub found: String,
}

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something else should stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The line is longer than [`crate::LINE_BYTES_MAX`].
    #[error("a line is longer than {} bytes", crate::LINE_BYTES_MAX)]
    LineTooLong,
    /// The sample has more labels than [`crate::LABELS_MAX`].
    #[error("a sample has more than {} labels", crate::LABELS_MAX)]
    TooManyLabels,
}

/// A problem at an offset, before line and column are counted: only a body that fails pays.
pub(crate) struct At {
    pub(crate) pos: usize,
    pub(crate) problem: Problem,
}

impl At {
    #[cold]
    pub(crate) fn expected<T>(pos: usize, what: &'static str) -> Result<T, Self> {
        Err(Self {
            pos,
            problem: Problem::Expected(what),
        })
    }

    #[cold]
    pub(crate) fn locate(self, body: &[u8]) -> ParseError {
        let pos = self.pos.min(body.len());
        let before = &body[..pos];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |i| i + 1);
        ParseError {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: pos - line_start + 1,
            problem: self.problem,
            found: excerpt(&body[pos..]),
        }
    }
}

fn excerpt(rest: &[u8]) -> String {
    match rest {
        [] => return "the end of the body".to_owned(),
        [b'\n', ..] => return "the end of the line".to_owned(),
        _ => {}
    }
    let cut = &rest[..rest.len().min(EXCERPT_BYTES_MAX)];
    let line = cut.split(|&b| b == b'\n').next().unwrap_or(cut);
    let more = if line.len() == cut.len() && rest.len() > cut.len() {
        "…"
    } else {
        ""
    };
    format!("{:?}{more}", String::from_utf8_lossy(line))
}
