//! Series from the store.

use ferula_storage::{Columns, SelectedSeries};

use super::row::is_metadata;
use super::{Exec, Meta, Row, Sink};
use crate::budget::{Amount, Charge, histogram_weight};
use crate::error::QueryError;
use crate::plan::{Grid, NodeId, Source};
use crate::select::{Stamp, latest, latest_times};

/// What a selected series takes beside its labels: two pointers and what a store puts behind
/// them.
const SERIES_BYTES: usize = 160;

/// The series of a selection.
pub(crate) struct Loaded {
    /// Sorted by labels.
    pub(crate) series: Vec<SelectedSeries>,
    /// How old a sample an instant selector may see.
    pub(crate) lookback_ms: i64,
    /// Whether all series have the same name (type, unit), so that dropping it leaves their
    /// labels distinct.
    pub(crate) same_name: bool,
}

impl Loaded {
    pub(crate) fn new(series: Vec<SelectedSeries>, lookback_ms: i64) -> Self {
        let metadata = |s: &'_ SelectedSeries| -> Vec<(String, String)> {
            s.labels
                .iter()
                .filter(|(name, _)| is_metadata(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let first = series.first().map(metadata).unwrap_or_default();
        let same_name = series.iter().all(|s| {
            s.labels
                .iter()
                .filter(|(name, _)| is_metadata(name))
                .eq(first.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        });
        Self {
            series,
            lookback_ms,
            same_name,
        }
    }
}

impl Loaded {
    /// What the series take, without their samples.
    pub(crate) fn amount(&self) -> Amount {
        let labels = self.series.iter().map(|s| s.labels.as_bytes().len());
        let labels: usize = labels.sum();
        Amount::NONE.and_bytes((labels + self.series.len() * SERIES_BYTES) as u64)
    }
}

impl<'q> Exec<'q> {
    /// Decodes the series of a source one by one into the same columns.
    pub(crate) fn decode_each(
        &self,
        (id, source): (NodeId, &Source),
        mut each: impl FnMut(&SelectedSeries, &mut Columns) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let loaded = &self.data[source.selection];
        let mut columns = Columns::default();
        let mut room: Charge<'_> = self.budget.charge(Amount::NONE)?;
        for series in &loaded.series {
            self.check()?;
            columns.clear();
            series.source.decode(source.range, &mut columns)?;
            let histograms: u64 = columns
                .histograms
                .iter()
                .map(|point| histogram_weight(&point.histogram))
                .sum();
            let samples = columns.values.len() as u64 + histograms;
            room.set(Amount::samples(samples))?;
            if let Some(trace) = &self.trace {
                trace.read(id, samples);
            }
            each(series, &mut columns)?;
        }
        Ok(())
    }

    /// An instant selector.
    pub(super) fn selector(
        &self,
        (id, source): (NodeId, &Source),
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.budget.charge(Amount::cells(grid.count as u64))?;
        let refs = source.refs(grid);
        let lookback_ms = self.data[source.selection].lookback_ms;
        let mut row = Row::default();
        self.decode_each((id, source), |series, columns| {
            latest(columns, refs, lookback_ms, &mut row);
            self.budget.count(grid.count as u64);
            sink(Meta::named(&series.labels), &mut row)
        })
    }

    /// The times of what an instant selector sees.
    pub(super) fn sample_times(
        &self,
        (id, source): (NodeId, &Source),
        stamp: Stamp,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.budget.charge(Amount::cells(grid.count as u64))?;
        let refs = source.refs(grid);
        let loaded = &self.data[source.selection];
        let mut row = Row::default();
        self.decode_each((id, source), |series, columns| {
            latest_times(stamp, columns, refs, loaded.lookback_ms, &mut row);
            self.budget.count(grid.count as u64);
            sink(Meta::named(&series.labels), &mut row)
        })
    }
}
