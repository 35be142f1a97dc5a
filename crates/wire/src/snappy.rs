//! Snappy blocks (not the framed format) with a bound on what they grow to.

use crate::WireError;

/// No element of a block yields more than this many times its own bytes: a copy of 64 bytes
/// takes three. A block that declares more lies, and need not be given the memory.
const GROWTH_MAX: usize = 22;

/// Replaces the content of `out` by the decompressed `body`, unless that is longer than `max`
/// bytes. Memory is taken only after the declared size is checked; `out` keeps it for reuse.
pub fn decompress(body: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let corrupt = |error: snap::Error| WireError::Snappy(error.to_string());
    let len = snap::raw::decompress_len(body).map_err(corrupt)?;
    if len > max {
        return Err(WireError::TooLarge { max });
    }
    if len > body.len().saturating_mul(GROWTH_MAX) {
        let (had, declared) = (body.len(), len);
        let why = format!("{had} bytes cannot decompress to {declared}");
        return Err(WireError::Snappy(why));
    }
    out.truncate(len);
    out.resize(len, 0);
    let written = snap::raw::Decoder::new()
        .decompress(body, out)
        .map_err(corrupt)?;
    out.truncate(written);
    Ok(())
}

/// `message` as a block.
pub fn compress(message: &[u8]) -> Result<Vec<u8>, WireError> {
    snap::raw::Encoder::new()
        .compress_vec(message)
        .map_err(|error| WireError::Snappy(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 33_554_432;

    fn error(body: &[u8]) -> String {
        let mut out = Vec::new();
        let error = decompress(body, MAX, &mut out).unwrap_err();
        assert!(out.capacity() <= MAX);
        error.to_string()
    }

    #[test]
    fn bombs_and_rubbish_are_refused() {
        // Declares 4 GiB less one byte.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert_eq!(
            error(&bomb),
            "decoded size exceeds the 33554432 bytes limit"
        );
        // Declares 32 MiB and holds nothing.
        let lie = [0x80, 0x80, 0x80, 0x10, 0];
        assert_eq!(
            error(&lie),
            "snappy: corrupt input: 5 bytes cannot decompress to 33554432"
        );
        let framed = b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00abcdefghi";
        for body in [&b""[..], b"x", framed] {
            assert!(error(body).starts_with("snappy: corrupt input: "));
        }
    }

    #[test]
    fn the_densest_block_is_accepted() {
        let zeros = vec![0; 1 << 20];
        let mut out = vec![1; 10];
        decompress(&compress(&zeros).unwrap(), MAX, &mut out).unwrap();
        assert!(out == zeros);
        assert_eq!(
            decompress(&compress(&zeros).unwrap(), zeros.len() - 1, &mut out),
            Err(WireError::TooLarge { max: (1 << 20) - 1 })
        );
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(message: Vec<u8>, mut out: Vec<u8>) {
            decompress(&compress(&message).unwrap(), MAX, &mut out).unwrap();
            prop_assert_eq!(message, out);
        }

        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            let _ = decompress(&body, MAX, &mut Vec::new());
        }
    }
}
