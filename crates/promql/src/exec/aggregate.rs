//! Aggregations that fold series into accumulators as they pass.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ferula_diag::Span;

use super::grouping::Groups;
use super::histogram::quantile_message;
use super::native::{Folded, Purpose};
use super::row::{Meta, Row};
use super::{ABSENT, Exec, Frame, is_absent};
use crate::budget::{Amount, Charge, histogram_weight};
use crate::error::QueryError;
use crate::functions::sum::{Compensated, Mean};
use crate::plan::{Aggregate, Grid};
use crate::syntax::ast::AggregateOp;

/// Warns about a quantile outside 0 to 1.
pub(super) fn note_quantile(exec: &Exec<'_>, phi: f64, span: Span) {
    if !(0.0..=1.0).contains(&phi) {
        exec.notes.warn(quantile_message(phi), span);
    }
}

/// A running population variance after Welford.
#[derive(Clone, Copy, Default)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Variance {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = x;
            // A series' distance from itself is 0, unless it is nowhere.
            self.squares = if x.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = x - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (x - self.mean);
    }
}

/// The histograms of groups and steps that have any.
struct HistogramCells<'b> {
    /// By the cell's index; nothing where floats came first, as the reference then only notices
    /// that there are histograms.
    cells: HashMap<usize, Option<Folded>>,
    /// Whether any cell met histograms that do not go together.
    any_incompatible: bool,
    room: Charge<'b>,
}

impl HistogramCells<'_> {
    /// Hides the floats of a row whose cells, which begin at `start`, have no result any more: as
    /// in the reference, nobody asks what else is in the group.
    fn mask(&self, start: usize, row: &mut Row) {
        for (step, value) in row.values.iter_mut().enumerate() {
            let cell = self.cells.get(&(start + step)).and_then(Option::as_ref);
            if cell.is_some_and(Folded::is_incompatible) {
                *value = ABSENT;
            }
        }
    }
}

/// The accumulators of all groups at all steps, group by group.
enum Cells {
    /// With [`ABSENT`] as the sum at first.
    Sum(Vec<Compensated>),
    Avg(Vec<Mean>),
    /// Count, group, min and max need one number, absent (a NaN) at first.
    Number(Vec<f64>),
    Variance(Vec<Variance>),
}

impl Cells {
    /// Whether a cell of a sum or a mean has any floats.
    fn is_taken(&self, index: usize) -> bool {
        match self {
            Self::Sum(cells) => !is_absent(cells[index].sum),
            Self::Avg(cells) => !cells[index].is_empty(),
            Self::Number(_) | Self::Variance(_) => false,
        }
    }

    fn new(op: AggregateOp) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(Vec::new()),
            AggregateOp::Avg => Self::Avg(Vec::new()),
            AggregateOp::Stddev | AggregateOp::Stdvar => Self::Variance(Vec::new()),
            _ => Self::Number(Vec::new()),
        }
    }

    /// What `len` cells take.
    fn amount(&self, len: usize) -> Amount {
        let bytes = match self {
            Self::Sum(_) => size_of::<Compensated>(),
            Self::Avg(_) => size_of::<Mean>(),
            Self::Number(_) => size_of::<f64>(),
            Self::Variance(_) => size_of::<Variance>(),
        };
        let beyond_a_float = bytes - size_of::<f64>();
        Amount::cells(len as u64).and_bytes((beyond_a_float * len) as u64)
    }

    fn resize(&mut self, len: usize) {
        match self {
            Self::Sum(cells) => {
                let nothing = Compensated {
                    sum: ABSENT,
                    lost: 0.0,
                };
                cells.resize(len, nothing);
            }
            Self::Avg(cells) => cells.resize(len, Mean::default()),
            Self::Number(cells) => cells.resize(len, ABSENT),
            Self::Variance(cells) => cells.resize(len, Variance::default()),
        }
    }

    /// Takes a series into the cells of its group.
    fn fold(&mut self, op: AggregateOp, at: std::ops::Range<usize>, row: &Row) {
        match self {
            Self::Sum(cells) => each(&mut cells[at], row, |cell, v| {
                if is_absent(cell.sum) {
                    cell.sum = v;
                } else {
                    cell.add(v);
                }
            }),
            Self::Avg(cells) => each(&mut cells[at], row, Mean::add),
            Self::Variance(cells) => each(&mut cells[at], row, Variance::add),
            Self::Number(cells) => Self::fold_number(op, &mut cells[at], row),
        }
    }

    fn fold_number(op: AggregateOp, cells: &mut [f64], row: &Row) {
        match op {
            AggregateOp::Min => each(cells, row, |cell, v| {
                if v < *cell || cell.is_nan() {
                    *cell = v;
                }
            }),
            AggregateOp::Max => each(cells, row, |cell, v| {
                if v > *cell || cell.is_nan() {
                    *cell = v;
                }
            }),
            AggregateOp::Group => {
                each(cells, row, |cell, _| *cell = 1.0);
                for (step, _) in &row.histograms {
                    cells[*step as usize] = 1.0;
                }
            }
            _ => {
                let one_more = |cell: &mut f64| {
                    *cell = if is_absent(*cell) { 1.0 } else { *cell + 1.0 };
                };
                each(cells, row, |cell, _| one_more(cell));
                for (step, _) in &row.histograms {
                    one_more(&mut cells[*step as usize]);
                }
            }
        }
    }

    /// Writes the results of a group.
    fn finish(&self, op: AggregateOp, at: std::ops::Range<usize>, out: &mut [f64]) {
        match self {
            Self::Sum(cells) => copy(&cells[at], out, |cell| {
                if is_absent(cell.sum) {
                    ABSENT
                } else {
                    cell.value()
                }
            }),
            Self::Avg(cells) => copy(&cells[at], out, |cell| {
                if cell.is_empty() {
                    ABSENT
                } else {
                    cell.value()
                }
            }),
            Self::Number(cells) => out.copy_from_slice(&cells[at]),
            Self::Variance(cells) => copy(&cells[at], out, |cell| {
                let variance = cell.squares / cell.count;
                match op {
                    _ if cell.count == 0.0 => ABSENT,
                    AggregateOp::Stddev => variance.sqrt(),
                    _ => variance,
                }
            }),
        }
    }
}

