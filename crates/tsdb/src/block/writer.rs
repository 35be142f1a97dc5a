//! Writing a block.

use std::collections::HashMap;
use std::sync::Arc;

use ferula_model::{Labels, Range, TenantId, Timestamp, Ulid};
use ferula_objects::Objects;
use ferula_storage::Columns;

use super::directory::{
    GROUPS_OF_PAGE, Group, GroupPageEntry, PageEntry, Place, Places, Root, TIMES_OF_PAGE,
    TenantEntry, put_groups,
};
use super::envelope::Sealer;
use super::hash::{SampleHasher, identity};
use super::index::TenantBuilder;
use super::meta::{BlockMeta, TenantMeta};
use super::page::{Copied, PAGE_SERIES, PageScratch, PageWriter, Slice};
use super::reader::HeldPages;
use super::sink::{ChunkSink, Sink};
use super::times::TimesWriter;
use super::{Block, BlockError, INDEX, META, key};

/// How wide a slice of time is in blocks of up to half a day.
const SLICE_MS: Timestamp = 2 * 3_600_000;

/// A slice whose page would be longer is halved.
const PAGE_BYTES_MAX: usize = 512 << 10;

/// The compression level of pages.
const LEVEL: i32 = 1;

/// What a block is to be.
#[derive(Clone, Debug)]
pub struct BlockSpec {
    /// All samples lie inside.
    pub range: Range,
    /// How often its samples were moved from blocks to a larger one.
    pub level: u32,
    /// The blocks it is made of.
    pub sources: Vec<Ulid>,
    /// When it is made, in milliseconds since the Unix epoch.
    pub created_ms: Timestamp,
    /// How wide the slices are into which a series' samples are cut, in milliseconds: who reads a
    /// sample reads its slice.
    pub slice_ms: Timestamp,
}

impl BlockSpec {
    /// A block of new samples.
    pub fn new(range: Range, created_ms: Timestamp) -> Self {
        Self {
            range,
            level: 0,
            sources: Vec::new(),
            created_ms,
            slice_ms: SLICE_MS,
        }
    }
}

/// Writes a block, series by series. Dropped before it is finished, no block exists; objects it
/// has finished by then may remain.
pub struct BlockWriter {
    objects: Arc<dyn Objects>,
    id: Ulid,
    spec: BlockSpec,
    chunks: ChunkSink,
    index: Sink,
    sealer: Sealer,
    frame: Vec<u8>,
    scratch: PageScratch,
    times: TimesWriter,
    times_places: Vec<Place>,
    /// Pages of the blocks that are copied.
    held: HashMap<Ulid, HeldPages>,
    /// Series of the page that is not full yet, and behind them memory for more.
    pending: Vec<Pending>,
    waiting: usize,
    groups: Vec<Group>,
    root: Root,
    tenant: Option<TenantState>,
    tenants: Vec<TenantMeta>,
    last: Option<Labels>,
    series: u64,
    samples: u64,
    histograms: u64,
    span: Option<(Timestamp, Timestamp)>,
    hash: u128,
}

/// A series whose samples are not written yet.
#[derive(Default)]
struct Pending {
    columns: Columns,
    copied: Vec<Copied>,
}

struct TenantState {
    id: TenantId,
    builder: TenantBuilder,
    hasher: SampleHasher,
    samples: u64,
}

impl BlockWriter {
    /// Begins a block.
    pub fn new(objects: &Arc<dyn Objects>, id: Ulid, spec: BlockSpec) -> Result<Self, BlockError> {
        let sealer = Sealer::new(LEVEL).map_err(|error| BlockError::Io {
            key: key(id, META),
            error,
        })?;
        Ok(Self {
            objects: objects.clone(),
            id,
            spec,
            chunks: ChunkSink::new(objects.clone(), id),
            index: Sink::new(&**objects, id, INDEX, false)?,
            sealer,
            frame: Vec::new(),
            scratch: PageScratch::default(),
            times: TimesWriter::default(),
            times_places: Vec::new(),
            held: HashMap::new(),
            pending: Vec::new(),
            waiting: 0,
            groups: Vec::new(),
            root: Root::default(),
            tenant: None,
            tenants: Vec::new(),
            last: None,
            series: 0,
            samples: 0,
            histograms: 0,
            span: None,
            hash: 0,
        })
    }

