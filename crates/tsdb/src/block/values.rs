//! A column of floats, without its timestamps. Every float keeps its bits.
//!
//! ```text
//! values := 00 | zz                          an integer, n times
//!         | 01 | 8 bytes                     any bits, n times
//!         | 02 | n x 8 bytes                 bits as they are
//!         | 03 | e u8 | ints (q) | ints (k)  the k-th float behind q / 10^e
//!         | 40-4c | ints (q) | [odd]         q / 10^e, e in the low four bits
//!         | 80 | ints | [odd]                bits, in the order of the floats
//!         bit 5 of 40-4c and 80: odd follows
//! odd    := n uv | n x (distance to the position before uv, 8 bytes)
//! ```
//!
//! As in the head's chunks (`chunk/column.rs`), but for the integers, which are in blocks
//! (`ints.rs`), and for `02` and `03`. What is added up from decimals lies near decimals: `03`
//! keeps the rounding errors, which are small, beside them.

use super::ints;
use crate::Damaged;
use crate::bytes::{Reader, put_zz};
use crate::chunk::column::{
    self, DECIMAL_MAX, POWERS, as_integer, in_order, put_odd, take_odd, to_float,
};

const CONSTANT_INTEGER: u8 = 0x00;
const CONSTANT_BITS: u8 = 0x01;
const BITS: u8 = 0x02;
const NEAR_DECIMAL: u8 = 0x03;
const DECIMAL: u8 = 0x40;
const ORDERED: u8 = 0x80;
const ODD: u8 = 0x20;

/// So many values are looked at before all are.
const PROBES: usize = 8;

/// What a digit takes, in bits.
const DIGIT_BITS: f64 = 3.33;

/// Decimals nearby must save so many bits of a value to be tried.
const BITS_SAVED_MIN: f64 = 6.0;

/// Memory for encoding, reused from column to column.
#[derive(Default)]
pub(super) struct Scratch {
    ints: Vec<i64>,
    errors: Vec<i64>,
    odd: Vec<usize>,
    bytes: Vec<u8>,
}

/// Appends a column, which is not empty.
pub(super) fn put(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let (from, first) = (out.len(), values[0]);
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        return put_constant(first, out);
    }
    let Scratch { ints, odd, .. } = scratch;
    if let Some(e) = column::decimals(values, ints, odd) {
        put_ints(DECIMAL | e as u8, values, ints, odd, out);
    } else {
        if !column::ordered(values, ints, odd) {
            odd.clear();
            ints.clear();
            ints.extend(values.iter().map(|v| in_order(v.to_bits() as i64)));
        }
        put_ints(ORDERED, values, ints, odd, out);
        put_near_decimals(values, scratch, from, out);
    }
    if out.len() - from > values.len() * 8 {
        out.truncate(from);
        out.push(BITS);
        for value in values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

fn put_constant(value: f64, out: &mut Vec<u8>) {
    match as_integer(value, 0) {
        Some(q) => {
            out.push(CONSTANT_INTEGER);
            put_zz(out, q);
        }
        None => {
            out.push(CONSTANT_BITS);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

fn put_ints(tag: u8, values: &[f64], ints: &[i64], odd: &[usize], out: &mut Vec<u8>) {
    out.push(tag | if odd.is_empty() { 0 } else { ODD });
    ints::put(ints, out);
    if !odd.is_empty() {
        put_odd(values, odd, out);
    }
}

/// Puts decimals and errors in the place of what is written from `from` on, if they are smaller.
fn put_near_decimals(values: &[f64], scratch: &mut Scratch, from: usize, out: &mut Vec<u8>) {
    let Some(e) = digits_nearby(values) else {
        return;
    };
    let Scratch {
        ints,
        errors,
        bytes,
        ..
    } = scratch;
    ints.clear();
    errors.clear();
    for &value in values {
        let Some((q, error)) = nearest(value, e) else {
            return;
        };
        ints.push(q);
        errors.push(error);
    }
    bytes.clear();
    bytes.extend([NEAR_DECIMAL, e as u8]);
    ints::put(ints, bytes);
    ints::put(errors, bytes);
    if bytes.len() < out.len() - from {
        out.truncate(from);
        out.extend_from_slice(bytes);
    }
}

/// How many digits make decimals of which the values are so near that it pays.
fn digits_nearby(values: &[f64]) -> Option<usize> {
    let probe = |i: usize| values[i * values.len() / PROBES];
    let bits = |e: usize| {
        let mut errors = 0u64;
        for i in 0..PROBES {
            errors |= nearest(probe(i), e)?.1.unsigned_abs();
        }
        Some(64.0 - f64::from(errors.leading_zeros()) + e as f64 * DIGIT_BITS)
    };
    let plain = bits(0)?;
    let all = (1..POWERS.len()).map_while(|e| Some((bits(e)?, e)));
    let best = all.min_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(bits, _)| bits + BITS_SAVED_MIN < plain)
        .map(|(_, e)| e)
}

/// The decimal with `e` digits that is nearest, and how many floats the value is behind it.
fn nearest(value: f64, e: usize) -> Option<(i64, i64)> {
    let q = (value * POWERS[e]).round_ties_even();
    if q.is_nan() || q.abs() >= DECIMAL_MAX {
        return None;
    }
    let decimal = (q / POWERS[e]).to_bits() as i64;
    // −0 comes back as 0, as integers know no other.
    let decimal = if q == 0.0 { 0 } else { decimal };
    let error = in_order(value.to_bits() as i64).wrapping_sub(in_order(decimal));
    Some((q as i64, error))
}

/// Appends `n` values.
pub(super) fn take(r: &mut Reader<'_>, n: usize, out: &mut Vec<f64>) -> Result<(), Damaged> {
    let tag = r.u8()?;
    let from = out.len();
    match tag {
        CONSTANT_INTEGER => out.resize(from + n, to_float(r.zz()?)),
        CONSTANT_BITS => out.resize(from + n, r.f64()?),
        BITS => {
            let (bytes, _) = r.slice(n * 8)?.as_chunks();
            out.extend(bytes.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))));
        }
        NEAR_DECIMAL => {
            let power = power(r.u8()?)?;
            ints::take(r, n, out, move |q| to_float(q) / power)?;
            let mut errors = Vec::new();
            ints::take(r, n, &mut errors, |k| k)?;
            for (value, error) in out[from..].iter_mut().zip(errors) {
                let decimal = in_order(value.to_bits() as i64);
                *value = f64::from_bits(in_order(decimal.wrapping_add(error)) as u64);
            }
        }
        _ => match tag & !ODD {
            DECIMAL => ints::take(r, n, out, to_float)?,
            ORDERED => ints::take(r, n, out, |v| f64::from_bits(in_order(v) as u64))?,
            tag => {
                let power = power(tag.wrapping_sub(DECIMAL))?;
                ints::take(r, n, out, move |q| to_float(q) / power)?;
            }
        },
    }
    if tag >= DECIMAL && tag & ODD != 0 {
        take_odd(r, &mut out[from..])?;
    }
    Ok(())
}

