//! What operators stand between: literals, calls, selectors, and whatever follows them in
//! brackets or as a modifier.

use super::{Node, Parser, Result, binary};
use crate::syntax::ast::{Call, Expr, Extended, Number, Paren, StringLiteral, ValueType};
use crate::syntax::error::ParseError;
use crate::syntax::token::{Keyword, Kind, Token};
use crate::syntax::{functions, number, string};

impl Parser<'_> {
    /// An operand with its brackets and modifiers.
    pub(super) fn operand(&mut self) -> Result<Node> {
        let mut node = self.bare_operand()?;
        loop {
            match self.peek()?.kind {
                Kind::LeftBracket => node = self.brackets(node)?,
                Kind::At => self.at(&mut node.expr)?,
                Kind::Keyword(Keyword::Offset) => self.offset(&mut node.expr)?,
                Kind::Keyword(Keyword::Anchored) => {
                    self.extended(&mut node.expr, Extended::Anchored)?;
                }
                Kind::Keyword(Keyword::Smoothed) => {
                    self.extended(&mut node.expr, Extended::Smoothed)?;
                }
                _ => return Ok(node),
            }
        }
    }

    fn bare_operand(&mut self) -> Result<Node> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.take()?;
                let expr = Expr::Number(self.number(token)?);
                self.node(expr, ValueType::Scalar, 0)
            }
            Kind::String => {
                self.take()?;
                let expr = Expr::String(self.string(token)?);
                self.node(expr, ValueType::String, 0)
            }
            Kind::LeftParen => self.paren(),
            Kind::LeftBrace => self.selector_node(None),
            Kind::Aggregate(op) => self.aggregate(op),
            kind if kind.is_metric_name() => {
                self.take()?;
                let callable = match kind {
                    Kind::Keyword(keyword) => keyword.is_preprocessor(),
                    kind => kind == Kind::Identifier,
                };
                if callable && self.peek()?.kind == Kind::LeftParen {
                    return self.call(token);
                }
                self.selector_node(Some(token))
            }
            _ => self.unexpected_here(),
        }
    }

    /// The value of a number or duration token, a duration in seconds.
    pub(super) fn number(&self, token: Token) -> Result<Number> {
        let text = self.lexer.text_of(token);
        let is_duration = token.kind == Kind::Duration;
        let value = if is_duration {
            number::parse_duration(text).map(|ms| ms as f64 / 1000.0)
        } else {
            number::parse_number(text)
        };
        Ok(Number {
            value: value.map_err(|message| ParseError::new(token.span, message))?,
            is_duration,
            span: token.span,
        })
    }

    fn string(&self, token: Token) -> Result<StringLiteral> {
        let span = token.span;
        let (bytes, _) = string::unquote(self.lexer.text_of(token))
            .map_err(|message| ParseError::new(span, message))?;
        Ok(match String::from_utf8(bytes) {
            Ok(value) => StringLiteral {
                value,
                bytes: None,
                span,
            },
            Err(error) => StringLiteral {
                value: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                bytes: Some(error.into_bytes()),
                span,
            },
        })
    }

    /// A string where only text makes sense.
    pub(super) fn text(&self, token: Token) -> Result<String> {
        let string = self.string(token)?;
        if string.bytes.is_some() {
            return Err(ParseError::new(token.span, "string is not valid UTF-8"));
        }
        Ok(string.value)
    }

    fn paren(&mut self) -> Result<Node> {
        let open = self.take()?.span;
        let inner = self.expr(binary::LOWEST)?;
        self.expect(Kind::RightParen)?;
        let expr = Expr::Paren(Paren {
            inner: Box::new(inner.expr),
            span: self.span_from(open),
        });
        self.node(expr, inner.value_type, inner.height)
    }

    fn call(&mut self, name: Token) -> Result<Node> {
        let (args, height) = self.args()?;
        let span = self.span_from(name.span);
        let name = self.lexer.text_of(name);
        let error = |message: String| Err(ParseError::new(span, message));
        let Some(func) = functions::lookup(name) else {
            return error(format!("unknown function with name \"{name}\""));
        };
        if func.experimental && !self.options.experimental_functions {
            return error(format!("function \"{name}\" is not enabled"));
        }
        self.node(Expr::Call(Call { func, args, span }), func.returns, height)
    }

    /// Arguments in parentheses, and how high the highest is.
    pub(super) fn args(&mut self) -> Result<(Vec<Expr>, usize)> {
        self.expect(Kind::LeftParen)?;
        let mut args = Vec::new();
        let mut height = 0;
        if self.take_if(Kind::RightParen)?.is_some() {
            return Ok((args, height));
        }
        loop {
            let arg = self.expr(binary::LOWEST)?;
            args.push(arg.expr);
            height = height.max(arg.height);
            let Some(comma) = self.take_if(Kind::Comma)? else {
                self.expect(Kind::RightParen)?;
                return Ok((args, height));
            };
            if !self.peek()?.kind.starts_expr() {
                return Err(ParseError::new(
                    comma.span,
                    "trailing commas not allowed in function call args",
                ));
            }
        }
    }
}
