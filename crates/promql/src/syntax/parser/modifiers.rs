//! What follows an operand: brackets, `offset`, `@`, `anchored` and `smoothed`.

use ferula_diag::Span;

use super::duration::{Duration, Place};
use super::{Node, Parser, Result};
use crate::syntax::ast::{
    At, Expr, Extended, Modifiers, RangeSelector, Selector, Subquery, ValueType,
};
use crate::syntax::error::ParseError;
use crate::syntax::token::{Keyword, Kind};

const DURATION: &str = "number, duration, step(), or range()";
const DURATION_OR_END: &str = "number, duration, step(), range(), or \"]\"";

const RANGE: Place = ("subquery or range selector", DURATION);
const STEP: Place = ("subquery selector", DURATION_OR_END);
const OFFSET: Place = ("offset", DURATION);
const AT: Place = ("@", "timestamp");

impl Parser<'_> {
    /// `[range]` or `[range:step]`
    pub(super) fn brackets(&mut self, operand: Node) -> Result<Node> {
        let open = self.take()?.span;
        let range = self.bracket_duration(RANGE)?;
        if self.take_if(Kind::RightBracket)?.is_some() {
            return self.range(operand, range, open);
        }
        if self.take_if(Kind::Colon)?.is_none() {
            return self.unexpected("subquery or range", "\":\" or \"]\"");
        }
        let (range_ms, range_expr) = range;
        let (mut step_ms, mut step_expr) = (None, None);
        if self.take_if(Kind::RightBracket)?.is_none() {
            let (ms, expr) = self.bracket_duration(STEP)?;
            if self.take_if(Kind::RightBracket)?.is_none() {
                return self.unexpected("subquery selector", "\"]\"");
            }
            step_ms = Some(ms).filter(|_| expr.is_none());
            step_expr = expr;
        }
        let expr = Expr::Subquery(Box::new(Subquery {
            span: self.span_from(operand.expr.span()),
            expr: operand.expr,
            range_ms,
            range_expr,
            step_ms,
            step_expr,
            modifiers: Modifiers::default(),
        }));
        self.node(expr, ValueType::Matrix, operand.height)
    }

    fn range(&self, operand: Node, (range_ms, range_expr): Duration, open: Span) -> Result<Node> {
        let error = |message: &str| Err(ParseError::new(self.span_from(open), message));
        let Expr::Selector(selector) = operand.expr else {
            return error("ranges only allowed for vector selectors");
        };
        if selector.modifiers.has_offset() {
            return error("no offset modifiers allowed before range");
        }
        if selector.modifiers.at.is_some() {
            return error("no @ modifiers allowed before range");
        }
        let expr = Expr::Range(RangeSelector {
            span: self.span_from(selector.span),
            selector,
            range_ms,
            range_expr,
        });
        self.node(expr, ValueType::Matrix, 0)
    }

    /// `offset 5m`
    pub(super) fn offset(&mut self, operand: &mut Expr) -> Result<()> {
        self.take()?;
        let (offset_ms, offset_expr) = self.offset_duration(OFFSET)?;
        let start = operand.span();
        let Some((modifiers, span)) = modifiers_of(operand) else {
            return Err(ParseError::new(
                start,
                "offset modifier must be preceded by an instant vector selector \
                 or range vector selector or a subquery",
            ));
        };
        if modifiers.has_offset() {
            return Err(ParseError::new(
                start,
                "offset may not be set multiple times",
            ));
        }
        modifiers.offset_ms = offset_ms;
        modifiers.offset_expr = offset_expr;
        *span = self.span_from(start);
        Ok(())
    }

    /// `anchored` or `smoothed`
    pub(super) fn extended(&mut self, operand: &mut Expr, extended: Extended) -> Result<()> {
        self.take()?;
        let (span, word) = (operand.span(), extended.as_str());
        let error = |message: String| Err(ParseError::new(span, message));
        if !self.options.extended_range_selectors {
            return error(format!("{word} modifier is experimental and not enabled"));
        }
        let selector: &mut Selector = match operand {
            Expr::Selector(selector) => selector,
            Expr::Range(range) => &mut range.selector,
            Expr::Subquery(_) => {
                return error(format!("{word} modifier is not supported for subqueries"));
            }
            _ => return error(format!("{word} modifier not implemented")),
        };
        if selector.extended.is_some_and(|other| other != extended) {
            return error("anchored and smoothed modifiers cannot be used together".into());
        }
        selector.extended = Some(extended);
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
        let (context, expected) = AT;
        let at = match self.peek()?.kind {
            Kind::Keyword(Keyword::Start) => At::Start,
            Kind::Keyword(Keyword::End) => At::End,
            _ => {
                let seconds = self.signed_number(AT)?.value;
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
