//! Range vectors, and calls of functions of them.

use std::collections::HashSet;

use ferula_diag::Span;
use ferula_model::Labels;
use ferula_model::text::quote::quoted;
use ferula_storage::{Columns, HistogramPoint};

use super::extended::Edges;
use super::native::Purpose;
use super::native_range::{self, Notes};
use super::row::without_metadata;
use super::source::Each;
use super::windowed::{Stepped, Windowed, Work};
use super::{Column, Exec, Meta, Row, Sink, is_absent};
use crate::budget::Amount;
use crate::error::QueryError;
use crate::plan::{Grid, Matrix, RangeCall, RangeFunc, Samples};
use crate::select::{Windows, drop_stale};

/// Fails when two series become one by losing their names.
struct Distinct {
    /// Label sets seen; `None` if they cannot be equal, or may for the time being.
    seen: Option<HashSet<Labels>>,
}

impl Distinct {
    fn check(&mut self, labels: &Labels, row: &Row) -> Result<(), QueryError> {
        if let Some(seen) = &mut self.seen
            && !row.is_empty()
            && !seen.insert(without_metadata(labels))
        {
            return Err(QueryError::same_labelset());
        }
        Ok(())
    }
}

impl<'q> Exec<'q> {
    /// Hands the samples of every series of a range vector to `each`, staleness markers removed.
    pub(super) fn matrix(
        &self,
        matrix: &Matrix,
        each: &mut dyn FnMut(Meta<'_>, &Columns) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let Some(trace) = &self.trace else {
            return self.run_matrix(matrix, each);
        };
        let caller = trace.switch(Some(matrix.id));
        let result = self.run_matrix(matrix, &mut |meta, columns| {
            trace.handed_on_samples(matrix.id, columns.len() as u64);
            trace.switch(caller);
            let result = each(meta, columns);
            trace.switch(Some(matrix.id));
            result
        });
        trace.switch(caller);
        result
    }

    fn run_matrix(
        &self,
        matrix: &Matrix,
        each: &mut dyn FnMut(Meta<'_>, &Columns) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        match &matrix.samples {
            Samples::Stored(source) => self.decode_each((matrix.id, source), |series, columns| {
                drop_stale(columns);
                each(Meta::named(&series.labels), columns)
            }),
            // Without points there is nothing to fail, and nothing to say.
            Samples::Subquery { grid, .. } if grid.count == 0 => Ok(()),
            Samples::Subquery { inner, grid, .. } => {
                let mut columns = Columns::default();
                self.stream(inner, *grid, &mut |meta, row| {
                    compact(row, *grid, &mut columns);
                    if columns.is_empty() {
                        return Ok(());
                    }
                    each(meta, &columns)
                })
            }
        }
    }

