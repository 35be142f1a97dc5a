//! `sort`, `sort_by_label` and their like.

use std::cmp::Ordering;

use ferula_diag::Span;
use ferula_model::Labels;

use super::{Exec, Frame, is_absent};
use crate::error::QueryError;
use crate::functions::labels::natural_order;
use crate::functions::sum::nan_first;
use crate::plan::{Grid, Node, SortOrder};

impl<'q> Exec<'q> {
    /// Puts the series of a single step into order.
    pub(super) fn sort(
        &self,
        order: &SortOrder,
        span: Span,
        child: &Node,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let mut frame = self.frame(child, grid)?;
        if grid.count != 1 {
            self.notes.warn(
                "sort is ineffective for range queries since results are always ordered by labels",
                span,
            );
            return Ok(frame);
        }
        let mut rows: Vec<usize> = (0..frame.len()).collect();
        match order {
            SortOrder::Value { descending } => {
                rows.retain(|&i| !is_absent(frame.values(i)[0]));
                let value = |i: usize| frame.values(i)[0];
                rows.sort_by(|&a, &b| nan_last(value(a), value(b), *descending));
            }
            SortOrder::Labels { labels, descending } => {
                rows.sort_by(|&a, &b| {
                    let order = by_labels(labels, frame.labels(a), frame.labels(b));
                    if *descending { order.reverse() } else { order }
                });
            }
        }
        frame.reorder(&rows);
        Ok(frame)
    }
}

/// Orders floats, NaN at the end in both directions.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if descending => nan_first(b, a),
        (false, false) => nan_first(a, b),
        (a, b) => a.cmp(&b),
    }
}

fn by_labels(labels: &[String], a: &Labels, b: &Labels) -> Ordering {
    labels
        .iter()
        .map(|label| natural_order(a.value(label), b.value(label)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}
