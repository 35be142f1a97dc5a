//! What the text consists of, and how messages name it.

use std::fmt;

use ferula_diag::Span;
use ferula_model::text::quote::quoted;

use super::ast::{AggregateOp, BinaryOp};

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Which kind.
    pub kind: Kind,
    /// Where.
    pub span: Span,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of the text.
    End,
    /// A word without a colon that is no keyword.
    Identifier,
    /// A word with a colon.
    MetricIdentifier,
    /// `1.5`, `inf`
    Number,
    /// `1h30m`
    Duration,
    /// `"text"`, quotes included.
    String,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `,`
    Comma,
    /// `:` in brackets
    Colon,
    /// `=`
    Equal,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    /// `@`
    At,
    /// A binary operator; `!=` in braces is one too.
    Binary(BinaryOp),
    /// `sum` and its like.
    Aggregate(AggregateOp),
    /// Any other word with a meaning.
    Keyword(Keyword),
}

/// Words with a meaning, but for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Offset,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Bool,
    Anchored,
    Smoothed,
    Fill,
    FillLeft,
    FillRight,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
}

/// Which kind of token a word is outside braces. Case does not matter.
pub(super) fn word_kind(word: &str) -> Kind {
    /// No word with a meaning is longer.
    const LEN_MAX: usize = 12;
    let mut lower = [0; LEN_MAX];
    if word.len() <= LEN_MAX {
        let lower = &mut lower[..word.len()];
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        if let Some(kind) = std::str::from_utf8(lower).ok().and_then(meaning) {
            return kind;
        }
    }
    if word.contains(':') {
        Kind::MetricIdentifier
    } else {
        Kind::Identifier
    }
}

fn meaning(lower: &str) -> Option<Kind> {
    let keyword = match lower {
        "inf" | "nan" => return Some(Kind::Number),
        "and" => return Some(Kind::Binary(BinaryOp::And)),
        "or" => return Some(Kind::Binary(BinaryOp::Or)),
        "unless" => return Some(Kind::Binary(BinaryOp::Unless)),
        "atan2" => return Some(Kind::Binary(BinaryOp::Atan2)),
        "offset" => Keyword::Offset,
        "by" => Keyword::By,
        "without" => Keyword::Without,
        "on" => Keyword::On,
        "ignoring" => Keyword::Ignoring,
        "group_left" => Keyword::GroupLeft,
        "group_right" => Keyword::GroupRight,
        "bool" => Keyword::Bool,
        "anchored" => Keyword::Anchored,
        "smoothed" => Keyword::Smoothed,
        "fill" => Keyword::Fill,
        "fill_left" => Keyword::FillLeft,
        "fill_right" => Keyword::FillRight,
        "start" => Keyword::Start,
        "end" => Keyword::End,
        "step" => Keyword::Step,
        "range" => Keyword::Range,
        "min_of" => Keyword::MinOf,
        "max_of" => Keyword::MaxOf,
        _ => {
            let op = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower);
            return op.map(Kind::Aggregate);
        }
    };
    Some(Kind::Keyword(keyword))
}

impl Keyword {
    /// Whether it is written like a function whose value becomes part of the query.
    pub(super) fn is_preprocessor(self) -> bool {
        matches!(
            self,
            Self::Start | Self::End | Self::Step | Self::Range | Self::MinOf | Self::MaxOf
        )
    }

    /// Whether it is a function inside brackets and after `offset`.
    pub(super) fn is_duration_function(self) -> bool {
        matches!(self, Self::Step | Self::Range | Self::MinOf | Self::MaxOf)
    }

    /// Whether it fills in missing series, if a parenthesis follows.
    pub(super) fn is_fill(self) -> bool {
        matches!(self, Self::Fill | Self::FillLeft | Self::FillRight)
    }
}

impl Kind {
    /// Whether it may be the name of a metric.
    pub(super) fn is_metric_name(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Binary(op) => op.is_set(),
            Self::Keyword(keyword) => !matches!(
                keyword,
                Keyword::On
                    | Keyword::Ignoring
                    | Keyword::GroupLeft
                    | Keyword::GroupRight
                    | Keyword::Bool
            ),
            _ => false,
        }
    }

    /// Whether it may be a label of `by`, `on` and their like.
    pub(super) fn is_grouping_label(self) -> bool {
        match self {
            Self::Binary(op) => op.is_set() || op == BinaryOp::Atan2,
            Self::Keyword(keyword) => keyword != Keyword::Without,
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) | Self::String => true,
            _ => false,
        }
    }

    /// Whether an expression may begin with it.
    pub(super) fn starts_expr(self) -> bool {
        self.is_metric_name()
            || matches!(
                self,
                Self::Number
                    | Self::Duration
                    | Self::String
                    | Self::LeftParen
                    | Self::LeftBrace
                    | Self::Binary(BinaryOp::Add | BinaryOp::Sub)
            )
    }
}

/// How messages name a token of kind `kind`, written as `text`.
pub(super) fn describe(kind: Kind, text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| match kind {
        Kind::End => f.write_str("end of input"),
        Kind::Identifier => write!(f, "identifier {}", quoted(text)),
        Kind::MetricIdentifier => write!(f, "metric identifier {}", quoted(text)),
        Kind::Number => write!(f, "number {}", shortened(text)),
        Kind::Duration => write!(f, "duration {}", shortened(text)),
        Kind::String => write!(f, "string {}", shortened(text)),
        Kind::At | Kind::EqualRegex | Kind::NotEqualRegex | Kind::Binary(_) => {
            write!(f, "<op:{text}>")
        }
        Kind::Aggregate(_) => write!(f, "<aggr:{text}>"),
        Kind::Keyword(keyword) if !keyword.is_preprocessor() => write!(f, "<{text}>"),
        _ => write!(f, "{}", quoted(text)),
    })
}

fn shortened(text: &str) -> impl fmt::Display {
    /// How much of a long literal is shown, in characters.
    const CHARS_MAX: usize = 10;
    fmt::from_fn(move |f| {
        let end = text.char_indices().nth(CHARS_MAX).map(|(at, _)| at);
        write!(f, "{}", quoted(&text[..end.unwrap_or(text.len())]))?;
        if text.len() > CHARS_MAX {
            f.write_str("...")?;
        }
        Ok(())
    })
}
