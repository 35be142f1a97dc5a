//! Reading everything: for blocks that are cut from the head.

use std::sync::Arc;

use ferula_model::{Labels, Range, TenantId, Timestamp};
use ferula_storage::Columns;
use parking_lot::RwLockReadGuard;

use super::Head;
use super::index::Index;
use super::late::LateSeries;
use super::snapshot::{Moment, Snapshot};
use crate::Damaged;

/// So many series are looked at, or compared with others, before writers that wait come first.
const SLICE_SERIES: usize = 1_024;

/// So many series are decoded between two looks at the head: what their open chunks take is
/// copied.
const BATCH_SERIES: usize = 256;

/// A series' labels, chunks and late samples.
type Taken = (Labels, Snapshot, Option<Arc<LateSeries>>);

impl Head {
    /// Visits every series that has samples in `range`, in order of tenant and labels, with
    /// those samples and no others. Locks are held for moments only, so series that get samples
    /// of the range meanwhile may be left out: the range must end where none are taken any more.
    pub fn scan<E: From<Damaged>>(
        &self,
        range: Range,
        mut visit: impl FnMut(&TenantId, &Labels, &Columns) -> Result<(), E>,
    ) -> Result<(), E> {
        let _numbers = self.renumbering.read();
        let mut columns = Columns::default();
        for (number, tenant) in self.tenants_by_name() {
            let ids = self.sorted(self.with_samples(number, range));
            for batch in ids.chunks(BATCH_SERIES) {
                let (moment, series) = self.take(batch, range);
                for (labels, snapshot, late) in series {
                    columns.clear();
                    snapshot.decode_all(range, late.as_deref(), &moment, &mut columns)?;
                    trim(&mut columns, range);
                    if !columns.is_empty() {
                        visit(&tenant, &labels, &columns)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tenants_by_name(&self) -> Vec<(u32, TenantId)> {
        let index = self.index.read();
        let names = index.tenants().iter().map(|tenant| tenant.id.clone());
        let mut tenants: Vec<_> = (0..).zip(names).collect();
        tenants.sort_by(|a, b| a.1.cmp(&b.1));
        tenants
    }

    /// The numbers of a tenant's series that have chunks in `range`.
    fn with_samples(&self, tenant: u32, range: Range) -> Vec<u32> {
        let index = self.index.read();
        let mut ids: Vec<u32> = index.tenants()[tenant as usize].all.iter().collect();
        drop(index);
        let mut data = self.data.read();
        let mut seen = 0;
        ids.retain(|&sid| {
            seen += 1;
            if seen % SLICE_SERIES == 0 {
                RwLockReadGuard::bump(&mut data);
            }
            let range = data.above_floor(range);
            range.is_some_and(|range| data.overlaps(sid, range))
        });
        ids
    }

    /// Sorts series of one tenant by labels: runs, then pairs of runs until one is left.
    fn sorted(&self, mut ids: Vec<u32>) -> Vec<u32> {
        let mut index = self.index.read();
        for run in ids.chunks_mut(SLICE_SERIES) {
            run.sort_unstable_by(|&a, &b| index.cmp(a, b));
            RwLockReadGuard::bump(&mut index);
        }
        let mut width = SLICE_SERIES;
        while width < ids.len() {
            let mut merged = Vec::with_capacity(ids.len());
            for pair in ids.chunks(2 * width) {
                let (left, right) = pair.split_at(width.min(pair.len()));
                merge(&mut index, left, right, &mut merged);
            }
            ids = merged;
            width *= 2;
        }
        ids
    }

    /// Labels and snapshots of some series.
    fn take(&self, ids: &[u32], range: Range) -> (Moment, Vec<Taken>) {
        let index = self.index.read();
        let data = self.data.read();
        let mut moment = Moment {
            open: Vec::new(),
            floor: data.floor,
        };
        let series = ids.iter().filter_map(|&sid| Some((sid, data.series(sid)?)));
        let series = series
            .map(|(sid, series)| {
                let snapshot = series.snapshot_of(range, &mut moment.open);
                (index.labels(sid), snapshot, data.late(sid).cloned())
            })
            .collect();
        (moment, series)
    }
}

fn merge(
    index: &mut RwLockReadGuard<'_, Index>,
    mut left: &[u32],
    mut right: &[u32],
    out: &mut Vec<u32>,
) {
    while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
        if index.cmp(*a, *b).is_le() {
            out.push(*a);
            left = left_rest;
        } else {
            out.push(*b);
            right = right_rest;
        }
        if out.len().is_multiple_of(SLICE_SERIES) {
            RwLockReadGuard::bump(index);
        }
    }
    out.extend_from_slice(left);
    out.extend_from_slice(right);
}

/// Takes out what lies outside of `range`.
fn trim(columns: &mut Columns, range: Range) {
    let Columns {
        timestamps,
        values,
        histograms,
        ..
    } = columns;
    let inside = places(timestamps.iter().copied(), range);
    timestamps.truncate(inside.end);
    timestamps.drain(..inside.start);
    values.truncate(inside.end);
    values.drain(..inside.start);
    let inside = places(histograms.iter().map(|h| h.timestamp), range);
    histograms.truncate(inside.end);
    histograms.drain(..inside.start);
}

/// Where sorted timestamps lie inside of `range`.
fn places(sorted: impl Iterator<Item = Timestamp>, range: Range) -> std::ops::Range<usize> {
    let (mut start, mut end) = (0, 0);
    for (i, t) in sorted.enumerate() {
        if t < range.start {
            start = i + 1;
        }
        if t < range.end {
            end = i + 1;
        }
    }
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadSettings, HeadWriter};
    use ferula_model::Histogram;
    use ferula_storage::{
        Batch, HistogramEntry, LabelQuery, Origin, Reason, SampleEntry, SelectRequest, SeriesKey,
    };

    fn empty() -> (Arc<Head>, HeadWriter) {
        Head::new(HeadSettings {
            bytes_max: u64::MAX,
            hash_seed: 7,
        })
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn labels(i: u32) -> Labels {
        Labels::from_pairs([("__name__", format!("m{}", i % 3)), ("i", i.to_string())])
    }

    /// Samples of series `ids` at `t`, stored.
    fn append(writer: &mut HeadWriter, name: &str, ids: std::ops::Range<u32>, t: Timestamp) {
        let mut batch = Batch::new(tenant(name), Origin::Push);
        for (at, id) in ids.enumerate() {
            batch.series.push(SeriesKey::Labels(labels(id)));
            let (series, value) = (at as u32, f64::from(id) + t as f64);
            if id % 7 == 0 {
                batch.histograms.push(HistogramEntry {
                    series,
                    timestamp: t,
                    histogram: Arc::new(Histogram {
                        sum: value,
                        ..Histogram::stale()
                    }),
                });
            } else {
                batch.samples.push(SampleEntry {
                    series,
                    timestamp: t,
                    value,
                });
            }
        }
        let report = writer.stage(&batch).unwrap();
        assert_eq!(report.rejected_total(), 0);
        writer.apply();
    }

    #[derive(Debug, PartialEq)]
    struct Never(Damaged);
    impl From<Damaged> for Never {
        fn from(damaged: Damaged) -> Self {
            Self(damaged)
        }
    }

    /// What a scan visits: tenant, labels, timestamps.
    fn scanned(head: &Head, range: Range) -> Vec<(String, Labels, Vec<Timestamp>)> {
        let mut out = Vec::new();
        let done: Result<(), Never> = head.scan(range, |tenant, labels, columns| {
            let floats = columns.timestamps.iter().copied();
            let histograms = columns.histograms.iter().map(|h| h.timestamp);
            let times = floats.chain(histograms).collect();
            assert_eq!(columns.timestamps.len(), columns.values.len());
            out.push((tenant.as_str().to_owned(), labels.clone(), times));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        out
    }

    fn filled() -> (Arc<Head>, HeadWriter) {
        let (head, mut writer) = empty();
        for t in 0..300 {
            // Tenants are numbered in another order than that of their names.
            append(&mut writer, "b", 0..20, t * 1_000);
            append(&mut writer, "a", 0..5, t * 1_000);
        }
        append(&mut writer, "b", 20..3_000, 200_000);
        (head, writer)
    }

    #[test]
    fn a_scan_visits_what_has_samples_in_order() {
        let (head, _writer) = filled();
        let range = Range {
            start: 130_000,
            end: 200_000,
        };
        let all = scanned(&head, range);
        assert_eq!(all.len(), 25);
        assert!(all.is_sorted_by(|a, b| (&a.0, &a.1) < (&b.0, &b.1)));
        let times: Vec<i64> = (130..200).map(|t| t * 1_000).collect();
        assert!(all.iter().all(|(_, _, got)| *got == times));
        let wider = scanned(
            &head,
            Range {
                end: 200_001,
                ..range
            },
        );
        assert_eq!(wider.len(), 3_005);
        assert!(wider.is_sorted_by(|a, b| (&a.0, &a.1) < (&b.0, &b.1)));
        let stopped = head.scan(range, |_, _, _| Err(Never(Damaged("enough"))));
        assert_eq!(stopped, Err(Never(Damaged("enough"))));
    }

    #[test]
    fn below_the_floor_nothing_is_shown_or_taken() {
        let (head, mut writer) = filled();
        let before = head.stats();
        let query = LabelQuery {
            tenant: tenant("b"),
            matchers: vec![],
            range: Range::ALL,
            limit: 0,
        };
        let mut names = head.label_values("i", &query);
        assert_eq!(names.len(), 3_000);
        let mut raised = false;
        head.raise_floor(200_001, || raised = true);
        assert!(raised);
        head.raise_floor(5, || ());
        assert_eq!(head.floor(), 200_001);
        assert_eq!(head.span(), Some((200_001, 299_000)));
        for truncated in [false, true] {
            names = head.label_values("i", &query);
            assert_eq!(names.len(), 20, "{truncated}");
            assert_eq!(head.label_names(&query), ["__name__", "i"]);
            assert_eq!(head.series(&query).len(), 20);
            let all = scanned(&head, Range::ALL);
            let times: Vec<i64> = (201..300).map(|t| t * 1_000).collect();
            assert_eq!(all.len(), 25);
            assert!(all.iter().all(|(_, _, got)| *got == times));
            head.truncate();
        }
        let below = LabelQuery {
            range: Range::closed(0, 200_000),
            ..query
        };
        assert_eq!(head.series(&below), Vec::<Labels>::new());
        let after = head.stats();
        assert_eq!((before.series, after.series), (3_005, 25));
        // Chunks have about 120 samples: the first of the three of each long series lies below.
        assert!((25 * 150..25 * 210).contains(&after.samples), "{after:?}");
        assert!(after.bytes < before.bytes && after.chunks < before.chunks);

        // Series that had ended may go on, but not below the floor.
        append(&mut writer, "b", 20..30, 300_000);
        assert_eq!(head.stats().series, 35);
        assert_eq!(head.label_values("i", &query_of("b")).len(), 30);
        let mut batch = Batch::new(tenant("b"), Origin::Push);
        batch.series = vec![SeriesKey::Labels(labels(40))];
        batch.samples.push(SampleEntry {
            series: 0,
            timestamp: 200_000,
            value: 1.0,
        });
        let report = writer.stage(&batch).unwrap();
        let min_valid = 200_001;
        let reason = &report.rejections[0].reason;
        assert_eq!(*reason, Reason::OutOfBounds { min_valid });
    }

    fn query_of(name: &str) -> LabelQuery {
        LabelQuery {
            tenant: tenant(name),
            matchers: vec![],
            range: Range::ALL,
            limit: 0,
        }
    }

    #[test]
    fn what_comes_with_a_selection_is_of_its_instant() {
        let (head, _writer) = filled();
        let request = SelectRequest {
            tenant: tenant("a"),
            matchers: vec![],
            range: Range::ALL,
            hints: ferula_storage::Hints::default(),
        };
        let (selected, floor) = head.select(&request, || 5);
        assert_eq!((selected.series.len(), floor), (5, 5));
        head.raise_floor(250_500, || ());
        head.truncate();
        let (later, ()) = head.select(&request, || ());
        let count = |series: &ferula_storage::SelectedSeries| {
            let mut columns = Columns::default();
            series.source.decode(Range::ALL, &mut columns).unwrap();
            columns.len()
        };
        // The first selection still has what it had.
        assert!(selected.series.iter().all(|s| count(s) == 300));
        assert!(later.series.iter().all(|s| count(s) == 49));
    }

    #[test]
    fn places_are_those_inside() {
        let at = |times: &[i64]| places(times.iter().copied(), Range { start: 2, end: 5 });
        assert_eq!(at(&[]), 0..0);
        assert_eq!(at(&[0, 1]), 2..2);
        assert_eq!(at(&[0, 2, 4, 5, 9]), 1..3);
        assert_eq!(at(&[5, 9]), 0..0);
    }
}
