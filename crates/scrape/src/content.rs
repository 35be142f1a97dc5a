//! From the body of an answer to the samples of a batch.

use ferula_config::ScrapeConfig;
use ferula_exposition::{Entry, Format, ParseError, Parser, Series};
use ferula_model::{Labels, Timestamp};
use ferula_storage::{Batch, SampleEntry, SeriesKey};

use crate::cache::{Cache, Found};
use crate::metadata::MetadataCache;
use crate::series::{SeriesError, stored_labels};

/// How far ahead of the clock a sample may be that says its time itself: clocks differ, but not
/// by more.
const AHEAD_MS_MAX: i64 = 10 * 60 * 1_000;

/// Why a body fails the scrape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentError {
    /// It is not well-formed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A series cannot be stored.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// It has more samples than `sample_limit`.
    #[error("sample limit exceeded")]
    SampleLimit,
}

/// What a body held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Samples exposed.
    pub(crate) scraped: u64,
    /// Samples left after relabelling, those among them that repeat a line.
    pub(crate) after_relabelling: u64,
    /// Series that were not there before.
    pub(crate) series_added: u64,
    /// Samples that repeat a line of the same body.
    pub(crate) duplicates: u64,
    /// Samples too far in the future.
    pub(crate) out_of_bounds: u64,
}

/// How a body is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) config: &'a ScrapeConfig,
    pub(crate) target_labels: &'a Labels,
    pub(crate) format: Format,
    /// The time of samples that do not say theirs.
    pub(crate) timestamp: Timestamp,
}

/// A series of the batch whose reference is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Its entry in the cache.
    pub(crate) entry: u32,
    /// Its index in the batch.
    pub(crate) series: u32,
}

/// The samples of one body, on their way into a batch.
pub(crate) struct Content<'a> {
    reading: Reading<'a>,
    cache: &'a mut Cache,
    batch: &'a mut Batch,
    pending: &'a mut Vec<Pending>,
    counts: Counts,
    /// Samples that count for `sample_limit`.
    limited: u64,
}

/// Reads `body` into `batch`. After an error the batch holds part of it and is of no use; the
/// counts are good as far as the body was read.
pub(crate) fn read(
    body: &[u8],
    reading: Reading<'_>,
    cache: &mut Cache,
    metadata: &mut MetadataCache,
    batch: &mut Batch,
    pending: &mut Vec<Pending>,
) -> (Counts, Result<(), ContentError>) {
    cache.begin();
    metadata.begin();
    let mut content = Content {
        reading,
        cache,
        batch,
        pending,
        counts: Counts::default(),
        limited: 0,
    };
    let outcome = content.read(body, metadata);
    if outcome.is_ok() {
        metadata.commit();
    }
    (content.counts, outcome)
}

impl Content<'_> {
    fn read(&mut self, body: &[u8], metadata: &mut MetadataCache) -> Result<(), ContentError> {
        let mut parser = Parser::new(self.reading.format, body);
        while let Some(entry) = parser.next()? {
            match entry {
                Entry::Series(series) => self.series(&series)?,
                Entry::Type { family, kind } => metadata.set_kind(&family, kind),
                Entry::Help { family, text } => metadata.set_help(&family, &text),
                Entry::Unit { family, unit } => metadata.set_unit(&family, &unit),
                Entry::Comment(_) | Entry::Eof => {}
            }
        }
        if self.over_limit() {
            return Err(ContentError::SampleLimit);
        }
        Ok(())
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) -> Result<(), ContentError> {
        let config = self.reading.config;
        self.counts.scraped += 1;
        let line = self.cache.line(series.raw);
        let explicit = series.timestamp.filter(|_| config.honor_timestamps);
        let repeats = line.repeated && explicit.is_none();
        let (key, new) = match line.found {
            Found::Dropped => return Ok(()),
            Found::Known(reference) => (SeriesKey::Ref(reference), false),
            Found::NeedsLabels { .. } if repeats => (SeriesKey::Labels(Labels::empty()), false),
            Found::NeedsLabels { new } => {
                match stored_labels(series, self.reading.target_labels, config)? {
                    Some(labels) => (SeriesKey::Labels(labels), new && !line.repeated),
                    None => {
                        self.cache.set_dropped(line.entry);
                        return Ok(());
                    }
                }
            }
        };
        self.counts.after_relabelling += 1;
        if repeats {
            self.counts.duplicates += 1;
            return Ok(());
        }
        let timestamp = explicit.unwrap_or(self.reading.timestamp);
        if timestamp > self.reading.timestamp.saturating_add(AHEAD_MS_MAX) {
            self.counts.out_of_bounds += 1;
            return Ok(());
        }
        self.limited += 1;
        if self.over_limit() {
            return Ok(());
        }
        if explicit.is_none() || config.track_timestamps_staleness {
            self.cache.track(line.entry);
        }
        self.counts.series_added += u64::from(new);
        self.push(line.entry, key, timestamp, series.value);
        Ok(())
    }

    #[inline]
    fn push(&mut self, entry: u32, key: SeriesKey, timestamp: Timestamp, value: f64) {
        let series = self.batch.series.len() as u32;
        if let SeriesKey::Labels(_) = key {
            self.pending.push(Pending { entry, series });
        }
        self.batch.series.push(key);
        self.batch.samples.push(SampleEntry {
            series,
            timestamp,
            value,
        });
    }

    fn over_limit(&self) -> bool {
        let limit = self.reading.config.limits.sample_limit;
        limit > 0 && self.limited > limit
    }
}
