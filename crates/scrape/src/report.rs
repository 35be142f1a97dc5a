//! The series a scrape says about itself: `up` and its like.

use ferula_model::{Labels, METRIC_NAME, Timestamp};
use std::collections::HashMap;

use ferula_storage::{Batch, Report, SampleEntry, SeriesKey, SeriesRef};

/// Every series of a report; those from [`EXTRA`] on only with `extra_scrape_metrics`.
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// Where the optional ones start.
const EXTRA: usize = 5;

/// The values of one report, in the order of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Values(pub(crate) [f64; NAMES.len()]);

/// The report series of one target.
#[derive(Debug, Default)]
pub(crate) struct ReportSeries {
    refs: [Option<SeriesRef>; NAMES.len()],
    /// Where the report starts in the batch being stored.
    at: usize,
    /// How many series it has there.
    len: usize,
}

impl ReportSeries {
    /// Appends a report to the batch.
    pub(crate) fn push(
        &mut self,
        batch: &mut Batch,
        target_labels: &Labels,
        values: &Values,
        extra: bool,
        timestamp: Timestamp,
    ) {
        self.at = batch.series.len();
        self.len = if extra { NAMES.len() } else { EXTRA };
        for ((name, value), known) in NAMES.iter().zip(values.0).zip(self.refs).take(self.len) {
            let key = match known {
                Some(reference) => SeriesKey::Ref(reference),
                None => SeriesKey::Labels(target_labels.with(METRIC_NAME, name)),
            };
            batch.samples.push(SampleEntry {
                series: batch.series.len() as u32,
                timestamp,
                value,
            });
            batch.series.push(key);
        }
    }

    /// Learns the references the storage gave.
    pub(crate) fn learn(&mut self, report: &Report) {
        let given = report.refs.iter().skip(self.at).take(self.len);
        for (known, given) in self.refs.iter_mut().zip(given) {
            *known = given.or(*known);
        }
    }

    /// Takes over references that the storage has changed.
    pub(crate) fn rename(&mut self, renamed: &HashMap<SeriesRef, SeriesRef>) {
        for known in self.refs.iter_mut().flatten() {
            *known = *renamed.get(known).unwrap_or(known);
        }
    }

    /// Forgets the references, which the storage no longer knows.
    pub(crate) fn forget(&mut self) {
        self.refs = Default::default();
    }

    /// The series stored before.
    pub(crate) fn refs(&self) -> impl Iterator<Item = SeriesRef> {
        self.refs.iter().flatten().copied()
    }
}