fn power(e: u8) -> Result<f64, Damaged> {
    let power = POWERS.get(usize::from(e)).copied();
    power.ok_or(Damaged("a chunk's values are of no known form"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::stale_marker;
    use proptest::prelude::*;

    /// Encodes and checks that decoding gives every bit back.
    fn check(values: &[f64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(values, &mut Scratch::default(), &mut bytes);
        assert_eq!(decoded(&bytes, values.len()).unwrap(), bits(values));
        bytes
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    fn decoded(bytes: &[u8], n: usize) -> Result<Vec<u64>, Damaged> {
        // Columns are appended to.
        let (mut r, mut out) = (Reader::new(bytes), vec![7.0]);
        take(&mut r, n, &mut out)?;
        match r.is_empty() {
            true => Ok(bits(&out[1..])),
            false => Err(Damaged("too long")),
        }
    }

    /// Worked out by hand from the format's description.
    #[test]
    fn golden_bytes() {
        assert_eq!(check(&[7.0, 7.0, 7.0]), [0, 14]);
        assert_eq!(check(&[-0.0; 4]), [1, 0, 0, 0, 0, 0, 0, 0, 0x80]);
        // 5, and 1, -1, 2 apart from it: 2, 0, 3 above -1 in two bits.
        assert_eq!(
            check(&[5.0, 6.0, 4.0, 7.0]),
            [0x40, 1, 10, 0, 2, 1, 0b11_00_10]
        );
        assert_eq!(
            check(&[0.5, 0.6, 0.4, 0.7]),
            [0x41, 1, 10, 0, 2, 1, 0b11_00_10]
        );
        // A marker among integers: the one before stands in the column, the bits behind it.
        let marker = check(&[1.0, 2.0, stale_marker(), 3.0]);
        assert_eq!(marker[..7], [0x60, 1, 2, 0, 1, 2, 0b1_0_0]);
        assert_eq!(marker[7..], [1, 2, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f]);
        // Two of which neither is near the other.
        let far = [1.0e300, -1.0e-300];
        assert_eq!(check(&far)[..1], [BITS]);
    }

    #[test]
    fn sums_of_decimals_keep_their_errors_apart() {
        let mut sum = 0.0;
        let values: Vec<f64> = (0..480u64)
            .map(|i| {
                sum += (i * i % 997) as f64 / 1000.0;
                sum
            })
            .collect();
        let bytes = check(&values);
        assert_eq!((bytes[0], bytes[1]), (NEAR_DECIMAL, 3));
        assert!(bytes.len() < 480 * 2, "{}", bytes.len());
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (0..1_000u32).prop_map(f64::from),
            (-1_000_000..1_000_000i64, 0..15i32).prop_map(|(v, e)| v as f64 / 10f64.powi(e)),
            Just(stale_marker()),
            Just(-0.0),
            any::<i64>().prop_map(|v| v as f64),
        ]
    }

    /// Mostly of one kind, with some of others; or sums of such.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let one = |e: i32| {
            (0..5_000i64)
                .prop_map(move |v| v as f64 / 10f64.powi(e))
                .boxed()
        };
        (0..8i32, 0..10u32, any::<bool>()).prop_flat_map(move |(e, odd, sums)| {
            let odd = if sums { 0 } else { odd };
            let element = prop_oneof![40 => one(e), odd => value()];
            proptest::collection::vec(element, 1..600).prop_map(move |mut values| {
                let mut sum = 0.0;
                for value in values.iter_mut().filter(|_| sums) {
                    sum += *value;
                    *value = sum;
                }
                values
            })
        })
    }

    proptest! {
        #[test]
        fn take_undoes_put(values in values()) {
            check(&values);
        }

        #[test]
        fn whatever_it_is(values in proptest::collection::vec(value(), 1..40)) {
            check(&values);
        }

        #[test]
        fn any_bytes_are_read_without_panic(tag in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [vec![tag], bytes].concat();
            let _ = decoded(&bytes, 100);
        }
    }
}
