//! Sample values and timestamps, read where they stand.

use ferula_model::text::number;

/// The one NaN that exposition yields: a quiet NaN that is not the staleness marker.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Powers of ten that a double holds exactly.
static POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Integers up to this are doubles, one for one.
const EXACT_MAX: u64 = 1 << 53;

/// Reads a sample value: decimal with optional exponent, `Inf`, `Infinity` (any case, optional
/// sign) or `NaN` (any case, no sign). Hexadecimal, underscores and values out of range are not
/// numbers. Every NaN becomes the same one, so no text is read as a staleness marker.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    match scan_decimal(text, 0) {
        Some((value, end)) if end == text.len() => Some(value),
        _ => parse_slow(text),
    }
}

#[cold]
fn parse_slow(text: &[u8]) -> Option<f64> {
    if text.iter().any(|b| matches!(b, b'p' | b'P' | b'_')) {
        return None;
    }
    let value = number::parse(text).ok()?;
    Some(if value.is_nan() { NAN } else { value })
}

/// Reads the plain decimal at `pos`: at most 18 digits, a value that one multiplication or
/// division of exact doubles yields, and so the nearest double. Returns it with the position
/// after it, or `None` if the slow path must look.
#[inline(always)]
pub(crate) fn scan_decimal(body: &[u8], pos: usize) -> Option<(f64, usize)> {
    let negative = body.get(pos) == Some(&b'-');
    let start = pos + usize::from(negative);
    let (mut mantissa, mut pos) = scan_digits(body, start, 0);
    let mut digits = pos - start;
    let mut exponent = 0i32;
    if body.get(pos) == Some(&b'.') {
        let fraction = pos + 1;
        (mantissa, pos) = scan_digits(body, fraction, mantissa);
        let decimals = pos - fraction;
        digits += decimals;
        if digits <= 18 {
            exponent = -(decimals as i32);
        }
    }
    // More than 18 digits may have wrapped around.
    if digits == 0 || digits > 18 {
        return None;
    }
    if matches!(body.get(pos), Some(b'e' | b'E')) {
        let (power, end) = scan_exponent(body, pos + 1)?;
        exponent += power;
        pos = end;
    }
    let power = POWERS.get(exponent.unsigned_abs() as usize)?;
    if mantissa > EXACT_MAX {
        return None;
    }
    let value = match exponent < 0 {
        true => mantissa as f64 / power,
        false => mantissa as f64 * power,
    };
    Some((if negative { -value } else { value }, pos))
}

/// Adds the digits at `pos` to `value`, eight at a time where there are as many.
#[inline(always)]
fn scan_digits(body: &[u8], mut pos: usize, mut value: u64) -> (u64, usize) {
    while let Some(chunk) = body.get(pos..).and_then(|rest| rest.first_chunk::<8>()) {
        let Some(eight) = eight_digits(*chunk) else {
            break;
        };
        value = value.wrapping_mul(100_000_000).wrapping_add(eight);
        pos += 8;
    }
    while let Some(digit) = body.get(pos).map(|b| b.wrapping_sub(b'0')) {
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(digit.into());
        pos += 1;
    }
    (value, pos)
}

/// The value of eight digits, or `None` if one of the bytes is no digit.
#[inline(always)]
fn eight_digits(chunk: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(chunk);
    let low = word.wrapping_sub(0x3030_3030_3030_3030);
    let high = word.wrapping_add(0x4646_4646_4646_4646);
    if (low | high) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Digits to pairs, pairs to fours, fours to eight; the first digit is the lowest byte.
    let pairs = low.wrapping_mul(10).wrapping_add(low >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

/// The exponent at `pos`, if it has one to three digits.
#[inline]
fn scan_exponent(body: &[u8], mut pos: usize) -> Option<(i32, usize)> {
    let negative = body.get(pos) == Some(&b'-');
    pos += usize::from(matches!(body.get(pos), Some(b'-' | b'+')));
    let start = pos;
    let mut value = 0;
    while let Some(digit) = body.get(pos).filter(|b| b.is_ascii_digit()) {
        value = value * 10 + i32::from(digit - b'0');
        pos += 1;
        if pos - start > 3 {
            return None;
        }
    }
    (pos > start).then_some((if negative { -value } else { value }, pos))
}

/// Reads digits as an integer; `None` if there are none, anything else, or too many.
pub(crate) fn parse_digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0i64, |value, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        let accepted = [
            ("0", 0.0),
            ("-0", -0.0),
            ("1", 1.0),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1e3),
            ("1E+3", 1e3),
            ("1.5e-3", 1.5e-3),
            ("1e-400", 0.0),
            ("00000000000000000000001", 1.0),
            ("12345678", 12_345_678.0),
            ("1234567890123456789", 1_234_567_890_123_456_789.0),
            ("0.30000000000000004", 0.300_000_000_000_000_04),
            ("9007199254740993", 9_007_199_254_740_993.0),
            ("1.7976931348623157e308", f64::MAX),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-iNfInItY", f64::NEG_INFINITY),
        ];
        for (text, value) in accepted {
            let read = parse_float(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read.to_bits(), value.to_bits(), "{text}");
        }
        for text in ["NaN", "nan", "nAn"] {
            assert_eq!(
                parse_float(text.as_bytes()).unwrap().to_bits(),
                NAN.to_bits()
            );
        }
        let refused = [
            "", "-", "+", ".", "e", "1e", "1e+", "+NaN", "-nan", "1_0", "0x1", "0x1p4", "1e400",
            "-1e400", "1 ", "1\r", "in", "infinit", "--1", "1e1e1", "é",
        ];
        for text in refused {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn decimals_are_read_as_the_standard_library_reads_them(
            text in "-?[0-9]{0,12}(\\.[0-9]{0,12})?(e[+-]?[0-9]{1,3})?"
        ) {
            let wanted = text.parse::<f64>().ok().filter(|v| v.is_finite());
            prop_assert_eq!(
                parse_float(text.as_bytes()).map(f64::to_bits),
                wanted.map(f64::to_bits),
                "{}", text
            );
        }
    }
}
