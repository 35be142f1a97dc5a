//! Floats, in Prometheus's XOR encoding: timestamps as differences of differences, values as
//! the bits in which they differ from the one before.
//!
//! A chunk is a big-endian `u16` (how many samples) and a bit stream. While a chunk is open the
//! count is kept beside it, and its two bytes are 0.

use ferula_model::Timestamp;

use super::bits::{BitReader, BitTail};
use crate::Damaged;
use crate::bytes::{un_zig_zag, zig_zag};

/// Bits before the first sample: the count.
pub(crate) const HEADER_BITS: u32 = 16;

/// Marks that no window of meaningful bits is set yet.
const NO_WINDOW: u8 = 0xFF;

/// What the next sample of an open chunk is encoded against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XorTail {
    /// Samples so far.
    pub(crate) count: u8,
    /// The last sample's timestamp.
    pub(crate) timestamp: Timestamp,
    /// Its distance from the one before.
    pub(crate) delta: i64,
    /// Its value's bits.
    pub(crate) value: u64,
    /// Zero bits left of the window.
    pub(crate) leading: u8,
    /// Zero bits right of the window.
    pub(crate) trailing: u8,
}

impl XorTail {
    /// The tail of a chunk without samples.
    pub(crate) fn empty() -> Self {
        Self {
            count: 0,
            timestamp: 0,
            delta: 0,
            value: 0,
            leading: NO_WINDOW,
            trailing: 0,
        }
    }

    /// Encodes one sample behind the chunk's bits. The caller bounds the count.
    #[inline]
    pub(crate) fn push(&mut self, out: &mut BitTail, timestamp: Timestamp, value: u64) {
        match self.count {
            0 => {
                put_uv(out, zig_zag(timestamp));
                out.put(value, 64);
            }
            1 => {
                self.delta = timestamp.wrapping_sub(self.timestamp);
                put_uv(out, self.delta as u64);
                self.push_value(out, value);
            }
            _ => {
                let delta = timestamp.wrapping_sub(self.timestamp);
                put_dod(out, delta.wrapping_sub(self.delta));
                self.delta = delta;
                self.push_value(out, value);
            }
        }
        self.timestamp = timestamp;
        self.value = value;
        self.count += 1;
    }

    #[inline]
    fn push_value(&mut self, out: &mut BitTail, value: u64) {
        let xor = value ^ self.value;
        if xor == 0 {
            return out.put(0, 1);
        }
        let leading = xor.leading_zeros().min(31);
        let trailing = xor.trailing_zeros();
        let (l, t) = (u32::from(self.leading), u32::from(self.trailing));
        if self.leading != NO_WINDOW && leading >= l && trailing >= t {
            out.put(0b10, 2);
            return out.put(xor >> t, 64 - l - t);
        }
        let significant = 64 - leading - trailing;
        let head = 0b11 << 11 | u64::from(leading) << 6 | u64::from(significant & 63);
        out.put(head, 13);
        out.put(xor >> trailing, significant);
        (self.leading, self.trailing) = (leading as u8, trailing as u8);
    }
}

fn put_uv(out: &mut BitTail, mut v: u64) {
    while v >= 0x80 {
        out.put(v & 0x7f | 0x80, 8);
        v >>= 7;
    }
    out.put(v, 8);
}

#[inline]
fn put_dod(out: &mut BitTail, dod: i64) {
    let low = |bits: u32| dod as u64 & ((1 << bits) - 1);
    match dod {
        0 => out.put(0, 1),
        -8_191..=8_192 => out.put(0b10 << 14 | low(14), 16),
        -65_535..=65_536 => out.put(0b110 << 17 | low(17), 20),
        -524_287..=524_288 => out.put(0b1110 << 20 | low(20), 24),
        _ => {
            out.put(0b1111, 4);
            out.put(dod as u64, 64);
        }
    }
}

/// The timestamp of the first sample, without decoding the rest.
pub(crate) fn first_timestamp(chunk: &[u8]) -> Timestamp {
    let mut r = BitReader::new(chunk);
    r.skip(HEADER_BITS);
    un_zig_zag(take_uv(&mut r).unwrap_or_default())
}

