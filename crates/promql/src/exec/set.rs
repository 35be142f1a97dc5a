//! `and`, `or`, `unless`: which series stay, decided step by step.

use super::matching::MatchGroups;
use super::row::Row;
use super::{Exec, Frame};
use crate::budget::{Amount, Charge};
use crate::error::QueryError;
use crate::plan::Link;
use crate::syntax::ast::BinaryOp;

impl<'q> Exec<'q> {
    /// A set operator between two vectors.
    pub(super) fn set_operation(
        &self,
        link: &Link,
        mut left: Frame<'q>,
        mut right: Frame<'q>,
    ) -> Result<Frame<'q>, QueryError> {
        let Some(matching) = &link.matching else {
            return Err(QueryError::Internal("vectors without matching".to_owned()));
        };
        let groups = MatchGroups::new(matching, &left, &right);
        match link.op {
            BinaryOp::And => {
                let present = self.present(&right, &groups.right, groups.count)?;
                retain(&mut left, &groups.left, |group, step| {
                    present.has(group, step)
                });
                Ok(left)
            }
            BinaryOp::Unless => {
                let present = self.present(&right, &groups.right, groups.count)?;
                retain(&mut left, &groups.left, |group, step| {
                    !present.has(group, step)
                });
                Ok(left)
            }
            _ => {
                let present = self.present(&left, &groups.left, groups.count)?;
                retain(&mut right, &groups.right, |group, step| {
                    !present.has(group, step)
                });
                let mut row = Row::default();
                for i in 0..right.len() {
                    right.copy_row(i, &mut row);
                    left.push(right.meta(i).resolve(self.delayed_names), &row)?;
                }
                left.merge_same_labels()
            }
        }
    }

    /// Which groups have a series, step by step.
    pub(super) fn present(
        &self,
        frame: &Frame<'_>,
        groups: &[usize],
        count: usize,
    ) -> Result<Present<'q>, QueryError> {
        let steps = frame.steps();
        let room = self
            .budget
            .charge(Amount::NONE.and_bytes((count * steps) as u64))?;
        let mut marks = vec![false; count * steps];
        for (i, &group) in groups.iter().enumerate() {
            self.check()?;
            frame.mark_present(i, &mut marks[group * steps..][..steps]);
        }
        Ok(Present {
            marks,
            steps,
            _room: room,
        })
    }
}

/// Which groups have a series at which step.
pub(super) struct Present<'b> {
    marks: Vec<bool>,
    steps: usize,
    _room: Charge<'b>,
}

impl Present<'_> {
    pub(super) fn has(&self, group: usize, step: usize) -> bool {
        self.marks[group * self.steps + step]
    }
}

fn retain(frame: &mut Frame<'_>, groups: &[usize], keep: impl Fn(usize, usize) -> bool) {
    for (i, &group) in groups.iter().enumerate() {
        frame.retain_steps(i, |step| keep(group, step));
    }
}
