//! Columns of integers: bit-packed differences of one width.
//!
//! ```text
//! ints       := head u8 | width u8 | first zz | [slope zz] | base zz | packed | [exceptions]
//! head       := bits 0-1 order | bits 2-7 shift
//! width      := bits 0-6 width of a packed value (0 to 56, or 64) | bit 7 exceptions follow
//! exceptions := n uv | n × (distance to the position before uv, difference zz)
//! ```
//!
//! With `p` the packed values, one for each integer but the first, and `d = base + p`, integer
//! `i` is `first + (y << shift)`, where
//!
//! - order 0: `y[i] = d[i]`
//! - order 1: `y[i] = y[i−1] + d[i]`
//! - order 2: `y[i] = y[i−1] + s[i]`, `s[i] = s[i−1] + d[i]`, `s[0] = slope`
//! - order 3: `y[i] = i · slope + d[i]`
//!
//! and `y[0] = 0`. All sums wrap. At the position of an exception `p` is the number given there.

use super::pack::{BLOCK, Packer, is_width, largest, packed_len, unpack, width_for};
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};

/// About what an exception takes.
const EXCEPTION_BITS: u64 = 48;

/// At most one value in so many is an exception: each costs time too.
const VALUES_PER_EXCEPTION: u64 = 12;

/// Narrower differences are not searched for exceptions.
const WIDTH_MIN_OF_SEARCH: u32 = 5;

/// What the packed values are differences to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Plain,
    Delta,
    DeltaOfDelta,
    Line,
}

/// How a column is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    first: i64,
    shift: u32,
    order: Order,
    slope: i64,
    base: i64,
    width: u32,
    /// How many exceptions there are.
    exceptions: u64,
}

impl Plan {
    /// The smallest form of integers, of which there is at least one.
    pub(crate) fn of(values: &[i64]) -> Self {
        let first = values[0];
        let differing = values.iter().fold(0, |bits, v| bits | (v ^ first));
        let plain = Self {
            first,
            shift: differing.trailing_zeros(),
            order: Order::Plain,
            slope: 0,
            base: 0,
            width: 0,
            exceptions: 0,
        };
        if differing == 0 {
            return Self { shift: 0, ..plain };
        }
        // Such that the first two differences of differences are the same.
        let y = |i: usize| values.get(i).unwrap_or(&first).wrapping_sub(first) >> plain.shift;
        let slope = y(1).wrapping_mul(3).wrapping_sub(y(2));
        let mut best = plain.fit(values);
        for (order, slope) in [(Order::Delta, 0), (Order::DeltaOfDelta, slope)] {
            let other = Self {
                order,
                slope,
                ..plain
            };
            best = best.or(other, values);
        }
        best
    }

    /// The same for what lies near a line, as timestamps do.
    pub(crate) fn of_line(values: &[i64]) -> Self {
        let (first, count) = (values[0], values.len() as i64 - 1);
        let step = values.get(1).map_or(0, |v| v.wrapping_sub(first));
        let regular = |pair: &[i64]| pair[1].wrapping_sub(pair[0]) == step;
        if values.windows(2).all(regular) {
            return Self {
                first,
                shift: 0,
                order: Order::Delta,
                slope: 0,
                base: step,
                width: 0,
                exceptions: 0,
            };
        }
        let best = Self::of(values);
        let last = values[values.len() - 1].wrapping_sub(first) >> best.shift;
        let line = Self {
            order: Order::Line,
            slope: last / count,
            ..best
        };
        best.or(line, values)
    }

    /// About how many bytes `n` integers take: at least so many, and a few more.
    pub(crate) fn len_min(&self, n: usize) -> usize {
        packed_len(n - 1, self.width) + 3 * self.exceptions as usize
    }

    /// This, or another order if that is smaller.
    fn or(self, other: Self, values: &[i64]) -> Self {
        if self.width == 0 {
            return self;
        }
        let other = other.fit(values);
        let cost = |plan: &Self| {
            u64::from(plan.width) * (values.len() as u64 - 1) + EXCEPTION_BITS * plan.exceptions
        };
        if cost(&other) < cost(&self) {
            other
        } else {
            self
        }
    }

