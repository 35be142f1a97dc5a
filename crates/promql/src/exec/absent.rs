//! `absent`, `absent_over_time` and `vector`.

use ferula_model::Labels;

use super::row::{Key, Row};
use super::{ABSENT, Column, Exec, Frame, Meta, Sink, is_absent};
use crate::budget::Amount;
use crate::error::QueryError;
use crate::plan::{Grid, Matrix, Node};

impl<'q> Exec<'q> {
    /// 1 at the steps at which no series has a value.
    pub(super) fn absent(
        &self,
        labels: &Labels,
        child: &Node,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let mut row = self.ones(grid)?;
        self.stream(child, grid, &mut |_, present| {
            for (out, &v) in row.values.iter_mut().zip(&present.values) {
                if !is_absent(v) {
                    *out = ABSENT;
                }
            }
            for (step, _) in &present.histograms {
                row.values[*step as usize] = ABSENT;
            }
            Ok(())
        })?;
        self.single(labels, &row, grid)
    }

    /// 1 at the steps at which no series has a sample in its window.
    pub(super) fn absent_over_time(
        &self,
        labels: &Labels,
        matrix: &Matrix,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let mut row = self.ones(grid)?;
        let windows = matrix.windows(grid);
        let mut timestamps = Vec::new();
        self.matrix(matrix, &mut |_, columns| {
            self.look_windows(matrix.id, windows, columns)?;
            let out = &mut row.values;
            let mut mark = |step: usize, lo: usize, hi: usize| {
                if lo < hi {
                    out[step] = ABSENT;
                }
            };
            windows.each(&columns.timestamps, &mut mark);
            timestamps.clear();
            timestamps.extend(columns.histograms.iter().map(|point| point.timestamp));
            windows.each(&timestamps, &mut mark);
            Ok(())
        })?;
        self.single(labels, &row, grid)
    }

    fn ones(&self, grid: Grid) -> Result<Row, QueryError> {
        drop(self.budget.charge(Amount::cells(grid.count as u64))?);
        Ok(Row {
            values: vec![1.0; grid.count],
            histograms: Vec::new(),
        })
    }

    fn single(&self, labels: &Labels, row: &Row, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let mut frame = Frame::new(self.budget, grid.count)?;
        let key = Key {
            labels: labels.clone(),
            drop_name: false,
        };
        frame.push(key, row)?;
        Ok(frame)
    }

    /// A scalar as a vector of one element.
    pub(super) fn vector_of(
        &self,
        child: &Node,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let mut row = self.ones(grid)?;
        match self.scalar(child, grid)? {
            Column::Same(v) => row.values.fill(v),
            Column::Steps(values) => row.values = values,
        }
        sink(Meta::named(&Labels::empty()), &mut row)
    }
}