#[inline]
fn each<T>(cells: &mut [T], row: &Row, mut f: impl FnMut(&mut T, f64)) {
    for (cell, &v) in cells.iter_mut().zip(&row.values) {
        if !is_absent(v) {
            f(cell, v);
        }
    }
}

fn copy<T>(cells: &[T], out: &mut [f64], value: impl Fn(&T) -> f64) {
    for (out, cell) in out.iter_mut().zip(cells) {
        *out = value(cell);
    }
}

impl<'q> Exec<'q> {
    /// An aggregation.
    pub(super) fn aggregate(
        &self,
        aggregate: &Aggregate,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        match aggregate.op {
            AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Count
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Group
            | AggregateOp::Stddev
            | AggregateOp::Stdvar => self.fold(aggregate, grid),
            AggregateOp::Quantile => self.quantile(aggregate, grid),
            AggregateOp::CountValues => self.count_values(aggregate, grid),
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => self.rank(aggregate, grid),
        }
    }

    fn fold(&self, aggregate: &Aggregate, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let op = aggregate.op;
        let mut groups = Groups::new(&aggregate.grouping, self.delayed_names);
        let mut cells = Cells::new(op);
        let mut folded = HistogramCells {
            cells: HashMap::new(),
            any_incompatible: false,
            room: self.budget.charge(Amount::NONE)?,
        };
        let mut room: Charge<'_> = self.budget.charge(Amount::NONE)?;
        self.stream(&aggregate.child, grid, &mut |meta, row| {
            self.without_histograms(aggregate, row);
            if row.is_empty() {
                return Ok(());
            }
            let group = groups.of(meta);
            let start = group * grid.count;
            room.set(cells.amount(groups.len() * grid.count))?;
            cells.resize(groups.len() * grid.count);
            if folded.any_incompatible {
                folded.mask(start, row);
            }
            cells.fold(op, start..start + grid.count, row);
            if matches!(op, AggregateOp::Sum | AggregateOp::Avg) {
                self.fold_histograms(aggregate, meta, (start, row), &cells, &mut folded)?;
            }
            Ok(())
        })?;

        let mut frame = Frame::new(self.budget, grid.count)?;
        let mut row = Row::default();
        for (group, head) in groups.heads.into_iter().enumerate() {
            let start = group * grid.count;
            row.reset(grid.count);
            cells.finish(op, start..start + grid.count, &mut row.values);
            if !folded.cells.is_empty() {
                self.finish_histograms(aggregate, start, &mut row, &mut folded);
            }
            frame.push(head, &row)?;
        }
        Ok(frame)
    }

    /// Takes the histograms of a series into the cells of its group, which begin at `start`.
    fn fold_histograms(
        &self,
        aggregate: &Aggregate,
        meta: Meta<'_>,
        (start, row): (usize, &Row),
        floats: &Cells,
        folded: &mut HistogramCells<'_>,
    ) -> Result<(), QueryError> {
        for (step, h) in &row.histograms {
            let index = start + *step as usize;
            match folded.cells.entry(index) {
                Entry::Vacant(cell) if floats.is_taken(index) => {
                    cell.insert(None);
                }
                Entry::Vacant(cell) => {
                    folded.room.grow(Amount::samples(histogram_weight(h)))?;
                    cell.insert(Some(Folded::new(h, aggregate.op == AggregateOp::Avg)));
                }
                Entry::Occupied(mut cell) => {
                    let cell = cell.get_mut().as_mut();
                    if cell.is_some_and(|cell| cell.add(h).is_err()) {
                        folded.any_incompatible = true;
                        self.note_mixed_buckets(meta.shown_name(self), aggregate.child_span);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts the histograms of a group into its row; where there are floats as well, nothing.
    fn finish_histograms(
        &self,
        aggregate: &Aggregate,
        start: usize,
        row: &mut Row,
        folded: &mut HistogramCells<'_>,
    ) {
        let span = aggregate.child_span;
        for step in 0..row.values.len() {
            let Some(cell) = folded.cells.remove(&(start + step)) else {
                continue;
            };
            if let Some(cell) = &cell {
                self.note_merged(cell.merged(), Purpose::Aggregation, span);
            }
            if is_absent(row.values[step]) {
                let histogram = cell.and_then(Folded::finish);
                row.histograms.extend(histogram.map(|h| (step as u32, h)));
            } else {
                row.values[step] = ABSENT;
                self.notes.warn(
                    "encountered a mix of histograms and floats for aggregation",
                    span,
                );
            }
        }
    }

    /// Takes the histograms out of a row where the aggregation looks at floats alone.
    pub(super) fn without_histograms(&self, aggregate: &Aggregate, row: &mut Row) {
        if row.histograms.is_empty() {
            return;
        }
        let name = aggregate.op.as_str();
        match aggregate.op {
            AggregateOp::Count
            | AggregateOp::Group
            | AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::CountValues => {}
            _ => {
                let span = match aggregate.op {
                    AggregateOp::Topk | AggregateOp::Bottomk => aggregate.span,
                    _ => aggregate.child_span,
                };
                self.notes
                    .info(format!("ignored histogram in {name} aggregation"), span);
                row.histograms.clear();
            }
        }
    }
}
