//! Columns of integers: differences in blocks of 128, each block in the form that suits it.
//!
//! ```text
//! ints       := form u8 | first zz | step zz                       form 0: first + i * step
//!             | form u8 | first zz | [divisor uv] | block*          form 1, bit 1: a divisor
//! block      := head u8 | width u8 | [slope zz] | base zz | [bitmap] | packed | [exceptions]
//! head       := bits 0-1 order | bit 2 exceptions follow | bit 3 sparse
//! exceptions := n u8 | n x (place u8, packed value zz)
//! ```
//!
//! A block holds the next 128 integers, the last one what is left; the first integer of all is in
//! none. With `p` a packed value and `d = base + p`, integer `i` is `first + y * divisor`, where
//!
//! - order 0: `y[i] = d`
//! - order 1: `y[i] = y[i-1] + d`
//! - order 2: `y[i] = y[i-1] + s[i]`, `s[i] = s[i-1] + d`, `s` being `slope` before the block
//! - order 3: `y[i] = y[before the block] + k * slope + d`, `k` counting from 1 in the block
//!
//! and `y` of the first integer is 0. All sums wrap. In a sparse block the bits of `bitmap` tell
//! which integers have a packed value; the others' `d` is 0. An exception stands in the place of a
//! packed value. `slope` is there for orders 2 and 3.

use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};
use crate::chunk::pack::{BLOCK, Packer, is_width, largest, packed_len, unpack, width_for};

const LINE: u8 = 0;
const BLOCKS: u8 = 1;
const DIVISOR: u8 = 2;

const PLAIN: u8 = 0;
const DELTA: u8 = 1;
const DELTA_OF_DELTA: u8 = 2;
const NEAR_LINE: u8 = 3;
const ORDER: u8 = 3;
const EXCEPTIONS: u8 = 4;
const SPARSE: u8 = 8;

/// At most so many exceptions in a block: each costs time, too.
const EXCEPTIONS_MAX: u64 = 12;

/// Narrower differences are not searched for exceptions.
const WIDTH_MIN_OF_SEARCH: u32 = 3;

/// Appends integers, of which there is at least one.
pub(super) fn put(values: &[i64], out: &mut Vec<u8>) {
    let first = values[0];
    let step = values.get(1).map_or(0, |v| v.wrapping_sub(first));
    if values.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step) {
        out.push(LINE);
        put_zz(out, first);
        put_zz(out, step);
        return;
    }
    let divisor = common_divisor(values);
    let form = if divisor > 1 {
        BLOCKS | DIVISOR
    } else {
        BLOCKS
    };
    out.push(form);
    put_zz(out, first);
    if divisor > 1 {
        put_uv(out, divisor);
    }
    let mut before = 0;
    let mut y = [0; BLOCK];
    for block in values[1..].chunks(BLOCK) {
        let y = &mut y[..block.len()];
        for (y, value) in y.iter_mut().zip(block) {
            *y = value.wrapping_sub(first);
            if divisor > 1 {
                *y = y.wrapping_div(divisor as i64);
            }
        }
        Plan::of(y, before).write(y, before, out);
        before = y[y.len() - 1];
    }
}

