//! One scrape: fetch, read, store, learn.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use ferula_env::spawn;
use ferula_exposition::Format;
use ferula_httpclient::{BODY_BYTES_MAX, Error as FetchError, Get};
use ferula_model::{Timestamp, stale_marker};
use ferula_storage::{AppendError, Batch, Origin, Report, SampleEntry, SeriesKey, SeriesRef};
use hashbrown::HashSet;

use crate::cache::Cache;
use crate::content::{self, ContentError, Counts, Pending, Reading};
use crate::error::ScrapeError;
use crate::job::{Assignment, Job, Shared};
use crate::report::{ReportSeries, Values};
use crate::series::SeriesError;
use crate::status::{Health, LastScrape, Status};

/// A body at least this long is read beside the runtime's workers: 2 to 4 ms of work.
const LONG_BODY_BYTES_MIN: usize = 1 << 20;

/// Series of a batch beside those of the body: the report, and some that vanished.
const SPARE_SERIES: usize = 16;

/// What one loop knows of its target.
pub(crate) struct Scraper {
    shared: Arc<Shared>,
    status: Arc<Status>,
    cache: Cache,
    report: ReportSeries,
    /// Series stored under a configuration that has been replaced; those that do not come back
    /// get a marker.
    orphans: Vec<SeriesRef>,
    body_len: usize,
}

/// What is to be stored.
struct Round {
    batch: Batch,
    pending: Vec<Pending>,
    counts: Counts,
}

impl Round {
    /// Takes the samples out; the counts stay.
    fn reset(&mut self) {
        self.batch.series.clear();
        self.batch.samples.clear();
        self.pending.clear();
    }
}

/// A body and what reading it needs; moves to another thread if the body is long.
struct Work {
    assignment: Arc<Assignment>,
    status: Arc<Status>,
    format: Format,
    timestamp: Timestamp,
    round: Round,
    body: Vec<u8>,
    cache: Cache,
}

impl Work {
    fn read(&mut self) -> Result<(), ContentError> {
        let reading = Reading {
            config: &self.assignment.job.config,
            target_labels: &self.assignment.target.labels,
            format: self.format,
            timestamp: self.timestamp,
        };
        let Round {
            batch,
            pending,
            counts,
        } = &mut self.round;
        let metadata = &mut self.status.metadata.lock();
        let outcome;
        (*counts, outcome) = content::read(
            &self.body,
            reading,
            &mut self.cache,
            metadata,
            batch,
            pending,
        );
        outcome
    }
}

/// The start of a scrape.
#[derive(Clone, Copy)]
struct Start {
    monotonic: Duration,
    timestamp: Timestamp,
}

impl Scraper {
    pub(crate) fn new(shared: Arc<Shared>, status: Arc<Status>) -> Self {
        Self {
            shared,
            status,
            cache: Cache::default(),
            report: ReportSeries::default(),
            orphans: Vec::new(),
            body_len: 0,
        }
    }

    /// Prepares for another configuration of the same target.
    pub(crate) fn adopt(&mut self, old: &Job, new: &Job) {
        if !old.makes_series_like(new) {
            self.orphans.extend(self.cache.tracked());
            self.cache = Cache::default();
        }
    }

    /// Every series that gets a marker when the target vanishes.
    pub(crate) fn live_series(&self) -> Vec<SeriesRef> {
        let own = self.cache.tracked().chain(self.report.refs());
        own.chain(self.orphans.iter().copied()).collect()
    }

    /// Scrapes once. `timestamp` turns the time of the start into that of the samples.
    pub(crate) async fn scrape(
        &mut self,
        assignment: &Arc<Assignment>,
        timestamp: impl FnOnce(Timestamp) -> Timestamp,
    ) {
        let shared = Arc::clone(&self.shared);
        let _admitted = shared.buffers.admit(self.body_len).await;
        let at = shared.clock.now_ms();
        let start = Start {
            monotonic: shared.clock.monotonic(),
            timestamp: timestamp(at),
        };
        let mut body = shared.buffers.take();
        let fetched = self.fetch(assignment, &mut body).await;
        self.body_len = if fetched.is_ok() { body.len() } else { 0 };
        let failure = self.store(assignment, fetched, &mut body, start).await;
        shared.buffers.put(body);
        let took = shared.clock.monotonic().saturating_sub(start.monotonic);
        shared.metrics.scrapes.add(1);
        if let Some(error) = &failure {
            self.note_failure(assignment, error);
        }
        *self.status.last.lock() = LastScrape {
            health: if failure.is_none() {
                Health::Up
            } else {
                Health::Down
            },
            error: failure.map(|e| e.to_string()).unwrap_or_default(),
            at: Some(at),
            took,
        };
    }

