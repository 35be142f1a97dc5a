//! Numbers and durations: where they end, and what they mean.

use ferula_model::text::{duration, number as float};

use super::token::Kind;

/// Finds the number or duration `text` begins with, and its length.
///
/// Fails with the length of what was read when it turned out to be neither.
pub(super) fn scan(text: &str) -> Result<(Kind, usize), usize> {
    let bytes = text.as_bytes();
    let (end, is_number) = scan_number(bytes);
    if is_number && !continues_word(bytes, end) {
        return Ok((Kind::Number, end));
    }
    let (end, is_duration) = scan_units(bytes, end);
    if !is_duration {
        return Err(end);
    }
    if continues_word(bytes, end) {
        return Err(end + 1);
    }
    Ok((Kind::Duration, end))
}

fn continues_word(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at)
        .is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads a number; the answer is where reading stopped, and whether it went well so far.
///
/// Looser than what numbers look like: a first point may come for free (`.5.`, `0._5`), an
/// exponent may miss its digits. Such tokens are refused when their value is taken.
fn scan_number(bytes: &[u8]) -> (usize, bool) {
    let is = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|b| set.contains(b));
    let mut at = 0;
    let mut hex = false;
    if is(at, b"0") {
        at += 1;
        if is(at, b"xX") {
            hex = true;
            at += 1;
            at += usize::from(is(at, b"_"));
        }
    }
    let is_digit = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_digit() || hex && b.is_ascii_hexdigit())
    };
    at += usize::from(is(at, b"."));
    at += usize::from(is_digit(at));

    let (mut point, mut exponent) = (false, false);
    loop {
        // What must not follow the character that is read, and whether the text may end there.
        let (refused, may_end): (&[u8], _) = if is(at, b".") {
            at += 1;
            if point || hex {
                return (at, false);
            }
            point = true;
            (b"_.", true)
        } else if is(at, b"eE") {
            at += 1;
            if exponent {
                return (at, false);
            }
            exponent = true;
            at += usize::from(is(at, b"+-"));
            (b"._eE", false)
        } else if is(at, b"_") {
            at += 1;
            (b"._eE", false)
        } else if is_digit(at) {
            while is_digit(at) {
                at += 1;
            }
            continue;
        } else {
            return (at, true);
        };
        if is(at, refused) {
            return (at + 1, false);
        }
        if at == bytes.len() && !may_end {
            return (at, false);
        }
    }
}

/// Reads the rest of a duration, from the first unit on.
fn scan_units(bytes: &[u8], start: usize) -> (usize, bool) {
    let is = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|b| set.contains(b));
    let mut at = start;
    let mut units: &[u8] = b"smhdwy";
    loop {
        if !is(at, units) {
            return (at, false);
        }
        at += 1;
        at += usize::from(is(at, b"s"));
        if !is(at, b"0123456789") {
            return (at, true);
        }
        while is(at, b"0123456789") {
            at += 1;
        }
        // Years come first or not at all.
        units = b"smhdw";
    }
}

/// The value of a number token.
///
/// Integers come first, so that a leading zero means octal where all digits are, and hexadecimal
/// numbers have no fraction; what does not fit them is read as a float.
pub(super) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(integer) = parse_integer(text) {
        return Ok(integer as f64);
    }
    float::parse(text.as_bytes()).map_err(|error| format!("error parsing number: {error}"))
}

fn parse_integer(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex.strip_prefix('_').unwrap_or(hex), 16)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    let digits = digits
        .strip_prefix('_')
        .filter(|_| radix == 8)
        .unwrap_or(digits);
    let separated = digits.split('_').all(|group| !group.is_empty());
    if !separated || digits.contains(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

/// The length of a duration token in milliseconds.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    duration::parse_ms(text).map_err(|error| error.to_string())
}

