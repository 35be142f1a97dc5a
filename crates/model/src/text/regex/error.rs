//! Why a pattern is refused, in Go's words.

use std::fmt;

/// Why a pattern is no regular expression; displays Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {problem}: `{expression}`")]
pub struct Error {
    problem: Problem,
    expression: String,
}

impl Error {
    pub(super) fn new(problem: Problem, expression: &str) -> Self {
        Self {
            problem,
            expression: expression.to_string(),
        }
    }

    /// What is wrong with it.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// The part of the pattern that is wrong.
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

/// What can be wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// `[z-a]`, `[[:word1:]]`, `\p{Nobody}`
    CharRange,
    /// `\y`
    Escape,
    /// `(?P<a b>x)`
    NamedCapture,
    /// `(?=x)`
    PerlOperator,
    /// `a**`
    NestedRepetition,
    /// `a{1001}`
    RepeatCount,
    /// `[a`
    MissingBracket,
    /// `(a`
    MissingParen,
    /// `*a`
    MissingArgument,
    /// `a\`
    TrailingBackslash,
    /// `a)`
    UnexpectedParen,
    /// Groups in groups, too many of them.
    Nesting,
    /// The compiled form would take too much memory.
    Large,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CharRange => "invalid character class range",
            Self::Escape => "invalid escape sequence",
            Self::NamedCapture => "invalid named capture",
            Self::PerlOperator => "invalid or unsupported Perl syntax",
            Self::NestedRepetition => "invalid nested repetition operator",
            Self::RepeatCount => "invalid repeat count",
            Self::MissingBracket => "missing closing ]",
            Self::MissingParen => "missing closing )",
            Self::MissingArgument => "missing argument to repetition operator",
            Self::TrailingBackslash => "trailing backslash at end of expression",
            Self::UnexpectedParen => "unexpected )",
            Self::Nesting => "expression nests too deeply",
            Self::Large => "expression too large",
        })
    }
}
