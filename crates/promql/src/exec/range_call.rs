//! Functions of range vectors: one pass over a series' samples for all steps.

use std::collections::HashSet;

use ferula_diag::Span;
use ferula_model::text::quote::quoted;
use ferula_model::{Labels, Timestamp};
use ferula_storage::{Columns, HistogramPoint};

use super::extended::Edges;
use super::native::Purpose;
use super::native_range::{self, Floats, Notes, Points};
use super::row::without_metadata;
use super::{ABSENT, Column, Exec, Meta, Row, Sink, is_absent};
use crate::budget::{Amount, histogram_weight};
use crate::error::QueryError;
use crate::functions::over_time::{self, seconds};
use crate::functions::rate::{StartedCounters, between, extrapolate};
use crate::functions::regression;
use crate::functions::sum::{Compensated, Mean, variance};
use crate::plan::{Grid, Matrix, RangeCall, RangeFunc, Samples};
use crate::select::{Spans, Windows, drop_stale};

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
            Samples::Subquery { inner, grid, .. } => {
                let mut columns = Columns::default();
                self.stream(inner, *grid, &mut |meta, row| {
                    compact(row, *grid, &mut columns);
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
        self.note_quantile(call, &params);
        let mut work = Work {
            call,
            windows: call.matrix.windows(grid),
            grid,
            params: &params,
            spans: Spans::default(),
            looked_at: 0,
            resets: Vec::new(),
            scratch: Vec::new(),
        };
        let drops = !call.func.keeps_name();
        let distinct = self.delayed_names || !drops || self.matrix_has_same_name(&call.matrix);
        let mut distinct = Distinct {
            seen: (!distinct).then(HashSet::new),
        };
        let mut row = Row::default();
        let edges = self.edges(&call.matrix, work.windows);
        self.matrix(&call.matrix, &mut |meta, columns| {
            let mut notes = Notes::default();
            row.reset(grid.count);
            match edges {
                Some(edges) => {
                    work.looked_at = edges.series(call.func, columns, &mut row, &mut notes);
                }
                None => work.series(columns, &mut row, &mut notes)?,
            }
            self.budget.count(work.looked_at);
            self.note_series(call, meta, &row, &notes);
            distinct.check(meta.labels, &row)?;
            sink(meta.dropping(drops), &mut row)
        })
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

    fn note_quantile(&self, call: &RangeCall, params: &[Column]) {
        if call.func != RangeFunc::Quantile {
            return;
        }
        for &phi in params.first().map_or(&[][..], Column::distinct) {
            super::aggregate::note_quantile(self, phi, call.param_span);
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

/// The histograms of a step's window. `lo` and `hi` move on from step to step.
fn histogram_window<'c>(
    points: &'c [HistogramPoint],
    windows: Windows,
    step: usize,
    lo: &mut usize,
    hi: &mut usize,
) -> &'c [HistogramPoint] {
    let (start, end) = windows.edges(step);
    while *hi < points.len() && points[*hi].timestamp <= end {
        *hi += 1;
    }
    while *lo < *hi && points[*lo].timestamp <= start {
        *lo += 1;
    }
    &points[*lo..*hi]
}

/// A call with its arguments, and room reused from series to series.
struct Work<'a> {
    call: &'a RangeCall,
    windows: Windows,
    grid: Grid,
    params: &'a [Column],
    spans: Spans,
    /// How many samples the windows of a series hold together.
    looked_at: u64,
    resets: Vec<usize>,
    scratch: Vec<f64>,
}

impl Work<'_> {
    fn series(
        &mut self,
        columns: &Columns,
        row: &mut Row,
        notes: &mut Notes,
    ) -> Result<(), QueryError> {
        self.looked_at = self.spans.find(self.windows, &columns.timestamps);
        let starts: &[Timestamp] = match self.call.uses_starts {
            true => &columns.start_timestamps,
            false => &[],
        };
        if starts.is_empty() {
            self.floats(&columns.timestamps, &columns.values, &mut row.values)?;
        } else {
            let counters = StartedCounters {
                timestamps: &columns.timestamps,
                values: &columns.values,
                starts,
            };
            self.started(&counters, &mut row.values, notes);
        }
        if columns.histograms.is_empty() {
            return Ok(());
        }
        let (mut lo, mut hi) = (0, 0);
        for step in 0..self.windows.refs.count() {
            let window =
                histogram_window(&columns.histograms, self.windows, step, &mut lo, &mut hi);
            if !window.is_empty() {
                let weights = window.iter().map(|p| histogram_weight(&p.histogram));
                self.looked_at += weights.sum::<u64>();
                let floats = self.spans.get(step);
                let floats = Floats {
                    timestamps: &columns.timestamps[floats.clone()],
                    starts: starts.get(floats.clone()).unwrap_or_default(),
                    values: &columns.values[floats],
                };
                self.with_histograms(step, floats, window, row, notes);
            }
        }
        Ok(())
    }

    /// The functions that look at start timestamps, of floats alone.
    fn started(&self, counters: &StartedCounters<'_>, out: &mut [f64], notes: &mut Notes) {
        let (ts, vs) = (counters.timestamps, counters.values);
        match self.call.func {
            RangeFunc::Extrapolated(kind) => {
                let windows = (self.windows, &self.spans);
                notes.overlapping += counters.extrapolate(kind, windows, out);
            }
            RangeFunc::Irate => self.spans.each(|step, lo, hi| {
                if hi - lo >= 2 {
                    let last = [hi - 2, hi - 1];
                    let restarted = counters.restarts_at(hi - 1);
                    let change = between(true, restarted, last.map(|i| ts[i]), last.map(|i| vs[i]));
                    out[step] = change.unwrap_or(ABSENT);
                }
            }),
            // Resets: the plan sees to it that there are no others.
            _ => self.spans.each(|step, lo, hi| {
                if lo < hi {
                    let is_reset = |&i: &usize| vs[i] < vs[i - 1] || counters.restarts_at(i);
                    out[step] = (lo + 1..hi).filter(is_reset).count() as f64;
                }
            }),
        }
    }

    /// Everything that looks at floats alone; a step without float stays as it is.
    fn floats(&mut self, ts: &[Timestamp], vs: &[f64], out: &mut [f64]) -> Result<(), QueryError> {
        let spans = &self.spans;
        let scratch = &mut self.scratch;
        let each = |out: &mut [f64], f: &mut dyn FnMut(&[Timestamp], &[f64]) -> f64| {
            spans.each(|step, lo, hi| {
                if lo < hi {
                    out[step] = f(&ts[lo..hi], &vs[lo..hi]);
                }
            });
        };
        let param = |i: usize, step: usize| self.params.get(i).map_or(f64::NAN, |p| p.get(step));
        match self.call.func {
            RangeFunc::Extrapolated(kind) => {
                extrapolate(kind, ts, vs, (self.windows, spans), &mut self.resets, out);
            }
            RangeFunc::Irate | RangeFunc::Idelta => {
                let per_second = self.call.func == RangeFunc::Irate;
                spans.each(|step, lo, hi| {
                    if hi - lo >= 2 {
                        let last = [hi - 2, hi - 1];
                        let (t, v) = (last.map(|i| ts[i]), last.map(|i| vs[i]));
                        let change = between(per_second, false, t, v);
                        out[step] = change.unwrap_or(ABSENT);
                    }
                });
            }
            RangeFunc::Sum => each(out, &mut |_, v| Compensated::over(v)),
            RangeFunc::Avg => each(out, &mut |_, v| Mean::over(v)),
            RangeFunc::Count => each(out, &mut |_, v| v.len() as f64),
            RangeFunc::Present => each(out, &mut |_, _| 1.0),
            RangeFunc::Min => each(out, &mut |_, v| over_time::min(v)),
            RangeFunc::Max => each(out, &mut |_, v| over_time::max(v)),
            RangeFunc::Stddev => each(out, &mut |_, v| variance(v).sqrt()),
            RangeFunc::Stdvar => each(out, &mut |_, v| variance(v)),
            RangeFunc::MedianDeviation => {
                each(out, &mut |_, v| over_time::median_deviation(v, scratch));
            }
            RangeFunc::First => each(out, &mut |_, v| v[0]),
            RangeFunc::Last => each(out, &mut |_, v| v[v.len() - 1]),
            RangeFunc::TimeOfFirst => each(out, &mut |t, _| seconds(t[0])),
            RangeFunc::TimeOfLast => each(out, &mut |t, _| seconds(t[t.len() - 1])),
            RangeFunc::TimeOfMin => each(out, &mut |t, v| over_time::time_of_min(t, v)),
            RangeFunc::TimeOfMax => each(out, &mut |t, v| over_time::time_of_max(t, v)),
            RangeFunc::Changes => each(out, &mut |_, v| over_time::changes(v)),
            RangeFunc::Resets => each(out, &mut |_, v| over_time::resets(v)),
            RangeFunc::Deriv => each(out, &mut |t, v| {
                if v.len() < 2 {
                    return ABSENT;
                }
                regression::line(t, v, t[0]).map_or(ABSENT, |(slope, _)| slope)
            }),
            RangeFunc::Quantile => spans.each(|step, lo, hi| {
                if lo < hi {
                    out[step] = over_time::quantile_of(param(0, step), &vs[lo..hi], scratch);
                }
            }),
            RangeFunc::PredictLinear => spans.each(|step, lo, hi| {
                if hi - lo >= 2 {
                    let line = regression::line(&ts[lo..hi], &vs[lo..hi], self.grid.at(step));
                    out[step] = line.map_or(ABSENT, |(slope, at)| slope * param(0, step) + at);
                }
            }),
            RangeFunc::Smooth => return self.smooth(vs, out),
        }
        Ok(())
    }

    fn smooth(&self, vs: &[f64], out: &mut [f64]) -> Result<(), QueryError> {
        let mut result = Ok(());
        let param = |i: usize, step: usize| self.params.get(i).map_or(f64::NAN, |p| p.get(step));
        self.spans.each(|step, lo, hi| {
            let (smoothing, trend) = (param(0, step), param(1, step));
            for (factor, name, letter) in [(smoothing, "smoothing", 's'), (trend, "trend", 't')] {
                if !(factor > 0.0 && factor < 1.0) && result.is_ok() {
                    result = Err(QueryError::execution(format!(
                        "invalid {name} factor. Expected: 0 < {letter}f < 1, got: {factor:.6}"
                    )));
                }
            }
            out[step] = regression::smooth(&vs[lo..hi], smoothing, trend).unwrap_or(ABSENT);
        });
        result
    }

    fn points<'c>(&self, points: &'c [HistogramPoint]) -> Points<'c> {
        Points {
            points,
            use_starts: self.call.uses_starts,
        }
    }

    /// Corrects a step whose window holds histograms.
    fn with_histograms(
        &self,
        step: usize,
        samples: Floats<'_>,
        histograms: &[HistogramPoint],
        row: &mut Row,
        notes: &mut Notes,
    ) {
        let floats = samples.timestamps;
        let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
        let value = &mut row.values[step];
        match self.call.func {
            RangeFunc::Count => *value = (floats.len() + histograms.len()) as f64,
            RangeFunc::Present => *value = 1.0,
            RangeFunc::First if floats.first().is_none_or(|&t| first.timestamp <= t) => {
                *value = ABSENT;
                row.histograms.push((step as u32, first.histogram.clone()));
            }
            RangeFunc::Last if floats.last().is_none_or(|&t| last.timestamp >= t) => {
                *value = ABSENT;
                row.histograms.push((step as u32, last.histogram.clone()));
            }
            RangeFunc::First | RangeFunc::Last => {}
            RangeFunc::TimeOfFirst => {
                let t = floats
                    .first()
                    .map_or(first.timestamp, |&t| t.min(first.timestamp));
                *value = seconds(t);
            }
            RangeFunc::TimeOfLast => {
                let t = floats
                    .last()
                    .map_or(last.timestamp, |&t| t.max(last.timestamp));
                *value = seconds(t);
            }
            RangeFunc::Sum | RangeFunc::Avg if floats.is_empty() => {
                let mean = self.call.func == RangeFunc::Avg;
                let result = native_range::fold(histograms, mean, notes);
                row.histograms.extend(result.map(|h| (step as u32, h)));
            }
            RangeFunc::Extrapolated(kind) if floats.is_empty() => {
                let windows = (self.windows.edges(step), self.windows.width_ms);
                let points = self.points(histograms);
                let result = native_range::extrapolate(kind, points, windows, notes);
                row.histograms.extend(result.map(|h| (step as u32, h)));
            }
            RangeFunc::Sum | RangeFunc::Avg | RangeFunc::Extrapolated(_) => {
                *value = ABSENT;
                notes.mixed = true;
            }
            RangeFunc::Irate | RangeFunc::Idelta => {
                // The newest two samples, whatever their kind.
                let is_newer = |t: &&Timestamp| **t > last.timestamp;
                let newer = floats.iter().rev().take_while(is_newer).count();
                let before = histograms.len().checked_sub(2).map(|i| &histograms[i]);
                match (newer, before) {
                    (2.., _) => {}
                    (0, Some(before)) if floats.last().is_none_or(|&t| before.timestamp >= t) => {
                        *value = ABSENT;
                        let per_second = self.call.func == RangeFunc::Irate;
                        let pair = self.points(&histograms[histograms.len() - 2..]);
                        let result = native_range::between(per_second, pair, notes);
                        row.histograms.extend(result.map(|h| (step as u32, h)));
                    }
                    _ if floats.is_empty() => {}
                    _ => {
                        *value = ABSENT;
                        notes.mixed = true;
                    }
                }
            }
            RangeFunc::Changes => *value = native_range::changes(samples, histograms),
            RangeFunc::Resets => *value = native_range::resets(samples, self.points(histograms)),
            RangeFunc::Min
            | RangeFunc::Max
            | RangeFunc::Stddev
            | RangeFunc::Stdvar
            | RangeFunc::Quantile
            | RangeFunc::MedianDeviation
            | RangeFunc::TimeOfMin
            | RangeFunc::TimeOfMax
            | RangeFunc::Deriv
            | RangeFunc::PredictLinear
            | RangeFunc::Smooth => notes.ignored |= !floats.is_empty(),
        }
    }
}
