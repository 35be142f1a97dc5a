//! Durations as configurations and PromQL write them: `1h30m`.

use std::fmt;
use std::time::Duration;

use super::quote::quoted;

/// Milliseconds in a second.
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
const YEAR: i64 = 365 * DAY;

/// Units in the order in which they must stand, with their milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", YEAR),
    ("w", WEEK),
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];

/// The longest duration, in milliseconds: Prometheus counts nanoseconds in 63 bits, which is
/// about 292 years.
pub const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// Why a text is no duration; displays Prometheus's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is nothing.
    #[error("empty duration string")]
    Empty,
    /// Numbers and units do not alternate, or the units are out of order.
    #[error("not a valid duration string: {}", quoted(.0))]
    Invalid(String),
    /// A number is followed by something else than a unit.
    #[error("unknown unit {} in duration {}", quoted(.unit), quoted(.text))]
    Unit {
        /// What should be a unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// It is longer than [`DURATION_MS_MAX`].
    #[error("duration out of range")]
    Range,
}

/// Reads a duration: numbers with the units `y w d h m s ms`, in that order and each at most
/// once, or `0`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    parse_ms(text).map(|ms| Duration::from_millis(ms.unsigned_abs()))
}

/// The canonical form of a duration, as [`shown`]; what is below a millisecond does not count.
pub fn format(duration: Duration) -> String {
    shown(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)).to_string()
}

/// Reads a duration as [`parse`] does; the answer is in milliseconds.
pub fn parse_ms(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_string());
    let mut total: i64 = 0;
    let mut units = UNITS.as_slice();
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |b| b.is_ascii_digit());
        let (unit, after) = split(after, |b| !b.is_ascii_digit());
        rest = after;
        // A number beyond 64 bits is as wrong as none.
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let Some((_, ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::Unit {
                unit: unit.to_string(),
                text: text.to_string(),
            });
        };
        let at = units.iter().position(|(name, _)| *name == unit);
        units = &units[at.ok_or_else(invalid)? + 1..];
        total = i64::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(*ms))
            .and_then(|part| part.checked_add(total))
            .filter(|total| *total <= DURATION_MS_MAX)
            .ok_or(DurationError::Range)?;
    }
    Ok(total)
}

/// The longest start of `text` whose bytes are `like`, and the rest. `like` must treat all bytes
/// beyond ASCII the same.
fn split(text: &str, like: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !like(b)).unwrap_or(text.len());
    text.split_at(end)
}

/// The canonical form of a duration in milliseconds: `90s` is `1m30s`, `7d` is `1w`, but `8d`
/// is `8d`.
pub fn shown(ms: i64) -> Shown {
    Shown(ms)
}

/// Displays a duration; made by [`shown`].
#[derive(Clone, Copy, Debug)]
pub struct Shown(i64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (name, ms) in UNITS {
            let ms = ms.unsigned_abs();
            // Years and weeks stand alone or not at all.
            let alone = matches!(name, "y" | "w");
            if rest >= ms && (!alone || rest.is_multiple_of(ms)) {
                write!(f, "{}{name}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, want: &str) {
        let got = match parse_ms(text) {
            Ok(ms) => shown(ms).to_string(),
            Err(e) => e.to_string(),
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn good_ones_in_canonical_form() {
        for (text, want) in [
            ("0", "0s"),
            ("0s", "0s"),
            ("0ms", "0s"),
            ("1ms", "1ms"),
            ("90s", "1m30s"),
            ("1h30m", "1h30m"),
            ("3600s", "1h"),
            ("7d", "1w"),
            ("8d", "8d"),
            ("36h", "1d12h"),
            ("365d", "1y"),
            ("400d", "400d"),
            ("730d", "2y"),
            ("14d", "2w"),
            ("1w1h", "7d1h"),
            ("1y2w3d4h5m6s7ms", "382d4h5m6s7ms"),
            ("005m", "5m"),
            ("292y", "292y"),
            ("106751d23h47m16s854ms", "106751d23h47m16s854ms"),
        ] {
            check(text, want);
        }
        assert_eq!(shown(-90_000).to_string(), "-1m30s");
        assert_eq!(parse_ms("1y2w3d4h5m6s7ms"), Ok(33_019_506_007));
        assert_eq!(parse("1m1ms"), Ok(Duration::from_millis(60_001)));
        assert_eq!(format(Duration::from_micros(1_500_999)), "1s500ms");
    }

    #[test]
    fn bad_ones() {
        for (text, want) in [
            ("", "empty duration string"),
            ("1m1h", r#"not a valid duration string: "1m1h""#),
            ("1h1h", r#"not a valid duration string: "1h1h""#),
            ("5", r#"not a valid duration string: "5""#),
            ("m", r#"not a valid duration string: "m""#),
            ("-5m", r#"not a valid duration string: "-5m""#),
            (
                "99999999999999999999s",
                r#"not a valid duration string: "99999999999999999999s""#,
            ),
            ("1.5h", r#"unknown unit "." in duration "1.5h""#),
            ("5 m", r#"unknown unit " m" in duration "5 m""#),
            ("1µs", r#"unknown unit "µs" in duration "1µs""#),
            ("1M", r#"unknown unit "M" in duration "1M""#),
            ("293y", "duration out of range"),
            ("106751d23h47m16s855ms", "duration out of range"),
            ("292y100w", "duration out of range"),
            ("18446744073709551615ms", "duration out of range"),
        ] {
            check(text, want);
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back(ms in 0..=DURATION_MS_MAX) {
            prop_assert_eq!(parse_ms(&shown(ms).to_string()), Ok(ms));
        }

        #[test]
        fn any_text_does_no_harm(text in ".*") {
            let _ = parse(&text);
        }
    }
}
