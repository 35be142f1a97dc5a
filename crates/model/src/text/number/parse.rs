//! Floats as Go reads them.

/// Why a text is no float; displays Go's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// It is none.
    #[error("strconv.ParseFloat: parsing {}: invalid syntax", super::super::quote::quoted(.0))]
    Syntax(String),
    /// It is one that is too large.
    #[error("strconv.ParseFloat: parsing {}: value out of range", super::super::quote::quoted(.0))]
    Range(String),
}

/// Reads a float by the grammar of Go's `ParseFloat`: decimal and hexadecimal, underscores
/// between digits, `inf`, `infinity` and `nan` in any case. What is too small is zero, what is
/// too large an error.
pub fn parse(text: &[u8]) -> Result<f64, ParseError> {
    if let Some(value) = parse_short(text) {
        return Ok(value);
    }
    let shown = || String::from_utf8_lossy(text).into_owned();
    let value = parse_slow(text).ok_or_else(|| ParseError::Syntax(shown()))?;
    match value {
        Slow::Special(value) => Ok(value),
        Slow::Finite(value) if value.is_finite() => Ok(value),
        Slow::Finite(_) => Err(ParseError::Range(shown())),
    }
}

/// Powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Texts longer than this are not short: a sign, 19 digits, a point and an exponent.
const SHORT_LEN_MAX: usize = 25;

/// Reads plain decimals whose digits and power of ten are both exact floats, so that one
/// division or multiplication rounds right. Anything else is left to the slow way.
#[inline]
fn parse_short(text: &[u8]) -> Option<f64> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if rest.len() > SHORT_LEN_MAX {
        return None;
    }
    let mut digits: u64 = 0;
    let mut count = 0;
    let mut scale: i32 = 0;
    let mut point = false;
    while let [b, tail @ ..] = rest {
        match b {
            b'0'..=b'9' => {
                digits = digits.wrapping_mul(10).wrapping_add(u64::from(b - b'0'));
                count += 1;
                scale -= i32::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        rest = tail;
    }
    if !(1..=19).contains(&count) || digits > 1 << 53 {
        return None;
    }
    if let [b'e' | b'E', tail @ ..] = rest {
        scale += parse_short_exponent(tail)?;
    } else if !rest.is_empty() {
        return None;
    }
    let power = *POWERS.get(scale.unsigned_abs() as usize)?;
    let value = match scale < 0 {
        true => digits as f64 / power,
        false => digits as f64 * power,
    };
    Some(if negative { -value } else { value })
}

/// One to three digits with or without a sign.
fn parse_short_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if !(1..=3).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0, |n, b| n * 10 + i32::from(b - b'0'));
    Some(if negative { -size } else { size })
}

enum Slow {
    /// Infinite or no number because the text says so.
    Special(f64),
    /// A number, infinite if it is too large.
    Finite(f64),
}

fn parse_slow(text: &[u8]) -> Option<Slow> {
    let (sign, unsigned) = match text {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] => (1.0, rest),
        rest => (1.0, rest),
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(Slow::Special(sign * f64::INFINITY));
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return Some(Slow::Special(f64::NAN));
    }
    let plain = without_underscores(unsigned)?;
    let plain = plain.as_deref().unwrap_or(unsigned);
    let value = match plain {
        [b'0', b'x' | b'X', rest @ ..] => parse_hex(rest)?,
        _ => {
            // Of what std reads as a float, only these words are not of digits.
            let first = *plain.first()?;
            if !first.is_ascii_digit() && first != b'.' {
                return None;
            }
            std::str::from_utf8(plain).ok()?.parse::<f64>().ok()?
        }
    };
    Some(Slow::Finite(sign * value))
}

/// Takes out underscores, each of which must stand between two digits or after `0x`. The outer
/// none means one does not, the inner one that there are none.
fn without_underscores(text: &[u8]) -> Option<Option<Vec<u8>>> {
    if !text.contains(&b'_') {
        return Some(None);
    }
    let hex = matches!(text, [b'0', b'x' | b'X', ..]);
    let is_digit = |at: usize| {
        text.get(at)
            .is_some_and(|b| b.is_ascii_digit() || hex && b.is_ascii_hexdigit())
    };
    let good = text.iter().enumerate().all(|(at, b)| {
        let after_digit = at > 0 && (is_digit(at - 1) || hex && at == 2);
        *b != b'_' || (after_digit && is_digit(at + 1))
    });
    good.then(|| Some(text.iter().copied().filter(|b| *b != b'_').collect()))
}

