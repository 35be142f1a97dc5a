//! Selectors and their matchers.

use ferula_model::{METRIC_NAME, MatchOp, Matcher};

use super::{Node, Parser, Result};
use crate::syntax::ast::{BinaryOp, Expr, Modifiers, Selector, ValueType};
use crate::syntax::error::ParseError;
use crate::syntax::token::{Kind, Token};

const CONTEXT: &str = "label matching";

impl Parser<'_> {
    /// A selector and nothing before it.
    pub(super) fn selector(&mut self) -> Result<Selector> {
        let token = self.peek()?;
        if token.kind.is_metric_name() {
            self.take()?;
            return self.selector_after(Some(token));
        }
        if token.kind != Kind::LeftBrace {
            return self.unexpected_here();
        }
        self.selector_after(None)
    }

    pub(super) fn selector_node(&mut self, name: Option<Token>) -> Result<Node> {
        let expr = Expr::Selector(self.selector_after(name)?);
        self.node(expr, ValueType::Vector, 0)
    }

    /// A selector from behind its name, if it has one.
    fn selector_after(&mut self, name: Option<Token>) -> Result<Selector> {
        let start = self.peek()?;
        let mut matchers = Vec::new();
        if start.kind == Kind::LeftBrace {
            self.take()?;
            matchers = self.matchers()?;
        }
        let text = name.map_or("", |name| self.lexer.text_of(name));
        if !text.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, text));
        }
        Ok(Selector {
            name: text.to_owned(),
            matchers,
            modifiers: Modifiers::default(),
            extended: None,
            span: self.span_from(name.unwrap_or(start).span),
        })
    }

    /// Matchers from behind the `{` to the `}`.
    fn matchers(&mut self) -> Result<Vec<Matcher>> {
        let mut matchers = Vec::new();
        while self.take_if(Kind::RightBrace)?.is_none() {
            matchers.push(self.matcher()?);
            if self.take_if(Kind::Comma)?.is_none() && self.peek()?.kind != Kind::RightBrace {
                return self.unexpected(CONTEXT, "\",\" or \"}\"");
            }
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher> {
        let token = self.peek()?;
        let label = match token.kind {
            Kind::Identifier => {
                self.take()?;
                self.lexer.text_of(token).to_owned()
            }
            Kind::String => {
                self.take()?;
                self.text(token)?
            }
            _ => return self.unexpected(CONTEXT, "identifier or \"}\""),
        };
        let op = match self.peek()?.kind {
            Kind::Equal => MatchOp::Equal,
            Kind::Binary(BinaryOp::Ne) => MatchOp::NotEqual,
            Kind::EqualRegex => MatchOp::Regex,
            Kind::NotEqualRegex => MatchOp::NotRegex,
            // A lone string is a metric's name.
            Kind::Comma | Kind::RightBrace if token.kind == Kind::String => {
                return Ok(Matcher::equal(METRIC_NAME, label));
            }
            _ if token.kind == Kind::String => {
                return self.unexpected(CONTEXT, "\",\" or \"}\"");
            }
            _ => return self.unexpected(CONTEXT, "label matching operator"),
        };
        self.take()?;
        if self.peek()?.kind != Kind::String {
            return self.unexpected(CONTEXT, "string");
        }
        let value = self.take()?;
        let value = self.text(value)?;
        Matcher::new(op, label, value)
            .map_err(|error| ParseError::new(token.span, error.to_string()))
    }
}