    /// Makes objects with samples shorter.
    #[cfg(test)]
    pub(super) fn set_chunks_bytes_max(&mut self, bytes_max: u64) {
        self.chunks.set_bytes_max(bytes_max);
    }

    /// Adds a series with its samples, behind all others in order of tenant and labels. One
    /// without samples is left out.
    pub fn series(
        &mut self,
        tenant: &TenantId,
        labels: &Labels,
        samples: &Columns,
    ) -> Result<(), BlockError> {
        let pending = self.next_pending();
        pending.columns.clone_from(samples);
        self.add(tenant, labels)
    }

    /// Adds a series with all its samples of other blocks, which lie one after another in time.
    /// What is encoded there as it would be here is not encoded again, so this is several times
    /// faster than decoding and [`series`](Self::series).
    pub fn copy(
        &mut self,
        tenant: &TenantId,
        labels: &Labels,
        sources: &[(&Block, u32)],
    ) -> Result<(), BlockError> {
        let mut held = std::mem::take(&mut self.held);
        let Pending { columns, copied } = self.next_pending();
        let mut all = sources.iter();
        let copied = all.try_for_each(|(block, ordinal)| {
            let held = held.entry(block.meta().id).or_default();
            block.copy(*ordinal, held, columns, copied)
        });
        self.held = held;
        copied?;
        self.add(tenant, labels)
    }

    /// The place of the next series, emptied.
    fn next_pending(&mut self) -> &mut Pending {
        if self.waiting == self.pending.len() {
            self.pending.push(Pending::default());
        }
        let next = &mut self.pending[self.waiting];
        next.columns.clear();
        next.copied.clear();
        next
    }