/// The largest number that divides the differences of all integers to the first; not all are
/// equal.
fn common_divisor(values: &[i64]) -> u64 {
    let mut divisor = 0;
    for value in &values[1..] {
        divisor = gcd(value.wrapping_sub(values[0]).unsigned_abs(), divisor);
        if divisor == 1 {
            break;
        }
    }
    divisor
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// How a block is written.
#[derive(Clone, Copy, Debug)]
struct Plan {
    order: u8,
    sparse: bool,
    slope: i64,
    fit: Fit,
    /// About how many bits it takes.
    bits: u64,
}

/// Base and width of differences.
#[derive(Clone, Copy, Debug)]
struct Fit {
    base: i64,
    width: u32,
    exceptions: u64,
    bits: u64,
}

impl Plan {
    /// The smallest form of a block that comes after `before`.
    fn of(y: &[i64], before: i64) -> Self {
        let mut d = [0; BLOCK];
        let d = &mut d[..y.len()];
        let mut best = Self::with(PLAIN, 0, y, before, d);
        let mut consider = |plan: Self| {
            if plan.bits < best.bits {
                best = plan;
            }
        };
        consider(Self::with(DELTA, 0, y, before, d));
        consider(Self::with(NEAR_LINE, slope_of(y), y, before, d));
        // Such that the first two differences of differences are the same.
        let at = |i: usize| y.get(i).copied().unwrap_or(before);
        let slope = at(0)
            .wrapping_sub(before)
            .wrapping_mul(2)
            .wrapping_sub(at(1).wrapping_sub(at(0)));
        consider(Self::with(DELTA_OF_DELTA, slope, y, before, d));
        best
    }

    /// What an order gives. `d` is memory for the differences.
    fn with(order: u8, slope: i64, y: &[i64], before: i64, d: &mut [i64]) -> Self {
        differences(order, slope, y, before, d);
        let head = match order {
            PLAIN | DELTA => 0,
            _ => zz_bits(slope),
        };
        let fit = Fit::of(d);
        let dense = Self {
            order,
            sparse: false,
            slope,
            fit,
            bits: head + fit.bits,
        };
        let zeros = d.iter().filter(|d| **d == 0).count();
        if order > DELTA || zeros < d.len() / 4 || fit.width < 2 {
            return dense;
        }
        let fit = Fit::of(&d.iter().copied().filter(|d| *d != 0).collect::<Vec<_>>());
        let bits = fit.bits + d.len().next_multiple_of(8) as u64;
        match bits < dense.bits {
            true => Self {
                sparse: true,
                fit,
                bits,
                ..dense
            },
            false => dense,
        }
    }

    fn write(&self, y: &[i64], before: i64, out: &mut Vec<u8>) {
        let Fit {
            base,
            width,
            exceptions,
            ..
        } = self.fit;
        let mut d = [0; BLOCK];
        let d = &mut d[..y.len()];
        differences(self.order, self.slope, y, before, d);
        let sparse = if self.sparse { SPARSE } else { 0 };
        let exceptional = if exceptions > 0 { EXCEPTIONS } else { 0 };
        out.push(self.order | sparse | exceptional);
        out.push(width as u8);
        if self.order >= DELTA_OF_DELTA {
            put_zz(out, self.slope);
        }
        put_zz(out, base);
        let mut count = d.len();
        if self.sparse {
            let at = out.len();
            out.resize(at + d.len().div_ceil(8), 0);
            count = 0;
            for (i, d) in d.iter().enumerate().filter(|(_, d)| **d != 0) {
                out[at + i / 8] |= 1 << (i % 8);
                count += usize::from(*d != 0);
            }
        }
        let mut list = Vec::new();
        let mut packer = Packer::new(out, count, width);
        let packed = d.iter().filter(|d| !self.sparse || **d != 0);
        for (i, d) in packed.enumerate() {
            let p = d.wrapping_sub(base) as u64;
            if p > largest(width) {
                list.push((i, p as i64));
                packer.push(0);
            } else {
                packer.push(p);
            }
        }
        packer.finish();
        debug_assert_eq!(list.len() as u64, exceptions);
        if exceptions > 0 {
            out.push(exceptions as u8);
            for (i, p) in list {
                out.push(i as u8);
                put_zz(out, p);
            }
        }
    }
}

/// What an order makes of a block.
#[inline]
fn differences(order: u8, slope: i64, y: &[i64], before: i64, d: &mut [i64]) {
    let mut before = before;
    let mut slope = slope;
    let pairs = d.iter_mut().zip(y);
    match order {
        PLAIN => d.copy_from_slice(y),
        DELTA => pairs.for_each(|(d, &y)| {
            *d = y.wrapping_sub(before);
            before = y;
        }),
        DELTA_OF_DELTA => pairs.for_each(|(d, &y)| {
            let delta = y.wrapping_sub(before);
            *d = delta.wrapping_sub(slope);
            (before, slope) = (y, delta);
        }),
        _ => pairs.for_each(|(d, &y)| {
            before = before.wrapping_add(slope);
            *d = y.wrapping_sub(before);
        }),
    }
}

/// The slope of the line that lies nearest to the integers of a block.
fn slope_of(y: &[i64]) -> i64 {
    let n = y.len() as f64;
    let (mean_x, first) = ((n - 1.0) / 2.0, y[0]);
    let sum: f64 = y
        .iter()
        .zip(0..)
        .map(|(y, i)| y.wrapping_sub(first) as f64 * (f64::from(i) - mean_x))
        .sum();
    let squares = n * (n * n - 1.0) / 12.0;
    // Anything will do that is not a number or too large: it costs bytes, nothing else.
    if squares == 0.0 {
        0
    } else {
        (sum / squares).round() as i64
    }
}

/// Bits a number takes as `zz`.
fn zz_bits(v: i64) -> u64 {
    let bits = 65 - u64::from((v ^ (v >> 63)).leading_zeros());
    bits.div_ceil(7) * 8
}

impl Fit {
    /// Base and width that take the fewest bits.
    fn of(d: &[i64]) -> Self {
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for &d in d {
            min = min.min(d);
            max = max.max(d);
        }
        if d.is_empty() {
            (min, max) = (0, 0);
        }
        let range = max.wrapping_sub(min) as u64;
        let width = width_for(range);
        let mut fit = Self {
            base: min,
            width,
            exceptions: 0,
            bits: d.len() as u64 * u64::from(width) + zz_bits(min),
        };
        if width < WIDTH_MIN_OF_SEARCH {
            return fit;
        }
        // Where few lie far from the others, the mean is near one end.
        let sum: u128 = d
            .iter()
            .map(|d| u128::from(d.wrapping_sub(min) as u64))
            .sum();
        let mean = (sum / d.len() as u128) as u64;
        if mean < range / 4 {
            fit.search(d, |d| d.wrapping_sub(min) as u64, |_| min);
        } else if mean > range - range / 4 {
            let base = |width| max.wrapping_sub(largest(width) as i64);
            fit.search(d, |d| max.wrapping_sub(d) as u64, base);
        }
        fit
    }

    /// Finds a smaller width that leaves out what is far from one end.
    fn search(&mut self, d: &[i64], distance: impl Fn(i64) -> u64, base: impl Fn(u32) -> i64) {
        let mut of_bits = [0u64; 65];
        for &d in d {
            of_bits[64 - distance(d).leading_zeros() as usize] += 1;
        }
        let (mut exceptions, mut list_bits) = (0, 8);
        for width in (0..self.width).rev() {
            let above = of_bits[width as usize + 1];
            exceptions += above;
            list_bits += above * (8 + 8 * u64::from(width + 2).div_ceil(7));
            if exceptions > EXCEPTIONS_MAX {
                return;
            }
            let bits = d.len() as u64 * u64::from(width) + list_bits + zz_bits(base(width));
            if is_width(width) && exceptions > 0 && bits < self.bits {
                *self = Self {
                    base: base(width),
                    width,
                    exceptions,
                    bits,
                };
            }
        }
    }
}

/// Appends `n` integers, each through `map`.
#[inline]
pub(super) fn take<T: Copy>(
    r: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<T>,
    map: impl Fn(i64) -> T,
) -> Result<(), Damaged> {
    let (form, first) = (r.u8()?, r.zz()?);
    let at = out.len();
    let Some(after) = n.checked_sub(1) else {
        return Err(Damaged("a column is empty"));
    };
    match form {
        LINE => {
            let (mut value, step) = (first, r.zz()?);
            out.reserve(n);
            out.extend((0..n).map(|_| {
                let this = map(value);
                value = value.wrapping_add(step);
                this
            }));
            Ok(())
        }
        BLOCKS => {
            out.resize(at + 1 + after, map(first));
            take_blocks(r, first, &mut out[at + 1..], map)
        }
        form if form == BLOCKS | DIVISOR => {
            let divisor = r.uv()? as i64;
            out.resize(at + 1 + after, map(first));
            let map = |y: i64| map(first.wrapping_add(y.wrapping_mul(divisor)));
            take_blocks(r, 0, &mut out[at + 1..], map)
        }
        _ => Err(Damaged("a column is of no known form")),
    }
}

#[inline]
fn take_blocks<T: Copy>(
    r: &mut Reader<'_>,
    first: i64,
    out: &mut [T],
    map: impl Fn(i64) -> T,
) -> Result<(), Damaged> {
    // Sums begin at the first value, so only order 0 has to add it.
    let mut before = first;
    let mut block = [0; BLOCK];
    for out in out.chunks_mut(BLOCK) {
        let head = BlockHead::take(r, out.len(), &mut block)?;
        let base = head.base;
        let packed = out.iter_mut().zip(&block);
        match head.order {
            PLAIN => {
                let zero = first.wrapping_add(base);
                packed.for_each(|(out, &p)| *out = map(zero.wrapping_add(p as i64)));
                before = zero.wrapping_add(block[out.len() - 1] as i64);
            }
            DELTA => {
                let mut y = before;
                packed.for_each(|(out, &p)| {
                    y = y.wrapping_add(base.wrapping_add(p as i64));
                    *out = map(y);
                });
                before = y;
            }
            DELTA_OF_DELTA => {
                let (mut y, mut s) = (before, head.slope);
                packed.for_each(|(out, &p)| {
                    s = s.wrapping_add(base.wrapping_add(p as i64));
                    y = y.wrapping_add(s);
                    *out = map(y);
                });
                before = y;
            }
            _ => {
                let (mut line, slope) = (before.wrapping_add(base), head.slope);
                packed.for_each(|(out, &p)| {
                    line = line.wrapping_add(slope);
                    *out = map(line.wrapping_add(p as i64));
                });
                before = line.wrapping_add(block[out.len() - 1] as i64);
            }
        }
    }
    Ok(())
}

/// What is said of a block.
struct BlockHead {
    order: u8,
    slope: i64,
    base: i64,
}

impl BlockHead {
    /// Takes a block of `len` integers; its packed values go to `block`.
    #[inline]
    fn take(r: &mut Reader<'_>, len: usize, block: &mut [u64; BLOCK]) -> Result<Self, Damaged> {
        let (head, width) = (r.u8()?, u32::from(r.u8()?));
        let order = head & ORDER;
        if head & !(ORDER | EXCEPTIONS | SPARSE) != 0 || !is_width(width) {
            return Err(Damaged("a block of a column is of no known form"));
        }
        let slope = if order >= DELTA_OF_DELTA { r.zz()? } else { 0 };
        let base = r.zz()?;
        let mask = if head & SPARSE != 0 {
            take_bitmap(r, len)?
        } else {
            0
        };
        let count = if head & SPARSE != 0 {
            mask.count_ones() as usize
        } else {
            len
        };
        let packed = r.rest();
        r.slice(packed_len(count, width))?;
        unpack(packed, width, count, block);
        if head & EXCEPTIONS != 0 {
            for _ in 0..r.u8()? {
                let place = usize::from(r.u8()?);
                let p = r.zz()? as u64;
                let place = block[..count].get_mut(place);
                *place.ok_or(Damaged("an exception is beyond its block"))? = p;
            }
        }
        if head & SPARSE != 0 {
            scatter(mask, count, base.wrapping_neg() as u64, &mut block[..len]);
        }
        Ok(Self { order, slope, base })
    }
}

/// The bits of a sparse block.
fn take_bitmap(r: &mut Reader<'_>, len: usize) -> Result<u128, Damaged> {
    let bitmap = r.slice(len.div_ceil(8))?;
    let mut bytes = [0; BLOCK / 8];
    bytes[..bitmap.len()].copy_from_slice(bitmap);
    let mask = u128::from_le_bytes(bytes);
    match mask.checked_shr(len as u32).unwrap_or(0) {
        0 => Ok(mask),
        _ => Err(Damaged("a block has more values than integers")),
    }
}

/// Moves packed values to where their bits are, from the last to the first; `rest` goes
/// elsewhere.
fn scatter(mask: u128, count: usize, rest: u64, block: &mut [u64]) {
    let mut from = count;
    for i in (0..block.len()).rev() {
        let set = mask >> i & 1 != 0;
        from -= usize::from(set);
        block[i] = if set { block[from] } else { rest };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(values: &[i64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(values, &mut bytes);
        bytes
    }

    fn decoded(bytes: &[u8], n: usize) -> Result<Vec<i64>, Damaged> {
        let (mut r, mut out) = (Reader::new(bytes), Vec::new());
        take(&mut r, n, &mut out, |v| v)?;
        assert!(r.is_empty());
        Ok(out)
    }

    fn check(values: &[i64], expected: &[u8]) {
        let bytes = encode(values);
        assert_eq!(bytes, expected);
        assert_eq!(decoded(&bytes, values.len()).unwrap(), values);
    }

    /// Worked out by hand from the format's description.
    #[test]
    fn golden_bytes() {
        check(&[-3], &[0, 5, 0]);
        check(&[-3, -3, -3], &[0, 5, 0]);
        check(&[7, 9, 11], &[0, 14, 4]);
        // Multiples of 4 apart: y = 2, -1, 1, that is 3, 0, 2 above -1, in two bits.
        check(&[5, 13, 1, 9], &[3, 10, 4, 0, 2, 1, 0b10_00_11]);
        // Order 1: d = 7, 8, 10, 7, that is 0, 1, 3, 0 above 7.
        let sums = [100, 107, 115, 125, 132];
        check(&sums, &[1, 200, 1, 1, 2, 14, 0b00_11_01_00]);
        // Order 2: steps of 1, 3, 5 come after one of -1; that is always 2 more.
        let squares: Vec<i64> = (0..40).map(|i| i * i).collect();
        check(&squares, &[1, 0, 2, 0, 1, 4]);
    }

    #[test]
    fn each_block_has_its_form() {
        // Along a line with noise, then a reset, then standing still but for few.
        let noise = |i: i64| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64 >> 20 & 63;
        let mut values: Vec<i64> = (0..129).map(|i| i * 100 + noise(i)).collect();
        values.extend((0..128).map(|i| i * 100 + noise(i) + 7_000 * i64::from(i < 64)));
        values.extend((0..128).map(|i| 9_000_001 + i * i % 1000 * i64::from(i % 31 == 5)));
        let bytes = encode(&values);
        assert_eq!(decoded(&bytes, values.len()).unwrap(), values);
        assert_eq!((bytes[0], bytes[2] & ORDER, bytes[3]), (1, NEAR_LINE, 6));
        assert!(bytes.len() < 350, "{}", bytes.len());
    }

    #[test]
    fn what_changes_seldom_is_sparse() {
        let mut at = 0;
        let values: Vec<i64> = (0..129)
            .map(|i| {
                at += if i % 5 == 3 { 9 + i % 7 } else { 0 };
                at
            })
            .collect();
        let bytes = encode(&values);
        assert_eq!(decoded(&bytes, 129).unwrap(), values);
        assert_eq!((bytes[2], bytes[3]), (DELTA | SPARSE, 3));
        assert_eq!(bytes.len(), 2 + 2 + 1 + 16 + 10);
    }

    fn column() -> impl Strategy<Value = Vec<i64>> {
        let value = prop_oneof![
            8 => (0..50i64).boxed(),
            4 => Just(0i64).boxed(),
            1 => any::<i64>().boxed(),
            1 => (0..1i64 << 40).boxed(),
        ];
        let dull = prop_oneof![30 => Just(0i64), 1 => any::<i64>(), 6 => -9..9i64];
        let sums = |orders: u32, factor: i64, mut values: Vec<i64>| {
            for _ in 0..orders {
                let mut sum = 0i64;
                for value in &mut values {
                    sum = sum.wrapping_add(*value);
                    *value = sum;
                }
            }
            values.iter_mut().for_each(|v| *v = v.wrapping_mul(factor));
            values
        };
        let factor = prop_oneof![Just(1i64), 1..1_000_000i64, any::<i64>()];
        let values = prop_oneof![
            proptest::collection::vec(value, 1..1_025),
            proptest::collection::vec(dull, 1..1_025)
        ];
        (0..3u32, factor, values).prop_map(move |(orders, factor, v)| sums(orders, factor, v))
    }

    proptest! {
        #[test]
        fn take_undoes_put(values in column()) {
            prop_assert_eq!(decoded(&encode(&values), values.len()).unwrap(), values);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), n in 0..500usize) {
            let _ = take(&mut Reader::new(&bytes), n, &mut Vec::new(), |v| v);
        }
    }
}