    /// Finds base and width for an order.
    fn fit(mut self, values: &[i64]) -> Self {
        let (mut min, mut max, mut sum) = (i64::MAX, i64::MIN, 0i64);
        self.differences(values, |d| {
            min = min.min(d);
            max = max.max(d);
            sum = sum.wrapping_add(d);
        });
        let range = max.wrapping_sub(min) as u64;
        (self.base, self.width, self.exceptions) = (min, width_for(range), 0);
        if self.width < WIDTH_MIN_OF_SEARCH {
            return self;
        }
        // Where a few lie far from the others, the mean is near one end. A sum that overflows
        // misleads, which costs bytes and nothing else.
        let count = values.len() as u64 - 1;
        let mean = sum.wrapping_sub(min.wrapping_mul(count as i64)) as u64 / count;
        if mean < range / 8 {
            self.make_exceptions(values, range, |d| d.wrapping_sub(min) as u64);
        } else if mean > range - range / 8 {
            let all = self.width;
            self.make_exceptions(values, range, |d| max.wrapping_sub(d) as u64);
            if self.width < all {
                self.base = max.wrapping_sub(largest(self.width) as i64);
            }
        }
        self
    }

    /// Finds a smaller width that leaves out the differences far from one end of their range.
    fn make_exceptions(&mut self, values: &[i64], range: u64, distance: impl Fn(i64) -> u64) {
        let mut of_bits = [0u64; 65];
        self.differences(values, |d| {
            of_bits[64 - distance(d).leading_zeros() as usize] += 1;
        });
        let count = values.len() as u64 - 1;
        let mut least = count * u64::from(self.width);
        let mut exceptions = 0;
        for bits in (0..64 - range.leading_zeros()).rev() {
            exceptions += of_bits[bits as usize + 1];
            if exceptions > count / VALUES_PER_EXCEPTION {
                return;
            }
            let cost = count * u64::from(bits) + exceptions * EXCEPTION_BITS;
            if is_width(bits) && cost < least {
                least = cost;
                (self.width, self.exceptions) = (bits, exceptions);
            }
        }
    }

    /// Calls `f` with the difference `d` of every integer but the first.
    #[inline(always)]
    fn differences(&self, values: &[i64], mut f: impl FnMut(i64)) {
        let (first, shift) = (self.first, self.shift);
        let y = values[1..].iter().map(|v| v.wrapping_sub(first) >> shift);
        let (mut before, mut slope) = (0i64, self.slope);
        match self.order {
            Order::Plain => y.for_each(f),
            Order::Delta => y.for_each(|y| {
                f(y.wrapping_sub(before));
                before = y;
            }),
            Order::DeltaOfDelta => y.for_each(|y| {
                let delta = y.wrapping_sub(before);
                f(delta.wrapping_sub(slope));
                (before, slope) = (y, delta);
            }),
            Order::Line => y.for_each(|y| {
                before = before.wrapping_add(slope);
                f(y.wrapping_sub(before));
            }),
        }
    }

    /// Appends the integers this was made of.
    pub(crate) fn write(&self, values: &[i64], out: &mut Vec<u8>) {
        let exceptional = u8::from(self.exceptions > 0) << 7;
        out.push(self.order as u8 | (self.shift as u8) << 2);
        out.push(self.width as u8 | exceptional);
        put_zz(out, self.first);
        if matches!(self.order, Order::DeltaOfDelta | Order::Line) {
            put_zz(out, self.slope);
        }
        put_zz(out, self.base);
        if self.width == 0 && self.exceptions == 0 {
            return;
        }
        let (base, most) = (self.base, largest(self.width));
        let mut exceptions = Vec::new();
        let mut packer = Packer::new(out, values.len() - 1, self.width);
        let mut at = 0;
        self.differences(values, |d| {
            let mut packed = d.wrapping_sub(base) as u64;
            if packed > most {
                exceptions.push((at, packed as i64));
                packed = 0;
            }
            packer.push(packed);
            at += 1;
        });
        packer.finish();
        debug_assert_eq!(exceptions.len() as u64, self.exceptions);
        if self.exceptions > 0 {
            put_uv(out, self.exceptions);
            let mut before = 0;
            for (at, packed) in exceptions {
                put_uv(out, at - before);
                put_zz(out, packed);
                before = at;
            }
        }
    }
}

