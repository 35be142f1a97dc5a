//! Bit streams, most significant bit first.

/// Bits on their way to the end of a stream. It starts in the middle of the stream's last byte
/// and holds what one sample adds: at most 21 bytes, and 8 more for the write that goes over.
pub(crate) struct BitTail {
    bytes: [u8; 32],
    len: u32,
}

impl BitTail {
    /// Continues a byte of which the first `used` bits are taken.
    #[inline]
    pub(crate) fn after(last: u8, used: u32) -> Self {
        let mut bytes = [0; 32];
        bytes[0] = last;
        Self { bytes, len: used }
    }

    /// Appends the low `n` bits of `value`; the others must be 0. `n` is at most 64.
    #[inline]
    pub(crate) fn put(&mut self, value: u64, n: u32) {
        debug_assert!(n == 64 || value >> n == 0);
        if n == 0 {
            return;
        }
        let at = (self.len >> 3) as usize;
        let wide = u128::from(value) << (128 - n - (self.len & 7));
        let wide = wide.to_be_bytes();
        self.bytes[at] |= wide[0];
        self.bytes[at + 1..at + 9].copy_from_slice(&wide[1..9]);
        self.len += n;
    }

    /// The bytes touched, and how many bits of them are taken.
    #[inline]
    pub(crate) fn finish(&self) -> (&[u8], u32) {
        (&self.bytes[..self.len.div_ceil(8) as usize], self.len)
    }
}

/// Takes bits off a slice. Past the end there are zeros; [`BitReader::overran`] tells.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next 57 bits or more, at the top.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        let byte = self.at >> 3;
        let word = match self.bytes.get(byte..byte + 8) {
            Some(bytes) => u64::from_be_bytes(bytes.try_into().expect("eight bytes")),
            None => self.peek_end(byte),
        };
        word << (self.at & 7)
    }

    #[cold]
    #[inline(never)]
    fn peek_end(&self, byte: usize) -> u64 {
        let rest = self.bytes.get(byte..).unwrap_or_default();
        let mut padded = [0; 8];
        padded[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(padded)
    }

    #[inline]
    pub(crate) fn skip(&mut self, n: u32) {
        self.at += n as usize;
    }

    /// The next `n` bits, 1 to 64.
    #[inline]
    pub(crate) fn take(&mut self, n: u32) -> u64 {
        if n <= 57 {
            let bits = self.peek() >> (64 - n);
            self.skip(n);
            return bits;
        }
        let high = self.take(n - 32);
        high << 32 | self.take(32)
    }

    /// Whether more bits were taken than there are.
    pub(crate) fn overran(&self) -> bool {
        self.at > self.bytes.len() * 8
    }
}