    /// Adds the series whose samples are in the next place.
    fn add(&mut self, tenant: &TenantId, labels: &Labels) -> Result<(), BlockError> {
        if self.pending[self.waiting].columns.is_empty() {
            return Ok(());
        }
        let span = checked_span(&self.pending[self.waiting].columns, self.spec.range)?;
        self.enter_tenant(tenant)?;
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(BlockError::Refused("it is not behind the one before"));
        }
        if self.series == u64::from(u32::MAX) {
            return Err(BlockError::Refused("there are 2^32 series already"));
        }
        let samples = &self.pending[self.waiting].columns;
        let state = self.tenant.as_mut().expect("has just been entered");
        state.builder.add(labels);
        state.samples += samples.len() as u64;
        let sum = state.hasher.sum(identity(labels), samples);
        self.hash = self.hash.wrapping_add(sum);
        self.last = Some(labels.clone());
        self.series += 1;
        self.samples += samples.len() as u64;
        self.histograms += samples.histograms.len() as u64;
        self.span = Some(match self.span {
            Some((min, max)) => (min.min(span.0), max.max(span.1)),
            None => span,
        });
        self.waiting += 1;
        match self.waiting == PAGE_SERIES {
            true => self.finish_group(),
            false => Ok(()),
        }
    }

    /// Finishes the block; it exists when this returns. Without a sample there is none.
    pub fn finish(mut self) -> Result<Option<BlockMeta>, BlockError> {
        let Some(times) = self.span else {
            return Ok(None);
        };
        self.finish_group()?;
        self.finish_tenant()?;
        self.finish_times(true)?;
        self.finish_groups()?;
        for places in self.times_places.chunks(TIMES_OF_PAGE) {
            let mut body = Vec::new();
            Places::put(places, &mut body);
            let place = seal_into(&mut self.sealer, &mut self.frame, &mut self.index, &body)?;
            self.root.times.push(place);
        }
        self.root.columns = self.times.count();
        let body = self.root.put();
        let root = seal_into(&mut self.sealer, &mut self.frame, &mut self.index, &body)?;
        let meta = BlockMeta {
            id: self.id,
            range: self.spec.range,
            level: self.spec.level,
            sources: self.spec.sources,
            created_ms: self.spec.created_ms,
            series: self.series,
            samples: self.samples,
            histograms: self.histograms,
            times,
            hash: self.hash,
            tenants: self.tenants,
            chunks: self.chunks.finish()?,
            index: self.index.finish()?,
            root: (root.offset, root.len),
        };
        meta.create(&*self.objects)?;
        Ok(Some(meta))
    }

    fn enter_tenant(&mut self, tenant: &TenantId) -> Result<(), BlockError> {
        match &self.tenant {
            Some(state) if state.id == *tenant => return Ok(()),
            Some(state) if state.id > *tenant => {
                return Err(BlockError::Refused(
                    "its tenant is not behind the one before",
                ));
            }
            _ => {}
        }
        self.finish_tenant()?;
        self.tenant = Some(TenantState {
            id: tenant.clone(),
            builder: TenantBuilder::new(),
            hasher: SampleHasher::new(tenant),
            samples: 0,
        });
        Ok(())
    }

    fn finish_tenant(&mut self) -> Result<(), BlockError> {
        let Some(state) = self.tenant.take() else {
            return Ok(());
        };
        self.last = None;
        let series = state.builder.series();
        let Self {
            index,
            sealer,
            frame,
            ..
        } = self;
        let body = state
            .builder
            .finish(|body| seal_into(sealer, frame, index, body))?;
        self.root.tenants.push(TenantEntry {
            tenant: state.id.clone(),
            first: self.series as u32 - series,
            series,
            place: seal_into(sealer, frame, index, &body)?,
        });
        self.tenants.push(TenantMeta {
            tenant: state.id,
            series: series.into(),
            samples: state.samples,
        });
        Ok(())
    }

    /// Writes the samples of the series that wait.
    fn finish_group(&mut self) -> Result<(), BlockError> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting == 0 {
            return Ok(());
        }
        let all = std::mem::take(&mut self.pending);
        let pending = &all[..waiting];
        let mut group = Group {
            series: waiting as u32,
            pages: Vec::new(),
        };
        let mut start = self.spec.range.start;
        while let Some(oldest) = next_sample(pending, start) {
            let range = self.slice_of(oldest);
            self.write_slice(pending, range, &mut group)?;
            start = range.end;
        }
        self.groups.push(group);
        // Its memory is used again.
        self.pending = all;
        match self.groups.len() == GROUPS_OF_PAGE {
            true => self.finish_groups(),
            false => Ok(()),
        }
    }

    /// The slice of time that a sample lies in.
    fn slice_of(&self, time: Timestamp) -> Range {
        let width = self.spec.slice_ms.max(1);
        let start = time.saturating_sub(time.rem_euclid(width));
        let end = start.checked_add(width).unwrap_or(Timestamp::MAX);
        Range {
            start: start.max(self.spec.range.start),
            end: end.min(self.spec.range.end),
        }
    }

    /// Writes the samples of a range as a page, or as several where it would be too large.
    fn write_slice(
        &mut self,
        pending: &[Pending],
        range: Range,
        group: &mut Group,
    ) -> Result<(), BlockError> {
        let slices = pending.iter().map(|p| Slice::of(&p.columns, range));
        let slices: Vec<Slice> = slices.collect();
        let samples: usize = slices.iter().map(Slice::len).sum();
        let width = range.end.wrapping_sub(range.start) as u64;
        let halve = |writer: &mut Self, group: &mut Group| {
            let end = range.start.wrapping_add((width / 2) as i64);
            writer.write_slice(pending, Range { end, ..range }, group)?;
            writer.write_slice(
                pending,
                Range {
                    start: end,
                    ..range
                },
                group,
            )
        };
        // A sample takes nine bytes at most, or many if it is a histogram.
        let may_halve = width > 1 && samples > 1;
        if may_halve && samples > PAGE_BYTES_MAX {
            return halve(self, group);
        }
        let mut page = PageWriter::new(pending.len(), &mut self.scratch, &mut self.times);
        for (series, slice) in pending.iter().zip(&slices) {
            page.series(&series.columns, slice, &series.copied);
        }
        let Some(page) = page.finish() else {
            return Ok(());
        };
        if may_halve && page.body.len() > PAGE_BYTES_MAX {
            return halve(self, group);
        }
        self.finish_times(false)?;
        self.frame.clear();
        let len = self.sealer.seal(&page.body, &mut self.frame) as u32;
        let offset = self.chunks.write(&self.frame)?;
        group.pages.push(PageEntry {
            place: Place { offset, len },
            oldest: page.span.0,
            newest: page.span.1,
        });
        Ok(())
    }

    /// Writes full pages of timestamps, and at the `end` the last one.
    fn finish_times(&mut self, end: bool) -> Result<(), BlockError> {
        while let Some(body) = self.times.take_page(end) {
            self.frame.clear();
            let len = self.sealer.seal(&body, &mut self.frame) as u32;
            let offset = self.chunks.write(&self.frame)?;
            self.times_places.push(Place { offset, len });
        }
        Ok(())
    }

    /// Writes a page of the directory.
    fn finish_groups(&mut self) -> Result<(), BlockError> {
        let groups = std::mem::take(&mut self.groups);
        if groups.is_empty() {
            return Ok(());
        }
        let body = put_groups(&groups);
        let place = seal_into(&mut self.sealer, &mut self.frame, &mut self.index, &body)?;
        let before = self.root.groups.last();
        self.root.groups.push(GroupPageEntry {
            place,
            first: before.map_or(0, |page| page.first + page.series),
            series: groups.iter().map(|group| group.series).sum(),
        });
        Ok(())
    }
}

