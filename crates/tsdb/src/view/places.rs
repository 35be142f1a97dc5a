//! Where a series' samples are.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferula_model::{Labels, Range, Timestamp, is_stale};
use ferula_storage::{
    Columns, Hints, SelectError, SelectRequest, SeriesInfo, SeriesQuery, SeriesSource, Stretch,
};

use super::{Samples, Shown, View};

/// A series: what the head has of it, and its ordinals in blocks.
#[derive(Default)]
struct Places {
    head: Option<Arc<dyn SeriesSource>>,
    blocks: BTreeMap<usize, u32>,
}

impl Samples {
    /// Where series are, in order of labels.
    pub fn where_is(&self, query: &SeriesQuery) -> Result<Vec<SeriesInfo>, SelectError> {
        let (found, view) = loop {
            let view = self.view();
            let found = self.places(query, &view)?;
            // What is cut meanwhile would be in neither.
            if self.view().version == view.version {
                break (found, view);
            }
        };
        let described = found.into_iter().filter_map(|(labels, places)| {
            let info = describe(labels, &places, &view).transpose()?;
            Some(info)
        });
        described.take(query.limit).collect()
    }

    fn places(
        &self,
        query: &SeriesQuery,
        view: &View,
    ) -> Result<BTreeMap<Labels, Places>, SelectError> {
        let mut found: BTreeMap<Labels, Places> = BTreeMap::new();
        for matchers in &query.matchers {
            let request = SelectRequest {
                tenant: query.tenant.clone(),
                matchers: matchers.clone(),
                range: Range::ALL,
                hints: Hints::default(),
            };
            for series in self.head.select(&request, || ()).0.series {
                found.entry(series.labels).or_default().head = Some(series.source);
            }
            for (number, block) in view.blocks().iter().enumerate() {
                let mut reader = block.block().label_reader();
                for ordinal in block.select(&query.tenant, matchers, Range::ALL)? {
                    let places = found.entry(reader.labels(ordinal)?).or_default();
                    places.blocks.insert(number, ordinal);
                }
            }
        }
        Ok(found)
    }
}

/// What is told of a series; `None` if nothing is left of it.
fn describe(
    labels: Labels,
    places: &Places,
    view: &View,
) -> Result<Option<SeriesInfo>, SelectError> {
    let mut columns = Columns::default();
    let mut blocks = Vec::new();
    for (&number, &ordinal) in &places.blocks {
        let block: &Arc<Shown> = &view.blocks()[number];
        columns.clear();
        block.decode(ordinal, Range::ALL, &mut columns)?;
        blocks.extend(stretch(&columns).map(|stretch| (block.entry().id, stretch)));
    }
    columns.clear();
    if let Some(head) = &places.head {
        head.decode(Range::ALL, &mut columns)?;
    }
    let head = stretch(&columns);
    if blocks.is_empty() && head.is_none() {
        return Ok(None);
    }
    Ok(Some(SeriesInfo {
        labels,
        head,
        blocks,
        active: head.is_some() && !ends(&columns),
    }))
}

/// The samples of columns as one stretch.
fn stretch(columns: &Columns) -> Option<Stretch> {
    let floats = ends_of(columns.timestamps.iter().copied());
    let histograms = ends_of(columns.histograms.iter().map(|h| h.timestamp));
    let both = floats.into_iter().chain(histograms);
    let (first, last) = both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    Some(Stretch {
        samples: columns.len() as u64,
        first,
        last,
    })
}

fn ends_of(
    mut sorted: impl DoubleEndedIterator<Item = Timestamp>,
) -> Option<(Timestamp, Timestamp)> {
    let first = sorted.next()?;
    Some((first, sorted.next_back().unwrap_or(first)))
}

/// Whether the newest sample is a staleness marker.
fn ends(columns: &Columns) -> bool {
    let float = columns.timestamps.last().zip(columns.values.last());
    match (float, columns.histograms.last()) {
        (Some((t, _)), Some(h)) if h.timestamp > *t => h.histogram.is_stale(),
        (Some((_, value)), _) => is_stale(*value),
        (None, Some(h)) => h.histogram.is_stale(),
        (None, None) => true,
    }
}
