//! Protobuf's wire format, read in place.

use crate::error::{Problem, WireError};

/// How deep groups may nest in fields that are skipped. Nobody has sent groups for a decade.
pub(crate) const GROUP_DEPTH_MAX: u32 = 64;

/// Reads one message: `bytes` is the whole body up to where the message ends, so that a position
/// is an offset into the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
}

/// A field's value as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    /// A message, a text or packed numbers.
    Bytes(Reader<'a>),
    Group,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    /// Where its tag begins.
    pub(crate) start: usize,
    pub(crate) wire: Wire<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    /// The position of the next byte.
    #[inline(always)]
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// What lies between two positions that fields of this message had.
    #[inline(always)]
    pub(crate) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        &self.bytes[start..end]
    }

    /// A reader of what lies between two positions that fields of this message had.
    #[inline(always)]
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        Self {
            bytes: &self.bytes[..end],
            pos: start,
        }
    }

    /// The next field, or `None` at the message's end.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.pos >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.pos;
        let (number, wire_type) = self.tag()?;
        let wire = self.value(number, wire_type, start)?;
        Ok(Some(Field {
            number,
            start,
            wire,
        }))
    }

    #[inline(always)]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let start = self.pos;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || tag > u32::MAX.into() {
            return Problem::FieldNumber.at(start);
        }
        Ok((number as u32, (tag & 7) as u8))
    }

    #[inline(always)]
    fn value(&mut self, number: u32, wire_type: u8, start: usize) -> Result<Wire<'a>, WireError> {
        match wire_type {
            0 => self.varint().map(Wire::Varint),
            1 => self.fixed64().map(Wire::Fixed64),
            2 => self.bytes().map(Wire::Bytes),
            5 => {
                self.skip(4)?;
                Ok(Wire::Fixed32)
            }
            3 => {
                self.skip_group(number, 1)?;
                Ok(Wire::Group)
            }
            4 => Problem::Group.at(start),
            _ => Problem::WireType {
                field: number,
                wire_type,
            }
            .at(start),
        }
    }

    /// The next varint.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.bytes.get(self.pos) {
            Some(&byte) if byte < 0x80 => {
                self.pos += 1;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (i, &byte) in self.bytes[self.pos..].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                // The tenth byte holds the last bit.
                if i == 9 && byte > 1 {
                    break;
                }
                self.pos += i + 1;
                return Ok(value);
            }
        }
        if self.bytes.len() - self.pos < 10 {
            return Problem::Truncated.at(self.pos);
        }
        Problem::Varint.at(self.pos)
    }

    /// The next eight bytes, little-endian.
    #[inline(always)]
    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let Some(bytes) = self.bytes[self.pos..].first_chunk() else {
            return Problem::Truncated.at(self.pos);
        };
        self.pos += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline(always)]
    fn bytes(&mut self) -> Result<Self, WireError> {
        let start = self.pos;
        let len = self.varint()?;
        if len > (self.bytes.len() - self.pos) as u64 {
            return Problem::Truncated.at(start);
        }
        let end = self.pos + len as usize;
        let inner = self.part(self.pos, end);
        self.pos = end;
        Ok(inner)
    }

    fn skip(&mut self, len: usize) -> Result<(), WireError> {
        if self.bytes.len() - self.pos < len {
            return Problem::Truncated.at(self.pos);
        }
        self.pos += len;
        Ok(())
    }

    #[cold]
    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), WireError> {
        if depth > GROUP_DEPTH_MAX {
            return Problem::GroupDepth.at(self.pos);
        }
        loop {
            let start = self.pos;
            if start >= self.bytes.len() {
                return Problem::Group.at(start);
            }
            match self.tag()? {
                (end, 4) if end == number => return Ok(()),
                (inner, 3) => self.skip_group(inner, depth + 1)?,
                (inner, wire_type) => {
                    self.value(inner, wire_type, start)?;
                }
            }
        }
    }

    /// The rest of the message as text.
    #[inline(always)]
    fn text(self) -> Result<&'a str, WireError> {
        match std::str::from_utf8(&self.bytes[self.pos..]) {
            Ok(text) => Ok(text),
            Err(error) => Problem::Utf8.at(self.pos + error.valid_up_to()),
        }
    }
}

/// What the schema says a field is; anything else on the wire is refused.
impl<'a> Field<'a> {
    #[cold]
    fn mismatch<T>(&self) -> Result<T, WireError> {
        let wire_type = match self.wire {
            Wire::Varint(_) => 0,
            Wire::Fixed64(_) => 1,
            Wire::Bytes(_) => 2,
            Wire::Group => 3,
            Wire::Fixed32 => 5,
        };
        Problem::WireType {
            field: self.number,
            wire_type,
        }
        .at(self.start)
    }

    #[inline(always)]
    pub(crate) fn message(&self) -> Result<Reader<'a>, WireError> {
        match self.wire {
            Wire::Bytes(reader) => Ok(reader),
            _ => self.mismatch(),
        }
    }

    #[inline(always)]
    pub(crate) fn text(&self) -> Result<&'a str, WireError> {
        self.message()?.text()
    }

    #[inline(always)]
    pub(crate) fn double(&self) -> Result<f64, WireError> {
        match self.wire {
            Wire::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => self.mismatch(),
        }
    }

    #[inline(always)]
    pub(crate) fn uint64(&self) -> Result<u64, WireError> {
        match self.wire {
            Wire::Varint(value) => Ok(value),
            _ => self.mismatch(),
        }
    }

    /// Plain (not zigzag) signed integers are sign-extended to 64 bits on the wire.
    #[inline(always)]
    pub(crate) fn int64(&self) -> Result<i64, WireError> {
        self.uint64().map(|v| v as i64)
    }

    pub(crate) fn sint32(&self) -> Result<i32, WireError> {
        self.uint64().map(|v| {
            let v = v as u32;
            (v >> 1) as i32 ^ -((v & 1) as i32)
        })
    }

    /// Calls `take` with each number of a repeated field, packed or not.
    pub(crate) fn each_sint64(&self, mut take: impl FnMut(i64)) -> Result<(), WireError> {
        let unzigzag = |v: u64| (v >> 1) as i64 ^ -((v & 1) as i64);
        match self.wire {
            Wire::Varint(value) => take(unzigzag(value)),
            Wire::Bytes(mut packed) => {
                while packed.pos < packed.bytes.len() {
                    take(unzigzag(packed.varint()?));
                }
            }
            _ => return self.mismatch(),
        }
        Ok(())
    }

    /// Calls `take` with each number of a repeated field, packed or not.
    pub(crate) fn each_double(&self, mut take: impl FnMut(f64)) -> Result<(), WireError> {
        match self.wire {
            Wire::Fixed64(bits) => take(f64::from_bits(bits)),
            Wire::Bytes(mut packed) => {
                while packed.pos < packed.bytes.len() {
                    take(f64::from_bits(packed.fixed64()?));
                }
            }
            _ => return self.mismatch(),
        }
        Ok(())
    }
}

/// Iterates over the messages that a repeated field of a message holds; over nothing more once
/// one is malformed.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    reader: Reader<'a>,
    number: u32,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(reader: Reader<'a>, number: u32) -> Self {
        Self { reader, number }
    }

    #[cold]
    fn stop(&mut self) {
        self.reader.pos = self.reader.bytes.len();
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Reader<'a>, WireError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let message = match self.reader.next() {
                Ok(None) => return None,
                Ok(Some(field)) if field.number != self.number => continue,
                Ok(Some(field)) => field.message(),
                Err(error) => Err(error),
            };
            if message.is_err() {
                self.stop();
            }
            return Some(message);
        }
    }
}