    async fn fetch(
        &self,
        assignment: &Assignment,
        body: &mut Vec<u8>,
    ) -> Result<Format, ScrapeError> {
        if let Some(text) = &assignment.forced_error {
            return Err(ScrapeError::Forced(Arc::clone(text)));
        }
        let config = &assignment.job.config;
        let get = Get {
            url: &assignment.target.url,
            headers: &assignment.headers,
            timeout: assignment.target.timeout,
            body_limit_bytes: match config.limits.body_size_limit {
                0 => BODY_BYTES_MAX,
                limit => limit,
            },
        };
        let response = assignment.job.client.get(get, body).await?;
        let fallback = config
            .fallback_scrape_protocol
            .map(|p| p.format())
            .transpose()?;
        Ok(Format::from_content_type(
            Some(response.content_type()),
            fallback,
        )?)
    }

    /// Stores the body's samples, or that there are none, and what the scrape says about itself,
    /// all in one batch. If the storage has forgotten a series, everything is sent once more by
    /// labels: what is stored already does no harm. Answers why the scrape failed.
    async fn store(
        &mut self,
        assignment: &Arc<Assignment>,
        fetched: Result<Format, ScrapeError>,
        body: &mut Vec<u8>,
        start: Start,
    ) -> Option<ScrapeError> {
        let format = fetched.as_ref().ok().copied();
        let mut failure = fetched.err();
        let mut pinned = None;
        let mut may_repeat = true;
        loop {
            let mut round = self.round();
            if let Some(format) = format {
                (round, failure) = self.read(assignment, format, body, start).await;
            }
            if failure.is_some() {
                self.cache.roll_back();
                round.reset();
                let gone = self.cache.tracked().chain(self.orphans.iter().copied());
                push_markers(&mut round.batch, gone, start.timestamp);
            } else {
                push_markers(&mut round.batch, self.cache.vanished(), start.timestamp);
            }
            let values = *pinned.get_or_insert_with(|| {
                let took = self
                    .shared
                    .clock
                    .monotonic()
                    .saturating_sub(start.monotonic);
                report_values(
                    assignment,
                    failure.as_ref(),
                    &round.counts,
                    self.body_len,
                    took,
                )
            });
            let extra = assignment.job.config.extra_scrape_metrics;
            let labels = &assignment.target.labels;
            self.report
                .push(&mut round.batch, labels, &values, extra, start.timestamp);
            let report = match self.shared.append.append(round.batch).await {
                Ok(report) => report,
                Err(error) => {
                    self.cache.roll_back();
                    return Some(failure.unwrap_or(error.into()));
                }
            };
            self.rename(&report);
            let forgotten = report.rejected.iter().any(|(word, _)| *word == UNKNOWN_REF);
            if forgotten && may_repeat {
                may_repeat = false;
                self.cache.roll_back();
                self.cache.set_all_unknown();
                self.report.forget();
                continue;
            }
            self.report.learn(&report);
            self.count(assignment, &round.counts, &report);
            if failure.is_some() {
                self.cache.untrack_all();
                self.orphans.clear();
            } else {
                self.learn(&round.pending, &report);
                self.bury_orphans(start.timestamp).await;
            }
            return failure;
        }
    }

    /// Reads a body, beside the runtime's workers if it is long.
    async fn read(
        &mut self,
        assignment: &Arc<Assignment>,
        format: Format,
        body: &mut Vec<u8>,
        start: Start,
    ) -> (Round, Option<ScrapeError>) {
        let mut work = Work {
            assignment: Arc::clone(assignment),
            status: Arc::clone(&self.status),
            format,
            timestamp: start.timestamp,
            round: self.round(),
            body: mem::take(body),
            cache: mem::take(&mut self.cache),
        };
        let (work, outcome) = if work.body.len() < LONG_BODY_BYTES_MIN {
            let outcome = work.read();
            (work, outcome)
        } else {
            let reading = spawn::blocking(move || {
                let outcome = work.read();
                (work, outcome)
            });
            match reading.await {
                Ok(done) => done,
                // Body and cache are gone with the thread.
                Err(error) => {
                    return (self.round(), Some(ScrapeError::Panicked(error.to_string())));
                }
            }
        };
        (*body, self.cache) = (work.body, work.cache);
        (work.round, outcome.err().map(Into::into))
    }

