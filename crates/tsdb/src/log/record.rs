//! Records: what a frame's body is made of. Ids are defined before they are used.

use std::sync::Arc;

use ferula_model::{Histogram, Timestamp, is_stale, stale_marker};

use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz, un_zig_zag, zig_zag};
use crate::chunk::histogram;
use crate::head::index::Index;
use crate::head::stage::Row;

/// The next numbers of a shard's symbols: texts, in order.
pub(crate) const SYMBOLS: u8 = 1;
/// The next series: label sets of symbols, in order.
pub(crate) const SERIES: u8 = 2;
/// Floats, each with its series and timestamp.
pub(crate) const LOOSE_ROWS: u8 = 3;
/// Native histograms, each with its series and timestamp.
pub(crate) const LOOSE_HISTOGRAMS: u8 = 4;
/// The name behind a tenant's number.
pub(crate) const TENANT: u8 = 5;
/// A tenant's samples of a range, of series that match, are no more.
pub(crate) const DELETION: u8 = 6;
/// Series are renumbered: who stays, in order of the new numbers, and all symbols anew.
pub(crate) const REBASE: u8 = 7;
/// How often series were renumbered before this frame; stands at its beginning, in the place of
/// the tenant, if that is not 0.
pub(crate) const GENERATION: u8 = 8;

/// Floats out of order.
pub(crate) const LATE_ROWS: u8 = 9;
/// Native histograms out of order.
pub(crate) const LATE_HISTOGRAMS: u8 = 10;

/// A record's length is always written in this many bytes, so that it can be filled in later.
const LEN_BYTES: usize = 4;

/// A float that is no short number: eight bytes follow.
const RAW: u64 = 1;
/// The staleness marker.
const STALE: u64 = 3;
/// A decimal fraction: `DECIMAL + 2·i` says that the mantissa that follows is to be divided by
/// `DIVISORS[i]`.
const DECIMAL: u64 = 5;
const DIVISORS: [f64; 3] = [1e2, 1e4, 1e6];

/// Integers and mantissas below this are exact in a double.
const EXACT_MAX: f64 = (1u64 << 53) as f64;

/// How much of a head's tenants, symbols and series the log defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    pub(crate) generation: u32,
    pub(crate) tenants: u32,
    pub(crate) symbols: u32,
    pub(crate) series: u32,
}

impl Dictionary {
    /// All of it.
    pub(crate) fn of(index: &Index) -> Self {
        Self {
            generation: index.generation,
            tenants: index.tenants().len() as u32,
            symbols: index.symbols.len(),
            series: index.len(),
        }
    }
}

/// A record as it lies in a body.
pub(crate) struct Record<'a> {
    pub(crate) kind: u8,
    pub(crate) tenant: u32,
    pub(crate) payload: Reader<'a>,
}

/// Takes the next record off a body.
pub(crate) fn take<'a>(body: &mut Reader<'a>) -> Result<Record<'a>, Damaged> {
    let kind = body.u8()?;
    let tenant = body.uv32()?;
    let len = body.uv32()? as usize;
    let payload = Reader::new(body.slice(len)?);
    Ok(Record {
        kind,
        tenant,
        payload,
    })
}

/// Begins a frame.
pub(crate) fn put_generation(out: &mut Vec<u8>, generation: u32) {
    if generation > 0 {
        put(out, GENERATION, generation, |_| ());
    }
}

/// Takes what [`put_generation`] put.
pub(crate) fn take_generation(body: &mut Reader<'_>) -> u32 {
    let mut ahead = body.clone();
    match take(&mut ahead) {
        Ok(record) if record.kind == GENERATION => {
            *body = ahead;
            record.tenant
        }
        _ => 0,
    }
}

