//! A column of floats, without its timestamps. Every float keeps its bits.
//!
//! ```text
//! values := the values of a column chunk (`chunk/column.rs`) | 02 | n x 8 bytes
//! ```

use crate::Damaged;
use crate::bytes::Reader;
use crate::chunk::column;

/// Bits as they are, for what has no better form.
const BITS: u8 = 0x02;

/// Memory for encoding, reused from column to column.
#[derive(Default)]
pub(super) struct Scratch {
    ints: Vec<i64>,
    odd: Vec<usize>,
}

/// Appends a column, which is not empty.
pub(super) fn put(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let from = out.len();
    let end_max = from + 1 + values.len() * 8;
    let Scratch { ints, odd } = scratch;
    if column::put_values(values, ints, odd, out, end_max) && out.len() <= end_max {
        return;
    }
    out.truncate(from);
    out.push(BITS);
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// Appends `n` values.
pub(super) fn take(r: &mut Reader<'_>, n: usize, out: &mut Vec<f64>) -> Result<(), Damaged> {
    if r.rest().first() != Some(&BITS) {
        return column::take_values(r, n, out);
    }
    r.u8()?;
    let (bytes, _) = r.slice(n * 8)?.as_chunks();
    out.extend(bytes.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))));
    Ok(())
}