/// Reads what follows `0x`: hexadecimal digits with or without a point, then an exponent of two.
fn parse_hex(text: &[u8]) -> Option<f64> {
    let mut mantissa: u64 = 0;
    // The value is `mantissa × 2^exponent`.
    let mut exponent: i64 = 0;
    let mut any = false;
    let mut point = false;
    let mut rest = text;
    loop {
        let [b, tail @ ..] = rest else {
            return None;
        };
        rest = tail;
        match b {
            b'.' if !point => point = true,
            b'p' | b'P' => break,
            b => {
                let digit = u64::from(char::from(*b).to_digit(16)?);
                any = true;
                if mantissa >> 58 == 0 {
                    mantissa = mantissa << 4 | digit;
                    exponent -= 4 * i64::from(point);
                } else {
                    // Far below the last bit that counts; only whether it is zero matters.
                    mantissa |= u64::from(digit != 0);
                    exponent += 4 * i64::from(!point);
                }
            }
        }
    }
    let power = parse_exponent(rest)?;
    any.then(|| scale(mantissa, exponent.saturating_add(power)))
}

/// Digits with or without a sign; more than any float needs are as good as that many.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i64, |n, b| {
        (n * 10 + i64::from(b - b'0')).min(1_000_000_000_000)
    });
    Some(if negative { -size } else { size })
}

