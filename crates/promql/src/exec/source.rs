//! Series from the store.

use ferula_model::Range;
use ferula_storage::{Columns, SelectedSeries};

use super::row::is_metadata;
use super::{Exec, Meta, Row, Sink};
use crate::budget::{Charge, histogram_weight};
use crate::error::QueryError;
use crate::plan::{Grid, Source};
use crate::select::{latest, latest_timestamps};

/// The series of a selection.
pub(crate) struct Loaded {
    /// Sorted by labels.
    pub(crate) series: Vec<SelectedSeries>,
    /// Which of their samples are needed.
    pub(crate) range: Range,
    /// How old a sample an instant selector may see.
    pub(crate) lookback_ms: i64,
    /// Whether all series have the same name (type, unit), so that dropping it leaves their
    /// labels distinct.
    pub(crate) same_name: bool,
}

impl Loaded {
    pub(crate) fn new(series: Vec<SelectedSeries>, range: Range, lookback_ms: i64) -> Self {
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
            range,
            lookback_ms,
            same_name,
        }
    }
}

impl<'q> Exec<'q> {
    /// Decodes the series of a selection one by one into the same columns.
    pub(crate) fn decode_each(
        &self,
        selection: usize,
        mut each: impl FnMut(&SelectedSeries, &mut Columns) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let loaded = &self.data[selection];
        let mut columns = Columns::default();
        let mut room: Charge<'_> = self.budget.charge(0)?;
        for series in &loaded.series {
            self.check()?;
            columns.clear();
            series.source.decode(loaded.range, &mut columns)?;
            let histograms: u64 = columns
                .histograms
                .iter()
                .map(|point| histogram_weight(&point.histogram))
                .sum();
            room.set(columns.values.len() as u64 + histograms)?;
            each(series, &mut columns)?;
        }
        Ok(())
    }

    /// An instant selector.
    pub(super) fn selector(
        &self,
        source: &Source,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.budget.charge(grid.count as u64)?;
        let refs = source.refs(grid);
        let lookback_ms = self.data[source.selection].lookback_ms;
        let mut row = Row::default();
        self.decode_each(source.selection, |series, columns| {
            latest(columns, refs, lookback_ms, &mut row);
            self.budget.count(grid.count as u64);
            sink(Meta::named(&series.labels), &mut row)
        })
    }

    /// The timestamps of what an instant selector sees.
    pub(super) fn sample_times(
        &self,
        source: &Source,
        grid: Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.budget.charge(grid.count as u64)?;
        let refs = source.refs(grid);
        let loaded = &self.data[source.selection];
        let mut row = Row::default();
        self.decode_each(source.selection, |series, columns| {
            latest_timestamps(columns, refs, loaded.lookback_ms, &mut row);
            self.budget.count(grid.count as u64);
            sink(Meta::named(&series.labels), &mut row)
        })
    }
}
