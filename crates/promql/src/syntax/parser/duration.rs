//! Durations in brackets and after `offset`.

use ferula_diag::Span;

use super::{Parser, Result};
use crate::syntax::DEPTH_MAX;
use crate::syntax::ast::{BinaryOp, DurationExpr, DurationOp, DurationOperand, Number};
use crate::syntax::error::ParseError;
use crate::syntax::number::seconds_to_ms;
use crate::syntax::token::{Keyword, Kind, Token};

/// Where a duration stands and what could stand there, as messages say it.
pub(super) type Place = (&'static str, &'static str);

/// A duration in milliseconds, or what computes it.
pub(super) type Duration = (i64, Option<Box<DurationExpr>>);

const LOWEST: u8 = 1;
const PRODUCT: u8 = 2;
const POWER: u8 = 3;

fn operator(op: BinaryOp) -> Option<(DurationOp, u8)> {
    Some(match op {
        BinaryOp::Add => (DurationOp::Add, LOWEST),
        BinaryOp::Sub => (DurationOp::Sub, LOWEST),
        BinaryOp::Mul => (DurationOp::Mul, PRODUCT),
        BinaryOp::Div => (DurationOp::Div, PRODUCT),
        BinaryOp::Mod => (DurationOp::Mod, PRODUCT),
        BinaryOp::Pow => (DurationOp::Pow, POWER),
        _ => return None,
    })
}

/// A duration with the height of its tree.
struct Operand {
    is: DurationOperand,
    height: usize,
}

