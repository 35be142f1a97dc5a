//! Pages of samples: up to 32 neighbouring series, in one slice of time.
//!
//! ```text
//! page     := series uv | series x (chunks uv, chunks x header) | payloads, one after another
//! header   := kind u8 | times zz | len uv
//! kind     := bit 0: 0 floats, 1 native histograms | bit 1: start timestamps follow the samples
//! payload  := values (`values.rs`) | [ints: start timestamps]
//!           | histograms (`histograms.rs`) | [ints: start timestamps]
//! ```
//!
//! `times` is the number of the chunk's column of timestamps, less that of the chunk before.

use std::sync::Arc;

use ferula_model::{Range, Timestamp};
use ferula_storage::{Columns, HistogramPoint};

use super::cache::Page;
use super::directory::at_end;
use super::overlaps;
use super::times::TimesWriter;
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};

use super::histograms;
use super::ints;
use super::values::{self, Scratch};

/// Series of a page.
pub(super) const PAGE_SERIES: usize = 32;

/// A longer column is written as several chunks.
pub(super) const CHUNK_SAMPLES_MAX: usize = 1_024;

const HISTOGRAMS: u8 = 1;
const STARTS: u8 = 2;

/// Memory for writing pages, reused from page to page.
#[derive(Default)]
pub(super) struct PageScratch {
    values: Scratch,
    head: Vec<u8>,
    payloads: Vec<u8>,
    times: Vec<Timestamp>,
}

/// A page being written.
pub(super) struct PageWriter<'a> {
    scratch: &'a mut PageScratch,
    numbers: &'a mut TimesWriter,
    /// Oldest and newest timestamp.
    span: Option<(Timestamp, Timestamp)>,
    times_before: u32,
}

/// A finished page.
pub(super) struct Written {
    pub(super) body: Vec<u8>,
    pub(super) span: (Timestamp, Timestamp),
}

impl<'a> PageWriter<'a> {
    /// Begins a page of `series` series, all of which must be added.
    pub(super) fn new(
        series: usize,
        scratch: &'a mut PageScratch,
        numbers: &'a mut TimesWriter,
    ) -> Self {
        scratch.head.clear();
        scratch.payloads.clear();
        put_uv(&mut scratch.head, series as u64);
        Self {
            scratch,
            numbers,
            span: None,
            times_before: 0,
        }
    }

    /// Adds the next series: its samples of a slice, as places in its columns. Chunks of another
    /// block that hold just these floats are taken as they are.
    pub(super) fn series(&mut self, samples: &Columns, slice: &Slice, copied: &[Copied]) {
        let floats = slice.floats.len().div_ceil(CHUNK_SAMPLES_MAX);
        let copied = tiles(copied, &slice.floats);
        let histograms = histograms::chunks(&samples.histograms[slice.histograms.clone()]);
        put_uv(&mut self.scratch.head, (floats + histograms.len()) as u64);
        for chunk in copied {
            let from = self.scratch.payloads.len();
            self.scratch.payloads.extend_from_slice(chunk.payload());
            self.header(chunk.kind, from, &samples.timestamps[chunk.floats.clone()]);
        }
        let floats = if copied.is_empty() { floats } else { 0 };
        for i in 0..floats {
            let part = part(&slice.floats, i, floats);
            let starts = samples.start_timestamps.get(part.clone());
            self.floats(
                &samples.timestamps[part.clone()],
                &samples.values[part],
                starts.unwrap_or_default(),
            );
        }
        for part in histograms {
            self.histograms(part);
        }
    }

    fn floats(&mut self, times: &[Timestamp], values: &[f64], starts: &[Timestamp]) {
        let from = self.scratch.payloads.len();
        values::put(values, &mut self.scratch.values, &mut self.scratch.payloads);
        self.chunk(0, from, times, starts);
    }

    fn histograms(&mut self, points: &[HistogramPoint]) {
        let from = self.scratch.payloads.len();
        histograms::put(points, &mut self.scratch.values, &mut self.scratch.payloads);
        let mut times = std::mem::take(&mut self.scratch.times);
        times.clear();
        times.extend(points.iter().map(|p| p.timestamp));
        let starts: Vec<Timestamp> = points.iter().map(|p| p.start_timestamp).collect();
        self.chunk(HISTOGRAMS, from, &times, &starts);
        self.scratch.times = times;
    }

    /// Ends the chunk whose samples begin at `from`.
    fn chunk(&mut self, kind: u8, from: usize, times: &[Timestamp], starts: &[Timestamp]) {
        let any = starts.iter().any(|&start| start != 0);
        if any {
            ints::put(starts, &mut self.scratch.payloads);
        }
        self.header(kind | if any { STARTS } else { 0 }, from, times);
    }

