//! From tokens to the tree: recursive descent, with operator precedence for binary operators.
//!
//! The first thing wrong ends parsing. Parsing looks one token ahead, and only where it must:
//! which of two errors comes first depends on it, and clients compare messages.

mod aggregate;
mod binary;
mod duration;
mod modifiers;
mod operand;
mod selector;

use ferula_diag::Span;
use ferula_model::Matcher;

use super::ast::{Expr, ValueType};
use super::error::ParseError;
use super::lexer::Lexer;
use super::token::{Keyword, Kind, Token, describe};
use super::{DEPTH_MAX, ParseOptions, TEXT_LEN_MAX, TOKENS_MAX};

type Result<T> = std::result::Result<T, ParseError>;

/// A whole expression, its types unchecked.
pub(super) fn expression(text: &str, options: &ParseOptions) -> Result<Expr> {
    let mut parser = Parser::new(text, options)?;
    if parser.peek()?.kind == Kind::End {
        return Err(ParseError::new(
            Span::default(),
            "no expression found in input",
        ));
    }
    let node = parser.expr(binary::LOWEST)?;
    parser.expect_end()?;
    Ok(node.expr)
}

/// The matchers of a lone selector.
pub(super) fn selector(text: &str) -> Result<Vec<Matcher>> {
    let options = ParseOptions::default();
    let mut parser = Parser::new(text, &options)?;
    let selector = parser.selector()?;
    parser.expect_end()?;
    Ok(selector.matchers)
}

/// A tree, with what would take a walk to find out.
struct Node {
    expr: Expr,
    /// How many levels deep it is; see [`super::ast`].
    height: usize,
    value_type: ValueType,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    options: &'a ParseOptions,
    /// The token after the last one taken, if that has been looked at.
    ahead: Option<Token>,
    /// Where the last token taken ended.
    end: u32,
    /// How many tokens have been read.
    tokens: usize,
    /// How many expressions are being parsed, each within the one before.
    depth: usize,
    /// How many of them are arguments of an aggregation.
    aggregations: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: &'a ParseOptions) -> Result<Self> {
        if text.len() > TEXT_LEN_MAX {
            return Err(ParseError::new(
                Span::default(),
                format!("expression is longer than {TEXT_LEN_MAX} bytes"),
            ));
        }
        Ok(Self {
            lexer: Lexer::new(text),
            options,
            ahead: None,
            end: 0,
            tokens: 0,
            depth: 0,
            aggregations: 0,
        })
    }

    fn peek(&mut self) -> Result<Token> {
        if let Some(token) = self.ahead {
            return Ok(token);
        }
        let token = self.lexer.next()?;
        self.tokens += 1;
        if self.tokens > TOKENS_MAX {
            return Err(ParseError::new(
                token.span,
                format!("expression has more than {TOKENS_MAX} tokens"),
            ));
        }
        self.ahead = Some(token);
        Ok(token)
    }

    fn take(&mut self) -> Result<Token> {
        let token = self.peek()?;
        self.ahead = None;
        self.end = token.span.end;
        Ok(token)
    }

    /// Takes the next token if it is of kind `kind`.
    fn take_if(&mut self, kind: Kind) -> Result<Option<Token>> {
        if self.peek()?.kind == kind {
            return self.take().map(Some);
        }
        Ok(None)
    }

    fn take_keyword(&mut self, keyword: Keyword) -> Result<Option<Token>> {
        self.take_if(Kind::Keyword(keyword))
    }

    /// Takes the next token, which must be of kind `kind`; no message says so.
    fn expect(&mut self, kind: Kind) -> Result<Token> {
        match self.take_if(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected_here(),
        }
    }

    fn expect_end(&mut self) -> Result<()> {
        self.expect(Kind::End).map(|_| ())
    }

    /// From `start` to the end of the last token taken.
    fn span_from(&self, start: Span) -> Span {
        Span {
            start: start.start,
            end: self.end,
        }
    }

    /// The next token is out of place, and no rule knows better what should be there.
    fn unexpected_here<T>(&mut self) -> Result<T> {
        let context = self.context();
        self.unexpected(context, "")
    }

    /// Where the next token is, as messages say it if no rule knows better.
    fn context(&self) -> &'static str {
        match self.aggregations {
            0 => "",
            _ => "aggregation",
        }
    }

    /// The next token is out of place in `context`, where `expected` should be.
    fn unexpected<T>(&mut self, context: &str, expected: &str) -> Result<T> {
        let token = self.peek()?;
        let what = describe(token.kind, self.lexer.text_of(token));
        let mut message = format!("unexpected {what}");
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        Err(ParseError::new(token.span, message))
    }

    fn too_deep<T>(&self, span: Span) -> Result<T> {
        Err(ParseError::new(
            span,
            format!("expression is nested more than {DEPTH_MAX} levels deep"),
        ))
    }

    /// A node above others, the highest of which is `below` levels high.
    fn node(&self, expr: Expr, value_type: ValueType, below: usize) -> Result<Node> {
        let height = below + 1;
        if height > DEPTH_MAX {
            return self.too_deep(expr.span());
        }
        Ok(Node {
            expr,
            height,
            value_type,
        })
    }
}
