//! What follows an operand: brackets, `offset` and `@`.

use ferula_diag::Span;

use super::{Node, Parser, Result};
use crate::syntax::ast::{
    At, BinaryOp, Expr, Modifiers, Number, RangeSelector, Subquery, ValueType,
};
use crate::syntax::error::ParseError;
use crate::syntax::number::seconds_to_ms;
use crate::syntax::token::{Keyword, Kind, Token};

const DURATION: &str = "number, duration, step(), or range()";
const DURATION_OR_END: &str = "number, duration, step(), range(), or \"]\"";

impl Parser<'_> {
    /// `[range]` or `[range:step]`
    pub(super) fn brackets(&mut self, operand: Node) -> Result<Node> {
        let open = self.take()?.span;
        let range_ms = self.positive_duration("subquery or range selector", DURATION)?;
        if self.take_if(Kind::RightBracket)?.is_some() {
            return self.range(operand, range_ms, open);
        }
        if self.take_if(Kind::Colon)?.is_none() {
            return self.unexpected("subquery or range", "\":\" or \"]\"");
        }
        let mut step_ms = None;
        if self.take_if(Kind::RightBracket)?.is_none() {
            step_ms = Some(self.positive_duration("subquery selector", DURATION_OR_END)?);
            if self.take_if(Kind::RightBracket)?.is_none() {
                return self.unexpected("subquery selector", "\"]\"");
            }
        }
        let expr = Expr::Subquery(Box::new(Subquery {
            span: self.span_from(operand.expr.span()),
            expr: operand.expr,
            range_ms,
            step_ms,
            modifiers: Modifiers::default(),
        }));
        self.node(expr, ValueType::Matrix, operand.height)
    }

    fn range(&self, operand: Node, range_ms: i64, open: Span) -> Result<Node> {
        let error = |message: &str| Err(ParseError::new(self.span_from(open), message));
        let Expr::Selector(selector) = operand.expr else {
            return error("ranges only allowed for vector selectors");
        };
        if selector.modifiers.offset_ms != 0 {
            return error("no offset modifiers allowed before range");
        }
        // The reference lets `@ start()` and `@ end()` pass.
        if matches!(selector.modifiers.at, Some(At::Time(_))) {
            return error("no @ modifiers allowed before range");
        }
        let expr = Expr::Range(RangeSelector {
            span: self.span_from(selector.span),
            selector,
            range_ms,
        });
        self.node(expr, ValueType::Matrix, 0)
    }

    /// `offset 5m`
    pub(super) fn offset(&mut self, operand: &mut Expr) -> Result<()> {
        self.take()?;
        let number = self.duration("offset", DURATION)?;
        let offset_ms = to_ms(&number)?;
        let start = operand.span();
        let Some((modifiers, span)) = modifiers_of(operand) else {
            return Err(ParseError::new(
                start,
                "offset modifier must be preceded by an instant vector selector \
                 or range vector selector or a subquery",
            ));
        };
        if modifiers.offset_ms != 0 {
            return Err(ParseError::new(
                start,
                "offset may not be set multiple times",
            ));
        }
        modifiers.offset_ms = offset_ms;
        *span = self.span_from(start);
        Ok(())
    }

    /// `@ 1.5`, `@ start()`, `@ end()`
    pub(super) fn at(&mut self, operand: &mut Expr) -> Result<()> {
        self.take()?;
        let start = operand.span();
        let at = self.time(start)?;
        let error = |message: &str| Err(ParseError::new(start, message));
        let Some((modifiers, span)) = modifiers_of(operand) else {
            return error(
                "@ modifier must be preceded by an instant vector selector \
                 or range vector selector or a subquery",
            );
        };
        if modifiers.at.is_some() {
            return error("@ <timestamp> may not be set multiple times");
        }
        modifiers.at = Some(at);
        *span = self.span_from(start);
        Ok(())
    }

    /// What stands behind the `@` of an operand at `operand`.
    fn time(&mut self, operand: Span) -> Result<At> {
        let (context, expected) = ("@", "timestamp");
        let at = match self.peek()?.kind {
            Kind::Keyword(Keyword::Start) => At::Start,
            Kind::Keyword(Keyword::End) => At::End,
            _ => {
                let seconds = self.signed_number(context, expected)?.value;
                return timestamp(seconds).map(At::Time).ok_or_else(|| {
                    let shown = out_of_bounds(seconds);
                    ParseError::new(
                        operand,
                        format!("timestamp out of bounds for @ modifier: {shown}"),
                    )
                });
            }
        };
        self.take()?;
        for kind in [Kind::LeftParen, Kind::RightParen] {
            if self.take_if(kind)?.is_none() {
                return self.unexpected(context, expected);
            }
        }
        Ok(at)
    }

    /// A duration in brackets, in milliseconds.
    fn positive_duration(&mut self, context: &str, expected: &str) -> Result<i64> {
        let number = self.duration(context, expected)?;
        // What is wrong with the next token comes first.
        self.refuse_arithmetic()?;
        if number.value <= 0.0 {
            return Err(ParseError::new(
                number.span,
                "duration must be greater than 0",
            ));
        }
        to_ms(&number)
    }

    /// A number or duration, possibly signed, where later versions allow more.
    fn duration(&mut self, context: &str, expected: &str) -> Result<Number> {
        self.refuse_duration_expr()?;
        let sign = self.sign()?;
        if sign.is_some() {
            self.refuse_duration_expr()?;
            self.refuse_arithmetic()?;
        }
        self.number_after(sign, context, expected)
    }

    fn signed_number(&mut self, context: &str, expected: &str) -> Result<Number> {
        let sign = self.sign()?;
        self.number_after(sign, context, expected)
    }

    /// Takes a sign, if there is one.
    fn sign(&mut self) -> Result<Option<Token>> {
        match self.take_if(Kind::Binary(BinaryOp::Sub))? {
            None => self.take_if(Kind::Binary(BinaryOp::Add)),
            minus => Ok(minus),
        }
    }

    fn number_after(
        &mut self,
        sign: Option<Token>,
        context: &str,
        expected: &str,
    ) -> Result<Number> {
        let digits = self.peek()?;
        if !matches!(digits.kind, Kind::Number | Kind::Duration) {
            return self.unexpected(context, expected);
        }
        self.take()?;
        let mut number = self.number(digits)?;
        if let Some(sign) = sign {
            if sign.kind == Kind::Binary(BinaryOp::Sub) {
                number.value = -number.value;
            }
            number.span.start = sign.span.start;
        }
        Ok(number)
    }

    fn refuse<T>(&mut self) -> Result<T> {
        self.unsupported("duration expressions are")
    }

    /// Refuses what begins a duration expression that is more than a number.
    fn refuse_duration_expr(&mut self) -> Result<()> {
        match self.peek()?.kind {
            Kind::LeftParen => self.refuse(),
            Kind::Keyword(keyword) if keyword.is_duration_function() => self.refuse(),
            _ => Ok(()),
        }
    }

    /// Refuses arithmetic on durations.
    fn refuse_arithmetic(&mut self) -> Result<()> {
        match self.peek()?.kind {
            Kind::Binary(
                BinaryOp::Add
                | BinaryOp::Sub
                | BinaryOp::Mul
                | BinaryOp::Div
                | BinaryOp::Mod
                | BinaryOp::Pow,
            ) => self.refuse(),
            Kind::Keyword(_) => self.refuse(),
            _ => Ok(()),
        }
    }
}

fn to_ms(number: &Number) -> Result<i64> {
    seconds_to_ms(number.value).map_err(|message| ParseError::new(number.span, message))
}

/// The modifiers of what can have them, and the place that grows with them.
fn modifiers_of(expr: &mut Expr) -> Option<(&mut Modifiers, &mut Span)> {
    match expr {
        Expr::Selector(e) => Some((&mut e.modifiers, &mut e.span)),
        Expr::Range(e) => Some((&mut e.selector.modifiers, &mut e.span)),
        Expr::Subquery(e) => Some((&mut e.modifiers, &mut e.span)),
        _ => None,
    }
}

/// Seconds as a timestamp, if they are sensible.
fn timestamp(seconds: f64) -> Option<i64> {
    let limit = i64::MAX as f64;
    let sensible = seconds > -limit && seconds < limit;
    sensible.then(|| (seconds * 1000.0).round() as i64)
}

/// A float as Go's `%f` prints it.
fn out_of_bounds(seconds: f64) -> String {
    if seconds == f64::INFINITY {
        "+Inf".into()
    } else if seconds == f64::NEG_INFINITY {
        "-Inf".into()
    } else {
        format!("{seconds:.6}")
    }
}