    /// Writes the header of the chunk whose payload begins at `from`.
    fn header(&mut self, kind: u8, from: usize, times: &[Timestamp]) {
        let (oldest, newest) = (times[0], times[times.len() - 1]);
        self.span = Some(match self.span {
            Some((min, max)) => (min.min(oldest), max.max(newest)),
            None => (oldest, newest),
        });
        let PageScratch { head, payloads, .. } = &mut *self.scratch;
        head.push(kind);
        let number = self.numbers.number(times);
        put_zz(head, i64::from(number) - i64::from(self.times_before));
        self.times_before = number;
        put_uv(head, (payloads.len() - from) as u64);
    }

    /// The page, unless it has no samples.
    pub(super) fn finish(self) -> Option<Written> {
        let span = self.span?;
        let mut body = self.scratch.head.clone();
        body.extend_from_slice(&self.scratch.payloads);
        Some(Written { body, span })
    }
}

/// A chunk of floats of another block, which was decoded to a part of a series' columns.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    /// Where its samples are.
    pub(super) floats: std::ops::Range<usize>,
    kind: u8,
    page: Arc<SamplePage>,
    payload: (u32, u32),
}

impl Copied {
    fn payload(&self) -> &[u8] {
        self.page.part(self.payload)
    }
}

/// The chunks that hold exactly a part of the floats, if they are no more than it has to be cut
/// into.
fn tiles<'a>(copied: &'a [Copied], floats: &std::ops::Range<usize>) -> &'a [Copied] {
    let from = copied.partition_point(|c| c.floats.start < floats.start);
    let to = copied.partition_point(|c| c.floats.end <= floats.end);
    let inside = copied.get(from..to).unwrap_or_default();
    let held: usize = inside.iter().map(|c| c.floats.len()).sum();
    // Chunks do not overlap, so as many floats are the same floats.
    let whole = held == floats.len() && inside.len() == held.div_ceil(CHUNK_SAMPLES_MAX);
    if whole { inside } else { &[] }
}

/// A part of a series' columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Slice {
    pub(super) floats: std::ops::Range<usize>,
    pub(super) histograms: std::ops::Range<usize>,
}

impl Slice {
    /// The part that lies in a range of time.
    pub(super) fn of(samples: &Columns, range: Range) -> Self {
        let floats = |t| samples.timestamps.partition_point(|&other| other < t);
        let histograms = |t| samples.histograms.partition_point(|p| p.timestamp < t);
        Self {
            floats: floats(range.start)..floats(range.end),
            histograms: histograms(range.start)..histograms(range.end),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }
}

/// Part `i` of `n` about equal ones.
fn part(range: &std::ops::Range<usize>, i: usize, n: usize) -> std::ops::Range<usize> {
    let at = |i: usize| range.start + range.len() * i / n;
    at(i)..at(i + 1)
}

/// A page ready for decoding. It has the columns of timestamps that its chunks refer to, so that
/// a series is decoded from this page alone.
#[derive(Debug)]
pub(super) struct SamplePage {
    /// The page's bytes, then columns of timestamps.
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
    /// The first chunk of each series, and the end.
    series: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    kind: u8,
    payload: (u32, u32),
    times: (u32, u32),
}

/// A page that still lacks its columns of timestamps.
pub(super) struct Draft {
    page: SamplePage,
    /// The numbers of the columns, sorted. A chunk has its place in this list.
    columns: Vec<u32>,
}

impl Draft {
    /// Takes a page apart.
    pub(super) fn parse(body: Vec<u8>) -> Result<Self, Damaged> {
        let mut r = Reader::new(&body);
        let n = r.uv()?;
        if n > PAGE_SERIES as u64 {
            return Err(Damaged("a page has more series than it can"));
        }
        let (mut chunks, mut columns, mut series) = (Vec::new(), Vec::new(), vec![0]);
        let mut number = 0i64;
        for _ in 0..n {
            // A chunk's header takes three bytes, so this ends with the bytes.
            for _ in 0..r.uv()? {
                let kind = r.u8()?;
                number = number.wrapping_add(r.zz()?);
                let number =
                    u32::try_from(number).map_err(|_| Damaged("there is no such column"))?;
                columns.push(number);
                chunks.push(Chunk {
                    kind,
                    payload: (0, r.uv32()?),
                    times: (number, 0),
                });
            }
            series.push(chunks.len() as u32);
        }
        columns.sort_unstable();
        columns.dedup();
        for chunk in &mut chunks {
            let from = (body.len() - r.left()) as u32;
            r.slice(chunk.payload.1 as usize)?;
            chunk.payload = (from, from + chunk.payload.1);
            chunk.times.0 = columns.partition_point(|&c| c < chunk.times.0) as u32;
        }
        at_end(&r)?;
        let page = SamplePage {
            bytes: body,
            chunks,
            series,
        };
        Ok(Self { page, columns })
    }

    /// How many series it has.
    pub(super) fn series(&self) -> usize {
        self.page.series.len() - 1
    }

