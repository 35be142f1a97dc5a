//! Aggregations that compare the series of a group: `topk`, `limitk`, `quantile`, `count_values`.

use std::cmp::Ordering;
use std::collections::hash_map::{Entry, HashMap};

use super::aggregate::note_quantile;
use super::grouping::{ByGroup, Groups};
use super::row::{Key, Meta, Row};
use super::sort::nan_last;
use super::{ABSENT, Column, Exec, Frame, is_absent};
use crate::budget::{Amount, Charge};
use crate::error::QueryError;
use crate::functions::sum::quantile;
use crate::histogram::FloatHistogram;
use crate::plan::{Aggregate, Grid, Param};
use crate::syntax::ast::AggregateOp;
use ferula_model::text::number::Form;

/// The largest double below 2^63: parameters from here on are no count.
const COUNT_END: f64 = 9_223_372_036_854_774_784.0;

/// The smallest double that is a signed 64-bit integer, and itself not accepted.
const COUNT_START: f64 = -9_223_372_036_854_775_808.0;

/// 2^64, where the hashes of label sets end.
const HASH_END: f64 = 18_446_744_073_709_551_616.0;

/// An operand and its groups.
struct Grouped<'q> {
    frame: Frame<'q>,
    /// The frame's rows by group.
    rows: ByGroup,
    heads: Vec<Key>,
}

impl<'q> Exec<'q> {
    /// The operand of an aggregation that needs all its series, with the group of each.
    fn grouped(&self, aggregate: &Aggregate, grid: Grid) -> Result<Grouped<'q>, QueryError> {
        let frame = self.collect(grid, &mut |sink| {
            self.stream(&aggregate.child, grid, &mut |meta, row| {
                match aggregate.op {
                    AggregateOp::Limitk | AggregateOp::LimitRatio => {}
                    _ => self.without_histograms(aggregate, row),
                }
                sink(meta, row)
            })
        })?;
        let mut groups = Groups::new(&aggregate.grouping, self.delayed_names);
        let numbers: Vec<usize> = (0..frame.len()).map(|i| groups.of(frame.meta(i))).collect();
        Ok(Grouped {
            frame,
            rows: ByGroup::new(&numbers, groups.len()),
            heads: groups.heads,
        })
    }

    fn number_param(&self, aggregate: &Aggregate, grid: Grid) -> Result<Column, QueryError> {
        match &aggregate.param {
            Param::Scalar(node) => self.scalar(node, grid),
            _ => Err(QueryError::Internal(
                "an aggregation without its number".to_owned(),
            )),
        }
    }

    /// `quantile`
    pub(super) fn quantile(
        &self,
        aggregate: &Aggregate,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let phi = self.number_param(aggregate, grid)?;
        for &phi in phi.distinct() {
            note_quantile(self, phi, aggregate.param_span);
        }
        let Grouped { frame, rows, heads } = self.grouped(aggregate, grid)?;
        let mut out = Frame::new(self.budget, grid.count)?;
        let mut row = Row::default();
        let mut values = Vec::new();
        for (group, head) in heads.into_iter().enumerate() {
            self.check()?;
            row.reset(grid.count);
            for (step, out) in row.values.iter_mut().enumerate() {
                values.clear();
                let of_step = rows.of(group).iter().map(|&i| frame.values(i)[step]);
                values.extend(of_step.filter(|&v| !is_absent(v)));
                if !values.is_empty() {
                    *out = quantile(phi.get(step), &mut values);
                }
            }
            out.push(head, &row)?;
        }
        Ok(out)
    }

    /// `topk`, `bottomk`, `limitk` and `limit_ratio`: some of the series, as they are.
    pub(super) fn rank(&self, aggregate: &Aggregate, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let param = self.number_param(aggregate, grid)?;
        if aggregate.op == AggregateOp::LimitRatio {
            return self.limit_ratio(aggregate, &param, grid);
        }
        if !wants_any(&param)? {
            return self.nothing_of(aggregate, grid);
        }
        let Grouped {
            mut frame,
            rows: by_group,
            heads,
        } = self.grouped(aggregate, grid)?;
        let mut order = Vec::with_capacity(frame.len());
        let mut candidates = Vec::new();
        for group in 0..heads.len() {
            self.check()?;
            let rows = by_group.of(group);
            for step in 0..grid.count {
                let wanted = param.get(step).max(0.0).min(rows.len() as f64) as usize;
                candidates.clear();
                candidates.extend(rows.iter().filter(|&&i| frame.has(i, step)));
                self.best_first(aggregate.op, &frame, step, wanted, &mut candidates);
                let wanted = wanted.min(candidates.len());
                for &evicted in &candidates[wanted..] {
                    frame.clear_step(evicted, step);
                }
                candidates.truncate(wanted);
            }
            if grid.count == 1 {
                order.extend_from_slice(&candidates);
            }
        }
        if grid.count == 1 {
            frame.reorder(&order);
        }
        Ok(frame)
    }

    /// No series of the operand, which is evaluated all the same: it may fail, or have something
    /// to note.
    fn nothing_of(&self, aggregate: &Aggregate, grid: Grid) -> Result<Frame<'q>, QueryError> {
        self.stream(&aggregate.child, grid, &mut |_, _| Ok(()))?;
        Frame::new(self.budget, grid.count)
    }

    /// Moves the `wanted` best candidates to the front, best first. `limitk` takes them as they
    /// come.
    fn best_first(
        &self,
        op: AggregateOp,
        frame: &Frame<'_>,
        step: usize,
        wanted: usize,
        candidates: &mut [usize],
    ) {
        let descending = match op {
            AggregateOp::Topk => true,
            AggregateOp::Bottomk => false,
            _ => return,
        };
        let better = |a: &usize, b: &usize| -> Ordering {
            let (x, y) = (frame.values(*a)[step], frame.values(*b)[step]);
            nan_last(x, y, descending).then(a.cmp(b))
        };
        if wanted > 0 && wanted < candidates.len() {
            candidates.select_nth_unstable_by(wanted - 1, better);
            candidates[..wanted].sort_unstable_by(better);
        } else {
            candidates.sort_unstable_by(better);
        }
    }

    /// Keeps about the part `ratio` of the series, the same ones each time.
    fn limit_ratio(
        &self,
        aggregate: &Aggregate,
        ratio: &Column,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        if ratio.distinct().iter().any(|r| r.is_nan()) {
            return Err(QueryError::execution("Ratio value is NaN"));
        }
        if ratio.distinct().iter().all(|&r| r == 0.0) {
            return self.nothing_of(aggregate, grid);
        }
        for &r in ratio.distinct() {
            if r.abs() > 1.0 {
                let message = format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    Form::General.show(r),
                    Form::General.show(r.signum())
                );
                self.notes.warn(message, aggregate.param_span);
            }
        }
        let mut frame = self.grouped(aggregate, grid)?.frame;
        for i in 0..frame.len() {
            let offset = frame.labels(i).hash64() as f64 / HASH_END;
            frame.retain_steps(i, |step| {
                let r = ratio.get(step);
                if r >= 0.0 {
                    offset < r
                } else {
                    offset >= 1.0 + r
                }
            });
        }
        Ok(frame)
    }

    /// `count_values`: how many series have which value.
    pub(super) fn count_values(
        &self,
        aggregate: &Aggregate,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let Param::Label(label) = &aggregate.param else {
            return Err(QueryError::Internal(
                "count_values without a label".to_owned(),
            ));
        };
        let mut grouping = aggregate.grouping.clone();
        if !grouping.without
            && let Err(at) = grouping.labels.binary_search(label)
        {
            grouping.labels.insert(at, label.clone());
        }
        let mut counts = ValueCounts {
            groups: Groups::new(&grouping, self.delayed_names),
            steps: grid.count,
            counts: Vec::new(),
            room: self.budget.charge(Amount::NONE)?,
        };
        self.stream(&aggregate.child, grid, &mut |meta, row| {
            let mut group_of: HashMap<u64, usize> = Default::default();
            let mut last = None;
            for (step, &v) in row.values.iter().enumerate() {
                if is_absent(v) {
                    continue;
                }
                let bits = v.to_bits();
                let group = match last {
                    Some((known, group)) if known == bits => group,
                    _ => match group_of.entry(bits) {
                        Entry::Occupied(known) => *known.get(),
                        Entry::Vacant(free) => {
                            let text = Form::Plain.show(v).to_string();
                            *free.insert(counts.group(meta, label, &text)?)
                        }
                    },
                };
                last = Some((bits, group));
                counts.add(group, step);
            }
            for (step, h) in &row.histograms {
                let text = FloatHistogram::from(&**h).to_string();
                let group = counts.group(meta, label, &text)?;
                counts.add(group, *step as usize);
            }
            Ok(())
        })?;
        let mut out = Frame::new(self.budget, grid.count)?;
        let mut row = Row::default();
        for (head, values) in counts.groups.heads.into_iter().zip(counts.counts) {
            row.values = values;
            out.push(head, &row)?;
        }
        Ok(out)
    }
}