    /// A batch with room for as many series as there were last time.
    fn round(&self) -> Round {
        let mut batch = Batch::new(self.shared.options.tenant.clone(), Origin::Scrape);
        batch.series.reserve(self.cache.len() + SPARE_SERIES);
        batch.samples.reserve(self.cache.len() + SPARE_SERIES);
        Round {
            batch,
            pending: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes over references that the storage has changed.
    fn rename(&mut self, report: &Report) {
        if report.renamed.is_empty() {
            return;
        }
        let renamed = report.renamed.iter().copied().collect();
        self.cache.rename(&renamed);
        self.report.rename(&renamed);
        for orphan in &mut self.orphans {
            *orphan = *renamed.get(orphan).unwrap_or(orphan);
        }
    }

    /// Notes the references of series that were sent by labels, and ends the scrape.
    fn learn(&mut self, pending: &[Pending], report: &Report) {
        for Pending { entry, series } in pending {
            match report.refs.get(*series as usize).copied().flatten() {
                Some(reference) => self.cache.set_known(*entry, reference),
                None => self.cache.set_unknown(*entry),
            }
        }
        self.cache.commit();
    }

    /// After the first good scrape under another configuration: series that it does not make
    /// any more are marked.
    async fn bury_orphans(&mut self, timestamp: Timestamp) {
        if self.orphans.is_empty() {
            return;
        }
        let orphans = mem::take(&mut self.orphans);
        let there: HashSet<SeriesRef, foldhash::fast::RandomState> = self.cache.tracked().collect();
        let gone = orphans.into_iter().filter(|r| !there.contains(r)).collect();
        // Without the markers the series fade by lookback.
        let _ = mark_stale(&self.shared, gone, timestamp).await;
    }

    fn note_failure(&self, assignment: &Assignment, error: &ScrapeError) {
        let metrics = &self.shared.metrics;
        match error {
            ScrapeError::Fetch(FetchError::BodyTooLarge) => {
                metrics.scrapes_exceeded_body_size_limit.add(1);
            }
            ScrapeError::Content(ContentError::SampleLimit) => {
                metrics.scrapes_exceeded_sample_limit.add(1);
            }
            ScrapeError::Content(ContentError::Series(SeriesError::LabelLimit(_))) => {
                metrics.scrape_pool_exceeded_label_limits.add(1);
            }
            _ => {}
        }
        let (job, target) = (&assignment.job.name, &assignment.target.url);
        if let ScrapeError::Append(_) | ScrapeError::Panicked(_) = error {
            tracing::warn!(%job, %target, %error, "scrape failed");
        } else {
            tracing::debug!(%job, %target, %error, "scrape failed");
        }
    }

    /// Counts what was not stored, and says so once.
    fn count(&self, assignment: &Assignment, counts: &Counts, report: &Report) {
        let metrics = &self.shared.metrics;
        metrics.samples_scraped.add(counts.scraped);
        metrics
            .scrapes_sample_duplicate_timestamp
            .add(counts.duplicates);
        metrics
            .scrapes_sample_out_of_bounds
            .add(counts.out_of_bounds);
        for (word, n) in &report.rejected {
            match *word {
                "duplicate_conflict" => metrics.scrapes_sample_duplicate_timestamp.add(*n),
                "out_of_order" => metrics.scrapes_sample_out_of_order.add(*n),
                "out_of_bounds" | "too_old" | "too_far_in_future" => {
                    metrics.scrapes_sample_out_of_bounds.add(*n);
                }
                _ => {}
            }
        }
        let lost = counts.duplicates + counts.out_of_bounds + report.rejected_total();
        if lost > 0 {
            let (job, target) = (&assignment.job.name, &assignment.target.url);
            let example = report.rejections.first();
            let example = example.map(ToString::to_string);
            tracing::warn!(
                %job,
                %target,
                repeated_lines = counts.duplicates,
                too_far_in_future = counts.out_of_bounds,
                rejected = ?report.rejected,
                example,
                "some samples of a scrape were not stored"
            );
        }
    }
}

const UNKNOWN_REF: &str = "unknown_ref";

/// Pairs [`UNKNOWN_REF`] with the reason it stands for.
#[cfg(test)]
#[test]
fn the_word_is_the_reasons() {
    assert_eq!(ferula_storage::Reason::UnknownRef.word(), UNKNOWN_REF);
}

fn report_values(
    assignment: &Assignment,
    failure: Option<&ScrapeError>,
    counts: &Counts,
    body_len: usize,
    took: Duration,
) -> Values {
    let body_size = match failure {
        Some(ScrapeError::Fetch(FetchError::BodyTooLarge)) => -1.0,
        _ => body_len as f64,
    };
    Values([
        if failure.is_none() { 1.0 } else { 0.0 },
        took.as_secs_f64(),
        counts.scraped as f64,
        counts.after_relabelling as f64,
        counts.series_added as f64,
        assignment.target.timeout.as_secs_f64(),
        assignment.job.config.limits.sample_limit as f64,
        body_size,
    ])
}

fn push_markers(batch: &mut Batch, refs: impl Iterator<Item = SeriesRef>, timestamp: Timestamp) {
    let value = stale_marker();
    for reference in refs {
        let series = batch.series.len() as u32;
        batch.series.push(SeriesKey::Ref(reference));
        batch.samples.push(SampleEntry {
            series,
            timestamp,
            value,
        });
    }
}

/// Marks series as gone from `timestamp` on. Where there is a sample already, that stays.
pub(crate) async fn mark_stale(
    shared: &Shared,
    refs: Vec<SeriesRef>,
    timestamp: Timestamp,
) -> Result<(), AppendError> {
    if refs.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(shared.options.tenant.clone(), Origin::Scrape);
    push_markers(&mut batch, refs.into_iter(), timestamp);
    shared.append.append(batch).await.map(|_| ())
}
