//! What a reader sees of a shard: the head and the blocks of one manifest version, as one.
//!
//! A sample is in the head or in a block, never in neither: the floor, below which the head
//! shows nothing, is raised under the lock under which the view is exchanged, and a reader takes
//! both under that lock. A view lives as long as a reader holds it, whatever is cut, merged or
//! deleted meanwhile.

mod block;
mod places;
mod series;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ferula_model::{Labels, Range, Timestamp};
use ferula_storage::{
    LabelQuery, SelectError, SelectRequest, Selected, SelectedSeries, SeriesSource,
};
use parking_lot::Mutex;

use crate::Head;
use crate::block::{BlockError, identity};

pub use block::Shown;
pub(crate) use series::Whole;

/// The blocks of one manifest version, in order of time.
#[derive(Debug, Default)]
pub struct View {
    /// The manifest's version.
    pub version: u64,
    blocks: Vec<Arc<Shown>>,
    /// Whether blocks share some time with each other or with the head.
    overlaps: bool,
}

impl View {
    /// Blocks in order of their start, beside a head that shows nothing below `floor`.
    pub fn new(version: u64, floor: Timestamp, blocks: Vec<Arc<Shown>>) -> Self {
        let beside_head = blocks.iter().any(|block| block.range().end > floor);
        let ends = blocks.iter().scan(Timestamp::MIN, |end, block| {
            let before = *end;
            *end = before.max(block.range().end);
            Some(before)
        });
        let overlaps = blocks
            .iter()
            .zip(ends)
            .any(|(b, end)| b.range().start < end);
        let overlaps = overlaps || beside_head;
        Self {
            version,
            blocks,
            overlaps,
        }
    }

    /// The blocks, in order of their start.
    pub fn blocks(&self) -> &[Arc<Shown>] {
        &self.blocks
    }

    /// Whether blocks share some time with each other or with the head.
    pub(crate) fn overlaps(&self) -> bool {
        self.overlaps
    }

    fn overlapping(&self, range: Range) -> impl Iterator<Item = (u32, &Arc<Shown>)> {
        let numbered = (0u32..).zip(&self.blocks);
        numbered.filter(move |(_, block)| block.range().overlaps(range))
    }

    /// Whether a block may have samples in the range.
    pub fn reaches(&self, range: Range) -> bool {
        self.overlapping(range).next().is_some()
    }
}

/// A shard's samples: the head, and the view that goes with it.
#[derive(Debug)]
pub struct Samples {
    head: Arc<Head>,
    view: Mutex<Arc<View>>,
}

impl Samples {
    /// A head whose floor is right for the view.
    pub fn new(head: Arc<Head>, view: View) -> Self {
        Self {
            head,
            view: Mutex::new(Arc::new(view)),
        }
    }

    /// The head.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// The blocks as they are at this moment.
    pub fn view(&self) -> Arc<View> {
        self.view.lock().clone()
    }

    /// Shows other blocks, which hold the same samples or more, and nothing below `floor` of the
    /// head from the same moment on.
    pub fn exchange(&self, view: View, floor: Timestamp) {
        let view = Arc::new(view);
        self.head.raise_floor(floor, || *self.view.lock() = view);
    }

    /// The series that match, with their samples of a moment.
    pub fn select(&self, request: &SelectRequest) -> Result<Selected, SelectError> {
        let may_project = !self.view().reaches(request.range);
        if may_project {
            let (selected, view) = self.head.select(request, || self.view());
            if !view.reaches(request.range) {
                return Ok(selected);
            }
        }
        // Series of several places are joined by their whole label sets.
        let mut whole = request.clone();
        whole.hints.labels = None;
        let (selected, view) = self.head.select(&whole, || self.view());
        join(view, selected, &whole)
    }

    /// Label sets of the series that match, sorted.
    pub fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, SelectError> {
        let mut lists = vec![self.head.series(query)];
        // Taken after the head's, so that what is cut meanwhile is in both rather than in neither.
        for (_, block) in self.view().overlapping(query.range) {
            let ordinals = match block.listed(query)? {
                Some(ordinals) => ordinals,
                None => block.select(&query.tenant, &[], query.range)?,
            };
            let mut reader = block.block().label_reader();
            let ordinals = limited(&ordinals, query.limit).iter();
            let labels = ordinals.map(|&ordinal| reader.labels(ordinal));
            lists.push(labels.collect::<Result<_, BlockError>>()?);
        }
        Ok(union(lists, query.limit))
    }

