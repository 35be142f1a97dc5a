//! Selectors, ranges and subqueries: which samples the plan needs.

use ferula_model::{Range, Timestamp};

use super::build::{Builder, Context};
use super::{Grid, Matrix, NodeId, Samples, Selection, Source};
use crate::error::QueryError;
use crate::syntax::ast::{At, Expr, Extended, Modifiers, RangeSelector, Selector, Subquery};

/// How many selections a new one is compared with, so that planning stays linear.
const SHARED_MAX: usize = 256;

impl Builder<'_> {
    /// Plans what an instant selector selects.
    pub(super) fn instant_source(&mut self, selector: &Selector, cx: &Context<'_>) -> Source {
        let lookback_ms = self.settings.lookback_ms;
        self.source(selector, lookback_ms, 0, cx)
    }

    /// Plans a range vector.
    pub(super) fn matrix(&mut self, expr: &Expr, cx: &Context<'_>) -> Result<Matrix, QueryError> {
        match expr.unparen() {
            Expr::Range(range) => Ok(self.range(range, cx)),
            Expr::Subquery(subquery) => self.subquery(subquery, cx),
            _ => Err(QueryError::Internal(
                "a range vector that is neither a selector nor a subquery".to_owned(),
            )),
        }
    }

    fn range(&mut self, range: &RangeSelector, cx: &Context<'_>) -> Matrix {
        Matrix {
            id: NodeId::default(),
            samples: Samples::Stored(self.source(
                &range.selector,
                range.range_ms,
                range.range_ms,
                cx,
            )),
            width_ms: range.range_ms,
            span: range.span,
        }
    }

    fn subquery(&mut self, subquery: &Subquery, cx: &Context<'_>) -> Result<Matrix, QueryError> {
        let (at, offset_ms) = self.resolve(&subquery.modifiers);
        let refs = crate::select::Refs::new(cx.grid, at, offset_ms);
        let step = subquery
            .step_ms
            .unwrap_or(self.settings.subquery_step_ms)
            .max(1);
        let grid = match refs.count() {
            0 => Grid::range(0, -1, step),
            count => Grid::subquery(refs.get(0), refs.get(count - 1), subquery.range_ms, step),
        };
        let inner = self.node(&subquery.expr, &Context { grid, ..*cx })?;
        Ok(Matrix {
            id: NodeId::default(),
            samples: Samples::Subquery {
                inner: Box::new(inner),
                grid,
                at,
                offset_ms,
            },
            width_ms: subquery.range_ms,
            span: subquery.span,
        })
    }

    /// Adds a selection, unless the same one is there already.
    fn source(
        &mut self,
        selector: &Selector,
        width_ms: i64,
        range_ms: i64,
        cx: &Context<'_>,
    ) -> Source {
        let (at, offset_ms) = self.resolve(&selector.modifiers);
        let mut source = Source {
            selection: 0,
            range: Range { start: 0, end: 0 },
            at,
            offset_ms,
            extended: selector.extended,
            span: selector.span,
        };
        let lookback_ms = self.settings.lookback_ms;
        // An instant selector's window is the lookback already.
        let before_ms = match selector.extended {
            Some(_) if range_ms > 0 => width_ms.saturating_add(lookback_ms),
            _ => width_ms,
        };
        let mut range = source.refs(cx.grid).reach(before_ms);
        if selector.extended == Some(Extended::Smoothed) {
            range.end = range.end.saturating_add(lookback_ms);
        }
        source.range = range;
        let selection = Selection {
            matchers: selector.matchers.clone(),
            range,
            hints: cx.enclosing.hints(cx.grid.step, range_ms),
            names_must_agree: false,
        };
        let known = self.selections.iter().take(SHARED_MAX);
        source.selection = match known.into_iter().position(|s| *s == selection) {
            Some(known) => known,
            None => {
                self.selections.push(selection);
                self.selections.len() - 1
            }
        };
        source
    }

    fn resolve(&self, modifiers: &Modifiers) -> (Option<Timestamp>, i64) {
        let at = modifiers.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.query.start,
            At::End => self.query.last_or_end,
        });
        (at, modifiers.offset_ms)
    }
}