/// How many series have which value, by group.
struct ValueCounts<'g, 'b> {
    groups: Groups<'g>,
    steps: usize,
    /// A row for each group.
    counts: Vec<Vec<f64>>,
    room: Charge<'b>,
}

impl ValueCounts<'_, '_> {
    /// The group of a series with a value.
    fn group(&mut self, meta: Meta<'_>, label: &str, value: &str) -> Result<usize, QueryError> {
        let labels = &meta.labels.with(label, value);
        let group = self.groups.of(Meta { labels, ..meta });
        if group == self.counts.len() {
            let head = size_of::<Vec<f64>>() + labels.as_bytes().len();
            let row = Amount::cells(self.steps as u64);
            self.room.grow(row.and_bytes(head as u64))?;
            self.counts.push(vec![ABSENT; self.steps]);
        }
        Ok(group)
    }

    fn add(&mut self, group: usize, step: usize) {
        let count = &mut self.counts[group][step];
        *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
    }
}

/// Whether any step wants a series; fails where the number is none.
fn wants_any(param: &Column) -> Result<bool, QueryError> {
    let values = param.distinct();
    if values.iter().any(|k| k.is_nan()) {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    if values.iter().all(|&k| k < 1.0) {
        return Ok(false);
    }
    if let Some(&k) = values.iter().find(|&&k| k <= COUNT_START) {
        let k = Form::General.show(k);
        return Err(QueryError::execution(format!(
            "Scalar value {k} underflows int64"
        )));
    }
    if let Some(&k) = values.iter().find(|&&k| k >= COUNT_END) {
        let k = Form::General.show(k);
        return Err(QueryError::execution(format!(
            "Scalar value {k} overflows int64"
        )));
    }
    Ok(true)
}
