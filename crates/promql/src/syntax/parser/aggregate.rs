//! Aggregations, and the label lists they share with binary operators.

use super::{Node, Parser, Result};
use crate::syntax::ast::{Aggregate, AggregateOp, Expr, ValueType};
use crate::syntax::error::ParseError;
use crate::syntax::token::{Keyword, Kind};

const CONTEXT: &str = "grouping opts";

impl Parser<'_> {
    /// An aggregation, or the metric that has its name.
    pub(super) fn aggregate(&mut self, op: AggregateOp) -> Result<Node> {
        let name = self.take()?;
        let mut grouping = self.grouping()?;
        if self.peek()?.kind != Kind::LeftParen {
            return match grouping {
                Some(_) => self.unexpected("aggregation", ""),
                None => self.selector_node(Some(name)),
            };
        }
        self.aggregations += 1;
        let (args, height) = self.args()?;
        self.aggregations -= 1;
        let mut span = self.span_from(name.span);
        if grouping.is_none() {
            grouping = self.grouping()?;
            span = self.span_from(name.span);
        }
        let error = |message: String| Err(ParseError::new(span, message));

        if args.is_empty() {
            return error("no arguments for aggregate expression provided".into());
        }
        if op.is_experimental() && !self.options.experimental_functions {
            return error(format!(
                "{}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions",
                op.as_str()
            ));
        }
        let (wanted, got) = (1 + usize::from(op.param_type().is_some()), args.len());
        if got != wanted {
            return error(format!(
                "wrong number of arguments for aggregate expression provided, \
                 expected {wanted}, got {got}"
            ));
        }
        let mut args = args.into_iter().rev();
        let expr = args.next().expect("there are one or two");
        let (without, grouping) = grouping.unwrap_or_default();
        let expr = Expr::Aggregate(Box::new(Aggregate {
            op,
            expr,
            param: args.next(),
            grouping,
            without,
            span,
        }));
        self.node(expr, ValueType::Vector, height)
    }

    /// `by` or `without` with labels: whether it is `without`, and which.
    fn grouping(&mut self) -> Result<Option<(bool, Vec<String>)>> {
        let without = self.take_keyword(Keyword::Without)?.is_some();
        if !without && self.take_keyword(Keyword::By)?.is_none() {
            return Ok(None);
        }
        Ok(Some((without, self.grouping_labels()?)))
    }

    /// Label names in parentheses.
    pub(super) fn grouping_labels(&mut self) -> Result<Vec<String>> {
        let mut labels = Vec::new();
        if self.take_if(Kind::LeftParen)?.is_none() {
            return self.unexpected(CONTEXT, "\"(\"");
        }
        while self.take_if(Kind::RightParen)?.is_none() {
            labels.push(self.grouping_label()?);
            if self.take_if(Kind::Comma)?.is_none() && self.peek()?.kind != Kind::RightParen {
                return self.unexpected(CONTEXT, "\",\" or \")\"");
            }
        }
        Ok(labels)
    }

    fn grouping_label(&mut self) -> Result<String> {
        let token = self.peek()?;
        if !token.kind.is_grouping_label() {
            return self.unexpected(CONTEXT, "label");
        }
        self.take()?;
        if token.kind != Kind::String {
            return Ok(self.lexer.text_of(token).to_owned());
        }
        let label = self.text(token)?;
        if label.is_empty() {
            return Err(ParseError::new(
                token.span,
                "invalid label name for grouping: \"\"",
            ));
        }
        Ok(label)
    }
}
