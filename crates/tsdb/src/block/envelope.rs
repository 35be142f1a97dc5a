//! Frames: the one form in which parts of a block are stored.
//!
//! ```text
//! frame := checksum u32 | codec u8 | [raw_len u32] | body
//! codec := 0 the body as it is | 1 zstd, of a body of raw_len bytes
//! ```
//!
//! The checksum is CRC-32C of what follows it.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

use crate::Damaged;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

const HEAD_LEN: usize = 5;

/// No frame is longer, nor what it inflates to.
const RAW_LEN_MAX: usize = 1 << 30;

/// A body shorter than this may be the frame of anything.
const RAW_LEN_FREE: usize = 128 << 10;

/// Beyond [`RAW_LEN_FREE`], a body is at most so many times as long as its frame, so that reading
/// damaged bytes takes memory in proportion to them.
const RATIO_MAX: usize = 256;

/// Shorter bodies are not worth a try.
const COMPRESSED_FROM: usize = 48;

/// Makes frames.
pub(super) struct Sealer {
    compressor: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Sealer {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Self {
            compressor: Compressor::new(level)?,
            scratch: Vec::new(),
        })
    }

    /// Appends the frame of a body; returns its length.
    pub(super) fn seal(&mut self, body: &[u8], out: &mut Vec<u8>) -> usize {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        match self.compressed(body) {
            Some(smaller) => {
                out.push(ZSTD);
                out.extend_from_slice(&(body.len() as u32).to_le_bytes());
                out.extend_from_slice(smaller);
            }
            None => {
                out.push(PLAIN);
                out.extend_from_slice(body);
            }
        }
        let checksum = crc32c::crc32c(&out[at + 4..]);
        out[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        out.len() - at
    }

    /// The body compressed, if that saves a twelfth: less is not worth the time of inflating.
    fn compressed(&mut self, body: &[u8]) -> Option<&[u8]> {
        if body.len() < COMPRESSED_FROM || body.len() > RAW_LEN_MAX {
            return None;
        }
        self.scratch.clear();
        self.scratch
            .reserve(zstd::zstd_safe::compress_bound(body.len()));
        // A compressor that fails makes a block larger, nothing worse.
        let len = self
            .compressor
            .compress_to_buffer(body, &mut self.scratch)
            .ok()?;
        let saves = len + 4 <= body.len() - body.len() / 12;
        let fits = body.len() <= raw_len_max(len);
        (saves && fits).then_some(&self.scratch[..len])
    }
}

fn raw_len_max(len: usize) -> usize {
    len.saturating_mul(RATIO_MAX)
        .clamp(RAW_LEN_FREE, RAW_LEN_MAX)
}

thread_local! {
    /// A decompressor takes 150 KiB and long to make.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The body of a frame.
pub(super) fn unseal(mut frame: Vec<u8>) -> Result<Vec<u8>, Damaged> {
    let Some((checksum, rest)) = frame.split_first_chunk() else {
        return Err(Damaged("a frame is too short"));
    };
    if crc32c::crc32c(rest) != u32::from_le_bytes(*checksum) {
        return Err(Damaged("the checksum is wrong"));
    }
    match rest {
        [PLAIN, ..] => {
            frame.drain(..HEAD_LEN);
            Ok(frame)
        }
        [ZSTD, a, b, c, d, body @ ..] => {
            let raw_len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            inflate(body, raw_len)
        }
        _ => Err(Damaged("a frame is of no known form")),
    }
}

fn inflate(body: &[u8], raw_len: usize) -> Result<Vec<u8>, Damaged> {
    if raw_len > raw_len_max(body.len()) {
        return Err(Damaged("a frame says it inflates to more than it can"));
    }
    let failed = Damaged("a frame cannot be inflated");
    let mut raw = Vec::with_capacity(raw_len);
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new().map_err(|_| failed)?),
        };
        let inflated = decompressor.decompress_to_buffer(body, &mut raw);
        inflated.map_err(|_| failed)
    })?;
    match raw.len() == raw_len {
        true => Ok(raw),
        false => Err(Damaged("a frame inflates to another length than it says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut out = vec![1];
        let len = Sealer::new(1).unwrap().seal(body, &mut out);
        assert_eq!(out.len(), len + 1);
        out.split_off(1)
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(
            sealed(b"abc"),
            [0x0a, 0xd7, 0x48, 0x1e, 0, b'a', b'b', b'c']
        );
    }

    #[test]
    fn what_repeats_is_compressed() {
        let frame = sealed(&[7; 100_000]);
        assert!(frame.len() < 100 && frame[4] == ZSTD);
        assert_eq!(unseal(frame).unwrap(), [7; 100_000]);
        // Inflating this much from so little is refused, so it is not written.
        let long = vec![7; 1 << 20];
        let frame = sealed(&long);
        assert_eq!(frame.len(), long.len() + HEAD_LEN);
        assert_eq!(unseal(frame).unwrap(), long);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for body in [b"abc".as_slice(), &[7; 1000]] {
            let frame = sealed(body);
            for bit in 0..frame.len() * 8 {
                let mut frame = frame.clone();
                frame[bit / 8] ^= 1 << (bit % 8);
                assert!(unseal(frame).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_length_that_lies_takes_no_memory() {
        let mut frame = sealed(&[7; 1000]);
        frame[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
        let checksum = crc32c::crc32c(&frame[4..]);
        frame[..4].copy_from_slice(&checksum.to_le_bytes());
        let error = unseal(frame).unwrap_err();
        assert_eq!(error.0, "a frame says it inflates to more than it can");
    }

    proptest! {
        #[test]
        fn unseal_undoes_seal(body in proptest::collection::vec(0..9u8, 0..3000)) {
            prop_assert_eq!(unseal(sealed(&body)).unwrap(), body);
        }
    }
}
