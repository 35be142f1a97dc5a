//! Functions of range vectors: one pass over a series' samples for all steps.

use ferula_model::Timestamp;
use ferula_model::text::number::Form;
use ferula_storage::{Columns, HistogramPoint};

use super::extended::Edges;
use super::native_range::{self, Floats, Notes, Points};
use super::runs::Runs;
use super::{ABSENT, Column, Looked, Row};
use crate::budget::{Budget, Patience};
use crate::error::{QueryError, Stage};
use crate::functions::lanes::each_window;
use crate::functions::over_time::{self, seconds};
use crate::functions::rate::{StartedCounters, between, extrapolate};
use crate::functions::regression::{self, KnownTimes, Line};
use crate::functions::sum::{Compensated, Variance, mean};
use crate::plan::{Grid, RangeCall, RangeFunc};
use crate::select::{Spans, Windows};

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

/// A function of range vectors with its arguments.
#[derive(Clone, Copy)]
pub(super) struct Windowed<'a> {
    pub(super) call: &'a RangeCall,
    pub(super) windows: Windows,
    pub(super) grid: Grid,
    pub(super) params: &'a [Column],
    /// How it sees its windows, if not as they are.
    pub(super) edges: Option<Edges>,
    pub(super) budget: &'a Budget,
    /// Whether it is wanted what each window holds.
    pub(super) by_step: bool,
}

/// What a function yields of a series.
#[derive(Default)]
pub(super) struct Stepped {
    pub(super) row: Row,
    pub(super) notes: Notes,
    /// What the windows hold together.
    pub(super) looked: Looked,
    /// What each window holds, if that is wanted.
    pub(super) steps: Option<Vec<Looked>>,
}

/// A function at work, with memory that is reused from series to series.
pub(super) struct Work<'a> {
    given: Windowed<'a>,
    spans: Spans,
    runs: Runs,
    times: KnownTimes,
    resets: Vec<usize>,
    scratch: Vec<f64>,
}

impl<'a> Work<'a> {
    pub(super) fn new(given: Windowed<'a>) -> Self {
        Self {
            given,
            spans: Spans::default(),
            runs: Runs::default(),
            times: KnownTimes::default(),
            resets: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Computes all steps of a series; its samples have no staleness markers.
    pub(super) fn series(
        &mut self,
        columns: &Columns,
        stepped: &mut Stepped,
    ) -> Result<(), QueryError> {
        let Stepped {
            row,
            notes,
            looked,
            steps,
        } = stepped;
        *notes = Notes::default();
        row.reset(self.given.grid.count);
        if let Some(edges) = self.given.edges {
            let seen = edges.series(
                (self.given.call.func, self.given.budget),
                columns,
                row,
                notes,
            )?;
            *looked = Looked::default();
            seen.iter().for_each(|step| looked.add(*step));
            *steps = self.given.by_step.then_some(seen);
            return Ok(());
        }
        *looked = self.spans.find(self.given.windows, &columns.timestamps);
        *steps = self.given.by_step.then(|| self.spans.looked());
        if looked.at <= Patience::SAMPLES {
            self.some_steps(columns, row, notes)?;
        } else {
            let mut first = 0;
            while let Some(end) = self.spans.restrict(first, Patience::SAMPLES) {
                self.given.budget.check(Stage::Evaluation)?;
                self.some_steps(columns, row, notes)?;
                first = end;
            }
        }
        if !columns.histograms.is_empty() {
            self.histograms(columns, stepped)?;
        }
        Ok(())
    }

    /// When the counting of each float began, if that matters.
    fn starts<'c>(&self, columns: &'c Columns) -> &'c [Timestamp] {
        match self.given.call.uses_starts {
            true => &columns.start_timestamps,
            false => &[],
        }
    }

    /// Computes the steps that [`Self::spans`] is at, of floats alone.
    fn some_steps(
        &mut self,
        columns: &Columns,
        row: &mut Row,
        notes: &mut Notes,
    ) -> Result<(), QueryError> {
        let starts = self.starts(columns);
        if starts.is_empty() {
            return self.floats(&columns.timestamps, &columns.values, &mut row.values);
        }
        let counters = StartedCounters {
            timestamps: &columns.timestamps,
            values: &columns.values,
            starts,
        };
        self.started(&counters, &columns.histograms, &mut row.values, notes);
        Ok(())
    }

