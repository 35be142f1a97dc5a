//! Sums and differences: layouts are made equal, then populations are added.

use std::borrow::Cow;

use ferula_model::CounterReset;

use super::bounds::coarser;
use super::{Cells, FloatHistogram, exact};

/// Whether a histogram is added or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Plus => x,
            Self::Minus => -x,
        }
    }
}

/// Exponential and custom buckets have no common layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// What it took to combine histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Custom bounds differed; those not common to both are gone.
    pub(crate) reconciled: bool,
    /// One says there was a counter reset, the other that there was none.
    pub(crate) conflict: bool,
}

impl Merged {
    /// Takes in what another combination took.
    pub(crate) fn and(&mut self, other: Self) {
        self.reconciled |= other.reconciled;
        self.conflict |= other.conflict;
    }
}

impl FloatHistogram {
    /// Adds `other` or takes it away, keeping what rounding loses.
    pub(crate) fn accumulate(&mut self, other: &Self, sign: Sign) -> Result<Merged, Incompatible> {
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return Err(Incompatible);
        }
        let mut merged = Merged {
            reconciled: false,
            conflict: self.combine_hints(other.reset),
        };
        if sign == Sign::Minus {
            self.reset = CounterReset::Gauge;
        }
        let mut other = Cow::Borrowed(other);
        if self.has_custom_buckets() {
            if self.custom_values != other.custom_values {
                let common = common_bounds(&self.custom_values, &other.custom_values);
                self.reduce_to(&common);
                other.to_mut().reduce_to(&common);
                merged.reconciled = true;
            }
        } else {
            self.reconcile_zero(&mut other);
            if other.schema > self.schema {
                other.to_mut().coarsen_to(self.schema);
            }
            self.coarsen_to(other.schema);
        }
        self.count.add(sign.of(other.count.value()));
        self.sum.add(sign.of(other.sum.value()));
        self.zero.add(sign.of(other.zero.value()));
        add_cells(&mut self.positive, &other.positive, sign);
        add_cells(&mut self.negative, &other.negative, sign);
        Ok(merged)
    }

    /// [`Self::accumulate`] with every number rounded, as plain addition does.
    pub(crate) fn combine(&mut self, other: &Self, sign: Sign) -> Result<Merged, Incompatible> {
        let merged = self.accumulate(other, sign)?;
        self.settle();
        Ok(merged)
    }

    /// The hint of a sum; whether the hints contradict each other.
    fn combine_hints(&mut self, other: CounterReset) -> bool {
        use CounterReset::{Gauge, Unknown};
        if self.reset == other {
            return false;
        }
        if self.reset == Gauge || other == Gauge {
            self.reset = Gauge;
            return false;
        }
        let conflict = self.reset != Unknown && other != Unknown;
        self.reset = Unknown;
        conflict
    }

    /// Merges buckets until the resolution is `schema`, if that is coarser.
    pub(crate) fn coarsen_to(&mut self, schema: i8) {
        if schema >= self.schema || self.has_custom_buckets() {
            return;
        }
        let shift = u32::from(self.schema.abs_diff(schema));
        for cells in [&mut self.positive, &mut self.negative] {
            move_cells(cells, |index| coarser(index, shift));
        }
        self.schema = schema;
    }

    /// Merges custom buckets into those with `bounds`, all of which are bounds already.
    pub(super) fn reduce_to(&mut self, bounds: &[f64]) {
        let old = std::mem::replace(&mut self.custom_values, bounds.to_vec());
        move_cells(&mut self.positive, |index| {
            let known = usize::try_from(index).ok().and_then(|i| old.get(i));
            match known {
                Some(upper) => bounds.partition_point(|b| b < upper) as i64,
                None => bounds.len() as i64,
            }
        });
    }

    /// Widens zero buckets until both are equally wide.
    fn reconcile_zero(&mut self, other: &mut Cow<'_, Self>) {
        loop {
            if self.zero_threshold < other.zero_threshold {
                self.widen_zero(other.zero_threshold);
            } else if other.zero_threshold < self.zero_threshold {
                other.to_mut().widen_zero(self.zero_threshold);
            } else {
                return;
            }
        }
    }

    /// The width, not below `threshold`, to which the zero bucket can be widened without cutting
    /// a populated bucket.
    pub(super) fn whole_zero_threshold(&self, mut threshold: f64) -> f64 {
        loop {
            let cells = self.positive.iter().chain(&self.negative);
            let cut = cells
                .filter(|(_, number)| number.value() != 0.0)
                .map(|(index, _)| self.edges(*index))
                .find(|&(begin, end)| begin < threshold && threshold < end);
            match cut {
                Some((_, end)) => threshold = end,
                None => return threshold,
            }
        }
    }

    /// Widens the zero bucket to at least `threshold`; buckets inside become part of it.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        let threshold = self.whole_zero_threshold(threshold);
        for negative in [false, true] {
            let cells = if negative {
                &self.negative
            } else {
                &self.positive
            };
            let inside = cells.partition_point(|(index, _)| self.edges(*index).0 < threshold);
            let cells = if negative {
                &mut self.negative
            } else {
                &mut self.positive
            };
            for (_, number) in cells.drain(..inside) {
                self.zero.add(number.value());
            }
        }
        self.zero_threshold = threshold;
    }
}

/// The bounds that are in both lists.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let in_b = |bound: &f64| {
        let at = b.partition_point(|other| other < bound);
        b.get(at) == Some(bound)
    };
    a.iter().copied().filter(in_b).collect()
}

/// Gives cells other indices, which must not fall; those of one index become one.
fn move_cells(cells: &mut Cells, index: impl Fn(i64) -> i64) {
    for cell in cells.iter_mut() {
        cell.0 = index(cell.0);
    }
    cells.dedup_by(|cell, kept| {
        let same = cell.0 == kept.0;
        if same {
            kept.1.add(cell.1.value());
        }
        same
    });
}

fn add_cells(mine: &mut Cells, theirs: &Cells, sign: Sign) {
    let same_layout =
        mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(a, b)| a.0 == b.0);
    if same_layout {
        for (cell, other) in mine.iter_mut().zip(theirs) {
            cell.1.add(sign.of(other.1.value()));
        }
        return;
    }
    let mut all = Vec::with_capacity(mine.len() + theirs.len());
    let mut left = mine.drain(..).peekable();
    for &(index, number) in theirs {
        let number = sign.of(number.value());
        while let Some(before) = left.next_if(|cell| cell.0 < index) {
            all.push(before);
        }
        match left.next_if(|cell| cell.0 == index) {
            Some((_, mut sum)) => {
                sum.add(number);
                all.push((index, sum));
            }
            None => all.push((index, exact(number))),
        }
    }
    all.extend(left);
    *mine = all;
}
