//! `fill`, `fill_left` and `fill_right`: partners for the series that have none.
//!
//! A side gets one more series per match group, with the value to fill in at exactly those steps
//! at which the group is on the other side alone. Matching then goes on as if it had always been
//! there.

use ferula_model::Labels;

use super::matching::{MatchGroups, group_labels};
use super::row::{Key, Row};
use super::set::Present;
use super::{Exec, Frame};
use crate::error::QueryError;
use crate::syntax::ast::{Cardinality, Matching};

/// With `group_right` the reference fills the other side than the one the modifier names, and its
/// own tests ask for it.
const GROUP_RIGHT_SWAPS_SIDES: bool = true;

/// The values for what is missing on the left and on the right.
fn fill_values(matching: &Matching) -> (Option<f64>, Option<f64>) {
    let (left, right) = (matching.fill_left, matching.fill_right);
    if GROUP_RIGHT_SWAPS_SIDES && matching.card == Cardinality::OneToMany {
        (right, left)
    } else {
        (left, right)
    }
}

impl<'q> Exec<'q> {
    /// Adds to each side, and to its groups, what the modifiers fill in.
    pub(super) fn fill_missing(
        &self,
        matching: &Matching,
        left: &mut Frame<'q>,
        right: &mut Frame<'q>,
        groups: &mut MatchGroups,
    ) -> Result<(), QueryError> {
        let count = groups.count;
        let on_left = self.present(left, &groups.left, count)?;
        let on_right = self.present(right, &groups.right, count)?;
        let left_labels = labels_of_groups(matching, left, &groups.left, count);
        let right_labels = labels_of_groups(matching, right, &groups.right, count);
        let (fill_left, fill_right) = fill_values(matching);
        if let Some(value) = fill_left {
            let missing = Missing {
                value,
                labels: right_labels,
                here: &on_left,
                there: &on_right,
            };
            self.add_missing(missing, left, &mut groups.left)?;
        }
        if let Some(value) = fill_right {
            let missing = Missing {
                value,
                labels: left_labels,
                here: &on_right,
                there: &on_left,
            };
            self.add_missing(missing, right, &mut groups.right)?;
        }
        Ok(())
    }

    fn add_missing(
        &self,
        missing: Missing<'_>,
        side: &mut Frame<'q>,
        groups: &mut Vec<usize>,
    ) -> Result<(), QueryError> {
        let mut row = Row::default();
        for (group, labels) in missing.labels.into_iter().enumerate() {
            self.check()?;
            let Some(labels) = labels else { continue };
            row.reset(side.steps());
            for (step, value) in row.values.iter_mut().enumerate() {
                if missing.there.has(group, step) && !missing.here.has(group, step) {
                    *value = missing.value;
                }
            }
            if row.is_empty() {
                continue;
            }
            let key = Key {
                labels,
                drop_name: false,
            };
            side.push(key, &row)?;
            groups.push(group);
        }
        Ok(())
    }
}

/// What is missing on one side.
struct Missing<'a> {
    value: f64,
    /// The labels of each group that the other side has.
    labels: Vec<Option<Labels>>,
    here: &'a Present<'a>,
    there: &'a Present<'a>,
}

fn labels_of_groups(
    matching: &Matching,
    side: &Frame<'_>,
    groups: &[usize],
    count: usize,
) -> Vec<Option<Labels>> {
    let mut labels = vec![None; count];
    for (row, &group) in groups.iter().enumerate() {
        labels[group].get_or_insert_with(|| group_labels(matching, side.labels(row)));
    }
    labels
}
