//! A series as a checkpoint keeps it: chunks as they are, and the state of the encoder.
//!
//! The bytes are described in `docs/internals/checkpoint.md`.

use std::sync::Arc;

use ferula_model::Timestamp;

use super::sealed::{Sealed, chain, first_timestamp};
use super::series::{CHUNK_SAMPLES_MAX, Freed, Kind, Series, open_capacity};
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};
use crate::chunk::xor::{HEADER_BITS, XorTail};
use crate::chunk::{self, histogram};

const NONE: u8 = 0;
const FLOAT: u8 = 1;
const HISTOGRAM: u8 = 2;
/// The newest sample has been deleted: finished chunks and a bound follow, no open chunk.
const DELETED: u8 = 3;

/// A finished chunk has at most so many samples: its count has 16 bits.
const SAMPLES_MAX: u64 = 1 << 16;

/// What series that were read hold, for the head's accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) series: u64,
    pub(crate) chunks: u64,
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
    /// Oldest and newest timestamp.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
}

impl Totals {
    /// Adds what others hold.
    pub(crate) fn add(&mut self, other: &Self) {
        self.series += other.series;
        self.chunks += other.chunks;
        self.samples += other.samples;
        self.bytes += other.bytes;
        self.span = match (self.span, other.span) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }
}

impl Series {
    /// Appends the series, without chunks that end below `floor`.
    pub(crate) fn put_image(&self, floor: Timestamp, out: &mut Vec<u8>) {
        let open = self.open_bytes();
        let kind = match self.kind {
            Kind::Float => FLOAT,
            Kind::Histogram => HISTOGRAM,
            Kind::Deleted => DELETED,
            Kind::None => NONE,
        };
        if kind == NONE || self.newest < floor {
            return out.push(NONE);
        }
        out.push(kind);
        let chunks: Vec<&Sealed> = chain(self.sealed.as_deref())
            .take_while(|chunk| chunk.max >= floor)
            .collect();
        put_uv(out, chunks.len() as u64);
        let mut before: Timestamp = 0;
        for chunk in chunks.into_iter().rev() {
            put_zz(out, chunk.min.wrapping_sub(before));
            put_uv(out, chunk.max.wrapping_sub(chunk.min) as u64);
            put_uv(out, chunk.bytes.len() as u64);
            out.extend_from_slice(&chunk.bytes);
            before = chunk.max;
        }
        put_zz(out, self.newest.wrapping_sub(before));
        if kind == DELETED {
            return;
        }
        out.push(self.count);
        put_uv(out, self.bits.into());
        out.extend_from_slice(open);
        match &self.histogram {
            Some(histogram) if kind == HISTOGRAM => histogram::encode(out, None, histogram),
            _ => {
                put_zz(out, self.delta);
                out.extend_from_slice(&self.value.to_le_bytes());
                out.extend_from_slice(&[self.leading, self.trailing]);
            }
        }
    }

    /// Takes a series, without what lies below `floor` as a whole, and notes what it holds.
    pub(crate) fn take_image(
        r: &mut Reader<'_>,
        floor: Timestamp,
        totals: &mut Totals,
    ) -> Result<Self, Damaged> {
        let mut series = Self::new();
        series.kind = match r.u8()? {
            NONE => return Ok(series),
            FLOAT => Kind::Float,
            HISTOGRAM => Kind::Histogram,
            DELETED => Kind::Deleted,
            _ => return Err(Damaged("a series is of no known kind")),
        };
        let mut before: Timestamp = 0;
        for _ in 0..r.uv()? {
            let chunk = take_sealed(r, before, series.sealed.take())?;
            before = chunk.max;
            series.sealed = Some(Arc::new(chunk));
        }
        series.newest = before.wrapping_add(r.zz()?);
        if series.kind != Kind::Deleted {
            series.take_open(r)?;
        }
        series.truncate(floor, &mut Freed::default());
        totals.add(&series.totals());
        Ok(series)
    }

    /// What the series holds.
    fn totals(&self) -> Totals {
        if self.kind == Kind::None {
            return Totals::default();
        }
        let mut totals = Totals {
            series: self.has_samples().into(),
            samples: self.count.into(),
            ..Totals::default()
        };
        let mut oldest = self.newest;
        if let Some(open) = &self.open {
            totals.chunks += 1;
            totals.bytes += open.len() as u64;
            oldest = first_timestamp(self.kind, open);
        }
        for chunk in chain(self.sealed.as_deref()) {
            totals.chunks += 1;
            totals.samples += chunk.samples();
            totals.bytes += chunk.held();
            oldest = chunk.min;
        }
        totals.span = Some((oldest.min(self.newest), self.newest));
        totals
    }

    fn take_open(&mut self, r: &mut Reader<'_>) -> Result<(), Damaged> {
        self.count = r.u8()?;
        self.bits = r.uv32()?;
        if self.count == 0 || self.count > CHUNK_SAMPLES_MAX || self.bits <= HEADER_BITS {
            return Err(Damaged("an open chunk has no samples, or too many"));
        }
        let used = r.slice(self.bits.div_ceil(8) as usize)?;
        let mut open = Vec::with_capacity(open_capacity(used.len()));
        open.extend_from_slice(used);
        open.resize(open.capacity(), 0);
        self.open = Some(open.into_boxed_slice());
        if self.kind == Kind::Histogram {
            self.histogram = Some(Arc::new(histogram::decode(r, None)?));
            return Ok(());
        }
        self.delta = r.zz()?;
        self.value = u64::from_le_bytes(r.array()?);
        [self.leading, self.trailing] = r.array()?;
        let window = u32::from(self.leading) + u32::from(self.trailing);
        if self.leading != XorTail::empty().leading && (self.leading > 31 || window >= 64) {
            return Err(Damaged("an open chunk's encoder is in an impossible state"));
        }
        Ok(())
    }
}

fn take_sealed(
    r: &mut Reader<'_>,
    before: Timestamp,
    older: Option<Arc<Sealed>>,
) -> Result<Sealed, Damaged> {
    let min = before.wrapping_add(r.zz()?);
    let max = min.wrapping_add(r.uv()? as i64);
    let len = usize::try_from(r.uv()?).map_err(|_| Damaged("too short"))?;
    let bytes = r.slice(len)?;
    let known = matches!(
        bytes.first(),
        Some(&(chunk::XOR | chunk::COLUMNS | chunk::HISTOGRAMS))
    );
    let sealed = Sealed {
        min,
        max,
        bytes: bytes.into(),
        older,
    };
    if !known || sealed.samples() > SAMPLES_MAX {
        return Err(Damaged("a chunk is of no known form"));
    }
    Ok(sealed)
}