    /// The page with its columns of timestamps, which `times` appends by their numbers.
    pub(super) fn finish<E>(
        self,
        mut times: impl FnMut(u32, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<SamplePage, E> {
        let Self { mut page, columns } = self;
        let mut bounds = Vec::with_capacity(columns.len() + 1);
        for number in columns {
            bounds.push(page.bytes.len() as u32);
            times(number, &mut page.bytes)?;
        }
        bounds.push(page.bytes.len() as u32);
        page.bytes.shrink_to_fit();
        for chunk in &mut page.chunks {
            let i = chunk.times.0 as usize;
            chunk.times = (bounds[i], bounds[i + 1]);
        }
        Ok(page)
    }
}

impl SamplePage {
    /// Appends the samples of series `i` of the page, but for chunks outside of the range.
    pub(super) fn decode(
        &self,
        i: usize,
        range: Range,
        columns: &mut Columns,
    ) -> Result<(), Damaged> {
        self.decode_chunks(i, range, columns, |_, _, _| {})
    }

    /// Appends all samples of series `i` of the page, and what its chunks of floats are.
    pub(super) fn copy(
        self: &Arc<Self>,
        i: usize,
        columns: &mut Columns,
        copied: &mut Vec<Copied>,
    ) -> Result<(), Damaged> {
        self.decode_chunks(i, Range::ALL, columns, |chunk, from, to| {
            if chunk.kind & HISTOGRAMS == 0 {
                copied.push(Copied {
                    floats: from..to,
                    kind: chunk.kind,
                    page: self.clone(),
                    payload: chunk.payload,
                });
            }
        })
    }

    /// Decodes, and says of each chunk where its floats begin and end.
    #[inline]
    fn decode_chunks(
        &self,
        i: usize,
        range: Range,
        columns: &mut Columns,
        mut decoded: impl FnMut(&Chunk, usize, usize),
    ) -> Result<(), Damaged> {
        let (Some(&from), Some(&to)) = (self.series.get(i), self.series.get(i + 1)) else {
            return Err(Damaged("a page has fewer series than it should"));
        };
        for chunk in &self.chunks[from as usize..to as usize] {
            let mut times = Reader::new(self.part(chunk.times));
            let n = times.uv()?;
            if n == 0 || n > CHUNK_SAMPLES_MAX as u64 {
                return Err(Damaged("a chunk has more samples than it can"));
            }
            let payload = Reader::new(self.part(chunk.payload));
            let before = columns.timestamps.len();
            match chunk.kind & !STARTS {
                0 => decode_floats(chunk.kind, n as usize, times, payload, range, columns)?,
                HISTOGRAMS => {
                    decode_histograms(chunk.kind, n as usize, times, payload, range, columns)?;
                }
                _ => return Err(Damaged("a chunk is of no known kind")),
            }
            decoded(chunk, before, columns.timestamps.len());
        }
        Ok(())
    }

    fn part(&self, (from, to): (u32, u32)) -> &[u8] {
        &self.bytes[from as usize..to as usize]
    }
}

impl Page for SamplePage {
    fn heap(&self) -> usize {
        self.bytes.capacity()
            + self.chunks.capacity() * size_of::<Chunk>()
            + self.series.capacity() * 4
    }
}

fn decode_floats(
    kind: u8,
    n: usize,
    mut times: Reader<'_>,
    mut payload: Reader<'_>,
    range: Range,
    columns: &mut Columns,
) -> Result<(), Damaged> {
    let before = columns.timestamps.len();
    ints::take(&mut times, n, &mut columns.timestamps, |t| t)?;
    let new = &columns.timestamps[before..];
    if !overlaps(range, new[0], new[n - 1]) {
        columns.timestamps.truncate(before);
        return Ok(());
    }
    values::take(&mut payload, n, &mut columns.values)?;
    if kind & STARTS != 0 {
        columns.start_timestamps.resize(before, 0);
        ints::take(&mut payload, n, &mut columns.start_timestamps, |t| t)?;
    } else if !columns.start_timestamps.is_empty() {
        columns.start_timestamps.resize(before + n, 0);
    }
    at_end(&payload)
}

fn decode_histograms(
    kind: u8,
    n: usize,
    mut times: Reader<'_>,
    mut payload: Reader<'_>,
    range: Range,
    columns: &mut Columns,
) -> Result<(), Damaged> {
    let (mut timestamps, mut starts) = (Vec::new(), Vec::new());
    ints::take(&mut times, n, &mut timestamps, |t| t)?;
    if !overlaps(range, timestamps[0], timestamps[n - 1]) {
        return Ok(());
    }
    let before = columns.histograms.len();
    histograms::take(&mut payload, &timestamps, &mut columns.histograms)?;
    if kind & STARTS != 0 {
        ints::take(&mut payload, n, &mut starts, |t| t)?;
        for (point, start) in columns.histograms[before..].iter_mut().zip(starts) {
            point.start_timestamp = start;
        }
    }
    at_end(&payload)
}