/// Appends `n` integers, each through `map`.
#[inline]
pub(crate) fn decode<T: Copy>(
    r: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<T>,
    map: impl Fn(i64) -> T,
) -> Result<(), Damaged> {
    let (head, width) = (r.u8()?, r.u8()?);
    let (order, shift) = (head & 3, u32::from(head >> 2));
    let (width, exceptional) = (u32::from(width & 0x7f), width >> 7 != 0);
    let first = r.zz()?;
    let slope = if order >= 2 { r.zz()? } else { 0 };
    let base = r.zz()?;
    if n == 0 || !is_width(width) {
        return Err(Damaged("a column's form is not known"));
    }
    let count = n - 1;
    let packed = r.rest();
    r.slice(packed_len(count, width))?;
    let mut exceptions = Exceptions::read(r, exceptional, count)?;

    let at = out.len();
    out.resize(at + n, map(first));
    let out = &mut out[at + 1..];
    let mut sums = Sums {
        sum: first,
        step: slope << shift,
        base,
        shift,
    };
    if width == 0 && order == Order::Delta as u8 && !exceptional {
        sums.line(out, map);
        return Ok(());
    }
    let mut block = [0; BLOCK];
    for (i, out) in out.chunks_mut(BLOCK).enumerate() {
        let packed = &packed[packed_len(i * BLOCK, width)..];
        unpack(packed, width, out.len(), &mut block);
        exceptions.put(i * BLOCK, &mut block[..out.len()])?;
        match order {
            0 => sums.plain(&block, out, &map),
            1 => sums.deltas(&block, out, &map),
            2 => sums.deltas_of_deltas(&block, out, &map),
            _ => sums.near_line(&block, out, &map),
        }
    }
    Ok(())
}

/// Makes integers of packed values, block by block. Everything is kept shifted, which does not
/// change sums that wrap.
struct Sums {
    /// The integer before.
    sum: i64,
    /// Its distance to the one before it, or that of a line's points.
    step: i64,
    base: i64,
    shift: u32,
}

// What the loops need is in local variables: a store to `out` could otherwise change it, for all
// the compiler knows.
impl Sums {
    fn line<T>(&self, out: &mut [T], map: impl Fn(i64) -> T) {
        let (mut sum, step) = (self.sum, self.base << self.shift);
        for out in out {
            sum = sum.wrapping_add(step);
            *out = map(sum);
        }
    }

    fn plain<T>(&self, packed: &[u64], out: &mut [T], map: impl Fn(i64) -> T) {
        let Self {
            sum, base, shift, ..
        } = *self;
        let zero = sum.wrapping_add(base << shift);
        for (out, &p) in out.iter_mut().zip(packed) {
            *out = map(zero.wrapping_add((p << shift) as i64));
        }
    }

    fn deltas<T>(&mut self, packed: &[u64], out: &mut [T], map: impl Fn(i64) -> T) {
        let (mut sum, base, shift) = (self.sum, self.base, self.shift);
        for (out, &p) in out.iter_mut().zip(packed) {
            sum = sum.wrapping_add(base.wrapping_add(p as i64) << shift);
            *out = map(sum);
        }
        self.sum = sum;
    }

    fn deltas_of_deltas<T>(&mut self, packed: &[u64], out: &mut [T], map: impl Fn(i64) -> T) {
        let Self {
            mut sum,
            mut step,
            base,
            shift,
        } = *self;
        for (out, &p) in out.iter_mut().zip(packed) {
            step = step.wrapping_add(base.wrapping_add(p as i64) << shift);
            sum = sum.wrapping_add(step);
            *out = map(sum);
        }
        (self.sum, self.step) = (sum, step);
    }

    fn near_line<T>(&mut self, packed: &[u64], out: &mut [T], map: impl Fn(i64) -> T) {
        let Self {
            mut sum,
            step,
            base,
            shift,
        } = *self;
        for (out, &p) in out.iter_mut().zip(packed) {
            sum = sum.wrapping_add(step);
            *out = map(sum.wrapping_add(base.wrapping_add(p as i64) << shift));
        }
        self.sum = sum;
    }
}

/// The exceptions still to come.
struct Exceptions<'a> {
    list: Reader<'a>,
    left: u64,
    /// Where the one before was.
    at: u64,
}

impl<'a> Exceptions<'a> {
    /// Reads over them, if there are any.
    fn read(r: &mut Reader<'a>, any: bool, count: usize) -> Result<Self, Damaged> {
        let left = if any { r.uv()? } else { 0 };
        if left > count as u64 {
            return Err(Damaged("a column has more exceptions than values"));
        }
        let list = r.clone();
        for _ in 0..left {
            r.uv()?;
            r.zz()?;
        }
        Ok(Self { list, left, at: 0 })
    }

