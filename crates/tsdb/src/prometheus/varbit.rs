//! Integers of few bits if they are small, as chunks of native histograms have them.
//!
//! A prefix of one to eight bits says how many bits follow. The ranges of signed integers are
//! lopsided: of `k` bits, `-(2^(k-1) - 1)` to `2^(k-1)`.

use crate::Damaged;
use crate::bytes::un_zig_zag;
use crate::chunk::bits::BitReader;

/// How many bits follow the prefixes `10`, `110` and so on; the last has no closing zero.
const WIDTHS: [u32; 8] = [3, 6, 9, 12, 18, 25, 56, 64];

/// Bits on their way into bytes, most significant first.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits taken of the last byte; 0 if it is full.
    used: u32,
}

impl BitWriter {
    /// Begins behind whole bytes.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, used: 0 }
    }

    /// Appends the low `n` bits of `value`, at most 64.
    pub(crate) fn put(&mut self, value: u64, mut n: u32) {
        while n > 0 {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let free = 8 - self.used;
            let take = free.min(n);
            let piece = (value >> (n - take)) & ((1 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (piece << (free - take)) as u8;
            }
            self.used = (self.used + take) & 7;
            n -= take;
        }
    }

    /// Appends a signed integer.
    pub(crate) fn put_int(&mut self, value: i64) {
        if value == 0 {
            return self.put(0, 1);
        }
        let fits = |&bits: &u32| {
            let high = 1i64 << (bits - 1);
            -high < value && value <= high
        };
        let at = WIDTHS[..7].iter().position(fits).unwrap_or(7);
        self.put_prefixed(at, value as u64);
    }

    /// Appends an unsigned integer.
    pub(crate) fn put_uint(&mut self, value: u64) {
        if value == 0 {
            return self.put(0, 1);
        }
        let at = WIDTHS[..7].iter().position(|&bits| value >> bits == 0);
        self.put_prefixed(at.unwrap_or(7), value);
    }

    fn put_prefixed(&mut self, at: usize, value: u64) {
        // `10`, `110`, …, `11111110`, and for the widest `11111111`.
        let (prefix, length) = match at {
            7 => (0xff, 8),
            at => ((1 << (at + 2)) - 2, at as u32 + 2),
        };
        self.put(prefix, length);
        self.put(value, WIDTHS[at]);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bits that follow a prefix, and how many they are; none for a plain zero.
fn take_prefixed(r: &mut BitReader<'_>) -> Option<(u64, u32)> {
    let ones = (r.peek() >> 56 << 56).leading_ones();
    if ones == 0 {
        r.skip(1);
        return None;
    }
    let bits = WIDTHS[ones as usize - 1];
    r.skip((ones + 1).min(8));
    Some((r.take(bits), bits))
}

/// Takes a signed integer.
pub(crate) fn take_int(r: &mut BitReader<'_>) -> i64 {
    match take_prefixed(r) {
        None => 0,
        Some((raw, 64)) => raw as i64,
        Some((raw, bits)) if raw > 1 << (bits - 1) => raw as i64 - (1i64 << bits),
        Some((raw, _)) => raw as i64,
    }
}

/// Takes an unsigned integer.
pub(crate) fn take_uint(r: &mut BitReader<'_>) -> u64 {
    take_prefixed(r).map_or(0, |(raw, _)| raw)
}

/// Takes an integer in groups of seven bits, zig-zagged.
pub(crate) fn take_varint(r: &mut BitReader<'_>) -> Result<i64, Damaged> {
    take_uvarint(r).map(un_zig_zag)
}

/// Takes an integer in groups of seven bits.
pub(crate) fn take_uvarint(r: &mut BitReader<'_>) -> Result<u64, Damaged> {
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

/// The bits in which a double may differ from the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    leading: u32,
    trailing: u32,
    set: bool,
}

impl Window {
    /// No window yet.
    pub(crate) const NONE: Self = Self {
        leading: 0,
        trailing: 0,
        set: false,
    };

    /// Appends what differs.
    pub(crate) fn put(&mut self, out: &mut BitWriter, xor: u64) {
        if xor == 0 {
            return out.put(0, 1);
        }
        let leading = xor.leading_zeros().min(31);
        let trailing = xor.trailing_zeros();
        if self.set && leading >= self.leading && trailing >= self.trailing {
            out.put(0b10, 2);
        } else {
            (self.leading, self.trailing, self.set) = (leading, trailing, true);
            out.put(0b11, 2);
            out.put(leading.into(), 5);
            out.put(u64::from(64 - leading - trailing) & 63, 6);
        }
        let significant = 64 - self.leading - self.trailing;
        out.put(xor >> self.trailing, significant);
    }

    /// Takes what differs: `0`, or `10` and bits in the window, or `11` and a new window.
    pub(crate) fn take(&mut self, r: &mut BitReader<'_>) -> Result<u64, Damaged> {
        if r.take(1) == 0 {
            return Ok(0);
        }
        match r.take(1) {
            0 => self.take_in(r),
            _ => self.take_new(r),
        }
    }

    /// Takes bits that lie in the window.
    pub(crate) fn take_in(&self, r: &mut BitReader<'_>) -> Result<u64, Damaged> {
        if !self.set {
            return Err(Damaged("a value refers to a window before there is one"));
        }
        Ok(r.take(64 - self.leading - self.trailing) << self.trailing)
    }

    /// Takes a window and the bits in it.
    pub(crate) fn take_new(&mut self, r: &mut BitReader<'_>) -> Result<u64, Damaged> {
        let leading = r.take(5) as u32;
        let significant = match r.take(6) as u32 {
            0 => 64,
            bits => bits,
        };
        if leading + significant > 64 {
            return Err(Damaged("a window is wider than a value"));
        }
        (self.leading, self.trailing) = (leading, 64 - leading - significant);
        self.set = true;
        self.take_in(r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(put: impl FnOnce(&mut BitWriter)) -> Vec<u8> {
        let mut out = BitWriter::default();
        put(&mut out);
        out.finish()
    }

    /// Worked out by hand from the format's description.
    #[test]
    fn golden_bits() {
        assert_eq!(written(|w| w.put_int(0)), [0]);
        // 10 and three bits: -3 is 101, 4 is 100.
        assert_eq!(written(|w| w.put_int(-3)), [0b1010_1000]);
        assert_eq!(written(|w| w.put_int(4)), [0b1010_0000]);
        // 110 and six bits.
        assert_eq!(written(|w| w.put_int(-4)), [0b1101_1110, 0]);
        assert_eq!(written(|w| w.put_uint(7)), [0b1011_1000]);
        assert_eq!(written(|w| w.put_uint(8)), [0b1100_0100, 0]);
        let mut widest = vec![0xff];
        widest.extend(i64::MIN.to_be_bytes());
        assert_eq!(written(|w| w.put_int(i64::MIN)), widest);
    }

    fn spread() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64u32).prop_map(|(v, shift)| v >> shift)
    }

    proptest! {
        #[test]
        fn integers_survive(values in proptest::collection::vec((spread(), any::<bool>()), 1..50)) {
            let bytes = written(|w| {
                for &(v, negative) in &values {
                    w.put_uint(v);
                    w.put_int(if negative { (v as i64).wrapping_neg() } else { v as i64 });
                }
            });
            let mut r = BitReader::new(&bytes);
            for &(v, negative) in &values {
                prop_assert_eq!(take_uint(&mut r), v);
                let signed = if negative { (v as i64).wrapping_neg() } else { v as i64 };
                prop_assert_eq!(take_int(&mut r), signed);
            }
            prop_assert!(!r.overran());
        }

        #[test]
        fn differences_survive(values in proptest::collection::vec((any::<u64>(), 0..64u32, 0..64u32), 1..50)) {
            let values: Vec<u64> = values.iter().map(|&(v, l, t)| v >> l >> t << t).collect();
            let mut window = Window::NONE;
            let bytes = written(|w| values.iter().for_each(|&v| window.put(w, v)));
            let (mut r, mut window) = (BitReader::new(&bytes), Window::NONE);
            for &v in &values {
                prop_assert_eq!(window.take(&mut r).unwrap(), v);
            }
        }
    }
}