/// How many samples a finished chunk says it has.
pub(crate) fn count(chunk: &[u8]) -> u16 {
    match chunk {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// Appends the first `count` samples of a chunk to two columns.
pub(crate) fn decode(
    chunk: &[u8],
    count: usize,
    timestamps: &mut Vec<Timestamp>,
    values: &mut Vec<f64>,
) -> Result<(), Damaged> {
    // A sample after the second takes two bits or more.
    if count > chunk.len() * 4 {
        return Err(Damaged("a chunk is too short for its samples"));
    }
    if count == 0 {
        return Ok(());
    }
    timestamps.reserve(count);
    values.reserve(count);
    let mut r = BitReader::new(chunk);
    r.skip(HEADER_BITS);
    let mut t = un_zig_zag(take_uv(&mut r)?);
    let mut bits = r.take(64);
    timestamps.push(t);
    values.push(f64::from_bits(bits));
    let mut window = Window { left: 0, width: 0 };
    let mut delta = 0i64;
    if count > 1 {
        delta = take_uv(&mut r)? as i64;
        t = t.wrapping_add(delta);
        let head = r.peek();
        bits ^= window.take(&mut r, head)?;
        timestamps.push(t);
        values.push(f64::from_bits(bits));
    }
    let from = timestamps.len();
    timestamps.resize(from + count.saturating_sub(2), 0);
    let from = (from, values.len());
    values.resize(from.1 + count.saturating_sub(2), 0.0);
    let columns = timestamps[from.0..].iter_mut().zip(&mut values[from.1..]);
    for (timestamp, value) in columns {
        // Of a sample at a steady interval, one look shows timestamp and value.
        let mut head = r.peek();
        if head >> 63 == 0 {
            r.skip(1);
            head <<= 1;
        } else {
            delta = delta.wrapping_add(take_dod(&mut r));
            head = r.peek();
        }
        t = t.wrapping_add(delta);
        *timestamp = t;
        bits ^= window.take(&mut r, head)?;
        *value = f64::from_bits(bits);
    }
    if r.overran() {
        return Err(Damaged("a chunk is too short for its samples"));
    }
    Ok(())
}

/// The bits of a value that may differ from the one before.
struct Window {
    /// How far they are from the right.
    left: u32,
    /// How many there are.
    width: u32,
}

impl Window {
    /// The next value's difference. `head` is what follows, 56 bits of it or more at the top.
    #[inline]
    fn take(&mut self, r: &mut BitReader<'_>, head: u64) -> Result<u64, Damaged> {
        if head >> 63 == 0 {
            r.skip(1);
            return Ok(0);
        }
        let prefix = if head >> 62 == 0b11 {
            let leading = (head >> 57) as u32 & 31;
            let significant = match (head >> 51) as u32 & 63 {
                0 => 64,
                n => n,
            };
            self.left = 64u32
                .checked_sub(leading + significant)
                .ok_or(Damaged("a value's bits lie outside of it"))?;
            self.width = significant;
            13
        } else {
            if self.width == 0 {
                return Err(Damaged("a value refers to bits not yet named"));
            }
            2
        };
        if prefix + self.width <= 56 {
            r.skip(prefix + self.width);
            return Ok(head << prefix >> (64 - self.width) << self.left);
        }
        r.skip(prefix);
        Ok(r.take(self.width) << self.left)
    }
}

#[inline]
fn take_dod(r: &mut BitReader<'_>) -> i64 {
    let head = r.peek();
    if head >> 63 == 0 {
        r.skip(1);
        return 0;
    }
    let (prefix, bits) = match (head >> 60) as u8 {
        0b1000..=0b1011 => (2, 14),
        0b1100..=0b1101 => (3, 17),
        0b1110 => (4, 20),
        _ => {
            r.skip(4);
            return r.take(64) as i64;
        }
    };
    let raw = (head << prefix >> (64 - bits)) as i64;
    r.skip(prefix + bits);
    // The ranges are lopsided: 2^(bits−1) itself is positive.
    if raw > 1 << (bits - 1) {
        raw - (1 << bits)
    } else {
        raw
    }
}

fn take_uv(r: &mut BitReader<'_>) -> Result<u64, Damaged> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = r.take(8);
        value |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Damaged("an integer is longer than 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(samples: &[(i64, u64)]) -> Vec<u8> {
        let mut tail = XorTail::empty();
        let (mut bytes, mut bits) = (vec![0, 0], HEADER_BITS);
        for &(t, v) in samples {
            let used = bits & 7;
            let last = if used > 0 { bytes.pop().unwrap() } else { 0 };
            let mut out = BitTail::after(last, used);
            tail.push(&mut out, t, v);
            let (added, len) = out.finish();
            bytes.extend_from_slice(added);
            bits = bits - used + len;
        }
        assert_eq!(usize::from(tail.count), samples.len());
        bytes[..2].copy_from_slice(&(samples.len() as u16).to_be_bytes());
        bytes
    }

    fn decoded(bytes: &[u8], n: usize) -> Result<Vec<(i64, u64)>, Damaged> {
        let (mut ts, mut vs) = (Vec::new(), Vec::new());
        decode(bytes, n, &mut ts, &mut vs)?;
        Ok(ts
            .into_iter()
            .zip(vs.into_iter().map(f64::to_bits))
            .collect())
    }

    /// Worked out by hand from the format's description.
    #[test]
    fn golden_bytes() {
        let one = 1.0f64.to_bits();
        let samples = [
            (1_000, one),
            (2_000, one),
            (3_000, 2.0f64.to_bits()),
            (4_001, one),
        ];
        let bytes = encode(&samples);
        let expected = [
            0x00,
            0x04,
            0xD0,
            0x0F,
            0x3F,
            0xF0,
            0,
            0,
            0,
            0,
            0,
            0,
            0xE8,
            0x07,
            // 0 | 0 11 00001 001011 11111111111 | 10 + 14 bits of 1, 10 11111111111
            0b0011_0000,
            0b1001_0111,
            0b1111_1111,
            0b1110_0000,
            0b0000_0000,
            0b0110_1111,
            0b1111_1110,
        ];
        assert_eq!(bytes[..14], expected[..14]);
        assert_eq!(decoded(&bytes, 4).unwrap(), samples);
        assert_eq!(bytes, expected);
        assert_eq!(first_timestamp(&bytes), 1_000);
    }

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (0..1_000u32).prop_map(|v| f64::from(v).to_bits()),
            Just(ferula_model::stale_marker().to_bits()),
            Just((-0.0f64).to_bits()),
        ]
    }

    fn timestamp() -> impl Strategy<Value = i64> {
        prop_oneof![
            any::<i64>(),
            (0..100i64).prop_map(|i| i * 15_000),
            0..1_000_000i64
        ]
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(samples in proptest::collection::vec((timestamp(), value()), 1..250)) {
            let bytes = encode(&samples);
            prop_assert_eq!(&decoded(&bytes, samples.len()).unwrap(), &samples);
            prop_assert_eq!(first_timestamp(&bytes), samples[0].0);
            prop_assert_eq!(usize::from(count(&bytes)), samples.len());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), n in 0..2_000usize) {
            let _ = decoded(&bytes, n);
        }
    }
}
