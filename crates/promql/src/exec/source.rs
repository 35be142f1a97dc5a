//! Series from the store.

use ferula_model::Timestamp;
use ferula_storage::{Columns, SelectedSeries};

use super::parallel::{BATCH, in_order, items_ahead};
use super::row::is_metadata;
use super::tally::Seen;
use super::{Exec, Meta, Sink};
use crate::budget::{Amount, Charge, histogram_weight};
use crate::error::{QueryError, Stage};
use crate::plan::{Grid, NodeId, Source};
use crate::select::{Stamp, latest, latest_times};

/// Below this many samples, a few milliseconds of work, one thread does it alone.
const PARALLEL_SAMPLES_MIN: u64 = 500_000;

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

/// What one thread decodes with, kept from series to series.
struct Decoder<'q, S> {
    columns: Columns,
    room: Charge<'q>,
    scratch: S,
}

/// What was made of a series.
#[derive(Default)]
pub(super) struct Made<T> {
    /// How many samples the series has, a native histogram counted by its size.
    pub(super) samples: u64,
    pub(super) item: T,
}

/// How each series of a source is computed, on whichever thread.
pub(super) struct Each<F, M> {
    /// Makes room for a thread's intermediate results.
    pub(super) scratch: F,
    /// Computes what is wanted of a series from its samples.
    pub(super) make: M,
    /// What the result of a series takes.
    pub(super) item: Amount,
    /// The instant of which the newest sample not after it is wanted, if that is all.
    pub(super) newest_at: Option<Timestamp>,
}

impl<'q> Exec<'q> {
    /// Computes something of every series of a source, on several threads where it pays, and hands
    /// that to `take` in the order of the series.
    pub(super) fn each_series<S, T, F, M>(
        &self,
        (id, source): (NodeId, &Source),
        each: &Each<F, M>,
        mut take: impl FnMut(&SelectedSeries, &mut Made<T>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError>
    where
        T: Default + Send,
        F: Fn() -> S + Sync,
        M: Fn(&mut Columns, &mut S, &mut T) -> Result<(), QueryError> + Sync,
    {
        let all = &self.data[source.selection].series;
        let budget = self.budget;
        let maker = |from: usize| {
            let mut decoder = None;
            move |i: usize, made: &mut Made<T>| {
                budget.check(Stage::Evaluation)?;
                if decoder.is_none() {
                    decoder = Some(Decoder {
                        columns: Columns::default(),
                        room: budget.charge(Amount::NONE)?,
                        scratch: (each.scratch)(),
                    });
                }
                let Some(decoder) = &mut decoder else {
                    return Ok(());
                };
                let series = &all[from + i];
                made.samples = match newest(series, each.newest_at, &mut decoder.columns) {
                    true => 1,
                    false => decode(source, series, decoder)?,
                };
                (each.make)(&mut decoder.columns, &mut decoder.scratch, &mut made.item)
            }
        };
        let mut pass = |i: usize, made: &mut Made<T>| {
            if let Some(trace) = &self.trace {
                trace.read(id, made.samples);
            }
            take(&all[i], made)
        };

        // The first few series tell how much work the others are.
        let first = all.len().min(BATCH);
        let _room = budget.charge(each.item)?;
        let (mut make, mut made) = (maker(0), Made::default());
        let mut samples = 0;
        for i in 0..first {
            make(i, &mut made)?;
            samples += made.samples;
            pass(i, &mut made)?;
        }
        let rest = all.len() - first;
        let expected = samples / (first.max(1) as u64) * rest as u64;
        // What is measured runs on one thread, so that the time spent on a node is all of it.
        if expected >= PARALLEL_SAMPLES_MIN && self.trace.is_none() {
            let permit = self.helpers.take(rest / BATCH);
            let _room = budget.charge(each.item.times(items_ahead(permit.count) as u64))?;
            return in_order(
                permit.count,
                rest,
                || maker(first),
                |i, made| pass(first + i, made),
            );
        }
        for i in first..all.len() {
            make(i, &mut made)?;
            pass(i, &mut made)?;
        }
        Ok(())
    }

    /// Decodes the series of a source one by one into the same columns.
    pub(crate) fn decode_each(
        &self,
        (id, source): (NodeId, &Source),
        mut each: impl FnMut(&SelectedSeries, &mut Columns) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut decoder = Decoder {
            columns: Columns::default(),
            room: self.budget.charge(Amount::NONE)?,
            scratch: (),
        };
        for series in &self.data[source.selection].series {
            self.check()?;
            let samples = decode(source, series, &mut decoder)?;
            if let Some(trace) = &self.trace {
                trace.read(id, samples);
            }
            each(series, &mut decoder.columns)?;
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
        let refs = source.refs(grid);
        let lookback_ms = self.data[source.selection].lookback_ms;
        let each = Each {
            scratch: || (),
            make: |columns: &mut Columns, (): &mut (), seen: &mut Seen| {
                seen.samples = latest(columns, refs, lookback_ms, &mut seen.row);
                Ok(())
            },
            item: Amount::cells(grid.count as u64),
            newest_at: (refs.count() == 1).then(|| refs.get(0)),
        };
        self.each_series((id, source), &each, |series, made| {
            self.look_seen(id, &made.item)?;
            sink(Meta::named(&series.labels), &mut made.item.row)
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
        let refs = source.refs(grid);
        let lookback_ms = self.data[source.selection].lookback_ms;
        let each = Each {
            scratch: || (),
            make: |columns: &mut Columns, (): &mut (), seen: &mut Seen| {
                seen.samples = latest_times(stamp, columns, refs, lookback_ms, &mut seen.row);
                Ok(())
            },
            item: Amount::cells(grid.count as u64),
            newest_at: None,
        };
        self.each_series((id, source), &each, |series, made| {
            self.look_seen(id, &made.item)?;
            sink(Meta::named(&series.labels), &mut made.item.row)
        })
    }
}

/// Puts the newest sample not after `at` into `columns`, if it is known without decoding.
fn newest(series: &SelectedSeries, at: Option<Timestamp>, columns: &mut Columns) -> bool {
    let Some((timestamp, value)) = at.and_then(|at| {
        let newest = series.source.newest();
        newest.filter(|(timestamp, _)| *timestamp <= at)
    }) else {
        return false;
    };
    columns.clear();
    columns.timestamps.push(timestamp);
    columns.values.push(value);
    true
}

/// Decodes a series' samples; gives back how many there are.
fn decode<S>(
    source: &Source,
    series: &SelectedSeries,
    decoder: &mut Decoder<'_, S>,
) -> Result<u64, QueryError> {
    let columns = &mut decoder.columns;
    columns.clear();
    series.source.decode(source.range, columns)?;
    let weights = columns
        .histograms
        .iter()
        .map(|p| histogram_weight(&p.histogram));
    let samples = columns.values.len() as u64 + weights.sum::<u64>();
    decoder.room.set(Amount::samples(samples))?;
    Ok(samples)
}