    /// Corrects all steps whose windows hold histograms, and counts these.
    fn histograms(&mut self, columns: &Columns, stepped: &mut Stepped) -> Result<(), QueryError> {
        let growth = match self.given.call.func {
            RangeFunc::Extrapolated(kind) => kind.is_counter(),
            _ => false,
        };
        self.runs.find(&columns.histograms, growth);
        let starts = self.starts(columns);
        let mut patience = Patience::new(self.given.budget);
        let Stepped {
            row,
            notes,
            looked,
            steps,
        } = stepped;
        let (mut lo, mut hi) = (0, 0);
        for step in 0..self.given.windows.refs.count() {
            let seen = hi;
            let window = histogram_window(
                &columns.histograms,
                self.given.windows,
                step,
                &mut lo,
                &mut hi,
            );
            if !window.is_empty() {
                if self.given.call.func == RangeFunc::Smooth {
                    self.factors(step)?;
                }
                let at_step = Looked {
                    at: self.runs.weight(lo, hi),
                    read: self.runs.weight(seen.max(lo), hi),
                };
                patience.spend(at_step.at)?;
                looked.add(at_step);
                if let Some(steps) = steps {
                    steps[step].add(at_step);
                }
                let floats = self.spans.get(step);
                let floats = Floats {
                    timestamps: &columns.timestamps[floats.clone()],
                    starts: starts.get(floats.clone()).unwrap_or_default(),
                    values: &columns.values[floats],
                };
                let window = Points {
                    points: window,
                    use_starts: self.given.call.uses_starts,
                    plain: growth && self.runs.is_plain(lo, hi),
                };
                self.with_histograms(step, floats, window, row, notes);
            }
        }
        Ok(())
    }