/// A number of seconds as a duration in milliseconds: rounded to nanoseconds, then cut.
pub(super) fn seconds_to_ms(seconds: f64) -> Result<i64, &'static str> {
    let ns = (seconds * 1e9).round();
    // `i64::MAX as f64` is one too many, so it is refused as well.
    if ns.is_nan() || ns.abs() >= i64::MAX as f64 {
        return Err("duration out of range");
    }
    Ok(ns as i64 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_their_values() {
        for (text, want) in [
            ("1", 1.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1.5E-3", 0.0015),
            ("1.e5", 1e5),
            ("1_000", 1000.0),
            ("1_000.5", 1000.5),
            ("1_0e3", 1e4),
            ("1.2e3_4", 1.2e34),
            ("0x1F", 31.0),
            ("0X_1f", 31.0),
            ("0xe5", 229.0),
            ("0x1e5", 485.0),
            ("0x12e", 302.0),
            ("017", 15.0),
            ("0_17", 15.0),
            ("08", 8.0),
            ("0779", 779.0),
            ("00", 0.0),
            ("9223372036854775808", 9223372036854775808.0),
            ("0x7fffffffffffffff", 9223372036854775807.0),
            ("1e-400", 0.0),
        ] {
            assert_eq!(scan(text), Ok((Kind::Number, text.len())), "{text}");
            assert_eq!(parse_number(text), Ok(want), "{text}");
        }
        assert_eq!(parse_number("InF"), Ok(f64::INFINITY));
        assert!(parse_number("NaN").is_ok_and(f64::is_nan));
    }

    #[test]
    fn tokens_that_are_no_numbers() {
        for text in [
            "1_",
            "1e",
            "1e+",
            "0x1e+5",
            "0x",
            "0x_",
            ".5.5",
            ".5.",
            "0.5.5",
            "0._5",
            "0..5",
            "1e5.5",
            "0xffffffffffffffff",
            "0_8.5_",
        ] {
            let want = format!(
                "error parsing number: strconv.ParseFloat: parsing \"{text}\": invalid syntax"
            );
            assert_eq!(parse_number(text), Err(want));
        }
        assert_eq!(
            parse_number("1e1000"),
            Err(
                "error parsing number: strconv.ParseFloat: parsing \"1e1000\": value out of range"
                    .into()
            )
        );
    }

    #[test]
    fn neither_number_nor_duration() {
        for (text, read) in [
            ("1__0", "1__"),
            ("1_", "1_"),
            ("1_.5", "1_."),
            ("1._5", "1._"),
            ("0b1", "0"),
            ("0x1e", "0x1e"),
            ("0x1ee", "0x1ee"),
            ("0x1.5", "0x1."),
            ("0x1p5", "0x1"),
            ("1e", "1e"),
            ("1e+", "1e+"),
            ("5.5.5", "5.5."),
            ("1foo", "1"),
            ("1h1y", "1h1"),
            ("5mx", "5mx"),
            ("5ms5", "5ms5"),
            ("5M", "5"),
            ("1e_1", "1e_"),
            ("1e5e5", "1e5e"),
        ] {
            assert_eq!(scan(text), Err(read.len()), "{text}");
        }
    }

    #[test]
    fn durations() {
        let day = 24 * 3_600_000;
        for (text, want) in [
            ("5m", 300_000),
            ("1y1w1d1h1m1s1ms", 373 * day + 3_661_001),
            ("0s", 0),
            ("292y", 292 * 365 * day),
        ] {
            assert_eq!(scan(text), Ok((Kind::Duration, text.len())), "{text}");
            assert_eq!(parse_duration(text), Ok(want), "{text}");
        }
        for (text, want) in [
            ("1.5h", r#"unknown unit "." in duration "1.5h""#),
            (".5m", r#"not a valid duration string: ".5m""#),
            ("1m1h", r#"not a valid duration string: "1m1h""#),
            ("1s1s", r#"not a valid duration string: "1s1s""#),
            ("1_5m", r#"unknown unit "_" in duration "1_5m""#),
            ("0x5s", r#"unknown unit "x" in duration "0x5s""#),
            ("1..s", r#"unknown unit "..s" in duration "1..s""#),
            ("1hs", r#"unknown unit "hs" in duration "1hs""#),
            ("293y", "duration out of range"),
            (
                "99999999999999999999s",
                r#"not a valid duration string: "99999999999999999999s""#,
            ),
        ] {
            assert_eq!(scan(text), Ok((Kind::Duration, text.len())), "{text}");
            assert_eq!(parse_duration(text), Err(want.into()), "{text}");
        }
    }
}
