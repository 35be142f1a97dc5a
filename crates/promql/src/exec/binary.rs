//! Arithmetic and comparison between two vectors.
//!
//! Who meets whom is decided once, from labels; then whole rows are computed.

use std::sync::Arc;

use ferula_diag::Span;
use ferula_model::{Histogram, Labels};

use super::grouping::ByGroup;
use super::matching::{MatchGroups, group_labels, result_labels};
use super::native;
use super::row::{Key, Row};
use super::scalar::{truth, with_arithmetic, with_comparison};
use super::{ABSENT, Exec, Frame, is_absent};
use crate::error::QueryError;
use crate::histogram::same_histogram;
use crate::plan::{Link, drops_name};
use crate::syntax::ast::{BinaryOp, Cardinality, Matching};

/// The kind of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Histogram => "histogram",
        }
    }
}

/// Notes that an operator yields nothing for these kinds of samples.
pub(super) fn incompatible(exec: &Exec<'_>, op: BinaryOp, left: Kind, right: Kind, span: Span) {
    let (left, right, op) = (left.as_str(), right.as_str(), op.as_str());
    let message = format!(
        "incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}"
    );
    exec.notes.info(message, span);
}

/// The first thing that went wrong, by step; a step's checks come in order of `rank`.
#[derive(Default)]
struct FirstError(Option<((usize, usize), QueryError)>);

impl FirstError {
    fn note(&mut self, step: usize, rank: usize, error: impl FnOnce() -> QueryError) {
        if self.0.as_ref().is_none_or(|(at, _)| (step, rank) < *at) {
            self.0 = Some(((step, rank), error()));
        }
    }
}

/// Two vectors and how they match.
struct Operation<'a, 'q> {
    exec: &'a Exec<'q>,
    link: &'a Link,
    matching: &'a Matching,
    left: &'a Frame<'q>,
    right: &'a Frame<'q>,
    /// Whether the right side is the one whose series may share a partner.
    many_right: bool,
    groups: MatchGroups,
    /// Steps at which both sides have something, or either if the other is filled: only there
    /// anything is checked.
    busy: Vec<bool>,
}

impl<'q> Exec<'q> {
    /// An arithmetic or comparison operator between two vectors.
    pub(super) fn vector_operation(
        &self,
        link: &Link,
        mut left: Frame<'q>,
        mut right: Frame<'q>,
    ) -> Result<Frame<'q>, QueryError> {
        let Some(matching) = &link.matching else {
            return Err(QueryError::Internal("vectors without matching".to_owned()));
        };
        let busy = busy_steps(matching, &left, &right);
        if !busy.contains(&true) {
            return Frame::new(self.budget, left.steps());
        }
        let mut groups = MatchGroups::new(matching, &left, &right);
        if matching.fills() {
            self.fill_missing(matching, &mut left, &mut right, &mut groups)?;
        }
        let operation = Operation {
            exec: self,
            link,
            matching,
            groups,
            busy,
            left: &left,
            right: &right,
            many_right: matching.card == Cardinality::OneToMany,
        };
        operation.run()
    }
}

fn busy_steps(matching: &Matching, left: &Frame<'_>, right: &Frame<'_>) -> Vec<bool> {
    let present = |frame: &Frame<'_>| {
        let mut present = vec![false; frame.steps()];
        for i in 0..frame.len() {
            frame.mark_present(i, &mut present);
        }
        present
    };
    let right = present(right);
    let mut busy = present(left);
    for (busy, right) in busy.iter_mut().zip(right) {
        *busy = if matching.fills() {
            *busy || right
        } else {
            *busy && right
        };
    }
    busy
}

