//! Floats as two columns of integers, built for being decoded at once.
//!
//! ```text
//! column chunk := n uv | ints (timestamps) | values
//! values       := 00 | zz                              an integer, n times
//!               | 01 | 8 bytes                         any bits, n times
//!               | 40–4f | ints | [odd]                 q ÷ 10^e, e in the low 4 bits
//!               | 80 | ints | [odd]                    bits, ordered as the floats are
//!               bit 5 of 40–4f and 80: odd follows
//! odd          := n uv | n × (distance to the position before uv, 8 bytes)
//! ```
//!
//! Bytes of floats are little-endian. Odd values are those that the form cannot give, such as
//! staleness markers and −0 among integers; the column holds the integer before in their place.
//!
//! A float is `q ÷ 10^e` if the division gives its very bits. Division is rounded correctly, so
//! every float that was printed with few digits is.

use ferula_model::Timestamp;

use super::ints::{self, Plan};
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};

const CONSTANT_INTEGER: u8 = 0x00;
const CONSTANT_BITS: u8 = 0x01;
const DECIMAL: u8 = 0x40;
const ORDERED: u8 = 0x80;
const ODD: u8 = 0x20;

/// The powers of ten that are tried. With more digits, ordered bits are as small.
pub(crate) const POWERS: [f64; 13] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// Added to a float below [`INTEGER_MAX`], it leaves no room for a fraction: the sum's low bits
/// are the nearest integer.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// 2^51.
const INTEGER_MAX: f64 = 2_251_799_813_685_248.0;

/// A decimal is not tried beyond 2^46: among numbers so large, one near a random float is found
/// by chance.
pub(crate) const DECIMAL_MAX: f64 = 70_368_744_177_664.0;

/// So many values are looked at before all are.
const PROBES: usize = 8;

/// At most one value in so many may be odd.
const VALUES_PER_ODD: usize = 12;

/// At most so many values are odd rather than that all get more digits.
const FEW: usize = 3;

/// A chunk holds at most this many samples.
const SAMPLES_MAX: u64 = 1 << 16;

/// Memory for encoding, reused from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) timestamps: Vec<Timestamp>,
    pub(crate) values: Vec<f64>,
    ints: Vec<i64>,
    odd: Vec<usize>,
}

impl Scratch {
    /// Appends timestamps and values, of which there is at least one, to the bytes, unless they
    /// would take more than `len_max`. Returns whether they were.
    pub(crate) fn encode(&mut self, len_max: usize) -> bool {
        let Self {
            bytes,
            timestamps,
            values,
            ints,
            odd,
        } = self;
        let end_max = bytes.len() + len_max;
        let n = values.len();
        put_uv(bytes, n as u64);
        let plan = Plan::of_line(timestamps);
        plan.write(timestamps, bytes);
        if bytes.len() + 9 > end_max {
            return false;
        }
        let first = values[0];
        if values.iter().all(|v| v.to_bits() == first.to_bits()) {
            match as_integer(first, 0) {
                Some(q) => {
                    bytes.push(CONSTANT_INTEGER);
                    put_zz(bytes, q);
                }
                None => {
                    bytes.push(CONSTANT_BITS);
                    bytes.extend_from_slice(&first.to_bits().to_le_bytes());
                }
            }
            return true;
        }
        let tag = match decimals(values, ints, odd) {
            Some(e) => DECIMAL | e as u8,
            None if ordered(values, ints, odd) => ORDERED,
            None => return false,
        };
        let plan = Plan::of(ints);
        if bytes.len() + plan.len_min(n) + 9 * odd.len() > end_max {
            return false;
        }
        bytes.push(tag | if odd.is_empty() { 0 } else { ODD });
        plan.write(ints, bytes);
        if !odd.is_empty() {
            put_odd(values, odd, bytes);
        }
        bytes.len() <= end_max
    }
}

/// The integer that gives `value` when divided by the power of ten.
#[inline]
pub(crate) fn as_integer(value: f64, e: usize) -> Option<i64> {
    let power = POWERS[e];
    let sum = value * power + ROUND;
    let integer = sum - ROUND;
    let max = if e == 0 { INTEGER_MAX } else { DECIMAL_MAX };
    let fits = (integer / power).to_bits() == value.to_bits() && integer.abs() < max;
    fits.then(|| low_bits(sum))
}

/// The integer in the low bits of a sum with [`ROUND`].
#[inline(always)]
fn low_bits(sum: f64) -> i64 {
    sum.to_bits().wrapping_sub(ROUND.to_bits()) as i64
}

/// The integer as a float; exact, as it is below [`INTEGER_MAX`].
#[inline(always)]
pub(crate) fn to_float(integer: i64) -> f64 {
    f64::from_bits(ROUND.to_bits().wrapping_add(integer as u64)) - ROUND
}

/// The least power of ten from `e` on that makes `value` an integer.
fn exponent_of(value: f64, e: usize) -> Option<usize> {
    (e..POWERS.len()).find(|&e| as_integer(value, e).is_some())
}