/// Writes the frame of a body to the index.
fn seal_into(
    sealer: &mut Sealer,
    frame: &mut Vec<u8>,
    index: &mut Sink,
    body: &[u8],
) -> Result<Place, BlockError> {
    frame.clear();
    let len = sealer.seal(body, frame) as u32;
    let offset = index.len();
    index.write(frame)?;
    Ok(Place { offset, len })
}

/// Oldest and newest timestamp, if the samples are what they should be.
fn checked_span(samples: &Columns, range: Range) -> Result<(Timestamp, Timestamp), BlockError> {
    let floats = &samples.timestamps;
    let histograms = &samples.histograms;
    let starts = samples.start_timestamps.len();
    if floats.len() != samples.values.len() || starts != 0 && starts != floats.len() {
        return Err(BlockError::Refused("its columns are of different lengths"));
    }
    let sorted = floats.is_sorted_by(|a, b| a < b)
        && histograms.is_sorted_by(|a, b| a.timestamp < b.timestamp);
    if !sorted || !floats.is_empty() && !histograms.is_empty() && shares_a_time(samples) {
        return Err(BlockError::Refused(
            "its samples are not in order of time, each time once",
        ));
    }
    let ends = |first: Option<Timestamp>, last| first.zip(last);
    let all = [
        ends(floats.first().copied(), floats.last().copied()),
        ends(
            histograms.first().map(|p| p.timestamp),
            histograms.last().map(|p| p.timestamp),
        ),
    ];
    let span = all
        .into_iter()
        .flatten()
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let span = span.unwrap_or_default();
    match range.contains(span.0) && range.contains(span.1) {
        true => Ok(span),
        false => Err(BlockError::Refused(
            "a sample lies outside of the block's range",
        )),
    }
}

/// Whether a float and a histogram have the same timestamp.
fn shares_a_time(samples: &Columns) -> bool {
    let mut floats = samples.timestamps.iter().copied().peekable();
    samples.histograms.iter().any(|point| {
        while floats.next_if(|&t| t < point.timestamp).is_some() {}
        floats.peek() == Some(&point.timestamp)
    })
}

/// The time of the oldest sample from `start` on.
fn next_sample(series: &[Pending], start: Timestamp) -> Option<Timestamp> {
    let of = |Pending { columns, .. }: &Pending| {
        let float = columns.timestamps.partition_point(|&t| t < start);
        let histogram = columns.histograms.partition_point(|p| p.timestamp < start);
        let float = columns.timestamps.get(float).copied();
        let histogram = columns.histograms.get(histogram).map(|p| p.timestamp);
        float.into_iter().chain(histogram).min()
    };
    series.iter().filter_map(of).min()
}
