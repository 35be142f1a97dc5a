//! Integers of one width, packed: value `i` is the bits from `i · width` on, least significant
//! first.
//!
//! Unpacking is compiled once per width, so that every shift is a constant and eight values take
//! one check of a length: this is most of what a query over a long range does.

/// Wider values are kept in 64 bits.
const WIDTH_MAX: u32 = 56;

/// As many values are unpacked at once. A multiple of eight: a block begins at a byte.
pub(crate) const BLOCK: usize = 128;

/// The width for values up to `max`.
#[inline]
pub(crate) fn width_for(max: u64) -> u32 {
    match 64 - max.leading_zeros() {
        width if width > WIDTH_MAX => 64,
        width => width,
    }
}

/// Whether there may be values of this width.
pub(crate) fn is_width(width: u32) -> bool {
    width <= WIDTH_MAX || width == 64
}

/// The largest value of a width.
#[inline]
pub(crate) fn largest(width: u32) -> u64 {
    u64::MAX.checked_shr(64 - width).unwrap_or_default()
}

/// How many bytes `n` values take.
#[inline]
pub(crate) fn packed_len(n: usize, width: u32) -> usize {
    (n * width as usize).div_ceil(8)
}

/// Appends values of one width to bytes.
pub(crate) struct Packer<'a> {
    out: &'a mut Vec<u8>,
    /// What of the next byte is taken.
    carry: u64,
    /// Where the next value begins, in bits.
    at: usize,
    width: u32,
    end: usize,
}

impl<'a> Packer<'a> {
    /// Makes room for `n` values.
    pub(crate) fn new(out: &'a mut Vec<u8>, n: usize, width: u32) -> Self {
        let at = out.len() * 8;
        let end = out.len() + packed_len(n, width);
        // Eight bytes are written at a time.
        out.resize(end + 8, 0);
        Self {
            out,
            carry: 0,
            at,
            width,
            end,
        }
    }

    /// Appends `value`, which is below 2^width.
    #[inline]
    pub(crate) fn push(&mut self, value: u64) {
        let byte = self.at / 8;
        let word = self.carry | value << (self.at % 8);
        self.out[byte..byte + 8].copy_from_slice(&word.to_le_bytes());
        self.at += self.width as usize;
        let full = self.at / 8 - byte;
        self.carry = word.checked_shr(full as u32 * 8).unwrap_or_default();
    }

    /// Ends after the last value.
    pub(crate) fn finish(self) {
        self.out.truncate(self.end);
    }
}

/// Unpacks `n` values, at most a block, from the start of `bytes`. What follows them there does
/// not matter.
#[inline]
pub(crate) fn unpack(bytes: &[u8], width: u32, n: usize, out: &mut [u64; BLOCK]) {
    macro_rules! by_width {
        ($($w:literal)*) => {
            match width {
                0 => out[..n].fill(0),
                $($w => unpack_width::<$w>(bytes, n, out),)*
                _ => unpack_width::<64>(bytes, n, out),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
        31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56);
}

#[inline(never)]
fn unpack_width<const W: usize>(bytes: &[u8], n: usize, out: &mut [u64; BLOCK]) {
    let (groups, _) = out.as_chunks_mut::<8>();
    for (i, group) in groups[..n.div_ceil(8)].iter_mut().enumerate() {
        let rest = bytes.get(i * W..).unwrap_or_default();
        match rest.get(..W + 8) {
            Some(window) => unpack_group::<W>(window, group),
            None => {
                let mut padded = [0; 72];
                padded[..rest.len()].copy_from_slice(rest);
                unpack_group::<W>(&padded[..W + 8], group);
            }
        }
    }
}

/// Eight values take `W` bytes; the last one is read with up to eight bytes behind them.
#[inline(always)]
fn unpack_group<const W: usize>(window: &[u8], out: &mut [u64; 8]) {
    for (i, value) in out.iter_mut().enumerate() {
        let bit = i * W;
        let word = window[bit / 8..bit / 8 + 8].try_into();
        let word = u64::from_le_bytes(word.expect("eight bytes"));
        *value = word >> (bit % 8) & (u64::MAX >> (64 - W));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let mut bytes = vec![0xff];
        let mut packer = Packer::new(&mut bytes, 3, 5);
        for value in [0b10101, 0b00011, 0b11110] {
            packer.push(value);
        }
        packer.finish();
        assert_eq!(bytes, [0xff, 0b0111_0101, 0b0111_1000]);
    }

    proptest! {
        #[test]
        fn unpack_undoes_pack(width in 0..=64u32, values in proptest::collection::vec(any::<u64>(), 0..=BLOCK), behind in 0..20usize) {
            let width = width_for(largest(width));
            let values: Vec<u64> = values.into_iter().map(|v| v & largest(width)).collect();
            let mut bytes = Vec::new();
            let mut packer = Packer::new(&mut bytes, values.len(), width);
            values.iter().for_each(|&v| packer.push(v));
            packer.finish();
            prop_assert_eq!(bytes.len(), packed_len(values.len(), width));
            bytes.extend(vec![0xff; behind]);
            let mut out = [7; BLOCK];
            unpack(&bytes, width, values.len(), &mut out);
            prop_assert_eq!(&out[..values.len()], &values);
        }
    }
}