/// Finds a power of ten for all values but a few, and their integers.
pub(crate) fn decimals(values: &[f64], ints: &mut Vec<i64>, odd: &mut Vec<usize>) -> Option<usize> {
    let odd_max = values.len() / VALUES_PER_ODD + 1;
    let (mut e, mut misses) = (0, 0);
    let probes = (0..PROBES).map(|i| values[i * values.len() / PROBES]);
    for value in probes.filter(|v| v.is_finite()) {
        match exponent_of(value, e) {
            Some(found) => e = found,
            None => misses += 1,
        }
        if misses > 1 {
            return None;
        }
    }
    loop {
        if scale(values, e, ints) {
            odd.clear();
            return Some(e);
        }
        let mut needed = e;
        odd.clear();
        for (i, &value) in values.iter().enumerate() {
            if as_integer(value, e).is_none() {
                odd.push(i);
                if odd.len() > FEW && value.is_finite() {
                    needed = exponent_of(value, e).map_or(needed, |found| found.max(needed));
                }
            }
            if odd.len() > odd_max {
                break;
            }
        }
        if needed == e {
            bridge(ints, odd);
            return (odd.len() <= odd_max).then_some(e);
        }
        e = needed;
    }
}

/// Makes integers of all values; says whether each gives its value back.
#[inline]
fn scale(values: &[f64], e: usize, ints: &mut Vec<i64>) -> bool {
    let mut all = true;
    ints.clear();
    if e == 0 {
        ints.extend(values.iter().map(|&value| {
            let sum = value + ROUND;
            let integer = sum - ROUND;
            all &= (integer.to_bits() == value.to_bits()) & (integer.abs() < INTEGER_MAX);
            low_bits(sum)
        }));
        return all;
    }
    let power = POWERS[e];
    ints.extend(values.iter().map(|&value| {
        let sum = value * power + ROUND;
        let integer = sum - ROUND;
        let same = (integer / power).to_bits() == value.to_bits();
        all &= same & (integer.abs() < DECIMAL_MAX);
        low_bits(sum)
    }));
    all
}

/// Maps all values' bits to integers in the floats' order; those that are not finite are odd.
pub(crate) fn ordered(values: &[f64], ints: &mut Vec<i64>, odd: &mut Vec<usize>) -> bool {
    ints.clear();
    odd.clear();
    ints.extend(values.iter().map(|v| in_order(v.to_bits() as i64)));
    let not_finite = values.iter().enumerate().filter(|(_, v)| !v.is_finite());
    odd.extend(not_finite.map(|(i, _)| i));
    if odd.len() > values.len() / VALUES_PER_ODD + 1 {
        return false;
    }
    bridge(ints, odd);
    true
}

/// Sign and magnitude to two's complement, and back.
#[inline(always)]
pub(crate) fn in_order(bits: i64) -> i64 {
    bits ^ (bits >> 63) & i64::MAX
}

/// Puts the integer before in the place of each odd one, or the one after where none is before.
fn bridge(ints: &mut [i64], odd: &[usize]) {
    let mut next_odd = odd.iter().copied().peekable();
    let head = (0..ints.len()).find(|&i| next_odd.next_if_eq(&i).is_none());
    let head = head.unwrap_or(ints.len());
    let fill = ints.get(head).copied().unwrap_or_default();
    ints[..head].fill(fill);
    for i in next_odd {
        ints[i] = ints[i - 1];
    }
}

pub(crate) fn put_odd(values: &[f64], odd: &[usize], out: &mut Vec<u8>) {
    put_uv(out, odd.len() as u64);
    let mut before = 0;
    for &at in odd {
        put_uv(out, (at - before) as u64);
        out.extend_from_slice(&values[at].to_bits().to_le_bytes());
        before = at;
    }
}

/// Appends the samples of a chunk to two columns.
pub(crate) fn decode(
    chunk: &[u8],
    timestamps: &mut Vec<Timestamp>,
    values: &mut Vec<f64>,
) -> Result<(), Damaged> {
    let mut r = Reader::new(chunk);
    let n = r.uv()?;
    if n > SAMPLES_MAX {
        return Err(Damaged("a chunk has too many samples"));
    }
    let n = n as usize;
    ints::decode(&mut r, n, timestamps, |t| t)?;
    let tag = r.u8()?;
    let from = values.len();
    match tag {
        CONSTANT_INTEGER => values.resize(from + n, to_float(r.zz()?)),
        CONSTANT_BITS => values.resize(from + n, r.f64()?),
        _ => match tag & !ODD {
            DECIMAL => ints::decode(&mut r, n, values, to_float)?,
            ORDERED => ints::decode(&mut r, n, values, |v| f64::from_bits(in_order(v) as u64))?,
            tag => {
                let power = tag.checked_sub(DECIMAL).map(usize::from);
                let power = power.and_then(|e| POWERS.get(e));
                let power = *power.ok_or(Damaged("a chunk's values are of no known form"))?;
                ints::decode(&mut r, n, values, move |q| to_float(q) / power)?;
            }
        },
    }
    if tag & ODD != 0 {
        take_odd(&mut r, &mut values[from..])?;
    }
    Ok(())
}

pub(crate) fn take_odd(r: &mut Reader<'_>, values: &mut [f64]) -> Result<(), Damaged> {
    let mut at = 0u64;
    for _ in 0..r.uv()? {
        at = at.saturating_add(r.uv()?);
        let value = values.get_mut(at as usize);
        *value.ok_or(Damaged("a value is beyond its chunk"))? = r.f64()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
