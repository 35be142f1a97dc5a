//! Frames: one per commit, with a checksum.
//!
//! ```text
//! frame := len u32 | kind u8 | codec u8 | epoch u16 | commit u64 | raw_len u32 | crc32c u32 | body
//! ```
//!
//! Little-endian. `len` is the body's, `epoch` the low 16 bits of the writer's; the checksum
//! covers all fields before it and the body. Where no frame has been written there are zeros.

/// Bytes before the body.
pub const HEADER_BYTES: usize = 24;

/// The only codec in use: the body as it is.
const RAW: u8 = 0;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Data,
    /// A new writer: whatever an older epoch writes after it is dead.
    Fence,
    /// The log ends here, for good.
    Seal,
}

/// A frame that has been read and checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: Kind,
    /// The low bits of its writer's epoch.
    pub epoch_low: u16,
    /// Its number in the log.
    pub commit: u64,
    /// Records, or a fence's content.
    pub body: &'a [u8],
}

/// A frame being put together: records are appended behind room for the header.
#[derive(Debug)]
pub struct FrameBuf {
    bytes: Vec<u8>,
}

impl Default for FrameBuf {
    fn default() -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
        }
    }
}

impl FrameBuf {
    /// Starts anew, keeping up to `keep` bytes of memory.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.truncate(HEADER_BYTES);
        self.bytes.shrink_to(keep);
    }

    /// Where records are appended.
    pub fn body(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES
    }

    /// Bytes of the whole frame.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Fills the header in and gives the frame's bytes. The caller has checked that the body's
    /// length has 32 bits.
    pub(super) fn finish(&mut self, kind: Kind, epoch: u64, commit: u64) -> &[u8] {
        let len = (self.bytes.len() - HEADER_BYTES) as u32;
        let (header, body) = self.bytes.split_at_mut(HEADER_BYTES);
        header[..4].copy_from_slice(&len.to_le_bytes());
        header[4] = match kind {
            Kind::Data => 0,
            Kind::Fence => 1,
            Kind::Seal => 2,
        };
        header[5] = RAW;
        header[6..8].copy_from_slice(&(epoch as u16).to_le_bytes());
        header[8..16].copy_from_slice(&commit.to_le_bytes());
        header[16..20].copy_from_slice(&len.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..20]), body);
        header[20..24].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

/// What a frame's header says, before its body has been checked.
pub(super) struct Header {
    pub(super) len: u32,
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// `None` where no frame was written.
    pub(super) fn parse(bytes: [u8; HEADER_BYTES]) -> Option<Self> {
        let len = u32::from_le_bytes(field(&bytes, 0));
        (bytes != [0; HEADER_BYTES]).then_some(Self { len, bytes })
    }

    /// The number it says it has.
    pub(super) fn commit(&self) -> u64 {
        u64::from_le_bytes(field(&self.bytes, 8))
    }

    /// The frame, if the checksum and everything else is right; or what is wrong.
    pub(super) fn check<'a>(&self, body: &'a [u8]) -> Result<Frame<'a>, &'static str> {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&self.bytes[..20]), body);
        if crc.to_le_bytes() != field(&self.bytes, 20) {
            return Err("the checksum is wrong");
        }
        if self.bytes[5] != RAW || field(&self.bytes, 16) != self.len.to_le_bytes() {
            return Err("a codec this version does not know");
        }
        let kind = match self.bytes[4] {
            0 => Kind::Data,
            1 => Kind::Fence,
            2 => Kind::Seal,
            _ => return Err("a kind of frame this version does not know"),
        };
        let epoch_low = u16::from_le_bytes(field(&self.bytes, 6));
        Ok(Frame {
            kind,
            epoch_low,
            commit: self.commit(),
            body,
        })
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}

/// The content of a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The epoch that begins.
    pub epoch: u64,
    /// Chosen at random by its writer.
    pub nonce: [u8; 16],
    /// The writer's wall clock, in milliseconds; only for those who read.
    pub wall_ms: i64,
}

impl Fence {
    /// Bytes of the content.
    pub const BYTES: usize = 32;

    /// The content as bytes.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&self.epoch.to_le_bytes());
        out[8..24].copy_from_slice(&self.nonce);
        out[24..].copy_from_slice(&self.wall_ms.to_le_bytes());
        out
    }

    /// Reads the content.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let body: &[u8; Self::BYTES] = body.try_into().ok()?;
        Some(Self {
            epoch: u64::from_le_bytes(field(body, 0)),
            nonce: field(body, 8),
            wall_ms: i64::from_le_bytes(field(body, 24)),
        })
    }
}