/// Appends the record that makes series `ids` those of `index`, in this order.
pub(crate) fn put_rebase(out: &mut Vec<u8>, index: &Index, ids: &[u32]) {
    put(out, REBASE, 0, |out| {
        put_uv(out, index.generation.into());
        put_uv(out, index.symbols.len().into());
        for symbol in 0..index.symbols.len() {
            let text = index.symbols.get(symbol);
            put_uv(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        put_uv(out, ids.len() as u64);
        put_column(out, ids.iter().map(|&sid| sid.into()));
    });
}

/// Appends a record.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, tenant: u32, payload: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    put_uv(out, tenant.into());
    let at = out.len();
    out.extend_from_slice(&[0; LEN_BYTES]);
    payload(out);
    let len = out.len() - at - LEN_BYTES;
    for (i, byte) in out[at..at + LEN_BYTES].iter_mut().enumerate() {
        let more = if i + 1 < LEN_BYTES { 0x80 } else { 0 };
        *byte = (len >> (7 * i)) as u8 & 0x7f | more;
    }
}

/// Appends what `index` has beyond `from`, until `out` has about `bytes_max` bytes. Returns how
/// far it got.
pub(crate) fn put_dictionary(
    out: &mut Vec<u8>,
    index: &Index,
    from: Dictionary,
    bytes_max: usize,
) -> Dictionary {
    let to = Dictionary::of(index);
    let mut at = Dictionary {
        tenants: to.tenants,
        ..from
    };
    for (number, tenant) in index
        .tenants()
        .iter()
        .enumerate()
        .skip(from.tenants as usize)
    {
        put(out, TENANT, number as u32, |out| {
            out.extend_from_slice(tenant.id.as_str().as_bytes());
        });
    }
    if at.symbols < to.symbols {
        put(out, SYMBOLS, 0, |out| {
            put_uv(out, at.symbols.into());
            while at.symbols < to.symbols && out.len() < bytes_max {
                let text = index.symbols.get(at.symbols);
                put_uv(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
                at.symbols += 1;
            }
        });
    }
    // Series refer to symbols defined before them.
    while at.symbols == to.symbols && at.series < to.series && out.len() < bytes_max {
        let tenant = index.pairs_of(at.series).0;
        put(out, SERIES, tenant, |out| {
            put_uv(out, at.series.into());
            while at.series < to.series
                && out.len() < bytes_max
                && index.pairs_of(at.series).0 == tenant
            {
                put_series(out, index, at.series);
                at.series += 1;
            }
        });
    }
    at
}

fn put_series(out: &mut Vec<u8>, index: &Index, sid: u32) {
    let (tenant, pairs) = index.pairs_of(sid);
    let all = &index.tenants()[tenant as usize].pairs;
    put_uv(out, pairs.size_hint().0 as u64);
    for pair in pairs {
        let pair = &all[pair as usize];
        put_uv(out, pair.name.into());
        put_uv(out, pair.value.into());
    }
}

/// Appends samples in their order, a record for each run of one kind.
pub(crate) fn put_rows(
    out: &mut Vec<u8>,
    tenant: u32,
    rows: &[Row],
    histograms: &[Arc<Histogram>],
) {
    let kind_of = |row: &Row| (row.is_histogram, row.is_late);
    for run in rows.chunk_by(|a, b| kind_of(a) == kind_of(b)) {
        let kind = match kind_of(&run[0]) {
            (false, false) => LOOSE_ROWS,
            (true, false) => LOOSE_HISTOGRAMS,
            (false, true) => LATE_ROWS,
            (true, true) => LATE_HISTOGRAMS,
        };
        put(out, kind, tenant, |out| {
            put_uv(out, run.len() as u64);
            put_column(out, run.iter().map(|row| row.sid.into()));
            put_column(out, run.iter().map(|row| row.timestamp));
            if !run[0].is_histogram {
                run.iter().for_each(|row| put_float(out, row.value));
                return;
            }
            let mut before = None;
            for row in run {
                let histogram = &histograms[row.value as usize];
                histogram::encode(out, before, histogram);
                before = Some(histogram);
            }
        });
    }
}

/// The samples of a record, each as series, timestamp and value.
pub(crate) fn take_floats(r: &mut Reader<'_>, columns: &mut RowColumns) -> Result<(), Damaged> {
    take_keys(r, columns)?;
    columns.floats.clear();
    for _ in 0..columns.sids.len() {
        columns.floats.push(take_float(r)?);
    }
    Ok(())
}

/// The same of histograms.
pub(crate) fn take_histograms(r: &mut Reader<'_>, columns: &mut RowColumns) -> Result<(), Damaged> {
    take_keys(r, columns)?;
    columns.histograms.clear();
    for _ in 0..columns.sids.len() {
        let before = columns.histograms.last().map(Arc::as_ref);
        let histogram = histogram::decode(r, before)?;
        columns.histograms.push(Arc::new(histogram));
    }
    Ok(())
}

/// A record's samples as columns; reused from record to record.
#[derive(Debug, Default)]
pub(crate) struct RowColumns {
    pub(crate) sids: Vec<i64>,
    pub(crate) timestamps: Vec<Timestamp>,
    pub(crate) floats: Vec<u64>,
    pub(crate) histograms: Vec<Arc<Histogram>>,
}

fn take_keys(r: &mut Reader<'_>, columns: &mut RowColumns) -> Result<(), Damaged> {
    let count = r.uv()?;
    // Each sample has a value of a byte or more.
    if count > r.left() as u64 {
        return Err(Damaged("a record is too short for its samples"));
    }
    take_column(r, count as usize, &mut columns.sids)?;
    take_column(r, count as usize, &mut columns.timestamps)
}

/// Columns of integers are differences to the one before: `zz << 2`, or with the low bits 1
/// followed by how often it is repeated (beyond twice), or 2 and eight bytes.
fn put_column(out: &mut Vec<u8>, values: impl Iterator<Item = i64>) {
    let mut before = 0i64;
    let mut run = (0u64, 0u64);
    for value in values {
        let difference = zig_zag(value.wrapping_sub(before));
        before = value;
        if run.1 > 0 && run.0 == difference {
            run.1 += 1;
            continue;
        }
        put_run(out, run);
        run = (difference, 1);
    }
    put_run(out, run);
}

fn put_run(out: &mut Vec<u8>, (difference, count): (u64, u64)) {
    if difference >> 62 != 0 {
        for _ in 0..count {
            out.push(2);
            out.extend_from_slice(&difference.to_le_bytes());
        }
        return;
    }
    match count {
        0 => {}
        1 => put_uv(out, difference << 2),
        _ => {
            put_uv(out, difference << 2 | 1);
            put_uv(out, count - 2);
        }
    }
}

pub(crate) fn take_column(
    r: &mut Reader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), Damaged> {
    out.clear();
    out.reserve(count);
    let mut value = 0i64;
    while out.len() < count {
        let token = r.uv()?;
        let (difference, repeated) = match token & 3 {
            0 => (token >> 2, 1),
            1 => (token >> 2, r.uv()?.saturating_add(2)),
            2 => (u64::from_le_bytes(r.array()?), 1),
            _ => return Err(Damaged("a column has an unknown token")),
        };
        if repeated > (count - out.len()) as u64 {
            return Err(Damaged("a column is longer than its record"));
        }
        for _ in 0..repeated {
            value = value.wrapping_add(un_zig_zag(difference));
            out.push(value);
        }
    }
    Ok(())
}

#[inline]
fn put_float(out: &mut Vec<u8>, bits: u64) {
    let value = f64::from_bits(bits);
    let whole = value as i64;
    if (whole as f64).to_bits() == bits && value.abs() < EXACT_MAX {
        return put_uv(out, zig_zag(whole) << 1);
    }
    put_fraction(out, value);
}

fn put_fraction(out: &mut Vec<u8>, value: f64) {
    if is_stale(value) {
        return put_uv(out, STALE);
    }
    for (i, divisor) in DIVISORS.into_iter().enumerate() {
        let mantissa = (value * divisor).round_ties_even();
        // One that takes as many bytes as the number itself saves nothing.
        if mantissa != 0.0
            && mantissa.abs() < EXACT_MAX / 16.0
            && (mantissa / divisor).to_bits() == value.to_bits()
        {
            put_uv(out, DECIMAL + 2 * i as u64);
            return put_zz(out, mantissa as i64);
        }
    }
    put_uv(out, RAW);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

#[inline]
fn take_float(r: &mut Reader<'_>) -> Result<u64, Damaged> {
    let token = r.uv()?;
    if token & 1 == 0 {
        return Ok((un_zig_zag(token >> 1) as f64).to_bits());
    }
    match token {
        RAW => Ok(u64::from_le_bytes(r.array()?)),
        STALE => Ok(stale_marker().to_bits()),
        _ => {
            let divisor = DIVISORS.get(((token - DECIMAL) / 2) as usize);
            let divisor = divisor.ok_or(Damaged("a value has an unknown token"))?;
            Ok((r.zz()? as f64 / divisor).to_bits())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            any::<i64>().prop_map(|v| (v as f64).to_bits()),
            (-10_000..10_000i32).prop_map(|v| (f64::from(v) / 1e3).to_bits()),
            Just((-0.0f64).to_bits()),
            Just(stale_marker().to_bits()),
        ]
    }

    proptest! {
        #[test]
        fn floats_keep_their_bits(values in proptest::collection::vec(bits(), 0..50)) {
            let mut out = Vec::new();
            values.iter().for_each(|&v| put_float(&mut out, v));
            let mut r = Reader::new(&out);
            for v in values {
                prop_assert_eq!(take_float(&mut r).unwrap(), v);
            }
            prop_assert!(r.is_empty());
        }

        #[test]
        fn columns_survive(values in proptest::collection::vec(prop_oneof![any::<i64>(), 0..3i64], 0..50)) {
            let mut out = Vec::new();
            put_column(&mut out, values.iter().copied());
            let (mut r, mut back) = (Reader::new(&out), Vec::new());
            take_column(&mut r, values.len(), &mut back).unwrap();
            prop_assert_eq!(back, values);
            prop_assert!(r.is_empty());
        }
    }

    /// The bytes `docs/internals/log.md` describes, worked out by hand.
    #[test]
    fn golden_rows() {
        let row = |sid, timestamp, value: f64| Row::float(sid, timestamp, value.to_bits());
        let rows = [
            row(7, 1_000, 3.0),
            row(8, 1_000, 0.25),
            row(9, 1_000, stale_marker()),
        ];
        let mut out = Vec::new();
        put_rows(&mut out, 2, &rows, &[]);
        let expected = [
            3,
            2,
            0x8C,
            0x80,
            0x80,
            0x00, // LooseRows of tenant 2, 12 bytes
            3,    // rows
            7 << 3,
            9,
            0, // series: 7 once, then two more of 1
            0xC0,
            0x3E,
            1,
            0, // timestamps: 1000 once, then two more of 0
            12,
            5,
            50,
            3, // 3, 25/100, the marker
        ];
        // 1000 takes zz 2000 << 2 = 8000.
        assert_eq!(out, expected);
    }

    /// Who stays, with their symbols; and how a frame begins from then on.
    #[test]
    fn golden_rebase() {
        let mut index = Index::new(0).successor();
        let tenant = index.intern_tenant(&ferula_model::TenantId::anonymous());
        let labels = ferula_model::Labels::from_pairs([("a", "b")]);
        index.create(tenant, index.hash(tenant, &labels), &labels);
        let mut out = Vec::new();
        put_generation(&mut out, 0);
        put_generation(&mut out, 2);
        put_rebase(&mut out, &index, &[5]);
        let expected = [
            8, 2, 0x80, 0x80, 0x80, 0x00, // generation 2
            7, 0, 0x88, 0x80, 0x80, 0x00, // eight bytes
            1, 2, 1, b'a', 1, b'b', // the first generation, two symbols
            1, 40, // one series, which was number 5
        ];
        assert_eq!(out, expected);
        let mut r = Reader::new(&out);
        assert_eq!(take_generation(&mut r), 2);
        assert_eq!(take_generation(&mut r), 0);
        assert_eq!(take(&mut r).map(|r| r.kind), Ok(REBASE));
    }

    #[test]
    fn short_numbers_are_short() {
        let len = |v: f64| {
            let mut out = Vec::new();
            put_float(&mut out, v.to_bits());
            out.len()
        };
        assert_eq!(
            [0.0, 31.0, 1e6, 0.25, 12.5, 0.000_123, 0.1 + 0.2].map(len),
            [1, 1, 4, 2, 3, 3, 9]
        );
    }
}
