//! Segments of a write-ahead log: pages of 32 KiB, filled with fragments of records.

use super::error::Error;
use super::window::Window;

/// Fragments do not cross the borders of pages.
const PAGE_BYTES: u64 = 32 << 10;

/// Kind, length and checksum of a fragment.
const FRAGMENT_HEADER: u64 = 7;

/// A record has no more bytes once it is unpacked: far above what one commit of a server is.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// Snappy's copies give at most this many bytes for each of theirs.
const SNAPPY_RATIO_MAX: usize = 64;

const KIND: u8 = 0b111;
const SNAPPY: u8 = 1 << 3;
const ZSTD: u8 = 1 << 4;

/// What the next thing in a segment is.
enum Fragment {
    /// The rest of the page is empty.
    PageEnd,
    /// Kind and compression, and where the data is.
    Data { flags: u8, start: u64, len: u64 },
}

/// Reads a segment record by record.
#[derive(Debug)]
pub struct Segment {
    file: Window,
    offset: u64,
    record: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Segment {
    /// Starts at the first record.
    pub fn new(file: Window) -> Self {
        Self {
            file,
            offset: 0,
            record: Vec::new(),
            unpacked: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.file.name()
    }

    /// The next record and its offset, or `None` at the end.
    #[allow(
        clippy::should_implement_trait,
        reason = "the error belongs outside the option"
    )]
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, Error> {
        self.record.clear();
        let mut begun: Option<u64> = None;
        while self.offset < self.file.len() {
            let at = self.offset;
            let (flags, start, len) = match self.fragment()? {
                Fragment::PageEnd => continue,
                Fragment::Data { flags, start, len } => (flags, start, len),
            };
            let continues = matches!(flags & KIND, 3 | 4);
            if continues != begun.is_some() {
                return Err(self.file.damaged(at, "a record does not begin or end"));
            }
            let record_at = *begun.get_or_insert(at);
            self.record.extend_from_slice(self.file.bytes(start, len)?);
            if matches!(flags & KIND, 1 | 4) {
                return self.unpack(flags, record_at).map(Some);
            }
        }
        match begun {
            None => Ok(None),
            Some(at) => Err(self.file.damaged(at, "the last record is cut off")),
        }
    }

    /// Takes a fragment, or the empty rest of a page.
    fn fragment(&mut self) -> Result<Fragment, Error> {
        let at = self.offset;
        let page_left = PAGE_BYTES - at % PAGE_BYTES;
        let file_left = self.file.len() - at;
        let kind = self.file.bytes(at, 1)?[0];
        if kind & KIND == 0 {
            let rest = self.file.up_to(at, page_left)?;
            if rest.iter().any(|b| *b != 0) {
                return Err(self
                    .file
                    .damaged(at, "a page ends with bytes that are not 0"));
            }
            self.offset += page_left;
            return Ok(Fragment::PageEnd);
        }
        if kind & KIND > 4 {
            return Err(self.file.damaged(at, "a fragment is of no known kind"));
        }
        if page_left.min(file_left) < FRAGMENT_HEADER {
            return Err(self.file.damaged(at, "a fragment is cut off"));
        }
        let head = self.file.bytes(at, FRAGMENT_HEADER)?;
        let len = u64::from(u16::from_be_bytes([head[1], head[2]]));
        let crc = [head[3], head[4], head[5], head[6]];
        let start = at + FRAGMENT_HEADER;
        if FRAGMENT_HEADER + len > page_left.min(file_left) {
            return Err(self.file.damaged(at, "a fragment is cut off"));
        }
        if !self.file.matches(start, len, crc)? {
            return Err(self.file.damaged(at, "the checksum does not match"));
        }
        self.offset = start + len;
        let flags = kind;
        Ok(Fragment::Data { flags, start, len })
    }

    fn unpack(&mut self, flags: u8, at: u64) -> Result<(u64, &[u8]), Error> {
        if flags & (SNAPPY | ZSTD) == 0 {
            return Ok((at, &self.record));
        }
        let unpacked = match flags & SNAPPY != 0 {
            true => unpack_snappy(&self.record, &mut self.unpacked),
            false => unpack_zstd(&self.record, &mut self.unpacked),
        };
        match unpacked {
            Ok(()) => Ok((at, &self.unpacked)),
            Err(e) => Err(self
                .file
                .damaged(at, format!("a record cannot be unpacked: {e}"))),
        }
    }
}