impl Parser<'_> {
    /// A duration in brackets; one that is a mere number must be above 0.
    pub(super) fn bracket_duration(&mut self, place: Place) -> Result<Duration> {
        match self.computed(LOWEST, place)?.is {
            DurationOperand::Expr(expr) => Ok((0, Some(expr))),
            DurationOperand::Number(number) if number.value <= 0.0 => Err(ParseError::new(
                number.span,
                "duration must be greater than 0",
            )),
            DurationOperand::Number(number) => Ok((to_ms(&number)?, None)),
        }
    }

    /// A duration behind `offset`.
    ///
    /// Operators behind a number, a function or a parenthesis with a sign are those of the
    /// expression around; only what starts otherwise takes them in.
    pub(super) fn offset_duration(&mut self, place: Place) -> Result<Duration> {
        let sign = self.sign()?;
        let operand = match (self.peek()?.kind, sign) {
            (Kind::Number | Kind::Duration, _) => {
                let number = self.number_after(sign, place)?;
                return Ok((to_ms(&number)?, None));
            }
            (Kind::Keyword(keyword), _) if keyword.is_duration_function() => {
                let function = self.duration_function(place)?;
                match sign {
                    // Unlike elsewhere, a plus sign is kept.
                    Some(sign) => self.signed(sign, function)?,
                    None => function,
                }
            }
            (Kind::LeftParen, Some(sign)) => {
                let mut inner = self.in_parens(place)?;
                let start = inner.is.span().start;
                inner = self.wrapped(inner, start)?;
                if is_minus(sign) {
                    inner = self.signed(sign, inner)?;
                }
                inner
            }
            (_, Some(sign)) => {
                let first = self.after_sign(sign, place)?;
                self.computations(first, LOWEST, place)?
            }
            (_, None) => self.computed(LOWEST, place)?,
        };
        match operand.is {
            DurationOperand::Expr(expr) => Ok((0, Some(expr))),
            DurationOperand::Number(number) => Ok((to_ms(&number)?, None)),
        }
    }

    /// A duration of operators that bind at least as tightly as `least`.
    fn computed(&mut self, least: u8, place: Place) -> Result<Operand> {
        if self.depth == DEPTH_MAX {
            let span = self.peek()?.span;
            return self.too_deep(span);
        }
        self.depth += 1;
        let first = self.computed_operand(place)?;
        let operand = self.computations(first, least, place)?;
        self.depth -= 1;
        Ok(operand)
    }

    fn computations(&mut self, first: Operand, least: u8, place: Place) -> Result<Operand> {
        let mut lhs = first;
        while let Kind::Binary(op) = self.peek()?.kind {
            let Some((op, precedence)) = operator(op).filter(|(_, p)| *p >= least) else {
                break;
            };
            let op_span = self.take()?.span;
            let rhs = self.computed(precedence + u8::from(op != DurationOp::Pow), place)?;
            if let DurationOperand::Number(Number { value: 0.0, .. }) = rhs.is {
                match op {
                    DurationOp::Div => return Err(ParseError::new(op_span, "division by zero")),
                    DurationOp::Mod => return Err(ParseError::new(op_span, "modulo by zero")),
                    _ => {}
                }
            }
            let span = lhs.is.span().to(rhs.is.span());
            lhs = self.computation(op, Some(lhs), Some(rhs), span)?;
        }
        Ok(lhs)
    }

    fn computed_operand(&mut self, place: Place) -> Result<Operand> {
        if let Some(sign) = self.sign()? {
            return self.after_sign(sign, place);
        }
        let token = self.peek()?;
        match token.kind {
            Kind::LeftParen => {
                let inner = self.in_parens(place)?;
                self.wrapped(inner, token.span.start)
            }
            Kind::Keyword(keyword) if keyword.is_duration_function() => {
                self.duration_function(place)
            }
            _ => Ok(Operand {
                is: DurationOperand::Number(self.number_after(None, place)?),
                height: 0,
            }),
        }
    }

    /// What a sign stands before. The sign of a number is part of it.
    fn after_sign(&mut self, sign: Token, place: Place) -> Result<Operand> {
        let mut operand = self.computed(POWER, place)?;
        match &mut operand.is {
            DurationOperand::Number(number) => {
                if is_minus(sign) {
                    number.value = -number.value;
                }
                number.span.start = sign.span.start;
                Ok(operand)
            }
            DurationOperand::Expr(_) if is_minus(sign) => self.signed(sign, operand),
            DurationOperand::Expr(_) => Ok(operand),
        }
    }

    /// What stands in the parentheses that come next.
    fn in_parens(&mut self, place: Place) -> Result<Operand> {
        self.expect_at(Kind::LeftParen, place)?;
        let inner = self.computed(LOWEST, place)?;
        self.expect_at(Kind::RightParen, place)?;
        Ok(inner)
    }

    /// `step()`, `range()`, `min_of(a, b)` or `max_of(a, b)`
    fn duration_function(&mut self, place: Place) -> Result<Operand> {
        let name = self.take()?;
        self.expect_at(Kind::LeftParen, place)?;
        let op = match name.kind {
            Kind::Keyword(Keyword::Step) => DurationOp::Step,
            Kind::Keyword(Keyword::Range) => DurationOp::Range,
            Kind::Keyword(Keyword::MinOf) => DurationOp::MinOf,
            _ => DurationOp::MaxOf,
        };
        if matches!(op, DurationOp::Step | DurationOp::Range) {
            self.expect_at(Kind::RightParen, place)?;
            return self.computation(op, None, None, self.span_from(name.span));
        }
        let lhs = self.computed(LOWEST, place)?;
        self.expect_at(Kind::Comma, place)?;
        let rhs = self.computed(LOWEST, place)?;
        self.expect_at(Kind::RightParen, place)?;
        let span = lhs.is.span().to(rhs.is.span());
        self.computation(op, Some(lhs), Some(rhs), span)
    }

    /// `operand` behind a sign that is a node of its own.
    fn signed(&self, sign: Token, operand: Operand) -> Result<Operand> {
        let op = match is_minus(sign) {
            true => DurationOp::Sub,
            false => DurationOp::Add,
        };
        let span = sign.span.to(operand.is.span());
        self.computation(op, None, Some(operand), span)
    }

    /// `operand` in parentheses; a lone number starts at `start` then.
    fn wrapped(&self, operand: Operand, start: u32) -> Result<Operand> {
        let mut operand = match operand.is {
            DurationOperand::Number(_) => {
                let end = operand.is.span().end;
                let span = Span { start, end };
                self.computation(DurationOp::Add, None, Some(operand), span)?
            }
            DurationOperand::Expr(_) => operand,
        };
        if let DurationOperand::Expr(expr) = &mut operand.is {
            expr.wrapped = true;
        }
        Ok(operand)
    }

    fn computation(
        &self,
        op: DurationOp,
        lhs: Option<Operand>,
        rhs: Option<Operand>,
        span: Span,
    ) -> Result<Operand> {
        let heights = [&lhs, &rhs].map(|side| side.as_ref().map_or(0, |side| side.height));
        let height = heights[0].max(heights[1]) + 1;
        if height > DEPTH_MAX {
            return self.too_deep(span);
        }
        let expr = DurationExpr {
            op,
            lhs: lhs.map(|lhs| lhs.is),
            rhs: rhs.map(|rhs| rhs.is),
            wrapped: false,
            span,
        };
        Ok(Operand {
            is: DurationOperand::Expr(Box::new(expr)),
            height,
        })
    }

    /// Takes a sign, if there is one.
    fn sign(&mut self) -> Result<Option<Token>> {
        match self.take_if(Kind::Binary(BinaryOp::Sub))? {
            None => self.take_if(Kind::Binary(BinaryOp::Add)),
            minus => Ok(minus),
        }
    }

    /// A number, possibly signed, where nothing is computed.
    pub(super) fn signed_number(&mut self, (context, expected): Place) -> Result<Number> {
        let sign = self.sign()?;
        self.bare_number(sign, (context, expected))
    }

    /// The number that comes next, behind `sign` if there is one, as a duration.
    fn number_after(&mut self, sign: Option<Token>, place: Place) -> Result<Number> {
        /// Durations have to fit 64 bits of nanoseconds, in seconds.
        const SECONDS_MAX: f64 = 9_223_372_036.854_776;
        let number = self.bare_number(sign, place)?;
        if number.value.abs() > SECONDS_MAX {
            return Err(ParseError::new(number.span, "duration out of range"));
        }
        Ok(number)
    }

    fn bare_number(&mut self, sign: Option<Token>, (context, expected): Place) -> Result<Number> {
        let digits = self.peek()?;
        if !matches!(digits.kind, Kind::Number | Kind::Duration) {
            return self.unexpected(context, expected);
        }
        self.take()?;
        let mut number = self.number(digits)?;
        if let Some(sign) = sign {
            if is_minus(sign) {
                number.value = -number.value;
            }
            number.span.start = sign.span.start;
        }
        Ok(number)
    }

    fn expect_at(&mut self, kind: Kind, (context, expected): Place) -> Result<Token> {
        match self.take_if(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected(context, expected),
        }
    }
}

fn is_minus(sign: Token) -> bool {
    sign.kind == Kind::Binary(BinaryOp::Sub)
}

fn to_ms(number: &Number) -> Result<i64> {
    seconds_to_ms(number.value).map_err(|message| ParseError::new(number.span, message))
}