/// `mantissa × 2^exponent`, rounded to the nearest float, ties to even.
fn scale(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let zeros = mantissa.leading_zeros();
    let mantissa = mantissa << zeros;
    // The power of two of the highest bit.
    let top = exponent.saturating_add(63 - i64::from(zeros));
    if top > 1023 {
        return f64::INFINITY;
    }
    // A float keeps 53 bits, fewer below the smallest normal one.
    let shift = 11 + (-1022 - top).max(0);
    if shift > 64 {
        return 0.0;
    }
    let wide = u128::from(mantissa);
    let kept = (wide >> shift) as u64;
    let lost = wide & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    let up = lost > half || (lost == half && kept & 1 == 1);
    let rounded = kept + u64::from(up);
    // Rounding up to the next power of two carries into the exponent by itself.
    let biased = if top < -1022 { 0 } else { (top + 1022) as u64 };
    f64::from_bits((biased << 52) + rounded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::number::Form;

    fn check(text: &str, want: &str) {
        let got = match parse(text.as_bytes()) {
            Ok(value) => Form::General.show(value).to_string(),
            Err(ParseError::Syntax(_)) => "syntax".to_string(),
            Err(ParseError::Range(_)) => "range".to_string(),
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn decimals() {
        for (text, want) in [
            ("1", "1"),
            ("+1", "1"),
            ("-0", "-0"),
            ("5.", "5"),
            (".5", "0.5"),
            ("-1.5E+2", "-150"),
            ("1e23", "1e+23"),
            ("625e-3", "0.625"),
            ("100000000000000016777216", "1.0000000000000003e+23"),
            ("0e+01234567890123456789", "0"),
            ("1e-400000", "0"),
            ("5e-324", "5e-324"),
            ("2e-324", "0"),
            ("1.7976931348623158e308", "1.7976931348623157e+308"),
            ("1.797693134862315808e308", "range"),
            ("-1e310", "range"),
            ("1e400000", "range"),
            ("1e+18446744073709551616", "range"),
            ("9007199254740993", "9.007199254740992e+15"),
            (
                "1.00000000000000011102230246251565404236316680908203126",
                "1.0000000000000002",
            ),
            ("18446744073709551616000", "1.8446744073709552e+22"),
        ] {
            check(text, want);
        }
        for text in [
            "", "+", "-", ".", "e1", ".e-1", "1e", "1e-", "1x", "1.1.", "1 ", " 1", "1p2", "--1",
            "+-1", "1e1.5", "1\0.2", "é", "0b1", "0o7",
        ] {
            check(text, "syntax");
        }
        assert!(matches!(parse(b"\xff1"), Err(ParseError::Syntax(_))));
    }

    #[test]
    fn words() {
        for (text, want) in [
            ("inf", "+Inf"),
            ("+INF", "+Inf"),
            ("-Infinity", "-Inf"),
            ("nan", "NaN"),
            ("NaN", "NaN"),
            ("+nan", "syntax"),
            ("-NaN", "syntax"),
            ("infi", "syntax"),
            ("in", "syntax"),
            ("nan0", "syntax"),
        ] {
            check(text, want);
        }
    }

    #[test]
    fn hexadecimals() {
        for (text, want) in [
            ("0x1p0", "1"),
            ("-0X1ep-1", "-15"),
            ("0x1fFe2.P0", "131042"),
            ("0x.1p+2", "0.25"),
            ("0x0p+01234567890123456789", "0"),
            ("0x1.fffffffffffffp1023", "1.7976931348623157e+308"),
            ("0x1.fffffffffffff7fffp1023", "1.7976931348623157e+308"),
            ("0x1.fffffffffffff8p1023", "range"),
            ("-0x1p1024", "range"),
            ("0x1p+4294967296", "range"),
            ("0x1p-18446744073709551616", "0"),
            ("0x1.fffffffffffff8p-1022", "4.450147717014403e-308"),
            ("0x0.ffffffffffffe7p-1022", "2.2250738585072004e-308"),
            ("0x1.ffffffffffffe8p-1023", "2.225073858507201e-308"),
            ("0x0.00000003456788p-1022", "1.694649e-317"),
            (
                "0x0.0000000345678800000000000000000000000001p-1022",
                "1.6946496e-317",
            ),
            ("0x0.00000000000008p-1022", "0"),
            ("0x0.000000000000081p-1022", "5e-324"),
            ("0x1.00000000000008p0", "1"),
            ("0x1.000000000000081p0", "1.0000000000000002"),
            ("0x1.00000000000018p0", "1.0000000000000004"),
            ("0x12345678901234567890p-4", "5.373003641998677e+21"),
        ] {
            check(text, want);
        }
        for text in [
            "0x", "0x.", "0x1", "0x1e2", "0x1p", "0x1p+", "0xgp1", "0x.p1", "0x1.1.p1", "x1p1",
        ] {
            check(text, "syntax");
        }
        let long = format!("0x1.00000000000008{}1p0", "0".repeat(10_000));
        check(&long, "1.0000000000000002");
        let shifted = format!("0x0.{}1p40004", "0".repeat(10_000));
        check(&shifted, "1");
    }

    #[test]
    fn underscores() {
        check("1_23.50_0_0e+1_2", "1.235e+14");
        check("0x_1_2.3_4_5p+1_2", "74565");
        for text in [
            "_1", "-_1", "1_", "1__2", "1_.5", "1._5", "1.5_", "1_e1", "1e_1", "1e+_1", "1e1_",
            "0x__1p1", "0x1_p1", "0x1p_1", "0_x1p1", "_inf", "in_f", "n_an",
        ] {
            check(text, "syntax");
        }
    }

    #[test]
    fn errors_quote_the_text() {
        let shown = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            shown("1_"),
            r#"strconv.ParseFloat: parsing "1_": invalid syntax"#
        );
        assert_eq!(
            shown("1e999"),
            r#"strconv.ParseFloat: parsing "1e999": value out of range"#
        );
    }

    proptest! {
        #[test]
        fn agrees_with_std(text in r"[+-]?[0-9]{0,22}\.?[0-9]{0,22}([eE][+-]?[0-9]{0,3})?") {
            match (text.parse::<f64>(), parse(text.as_bytes())) {
                (Ok(want), Ok(got)) => prop_assert_eq!(got.to_bits(), want.to_bits()),
                (Ok(want), Err(ParseError::Range(_))) => prop_assert!(want.is_infinite()),
                (Err(_), Err(ParseError::Syntax(_))) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn hexadecimals_are_exact(value in any::<u64>().prop_map(f64::from_bits)) {
            prop_assume!(value.is_finite());
            let bits = value.to_bits();
            let (exponent, mantissa) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
            let (lead, power) = if exponent == 0 { (0, -1022) } else { (1, exponent as i64 - 1023) };
            let sign = if value.is_sign_negative() { "-" } else { "" };
            let text = format!("{sign}0x{lead}.{mantissa:013x}p{power}");
            prop_assert_eq!(parse(text.as_bytes()).unwrap().to_bits(), bits);
        }

        #[test]
        fn any_bytes_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&text);
        }
    }
}