fn unpack_snappy(packed: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let len = snap::raw::decompress_len(packed).map_err(|e| e.to_string())?;
    if len > packed.len().saturating_mul(SNAPPY_RATIO_MAX) || len > RECORD_BYTES_MAX {
        return Err("it says it is larger than it can be".to_owned());
    }
    out.clear();
    out.resize(len, 0);
    let mut decoder = snap::raw::Decoder::new();
    let done = decoder.decompress(packed, out).map_err(|e| e.to_string())?;
    out.truncate(done);
    Ok(())
}

fn unpack_zstd(packed: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    use std::io::Read as _;
    out.clear();
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(|e| e.to_string())?;
    let mut bounded = decoder.take(RECORD_BYTES_MAX as u64 + 1);
    let len = bounded.read_to_end(out).map_err(|e| e.to_string())?;
    match len > RECORD_BYTES_MAX {
        true => Err(format!("it is larger than {RECORD_BYTES_MAX} bytes")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts records into pages as the format says.
    fn segment(records: &[(Vec<u8>, u8)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (record, compression) in records {
            let (mut rest, mut first) = (record.as_slice(), true);
            loop {
                let left = PAGE_BYTES as usize - out.len() % PAGE_BYTES as usize;
                if left < FRAGMENT_HEADER as usize {
                    out.resize(out.len() + left, 0);
                    continue;
                }
                let (part, after) = rest.split_at(rest.len().min(left - 7));
                let kind = match (first, after.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                out.push(kind | compression);
                out.extend((part.len() as u16).to_be_bytes());
                out.extend(crc32c::crc32c(part).to_be_bytes());
                out.extend(part);
                (rest, first) = (after, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        out
    }

    fn read(bytes: Vec<u8>) -> (Vec<Vec<u8>>, Option<Error>) {
        let mut segment = Segment::new(Window::of_bytes("00000000", bytes));
        let mut records = Vec::new();
        loop {
            match segment.next() {
                Ok(Some((_, record))) => records.push(record.to_vec()),
                Ok(None) => return (records, None),
                Err(e) => return (records, Some(e)),
            }
        }
    }

    fn records() -> Vec<Vec<u8>> {
        let sizes = [1, 100, 32_754, 5, 100_000, 32_761, 3, 40_000];
        let record = |(i, n): (usize, &usize)| (0..*n).map(|b| (b * 7 + i) as u8).collect();
        sizes.iter().enumerate().map(record).collect()
    }

    #[test]
    fn records_come_back_packed_or_not() {
        let plain = records();
        let snappy = |r: &Vec<u8>| snap::raw::Encoder::new().compress_vec(r).unwrap();
        let zstd = |r: &Vec<u8>| zstd::bulk::compress(r, 1).unwrap();
        let packed = plain.iter().enumerate().map(|(i, record)| match i % 3 {
            0 => (record.clone(), 0),
            1 => (snappy(record), SNAPPY),
            _ => (zstd(record), ZSTD),
        });
        let mut bytes = segment(&packed.collect::<Vec<_>>());
        let (read_back, error) = read(bytes.clone());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(read_back, plain);
        // A segment may be filled up with zeros to the end of its page.
        bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES as usize), 0);
        assert_eq!(read(bytes).0, plain);
    }

    #[test]
    fn a_torn_end_costs_the_last_record_only() {
        let plain = records();
        let pairs: Vec<_> = plain.iter().map(|r| (r.clone(), 0)).collect();
        let whole = segment(&pairs);
        let before_last = segment(&pairs[..pairs.len() - 1]).len();
        for cut in [
            before_last + 1,
            before_last + 8,
            whole.len() - 40_000,
            whole.len() - 1,
        ] {
            let (found, error) = read(whole[..cut].to_vec());
            assert_eq!(found, plain[..plain.len() - 1], "cut at {cut}");
            assert!(error.is_some(), "cut at {cut}");
        }
        let mut damaged = whole.clone();
        damaged[50] ^= 1;
        let (found, error) = read(damaged);
        assert_eq!(found, plain[..1]);
        assert!(
            error
                .unwrap()
                .to_string()
                .contains("00000000, byte 8: the checksum")
        );
    }

    #[test]
    fn what_claims_to_unpack_to_much_is_refused() {
        let mut bomb = vec![0xff, 0xff, 0xff, 0xff, 0x0f];
        bomb.extend([0; 20]);
        let (_, error) = read(segment(&[(bomb, SNAPPY)]));
        assert!(error.unwrap().to_string().contains("larger than it can be"));
    }
}
