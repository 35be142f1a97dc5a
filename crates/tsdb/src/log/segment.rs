//! Segment files: a header, then frames, then zeros.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the first frame.
pub const HEADER_BYTES: usize = 96;

const MAGIC: [u8; 4] = *b"FRLS";
const FORMAT: u16 = 1;
const CHECKED: usize = HEADER_BYTES - 8;

/// Whose log it is. A segment of another one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, or data directory.
    pub cluster: [u8; 16],
    /// The shard's number.
    pub shard: u32,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The writer's epoch; its fence opens it.
    pub epoch: u64,
    /// Chosen at random for this epoch.
    pub nonce: [u8; 16],
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose log it is.
    pub identity: Identity,
    /// The number of its first frame.
    pub seq: u64,
    /// Who created it.
    pub writer: Writer,
    /// The checksum of the segment before; 0 for the first.
    pub previous: u64,
    /// When it was created; only for those who read.
    pub wall_ms: i64,
}

impl Header {
    /// The header as bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        // No flags; they tell objects of one frame apart.
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&self.identity.cluster);
        out.extend_from_slice(&self.identity.shard.to_le_bytes());
        // The kind of shard, 0 for series, and padding.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.writer.epoch.to_le_bytes());
        out.extend_from_slice(&self.writer.nonce);
        out.extend_from_slice(&self.previous.to_le_bytes());
        // The version of the partition map, which a single machine does not have.
        out.extend_from_slice(&0u64.to_le_bytes());
        out.extend_from_slice(&self.wall_ms.to_le_bytes());
        out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
        out.try_into().expect("the fields add up to the header")
    }

    /// Reads a header, or says what is wrong with it.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let u64_at = |at: usize| u64::from_le_bytes(field(bytes, at));
        if bytes[..4] != MAGIC {
            return Err("not a log segment");
        }
        if u16::from_le_bytes(field(bytes, 4)) != FORMAT {
            return Err("a log segment of a version this one does not know");
        }
        if xxh3_64(&bytes[..CHECKED]) != u64_at(CHECKED) {
            return Err("the header's checksum is wrong");
        }
        let shard = u32::from_le_bytes(field(bytes, 24));
        Ok(Self {
            identity: Identity {
                cluster: field(bytes, 8),
                shard,
            },
            seq: u64_at(32),
            writer: Writer {
                epoch: u64_at(40),
                nonce: field(bytes, 48),
            },
            previous: u64_at(64),
            wall_ms: u64_at(80) as i64,
        })
    }

    /// What the next segment names as its predecessor.
    pub fn checksum(&self) -> u64 {
        xxh3_64(&self.encode()[..CHECKED])
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}

/// The file of the segment whose first frame is `seq`.
pub fn file_name(seq: u64) -> String {
    format!("{seq:020}.seg")
}

/// The number in a segment's file name.
pub fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_header() {
        let header = Header {
            identity: Identity {
                cluster: [0xAA; 16],
                shard: 7,
            },
            seq: 1,
            writer: Writer {
                epoch: 3,
                nonce: [0xBB; 16],
            },
            previous: 0x0102_0304_0506_0708,
            wall_ms: 1_700_000_000_000,
        };
        let bytes = header.encode();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let expected = concat!(
            "46524c53",
            "0100",
            "0000",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "07000000",
            "00000000",
            "0100000000000000",
            "0300000000000000",
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "0807060504030201",
            "0000000000000000",
            "0068e5cf8b010000",
        );
        assert_eq!(hex[..176], *expected);
        assert_eq!(Header::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_sort_as_numbers() {
        assert_eq!(parse_file_name(&file_name(42)), Some(42));
        assert!(file_name(9) < file_name(10));
        for other in ["spare", "42.seg", "00000000000000000042.seg.torn"] {
            assert_eq!(parse_file_name(other), None);
        }
    }
}