impl<'q> Operation<'_, 'q> {
    fn run(&self) -> Result<Frame<'q>, QueryError> {
        let mut out = Frame::new(self.exec.budget, self.left.steps())?;
        let groups = &self.groups;
        let (many_groups, one_groups) = if self.many_right {
            (&groups.right, &groups.left)
        } else {
            (&groups.left, &groups.right)
        };
        let ones = ByGroup::new(one_groups, groups.count);
        self.check(
            &ByGroup::new(many_groups, groups.count),
            &ones,
            groups.count,
        )?;

        let mut row = Row::default();
        for (many, &group) in many_groups.iter().enumerate() {
            self.exec.check()?;
            for &one in ones.of(group) {
                self.compute(many, one, &mut row);
                if !row.is_empty() {
                    let key = Key {
                        labels: self.labels(many, one),
                        drop_name: self.marks_names(),
                    };
                    out.push(key, &row)?;
                }
            }
        }
        out.merge_same_labels()
    }

    fn many(&self) -> &Frame<'q> {
        if self.many_right {
            self.right
        } else {
            self.left
        }
    }

    fn one(&self) -> &Frame<'q> {
        if self.many_right {
            self.left
        } else {
            self.right
        }
    }

    /// Whether `bool` leaves the names of its results to be dropped when the query is done.
    fn marks_names(&self) -> bool {
        self.link.return_bool && self.exec.delayed_names
    }

    fn labels(&self, many: usize, one: usize) -> Labels {
        result_labels(
            self.matching,
            drops_name(self.link.op, self.link.return_bool && !self.marks_names()),
            self.many().labels(many),
            self.one().labels(one),
        )
    }

    /// Checks that partners are unique where they must be.
    fn check(&self, manys: &ByGroup, ones: &ByGroup, groups: usize) -> Result<(), QueryError> {
        let mut first = FirstError::default();
        let mut seen = Vec::new();
        for group in 0..groups {
            let (many_rows, one_rows) = (manys.of(group), ones.of(group));
            if one_rows.len() > 1 {
                self.check_one_side(one_rows, &mut seen, &mut first);
            }
            if many_rows.len() > 1 && !one_rows.is_empty() {
                if self.matching.card == Cardinality::OneToOne {
                    self.check_one_to_one(many_rows, one_rows, &mut first);
                } else {
                    self.check_results(many_rows, one_rows, &mut first);
                }
            }
        }
        match first.0 {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// No two series of the one side may be in a group at one step.
    fn check_one_side(&self, rows: &[usize], seen: &mut Vec<usize>, first: &mut FirstError) {
        const NONE: usize = usize::MAX;
        let one = self.one();
        seen.clear();
        seen.resize(one.steps(), NONE);
        for &row in rows {
            for (step, other) in seen.iter_mut().enumerate() {
                if !self.busy[step] || !one.has(row, step) {
                    continue;
                }
                if *other == NONE {
                    *other = row;
                } else {
                    first.note(step, row, || self.duplicate(*other, row));
                }
            }
        }
    }

    fn duplicate(&self, a: usize, b: usize) -> QueryError {
        let one = self.one();
        let mut series = [one.labels(a).to_string(), one.labels(b).to_string()];
        series.sort_unstable();
        QueryError::execution(format!(
            "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            group_labels(self.matching, one.labels(a)),
            if self.many_right { "left" } else { "right" },
            series[0],
            series[1],
        ))
    }

    /// No two series of the left side may meet a partner at one step.
    fn check_one_to_one(&self, manys: &[usize], ones: &[usize], first: &mut FirstError) {
        let rank = self.one().len();
        for step in 0..self.many().steps() {
            let partner = ones.iter().any(|&one| self.one().has(one, step));
            if partner && manys.iter().filter(|&&m| self.many().has(m, step)).count() > 1 {
                first.note(step, rank, || {
                    QueryError::execution("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
                });
                return;
            }
        }
    }

    /// No two results of a group may have the same labels at one step.
    fn check_results(&self, manys: &[usize], ones: &[usize], first: &mut FirstError) {
        let rank = self.one().len();
        for &one in ones {
            let mut results: Vec<(Labels, usize)> =
                manys.iter().map(|&m| (self.labels(m, one), m)).collect();
            results.sort_unstable();
            for same in results.chunk_by(|a, b| a.0 == b.0) {
                if same.len() < 2 {
                    continue;
                }
                let clash = (0..self.many().steps()).find(|&step| {
                    self.one().has(one, step)
                        && same
                            .iter()
                            .filter(|(_, m)| self.many().has(*m, step))
                            .count()
                            > 1
                });
                if let Some(step) = clash {
                    first.note(step, rank, || {
                        QueryError::execution("multiple matches for labels: grouping labels must ensure unique matches")
                    });
                }
            }
        }
    }

    /// Computes the result of two series.
    fn compute(&self, many: usize, one: usize, row: &mut Row) {
        let (l, r) = if self.many_right {
            (one, many)
        } else {
            (many, one)
        };
        let (left, right) = (self.left.values(l), self.right.values(r));
        let (op, as_bool) = (self.link.op, self.link.return_bool);
        row.reset(left.len());
        let out = &mut row.values;
        with_arithmetic!(op, f => zip(left, right, out, f), else
            with_comparison!(op, f => if as_bool {
                zip(left, right, out, |a, b| truth(f(a, b)));
            } else {
                zip(left, right, out, |a, b| if f(a, b) { a } else { ABSENT });
            }, else {}));
        if op.is_trim() {
            self.note_floats(left, right);
        }
        if !(self.left.histograms(l).is_empty() && self.right.histograms(r).is_empty()) {
            self.compute_histograms(l, r, row);
        }
    }

    /// Floats cannot be trimmed.
    fn note_floats(&self, left: &[f64], right: &[f64]) {
        let mut pairs = left.iter().zip(right);
        if pairs.any(|(&a, &b)| !is_absent(a) && !is_absent(b)) {
            let span = self.link.span;
            incompatible(self.exec, self.link.op, Kind::Float, Kind::Float, span);
        }
    }

    /// The steps at which a side has a histogram.
    fn compute_histograms(&self, l: usize, r: usize, row: &mut Row) {
        let (op, span) = (self.link.op, self.link.span);
        let (left, right) = (self.left.values(l), self.right.values(r));
        for step in 0..row.values.len() {
            let (a, b) = (self.left.histogram(l, step), self.right.histogram(r, step));
            let (kinds, result) = match (a, b) {
                (Some(a), Some(b)) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
                    self.compare_histograms(step, a, b, row);
                    continue;
                }
                (Some(a), Some(b)) if matches!(op, BinaryOp::Add | BinaryOp::Sub) => {
                    let sum = self.exec.histogram_sum(op, a, b, span);
                    row.histograms.extend(sum.map(|h| (step as u32, h)));
                    continue;
                }
                (Some(_), Some(_)) => ((Kind::Histogram, Kind::Histogram), None),
                (Some(h), None) if !is_absent(right[step]) => (
                    (Kind::Histogram, Kind::Float),
                    native::with_number(op, h, right[step], false),
                ),
                (None, Some(h)) if !is_absent(left[step]) => (
                    (Kind::Float, Kind::Histogram),
                    native::with_number(op, h, left[step], true),
                ),
                _ => continue,
            };
            match result {
                Some(h) => row.histograms.push((step as u32, h)),
                None => incompatible(self.exec, op, kinds.0, kinds.1, span),
            }
        }
    }

    fn compare_histograms(
        &self,
        step: usize,
        a: &Arc<Histogram>,
        b: &Arc<Histogram>,
        row: &mut Row,
    ) {
        let holds = same_histogram(a, b) == (self.link.op == BinaryOp::Eq);
        if self.link.return_bool {
            row.values[step] = truth(holds);
        } else if holds {
            row.histograms.push((step as u32, Arc::clone(a)));
        }
    }
}

/// `f` of the steps at which both sides have a float.
#[inline]
fn zip(left: &[f64], right: &[f64], out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    for ((out, &a), &b) in out.iter_mut().zip(left).zip(right) {
        if !is_absent(a) && !is_absent(b) {
            *out = f(a, b);
        }
    }
}