    /// Label names of the series that match, sorted.
    pub fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, SelectError> {
        let mut lists = vec![self.head.label_names(query)];
        for (_, block) in self.view().overlapping(query.range) {
            let ordinals = block.listed(query)?;
            let names = block
                .block()
                .label_names(&query.tenant, ordinals.as_deref());
            lists.push(names?);
        }
        Ok(union(lists, query.limit))
    }

    /// Values of label `name` among the series that match, sorted.
    pub fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, SelectError> {
        let mut lists = vec![self.head.label_values(name, query)];
        let limit = match query.limit {
            0 => usize::MAX,
            limit => limit,
        };
        for (_, block) in self.view().overlapping(query.range) {
            let (block, ordinals) = (block.block(), block.listed(query)?);
            let values = block.label_values(&query.tenant, name, ordinals.as_deref(), limit);
            lists.push(values?);
        }
        Ok(union(lists, query.limit))
    }
}

/// A series that is being put together.
struct Joined {
    labels: Labels,
    parts: Vec<(u32, u32)>,
    head: Option<Arc<dyn SeriesSource>>,
}

/// Puts what the head has selected together with the blocks of its moment.
fn join(
    view: Arc<View>,
    selected: Selected,
    request: &SelectRequest,
) -> Result<Selected, SelectError> {
    let heads = selected.series.into_iter();
    let mut all: Vec<Joined> = heads
        .map(|series| Joined {
            labels: series.labels,
            parts: Vec::new(),
            head: Some(series.source),
        })
        .collect();
    let identities = all.iter().map(|s| identity(&s.labels));
    let mut identities: Vec<u128> = identities.collect();
    let mut known: HashMap<u128, u32, foldhash::fast::FixedState> =
        identities.iter().copied().zip(0u32..).collect();
    let from_head = all.len();
    for (number, block) in view.overlapping(request.range) {
        let mut reader = block.block().label_reader();
        let ordinals = block.select(&request.tenant, &request.matchers, request.range)?;
        let found = block.block().identities(&ordinals);
        // Most blocks have the same series in the same order, so most are where they are expected.
        let mut expected = 0;
        for (identity, ordinal) in found?.into_iter().zip(ordinals) {
            if identities.get(expected as usize) == Some(&identity) {
                all[expected as usize].parts.push((number, ordinal));
                expected += 1;
                continue;
            }
            let at = match known.entry(identity) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    identities.push(identity);
                    all.push(Joined {
                        labels: reader.labels(ordinal)?,
                        parts: Vec::new(),
                        head: None,
                    });
                    *entry.insert(all.len() as u32 - 1)
                }
            };
            all[at as usize].parts.push((number, ordinal));
            expected = at + 1;
        }
    }
    if all.len() > from_head {
        // A few sorted runs, which this sort finds.
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    let series = all.into_iter().map(
        |Joined {
             labels,
             parts,
             head,
         }| SelectedSeries {
            labels,
            source: match head {
                Some(head) if parts.is_empty() => head,
                head => Arc::new(Whole {
                    view: view.clone(),
                    parts,
                    head,
                }),
            },
        },
    );
    Ok(Selected {
        series: series.collect(),
        warnings: selected.warnings,
    })
}

fn limited<T>(list: &[T], limit: usize) -> &[T] {
    match limit {
        0 => list,
        limit => &list[..list.len().min(limit)],
    }
}

/// Merges sorted lists; at most `limit` entries, if it is not 0.
fn union<T: Ord>(mut lists: Vec<Vec<T>>, limit: usize) -> Vec<T> {
    lists.retain(|list| !list.is_empty());
    let mut all = match lists.len() {
        0 => Vec::new(),
        1 => lists.swap_remove(0),
        _ => {
            let mut all: Vec<T> = lists.into_iter().flatten().collect();
            all.sort();
            all.dedup();
            all
        }
    };
    if limit > 0 {
        all.truncate(limit);
    }
    all
}
