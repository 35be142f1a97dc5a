//! Durations and sizes as configurations, flags and labels write them.

use std::fmt::Write;
use std::time::Duration;

/// Why a text is no duration or no size: lower case, no full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(&'static str);

const NO_DURATION: UnitError = UnitError("not a duration");
const NO_DURATION_UNIT: UnitError = UnitError("a duration needs a unit, such as `15s` or `1m30s`");
const TOO_LONG: UnitError = UnitError("a duration of more than 292 years");
const NO_SIZE: UnitError = UnitError("not a size");
const NO_SIZE_UNIT: UnitError = UnitError("a size needs a unit, such as `10MB`");
const TOO_LARGE: UnitError = UnitError("a size of 8 EiB or more");

/// Units of a duration in milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Nanoseconds in 63 bits are what the reference holds.
const DURATION_MS_MAX: u64 = i64::MAX as u64 / 1_000_000;

/// Reads `1h30m`: whole numbers with units, each unit once and larger ones first, or `0`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(NO_DURATION);
    }
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut ms = 0u64;
    while !rest.is_empty() {
        let (number, after) = split_digits(rest);
        let (unit, next) = split_letters(after);
        if number.is_empty() {
            return Err(NO_DURATION);
        }
        if after.is_empty() {
            return Err(NO_DURATION_UNIT);
        }
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or(NO_DURATION)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(*unit_ms));
        ms = part.and_then(|part| ms.checked_add(part)).ok_or(TOO_LONG)?;
        rest = next;
    }
    if ms > DURATION_MS_MAX {
        return Err(TOO_LONG);
    }
    Ok(Duration::from_millis(ms))
}

/// Writes a duration the way [`parse_duration`] reads it: `1h30m`. What is shorter than a
/// millisecond is left out; years and weeks are used only where nothing else is needed.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, unit_ms) in DURATION_UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if ms < unit_ms || (exact_only && ms % unit_ms != 0) {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{}{unit}", ms / unit_ms);
        ms %= unit_ms;
    }
    out
}

/// Prefixes of sizes by their power of 1,024, smallest first.
const SIZE_PREFIXES: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// Reads `10MB`, `1.5GiB` or `1GB512MB`: numbers with units in powers of 1,024, or `0`.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(NO_SIZE);
    }
    let mut bytes = 0u64;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(NO_SIZE);
        }
        let (unit, next) = split_letters(after);
        if unit.is_empty() {
            return Err(NO_SIZE_UNIT);
        }
        let scale = size_unit(unit).ok_or(NO_SIZE)?;
        let part = part_of_size(whole, fraction, scale).ok_or(TOO_LARGE)?;
        bytes = bytes.checked_add(part).ok_or(TOO_LARGE)?;
        rest = next;
    }
    match bytes > i64::MAX as u64 {
        true => Err(TOO_LARGE),
        false => Ok(bytes),
    }
}

fn part_of_size(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let fraction = match fraction {
        "" => 0.0,
        digits => format!("0.{digits}").parse::<f64>().ok()?,
    };
    whole
        .checked_mul(scale)?
        .checked_add((fraction * scale as f64) as u64)
}

fn size_unit(unit: &str) -> Option<u64> {
    let prefix = unit.strip_suffix("iB").or_else(|| unit.strip_suffix('B'))?;
    let power = SIZE_PREFIXES.iter().position(|p| *p == prefix)?;
    // `iB` alone is no unit.
    (unit != "iB").then(|| 1u64 << (10 * power))
}

/// Writes a size the way [`parse_size`] reads it: `10MiB`, `1KiB512B`.
pub fn format_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let mut out = String::new();
    for (power, prefix) in SIZE_PREFIXES.iter().enumerate().rev() {
        let part = (bytes >> (10 * power)) & 1023;
        if part > 0 {
            let unit = if power == 0 { "B" } else { "iB" };
            let _ = write!(out, "{part}{prefix}{unit}");
        }
    }
    out
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn split_letters(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_alphabetic).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let cases = [
            ("0", Ok(0)),
            ("0s", Ok(0)),
            ("15s", Ok(15_000)),
            ("1h30m", Ok(5_400_000)),
            ("1d250ms", Ok(86_400_250)),
            ("1y", Ok(31_536_000_000)),
            ("", Err(NO_DURATION)),
            ("15", Err(NO_DURATION_UNIT)),
            ("s", Err(NO_DURATION)),
            ("-1s", Err(NO_DURATION)),
            ("1.5s", Err(NO_DURATION)),
            ("1m1h", Err(NO_DURATION)),
            ("1s1s", Err(NO_DURATION)),
            ("1S", Err(NO_DURATION)),
            ("1 s", Err(NO_DURATION)),
            ("1ö", Err(NO_DURATION)),
            ("293y", Err(TOO_LONG)),
            ("99999999999999999999y", Err(TOO_LONG)),
        ];
        for (text, want) in cases {
            assert_eq!(
                parse_duration(text),
                want.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn durations_as_the_reference_writes_them() {
        let cases = [
            (0, "0s"),
            (7, "7ms"),
            (60_000, "1m"),
            (90_000, "1m30s"),
            (7 * 86_400_000, "1w"),
            (8 * 86_400_000, "8d"),
            (365 * 86_400_000, "1y"),
            (366 * 86_400_000, "366d"),
        ];
        for (ms, want) in cases {
            assert_eq!(format_duration(Duration::from_millis(ms)), want);
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("0", Ok(0)),
            ("7B", Ok(7)),
            ("10MB", Ok(10 << 20)),
            ("10MiB", Ok(10 << 20)),
            ("1.5KB", Ok(1536)),
            ("1GB512MB", Ok((1 << 30) + (512 << 20))),
            ("", Err(NO_SIZE)),
            ("+", Err(NO_SIZE)),
            ("100", Err(NO_SIZE_UNIT)),
            ("1iB", Err(NO_SIZE)),
            ("1mb", Err(NO_SIZE)),
            ("-1MB", Err(NO_SIZE)),
            (".KB", Err(NO_SIZE)),
            ("8EB", Err(TOO_LARGE)),
            ("99999EB", Err(TOO_LARGE)),
        ];
        for (text, want) in cases {
            assert_eq!(parse_size(text), want, "{text:?}");
        }
        assert_eq!(format_size(10 << 20), "10MiB");
        assert_eq!(format_size(1536), "1KiB512B");
        assert_eq!(format_size(0), "0B");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0..=DURATION_MS_MAX, bytes in 0..=i64::MAX as u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_judged(text in ".{0,20}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
