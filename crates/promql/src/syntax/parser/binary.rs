//! Binary and unary operators.

use ferula_diag::Span;

use super::{Node, Parser, Result};
use crate::syntax::DEPTH_MAX;
use crate::syntax::ast::{Binary, BinaryOp, Cardinality, Expr, Matching, Unary, ValueType};
use crate::syntax::error::ParseError;
use crate::syntax::token::{Keyword, Kind};

/// The precedence that lets all operators in.
pub(super) const LOWEST: u8 = 1;

const POWER: u8 = 6;

fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => LOWEST,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Gt
        | BinaryOp::Ge
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
        BinaryOp::Pow => POWER,
    }
}

impl Parser<'_> {
    /// An expression of operators that bind at least as tightly as `least`.
    pub(super) fn expr(&mut self, least: u8) -> Result<Node> {
        if self.depth == DEPTH_MAX {
            let span = self.peek()?.span;
            return self.too_deep(span);
        }
        self.depth += 1;
        let mut lhs = self.unary()?;
        while let Kind::Binary(op) = self.peek()?.kind {
            if precedence(op) < least {
                break;
            }
            lhs = self.operation(lhs, op)?;
        }
        self.depth -= 1;
        Ok(lhs)
    }

    /// The operation on `lhs` whose operator `op` comes next.
    // Kept out of its caller's frame, which is on the stack for every parenthesis.
    #[inline(never)]
    fn operation(&mut self, lhs: Node, op: BinaryOp) -> Result<Node> {
        let op_span = self.take()?.span;
        let return_bool = self.take_keyword(Keyword::Bool)?.is_some();
        let matching = self.matching(op)?;
        // Only `^` groups to the right.
        let rhs = self.expr(precedence(op) + u8::from(op != BinaryOp::Pow))?;
        if matching.fills() && !self.options.fill_modifiers {
            return Err(ParseError::new(
                lhs.expr.span().to(rhs.expr.span()),
                "binop fill modifiers are experimental and not enabled",
            ));
        }
        self.binary(lhs, (op, op_span), return_bool, matching, rhs)
    }

    /// Signs and what they stand before. A sign binds looser than `^`, and is part of a number.
    fn unary(&mut self) -> Result<Node> {
        let token = self.peek()?;
        let negative = match token.kind {
            Kind::Binary(BinaryOp::Add) => false,
            Kind::Binary(BinaryOp::Sub) => true,
            _ => return self.operand(),
        };
        self.take()?;
        let mut operand = self.expr(POWER)?;
        if let Expr::Number(number) = &mut operand.expr {
            if negative {
                number.value = -number.value;
            }
            number.span.start = token.span.start;
            return Ok(operand);
        }
        let span = token.span.to(operand.expr.span());
        let expr = Expr::Unary(Unary {
            negative,
            operand: Box::new(operand.expr),
            span,
        });
        self.node(expr, operand.value_type, operand.height)
    }

    fn binary(
        &self,
        lhs: Node,
        (op, op_span): (BinaryOp, Span),
        return_bool: bool,
        matching: Matching,
        rhs: Node,
    ) -> Result<Node> {
        let vectors = lhs.value_type == ValueType::Vector && rhs.value_type == ValueType::Vector;
        let value_type = match (lhs.value_type, rhs.value_type) {
            (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
            _ => ValueType::Vector,
        };
        // A chain is one level, so the left operand stays on it.
        let left = lhs.height - usize::from(matches!(lhs.expr, Expr::Binary(_)));
        let height = left.max(rhs.height);
        let expr = Expr::Binary(Box::new(Binary {
            op,
            op_span,
            span: lhs.expr.span().to(rhs.expr.span()),
            lhs: lhs.expr,
            rhs: rhs.expr,
            return_bool,
            // With labels or values it is a type error, which is not found here.
            matching: Some(matching).filter(|m| vectors || !m.labels.is_empty() || m.fills()),
        }));
        self.node(expr, value_type, height)
    }

    /// `on` or `ignoring` and what may follow.
    fn matching(&mut self, op: BinaryOp) -> Result<Matching> {
        let mut matching = Matching {
            card: if op.is_set() {
                Cardinality::ManyToMany
            } else {
                Cardinality::OneToOne
            },
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        matching.on = self.take_keyword(Keyword::On)?.is_some();
        if matching.on || self.take_keyword(Keyword::Ignoring)?.is_some() {
            matching.labels = self.grouping_labels()?;
            let left = self.take_keyword(Keyword::GroupLeft)?.is_some();
            if left || self.take_keyword(Keyword::GroupRight)?.is_some() {
                matching.card = if left {
                    Cardinality::ManyToOne
                } else {
                    Cardinality::OneToMany
                };
                let next = self.peek()?.kind;
                if next == Kind::LeftParen || !next.starts_expr() {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill(&mut matching)?;
        Ok(matching)
    }

    /// `fill (1)`, or `fill_left (1)` and `fill_right (1)` in any order.
    fn fill(&mut self, matching: &mut Matching) -> Result<()> {
        if self.take_keyword(Keyword::Fill)?.is_some() {
            let value = self.fill_value()?;
            (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
            return Ok(());
        }
        if self.take_keyword(Keyword::FillLeft)?.is_some() {
            matching.fill_left = Some(self.fill_value()?);
        }
        if self.take_keyword(Keyword::FillRight)?.is_some() {
            matching.fill_right = Some(self.fill_value()?);
            if matching.fill_left.is_none() && self.take_keyword(Keyword::FillLeft)?.is_some() {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    /// A number in parentheses.
    fn fill_value(&mut self) -> Result<f64> {
        self.expect(Kind::LeftParen)?;
        let context = self.context();
        let value = self.signed_number((context, ""))?.value;
        self.expect(Kind::RightParen)?;
        Ok(value)
    }
}
