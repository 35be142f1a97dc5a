//! All series of a node, held at once.

use std::hash::BuildHasher;
use std::sync::Arc;

use ferula_model::{Histogram, Labels};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::row::{Key, is_metadata, without_metadata};
use super::{Exec, Meta, Row, Sink, is_absent};
use crate::budget::{Amount, Budget, Charge, histogram_weight};
use crate::error::QueryError;

/// Rows of equal length in one piece of memory, in the engine's order.
#[derive(Debug)]
pub(crate) struct Frame<'b> {
    steps: usize,
    rows: Vec<RowHead>,
    values: Vec<f64>,
    charge: Charge<'b>,
}

/// What a row has beside its floats.
#[derive(Debug)]
struct RowHead {
    key: Key,
    histograms: Vec<(u32, Arc<Histogram>)>,
}

impl<'b> Frame<'b> {
    /// A frame of `steps` steps without series.
    pub(crate) fn new(budget: &'b Budget, steps: usize) -> Result<Self, QueryError> {
        Ok(Self {
            steps,
            rows: Vec::new(),
            values: Vec::new(),
            charge: budget.charge(Amount::NONE)?,
        })
    }

    /// Adds a series, unless it has no value at any step.
    pub(crate) fn push(&mut self, key: Key, row: &Row) -> Result<(), QueryError> {
        if row.is_empty() {
            return Ok(());
        }
        let histograms: u64 = row
            .histograms
            .iter()
            .map(|(_, h)| histogram_weight(h))
            .sum();
        let labels = (key.labels.as_bytes().len() + size_of::<RowHead>()) as u64;
        let cells = Amount::cells(self.steps as u64).and_bytes(labels);
        self.charge.grow(cells.and(Amount::samples(histograms)))?;
        self.values.extend_from_slice(&row.values);
        self.rows.push(RowHead {
            key,
            histograms: row.histograms.clone(),
        });
        Ok(())
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The floats of row `i`.
    pub(crate) fn values(&self, i: usize) -> &[f64] {
        &self.values[i * self.steps..][..self.steps]
    }

    pub(crate) fn values_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.values[i * self.steps..][..self.steps]
    }

    /// The histograms of row `i`.
    pub(crate) fn histograms(&self, i: usize) -> &[(u32, Arc<Histogram>)] {
        &self.rows[i].histograms
    }

    pub(crate) fn labels(&self, i: usize) -> &Labels {
        &self.rows[i].key.labels
    }