    /// Puts those of a block in place; `from` is where it begins.
    fn put(&mut self, from: usize, block: &mut [u64]) -> Result<(), Damaged> {
        while self.left > 0 {
            let mut ahead = self.list.clone();
            let at = self.at.saturating_add(ahead.uv()?);
            let Some(place) = block.get_mut((at - from as u64) as usize) else {
                break;
            };
            *place = ahead.zz()? as u64;
            (self.list, self.at) = (ahead, at);
            self.left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(plan: &Plan, values: &[i64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        plan.write(values, &mut bytes);
        assert!(bytes.len() >= plan.len_min(values.len()));
        bytes
    }

    fn decoded(bytes: &[u8], n: usize) -> Result<Vec<i64>, Damaged> {
        let (mut r, mut out) = (Reader::new(bytes), Vec::new());
        decode(&mut r, n, &mut out, |v| v)?;
        assert!(r.is_empty());
        Ok(out)
    }

    fn check(values: &[i64], expected: &[u8]) {
        let bytes = encode(&Plan::of(values), values);
        assert_eq!(bytes, expected);
        assert_eq!(decoded(&bytes, values.len()).unwrap(), values);
    }

    /// Worked out by hand from the format's description.
    #[test]
    fn golden_bytes() {
        // One integer, and the same one again: order 0, nothing packed.
        check(&[-3], &[0, 0, 5, 0]);
        check(&[-3, -3], &[0, 0, 5, 0]);
        // Multiples of 4 apart: d = 2, -1, 1, that is -1 and 3, 0, 2 in two bits.
        check(&[5, 13, 1, 9], &[2 << 2, 2, 10, 1, 0b10_00_11]);
        // Order 1: d = 7, 8, 10, 7, that is 7 and 0, 1, 3, 0.
        check(
            &[100, 107, 115, 125, 132],
            &[1, 2, 200, 1, 14, 0b00_11_01_00],
        );
        // Order 2: a slope of -1 before steps of 1, 3, 5; that is always 2 more.
        let quadratic: Vec<i64> = (0..40).map(|i| i * i).collect();
        check(&quadratic, &[2, 0, 0, 1, 4]);
    }

    #[test]
    fn a_reset_is_an_exception() {
        let values: Vec<i64> = (0..60i64)
            .map(|i| i % 40 * 100 + i * 7 % 3 + 1_000_000 * i64::from(i < 40))
            .collect();
        let bytes = encode(&Plan::of(&values), &values);
        assert_eq!(decoded(&bytes, 60).unwrap(), values);
        // 59 values of 2 bits, and one that is far away.
        assert_eq!((bytes[0], bytes[1]), (1, 2 | 0x80));
        assert_eq!(bytes[bytes.len() - 5..bytes.len() - 3], [1, 39]);
    }

    #[test]
    fn times_that_jitter_lie_near_a_line() {
        let times: Vec<i64> = (0..100).map(|i| i * 15_000 + i * 37 % 8).collect();
        let plan = Plan::of_line(&times);
        assert_eq!((plan.order, plan.width), (Order::Line, 3));
        assert_eq!(decoded(&encode(&plan, &times), 100).unwrap(), times);
        let regular: Vec<i64> = (0..100).map(|i| 7 + i * 15_000).collect();
        let bytes = encode(&Plan::of_line(&regular), &regular);
        assert_eq!(bytes, [1, 0, 14, 0xb0, 0xea, 1]);
        assert_eq!(decoded(&bytes, 100).unwrap(), regular);
    }

    fn column() -> impl Strategy<Value = Vec<i64>> {
        let value = prop_oneof![
            8 => (0..50i64).boxed(),
            1 => any::<i64>().boxed(),
            1 => (0..1i64 << 40).boxed(),
        ];
        let sums = |orders: u32, shift: u32, mut values: Vec<i64>| {
            for _ in 0..orders {
                let mut sum = 0i64;
                for value in &mut values {
                    sum = sum.wrapping_add(*value);
                    *value = sum;
                }
            }
            values.iter_mut().for_each(|v| *v <<= shift);
            values
        };
        let shift = prop_oneof![Just(0), 0..64u32];
        (0..3u32, shift, proptest::collection::vec(value, 1..400))
            .prop_map(move |(orders, shift, values)| sums(orders, shift, values))
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(values in column()) {
            for plan in [Plan::of(&values), Plan::of_line(&values)] {
                prop_assert_eq!(&decoded(&encode(&plan, &values), values.len()).unwrap(), &values);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), n in 0..500usize) {
            let _ = decode(&mut Reader::new(&bytes), n, &mut Vec::new(), |v| v);
        }
    }
}