    /// The functions that look at start timestamps, of floats alone.
    fn started(
        &self,
        counters: &StartedCounters<'_>,
        histograms: &[HistogramPoint],
        out: &mut [f64],
        notes: &mut Notes,
    ) {
        let (ts, vs) = (counters.timestamps, counters.values);
        match self.given.call.func {
            RangeFunc::Extrapolated(kind) => {
                let windows = (self.given.windows, &self.spans);
                // Of windows with samples of both kinds, that alone is said.
                let has_histograms = |&step: &usize| {
                    let (start, end) = self.given.windows.edges(step);
                    let after = histograms.partition_point(|point| point.timestamp <= start);
                    let next = histograms.get(after);
                    next.is_some_and(|point| point.timestamp <= end)
                };
                let overlapping = counters.extrapolate(kind, windows, out).into_iter();
                notes.overlapping +=
                    overlapping.filter(|step| !has_histograms(step)).count() as u64;
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
        let param =
            |i: usize, step: usize| self.given.params.get(i).map_or(f64::NAN, |p| p.get(step));
        match self.given.call.func {
            RangeFunc::Extrapolated(kind) => {
                extrapolate(
                    kind,
                    ts,
                    vs,
                    (self.given.windows, spans),
                    &mut self.resets,
                    out,
                );
            }
            RangeFunc::Irate | RangeFunc::Idelta => {
                let per_second = self.given.call.func == RangeFunc::Irate;
                spans.each(|step, lo, hi| {
                    if hi - lo >= 2 {
                        let last = [hi - 2, hi - 1];
                        let (t, v) = (last.map(|i| ts[i]), last.map(|i| vs[i]));
                        let change = between(per_second, false, t, v);
                        out[step] = change.unwrap_or(ABSENT);
                    }
                });
            }
            RangeFunc::Sum => each_window(
                spans,
                1,
                |_, _| Compensated::default(),
                |sum, i| sum.add(vs[i]),
                |step, sum| out[step] = sum.value_over_time(),
            ),
            RangeFunc::Avg => each_window(
                spans,
                1,
                |_, _| Compensated::NOTHING,
                |sum, i| sum.add(vs[i]),
                |step, sum| out[step] = mean(sum, &vs[spans.get(step)]),
            ),
            RangeFunc::Count => each(out, &mut |_, v| v.len() as f64),
            RangeFunc::Present => each(out, &mut |_, _| 1.0),
            RangeFunc::Min => each(out, &mut |_, v| over_time::min(v)),
            RangeFunc::Max => each(out, &mut |_, v| over_time::max(v)),
            RangeFunc::Stddev | RangeFunc::Stdvar => {
                let root = self.given.call.func == RangeFunc::Stddev;
                each_window(
                    spans,
                    1,
                    |_, _| Variance::default(),
                    |variance, i| variance.add(vs[i]),
                    |step, variance| {
                        let value = variance.value();
                        out[step] = if root { value.sqrt() } else { value };
                    },
                );
            }
            RangeFunc::MedianDeviation => {
                each(out, &mut |_, v| over_time::median_deviation(v, scratch));
            }
            RangeFunc::First => each(out, &mut |_, v| v[0]),
            RangeFunc::Last => each(out, &mut |_, v| v[v.len() - 1]),
            RangeFunc::TimeOfFirst => each(out, &mut |t, _| seconds(t[0])),
            RangeFunc::TimeOfLast => each(out, &mut |t, _| seconds(t[t.len() - 1])),
            RangeFunc::TimeOfMin => each(out, &mut |t, v| over_time::time_of_min(t, v)),
            RangeFunc::TimeOfMax => each(out, &mut |t, v| over_time::time_of_max(t, v)),
            RangeFunc::Changes | RangeFunc::Resets => {
                if self.given.call.func == RangeFunc::Changes {
                    over_time::count_up(vs, over_time::is_change, scratch);
                } else {
                    over_time::count_up(vs, over_time::is_reset, scratch);
                }
                spans.each(|step, lo, hi| {
                    if lo < hi {
                        out[step] = scratch[hi - 1] - scratch[lo];
                    }
                });
            }
            RangeFunc::Deriv => {
                let times = &mut self.times;
                times.find(ts);
                each_window(
                    spans,
                    2,
                    |step, first| {
                        let window = (first, spans.get(step).end);
                        Line::new(ts[first], vs[first], times.of(ts, window, ts[first]))
                    },
                    |line, i| line.add(ts[i], vs[i]),
                    |step, line| out[step] = line.fit().0,
                );
            }
            RangeFunc::Quantile => spans.each(|step, lo, hi| {
                if lo < hi {
                    out[step] = over_time::quantile_of(param(0, step), &vs[lo..hi], scratch);
                }
            }),
            RangeFunc::PredictLinear => {
                let (times, grid) = (&mut self.times, self.given.grid);
                times.find(ts);
                each_window(
                    spans,
                    2,
                    |step, first| {
                        let window = (first, spans.get(step).end);
                        let at = grid.at(step);
                        Line::new(at, vs[first], times.of(ts, window, at))
                    },
                    |line, i| line.add(ts[i], vs[i]),
                    |step, line| {
                        let (slope, at) = line.fit();
                        out[step] = slope * param(0, step) + at;
                    },
                );
            }
            RangeFunc::Smooth => return self.smooth(vs, out),
        }
        Ok(())
    }

    fn smooth(&self, vs: &[f64], out: &mut [f64]) -> Result<(), QueryError> {
        let mut result = Ok(());
        self.spans.each(|step, lo, hi| {
            if lo < hi && result.is_ok() {
                result = self.factors(step).map(|[smoothing, trend]| {
                    let smooth = regression::smooth(&vs[lo..hi], smoothing, trend);
                    out[step] = smooth.unwrap_or(ABSENT);
                });
            }
        });
        result
    }

    /// The factors of `double_exponential_smoothing`, which are judged where there are samples.
    fn factors(&self, step: usize) -> Result<[f64; 2], QueryError> {
        let factors = [0, 1].map(|i| self.given.params.get(i).map_or(f64::NAN, |p| p.get(step)));
        for (factor, name, letter) in [(factors[0], "smoothing", 's'), (factors[1], "trend", 't')] {
            if factor <= 0.0 || factor >= 1.0 {
                let got = match factor.is_finite() {
                    true => format!("{factor:.6}"),
                    false => Form::General.show(factor).to_string(),
                };
                return Err(QueryError::execution(format!(
                    "invalid {name} factor. Expected: 0 < {letter}f < 1, got: {got}"
                )));
            }
        }
        Ok(factors)
    }

    /// Corrects a step whose window holds histograms.
    fn with_histograms(
        &self,
        step: usize,
        samples: Floats<'_>,
        window: Points<'_>,
        row: &mut Row,
        notes: &mut Notes,
    ) {
        let histograms = window.points;
        let floats = samples.timestamps;
        let (first, last) = (&histograms[0], &histograms[histograms.len() - 1]);
        let value = &mut row.values[step];
        match self.given.call.func {
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
                let mean = self.given.call.func == RangeFunc::Avg;
                let result = native_range::fold(histograms, mean, notes);
                row.histograms.extend(result.map(|h| (step as u32, h)));
            }
            RangeFunc::Extrapolated(kind) if floats.is_empty() => {
                let windows = (self.given.windows.edges(step), self.given.windows.width_ms);
                let result = native_range::extrapolate(kind, window, windows, notes);
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
                        let per_second = self.given.call.func == RangeFunc::Irate;
                        let pair = window.last_two();
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
            RangeFunc::Resets => *value = native_range::resets(samples, window),
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
