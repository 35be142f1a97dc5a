//! One series' samples, wherever they lie, as one.

use std::sync::Arc;

use ferula_model::{Range, Timestamp};
use ferula_storage::{Columns, SelectError, SeriesSource};

use super::View;
use crate::manifest::RANK_OF_HEAD;

/// A series in the blocks of a view, and in the head.
pub(crate) struct Whole {
    pub(crate) view: Arc<View>,
    /// Which blocks of the view have it, in order of time, and its ordinal there.
    pub(crate) parts: Vec<(u32, u32)>,
    /// What the head holds of it; all of it is at or above the view's floor.
    pub(crate) head: Option<Arc<dyn SeriesSource>>,
}

impl SeriesSource for Whole {
    fn decode(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError> {
        if self.view.overlaps {
            return self.decode_overlapping(range, columns);
        }
        for &(block, ordinal) in &self.parts {
            let block = &self.view.blocks[block as usize];
            if block.range().overlaps(range) {
                let before = Lengths::of(columns);
                block.decode(ordinal, range, columns)?;
                before.even_out(columns);
            }
        }
        if let Some(head) = &self.head {
            let before = Lengths::of(columns);
            head.decode(range, columns)?;
            before.even_out(columns);
        }
        Ok(())
    }

    fn newest(&self) -> Option<(Timestamp, f64)> {
        // Blocks beside the head may have a newer one.
        let head_alone = !self.view.overlaps;
        self.head.as_ref().filter(|_| head_alone)?.newest()
    }
}

impl Whole {
    /// The same where parts may share timestamps: each is decoded alone, then all samples are
    /// put in order. Of several for one timestamp that of the lowest rank stays.
    fn decode_overlapping(&self, range: Range, columns: &mut Columns) -> Result<(), SelectError> {
        let mut parts = Vec::new();
        for &(block, ordinal) in &self.parts {
            let block = &self.view.blocks[block as usize];
            if block.range().overlaps(range) {
                let mut part = Columns::default();
                block.decode(ordinal, range, &mut part)?;
                parts.push((block.rank(), part));
            }
        }
        if let Some(head) = &self.head {
            let mut part = Columns::default();
            head.decode(range, &mut part)?;
            parts.push((RANK_OF_HEAD, part));
        }
        parts.sort_by_key(|(rank, _)| *rank);
        let parts: Vec<Columns> = parts.into_iter().map(|(_, part)| part).collect();
        merge(&parts, columns);
        Ok(())
    }
}

/// Appends the samples of all parts in order of time; of those of one timestamp, that of the
/// first part that has one, be it a float or a histogram.
pub(crate) fn merge(parts: &[Columns], out: &mut Columns) {
    let mut order: Vec<(Timestamp, u32, bool, u32)> = Vec::new();
    for (number, part) in (0u32..).zip(parts) {
        let floats = (0u32..).zip(&part.timestamps);
        order.extend(floats.map(|(i, t)| (*t, number, false, i)));
        let histograms = (0u32..).zip(&part.histograms);
        order.extend(histograms.map(|(i, h)| (h.timestamp, number, true, i)));
    }
    order.sort_unstable();
    order.dedup_by_key(|(timestamp, ..)| *timestamp);
    let starts = parts.iter().any(|part| !part.start_timestamps.is_empty());
    for (timestamp, number, is_histogram, i) in order {
        let (part, i) = (&parts[number as usize], i as usize);
        if is_histogram {
            out.histograms.push(part.histograms[i].clone());
            continue;
        }
        out.timestamps.push(timestamp);
        out.values.push(part.values[i]);
        if starts {
            let start = part.start_timestamps.get(i).copied();
            out.start_timestamps.push(start.unwrap_or_default());
        }
    }
}

/// How long columns were before a part was added.
struct Lengths {
    floats: usize,
    starts: usize,
}

impl Lengths {
    fn of(columns: &Columns) -> Self {
        Self {
            floats: columns.timestamps.len(),
            starts: columns.start_timestamps.len(),
        }
    }

    /// Start timestamps are there for all floats or for none: fills in for the parts that know
    /// none.
    fn even_out(&self, columns: &mut Columns) {
        let (all, known) = (columns.timestamps.len(), &mut columns.start_timestamps);
        if known.len() == all || known.is_empty() {
            return;
        }
        if self.starts < self.floats {
            known.splice(0..0, std::iter::repeat_n(0, self.floats));
        }
        known.resize(all, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(samples: &[(i64, f64)], start: Option<i64>) -> Columns {
        Columns {
            timestamps: samples.iter().map(|s| s.0).collect(),
            values: samples.iter().map(|s| s.1).collect(),
            start_timestamps: start.map_or_else(Vec::new, |s| vec![s; samples.len()]),
            histograms: Vec::new(),
        }
    }

    #[test]
    fn the_first_part_that_has_a_timestamp_gives_its_value() {
        let parts = [
            floats(&[(1, 1.0), (3, 3.0)], None),
            floats(&[(1, 9.0), (2, 2.0)], Some(7)),
            floats(&[(3, 9.0), (4, 4.0)], None),
        ];
        let mut out = Columns::default();
        merge(&parts, &mut out);
        assert_eq!(out.timestamps, [1, 2, 3, 4]);
        assert_eq!(out.values, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(out.start_timestamps, [0, 7, 0, 0]);
    }

    #[test]
    fn start_timestamps_are_for_all_or_none() {
        let known = floats(&[(1, 1.0)], Some(5));
        let unknown = floats(&[(2, 2.0)], None);
        for (parts, expected) in [
            ([&known, &unknown], vec![5, 0]),
            ([&unknown, &known], vec![0, 5]),
            ([&unknown, &unknown], vec![]),
            ([&known, &known], vec![5, 5]),
        ] {
            let mut out = Columns::default();
            for part in parts {
                let before = Lengths::of(&out);
                out.timestamps.extend(&part.timestamps);
                out.start_timestamps.extend(&part.start_timestamps);
                before.even_out(&mut out);
            }
            assert_eq!(out.start_timestamps, expected);
        }
    }
}
