//! Variable-length integers: LEB128 (`uv`), and zig-zag before it (`zz`).

use crate::Damaged;

/// Maps small magnitudes of either sign to small numbers.
#[inline]
pub(crate) fn zig_zag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// Undoes [`zig_zag`].
#[inline]
pub(crate) fn un_zig_zag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

/// Appends `v` in groups of seven bits, low ones first.
#[inline]
pub(crate) fn put_uv(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends `v`, zig-zagged.
#[inline]
pub(crate) fn put_zz(out: &mut Vec<u8>, v: i64) {
    put_uv(out, zig_zag(v));
}

/// Takes values off a slice; running out of bytes is an error.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left, a bound for any count that follows.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.rest.split_first().ok_or(Damaged("too short"))?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn uv(&mut self) -> Result<u64, Damaged> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..70).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(Damaged("an integer is longer than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged("an integer is longer than 64 bits"))
    }

    #[inline]
    pub(crate) fn zz(&mut self) -> Result<i64, Damaged> {
        Ok(un_zig_zag(self.uv()?))
    }

    /// An unsigned integer of at most 32 bits.
    #[inline]
    pub(crate) fn uv32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.uv()?).map_err(|_| Damaged("an integer is longer than 32 bits"))
    }

    pub(crate) fn slice(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Damaged("too short"))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Damaged("too short"))?;
        self.rest = rest;
        Ok(*head)
    }

    /// Eight bytes, little-endian, as a double's bits.
    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, Damaged> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    /// `uv` length, then that many bytes of UTF-8.
    pub(crate) fn str(&mut self) -> Result<&'a str, Damaged> {
        let len = usize::try_from(self.uv()?).map_err(|_| Damaged("too short"))?;
        std::str::from_utf8(self.slice(len)?).map_err(|_| Damaged("text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive() {
        for v in [
            0,
            1,
            63,
            64,
            127,
            128,
            16_383,
            16_384,
            u64::MAX >> 1,
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put_uv(&mut out, v);
            assert_eq!(Reader::new(&out).uv(), Ok(v));
            assert_eq!(zig_zag(un_zig_zag(v)), v);
        }
        assert!(Reader::new(&[0xff; 10]).uv().is_err());
        assert!(Reader::new(&[0x80]).uv().is_err());
    }
}