    /// A function of a range vector.
    pub(super) fn range_call(
        &self,
        call: &RangeCall,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.budget.charge(Amount::cells(grid.count as u64))?;
        let params = call
            .params
            .iter()
            .map(|param| self.scalar(param, grid))
            .collect::<Result<Vec<_>, _>>()?;
        let windows = call.matrix.windows(grid);
        let id = call.matrix.id;
        let windowed = Windowed {
            call,
            windows,
            grid,
            params: &params,
            edges: self.edges(&call.matrix, windows),
            budget: self.budget,
            by_step: self.tally.wants_steps(id),
        };
        let drops = !call.func.keeps_name();
        let distinct = self.delayed_names || !drops || self.matrix_has_same_name(&call.matrix);
        let mut distinct = Distinct {
            seen: (!distinct).then(HashSet::new),
        };
        let mut finish = |meta: Meta<'_>, stepped: &mut Stepped| {
            match &stepped.steps {
                Some(steps) => self.look_steps(id, steps)?,
                None => self.look(id, stepped.looked, |_| (), grid.count)?,
            }
            self.note_series(call, meta, &stepped.row, &stepped.notes);
            self.note_quantile(call, &params, &stepped.row);
            distinct.check(meta.labels, &stepped.row)?;
            sink(meta.dropping(drops), &mut stepped.row)
        };
        match &call.matrix.samples {
            Samples::Stored(source) => {
                let each = Each {
                    scratch: || Work::new(windowed),
                    make: |columns: &mut Columns, work: &mut Work<'_>, stepped: &mut Stepped| {
                        drop_stale(columns);
                        work.series(columns, stepped)
                    },
                    item: Amount::cells(grid.count as u64),
                    newest_at: None,
                };
                self.each_series((id, source), &each, |series, made| {
                    if let Some(trace) = &self.trace {
                        trace.handed_on_samples(id, made.samples);
                    }
                    finish(Meta::named(&series.labels), &mut made.item)
                })
            }
            Samples::Subquery { .. } => {
                let (mut work, mut stepped) = (Work::new(windowed), Stepped::default());
                self.matrix(&call.matrix, &mut |meta, columns| {
                    work.series(columns, &mut stepped)?;
                    finish(meta, &mut stepped)
                })
            }
        }
    }

    /// How the windows of `anchored` and `smoothed` range vectors are seen.
    pub(super) fn edges(&self, matrix: &Matrix, windows: Windows) -> Option<Edges> {
        let Samples::Stored(source) = &matrix.samples else {
            return None;
        };
        Some(Edges {
            extended: source.extended?,
            windows,
            lookback_ms: self.data[source.selection].lookback_ms,
        })
    }

    fn matrix_has_same_name(&self, matrix: &Matrix) -> bool {
        match &matrix.samples {
            Samples::Stored(source) => self.data[source.selection].same_name,
            Samples::Subquery { .. } => false,
        }
    }

    /// Warns about a quantile outside 0 to 1, if it was asked of any floats.
    fn note_quantile(&self, call: &RangeCall, params: &[Column], row: &Row) {
        let Some(phi) = params.first().filter(|_| call.func == RangeFunc::Quantile) else {
            return;
        };
        for (step, _) in (row.values.iter().enumerate()).filter(|(_, v)| !is_absent(**v)) {
            super::aggregate::note_quantile(self, phi.get(step), call.param_span);
        }
    }

    fn note_series(&self, call: &RangeCall, meta: Meta<'_>, row: &Row, notes: &Notes) {
        let span = call.matrix.note_span();
        let name = meta.shown_name(self);
        if notes.mixed {
            let message = format!(
                "encountered a mix of histograms and floats for metric name {}",
                quoted(name)
            );
            self.notes.warn(message, span);
        }
        if notes.ignored {
            self.notes.info(
                format!("ignored histograms in a range containing both floats and histograms for metric name {}", quoted(name)),
                span,
            );
        }
        self.note_merged(notes.added, Purpose::Addition, span);
        self.note_merged(notes.subtracted, Purpose::Subtraction, span);
        self.note_merged(notes.aggregated, Purpose::Aggregation, span);
        if notes.mixed_buckets {
            self.note_mixed_buckets(name, span);
        }
        for (noted, kind) in [(notes.no_counter, "counter"), (notes.no_gauge, "gauge")] {
            if noted {
                let name = quoted(name);
                let message = format!("this native histogram metric is not a {kind}: {name}");
                self.notes.warn(message, span);
            }
        }
        if notes.overlapping > 0 {
            self.notes.overlapping(name, notes.overlapping, span);
        }
        if matches!(call.name, "rate" | "increase") && row.values.iter().any(|&v| !is_absent(v)) {
            self.note_counter(meta, name, span);
        }
    }

    /// Notes if a metric does not look like the counter it is taken for.
    fn note_counter(&self, meta: Meta<'_>, name: &str, span: Span) {
        if name.is_empty() {
            return;
        }
        let doubt = if self.type_and_unit_labels {
            let kind = meta.labels.value("__type__");
            if matches!(kind, "counter" | "histogram") {
                return;
            }
            format!(
                "__type__ label is not set to \"counter\" or \"histogram\", got {}",
                quoted(kind)
            )
        } else {
            let suffixes = ["_total", "_sum", "_count", "_bucket"];
            if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
                return;
            }
            "name does not end in _total/_sum/_count/_bucket".to_owned()
        };
        let name = quoted(name);
        let message = format!("metric might not be a counter, {doubt}: {name}");
        self.notes.info(message, span);
    }
}

/// Turns the dense row of a subquery's grid into samples.
fn compact(row: &Row, grid: Grid, columns: &mut Columns) {
    columns.clear();
    for (step, &v) in row.values.iter().enumerate() {
        if !is_absent(v) {
            columns.timestamps.push(grid.at(step));
            columns.values.push(v);
        }
    }
    columns
        .histograms
        .extend(row.histograms.iter().map(|(step, h)| HistogramPoint {
            timestamp: grid.at(*step as usize),
            start_timestamp: 0,
            histogram: native_range::without_hint(h),
        }));
}