    pub(crate) fn meta(&self, i: usize) -> Meta<'_> {
        Meta {
            labels: &self.rows[i].key.labels,
            drop_name: self.rows[i].key.drop_name,
        }
    }

    /// The histogram of row `i` at `step`.
    pub(crate) fn histogram(&self, i: usize, step: usize) -> Option<&Arc<Histogram>> {
        let histograms = &self.rows[i].histograms;
        if histograms.is_empty() {
            return None;
        }
        let at = histograms
            .binary_search_by_key(&(step as u32), |(s, _)| *s)
            .ok()?;
        Some(&histograms[at].1)
    }

    /// Whether row `i` has a value of either kind at `step`.
    pub(crate) fn has(&self, i: usize, step: usize) -> bool {
        !is_absent(self.values(i)[step]) || self.histogram(i, step).is_some()
    }

    /// Copies row `i` into `row`.
    pub(crate) fn copy_row(&self, i: usize, row: &mut Row) {
        row.values.clear();
        row.values.extend_from_slice(self.values(i));
        row.histograms.clear();
        row.histograms.extend_from_slice(&self.rows[i].histograms);
    }

    /// Keeps the steps of row `i` for which `keep` holds.
    pub(crate) fn retain_steps(&mut self, i: usize, keep: impl Fn(usize) -> bool) {
        for (step, v) in self.values_mut(i).iter_mut().enumerate() {
            if !keep(step) {
                *v = super::ABSENT;
            }
        }
        self.rows[i]
            .histograms
            .retain(|(step, _)| keep(*step as usize));
    }

    /// Whether any series says what its metric is.
    pub(crate) fn any_named(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.key.labels.iter().any(|(name, _)| is_metadata(name)))
    }

    /// Sets `present[step]` for every step at which row `i` has a value.
    pub(crate) fn mark_present(&self, i: usize, present: &mut [bool]) {
        for (present, &v) in present.iter_mut().zip(self.values(i)) {
            *present |= !is_absent(v);
        }
        for (step, _) in self.histograms(i) {
            present[*step as usize] = true;
        }
    }

    /// Hands every series to `sink`.
    pub(crate) fn stream(&self, exec: &Exec<'_>, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let mut row = Row::default();
        for i in 0..self.len() {
            exec.check()?;
            self.copy_row(i, &mut row);
            sink(self.meta(i), &mut row)?;
        }
        Ok(())
    }

    /// Takes the value of row `i` at `step` away.
    pub(crate) fn clear_step(&mut self, i: usize, step: usize) {
        self.values_mut(i)[step] = super::ABSENT;
        let histograms = &mut self.rows[i].histograms;
        if !histograms.is_empty() {
            histograms.retain(|(s, _)| *s as usize != step);
        }
    }

    /// Puts the rows into the order of `order`, which names each at most once.
    pub(crate) fn reorder(&mut self, order: &[usize]) {
        let mut heads: Vec<Option<RowHead>> = std::mem::take(&mut self.rows)
            .into_iter()
            .map(Some)
            .collect();
        let mut values = Vec::with_capacity(order.len() * self.steps);
        for &i in order {
            values.extend_from_slice(&self.values[i * self.steps..][..self.steps]);
            self.rows.extend(heads[i].take());
        }
        self.values = values;
    }

    /// Drops the names of marked series for good.
    pub(crate) fn drop_marked_names(&mut self) {
        for row in &mut self.rows {
            if row.key.drop_name {
                row.key = Key {
                    labels: without_metadata(&row.key.labels),
                    drop_name: false,
                };
            }
        }
    }

    /// Gives row `i` other labels.
    pub(crate) fn set_key(&mut self, i: usize, key: Key) -> Result<(), QueryError> {
        let len = |key: &Key| key.labels.as_bytes().len() as u64;
        let longer_by = len(&key).saturating_sub(len(&self.rows[i].key));
        self.charge.grow(Amount::NONE.and_bytes(longer_by))?;
        self.rows[i].key = key;
        Ok(())
    }

    /// Merges series that have the same labels; fails where two have a value at one step.
    pub(crate) fn merge_same_labels(mut self) -> Result<Self, QueryError> {
        let hasher = RandomState::default();
        let mut first_with: HashTable<usize> = HashTable::with_capacity(self.len());
        let mut kept = Vec::with_capacity(self.len());
        for i in 0..self.len() {
            let hash = hasher.hash_one(self.labels(i).as_bytes());
            let known = first_with
                .find(hash, |&j| self.labels(j) == self.labels(i))
                .copied();
            match known {
                Some(j) => self.merge_row(j, i)?,
                None => {
                    first_with.insert_unique(hash, i, |&j| {
                        hasher.hash_one(self.rows[j].key.labels.as_bytes())
                    });
                    kept.push(i);
                }
            }
        }
        if kept.len() < self.len() {
            self.reorder(&kept);
        }
        Ok(self)
    }

    /// Moves the values of row `from` into row `into`, which comes before it.
    ///
    /// Whether the name is dropped in the end, is up to the one that begins earlier.
    fn merge_row(&mut self, into: usize, from: usize) -> Result<(), QueryError> {
        let begins = |row: usize| (0..self.steps).find(|&step| self.has(row, step));
        let from_is_first = begins(from).is_some_and(|f| begins(into).is_none_or(|i| f < i));
        for step in 0..self.steps {
            if !self.has(from, step) {
                continue;
            }
            if self.has(into, step) {
                return Err(QueryError::same_labelset());
            }
            let value = self.values(from)[step];
            self.values_mut(into)[step] = value;
        }
        let moved = std::mem::take(&mut self.rows[from].histograms);
        let drop_name = self.rows[from].key.drop_name;
        let target = &mut self.rows[into];
        target.histograms.extend(moved);
        target.histograms.sort_by_key(|(step, _)| *step);
        if from_is_first {
            target.key.drop_name = drop_name;
        }
        Ok(())
    }
}
