//! Durations as configurations and labels state them: `15s`, `1m30s`, `2w`.

use std::time::Duration;

/// Milliseconds of each unit, in the order in which units may stand.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Longer ones do not fit the signed nanoseconds that Go counts in: 292 years.
const MS_MAX: u64 = i64::MAX as u64 / 1_000_000;

/// A text that is no duration; displays Prometheus's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("empty duration string")]
    Empty,
    /// Not numbers with units, each at most once, in order.
    #[error("not a valid duration string: {}", super::quote::quoted(.0))]
    Invalid(String),
    /// More than 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

/// Reads a duration: numbers with the units `y w d h m s ms`, in that order and each at most
/// once, or `0`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, ms) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if number.is_empty() {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        total = number
            .checked_mul(*ms)
            .and_then(|part| total.checked_add(part))
            .filter(|sum| *sum <= MS_MAX)
            .ok_or(DurationError::OutOfRange)?;
        rest = tail;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as Prometheus does: `1m30s`; years, weeks and days only if nothing is left
/// over (`1d12h` is `36h`); what is below a millisecond does not count.
pub fn format(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in UNITS {
        let whole_only = matches!(unit, "y" | "w" | "d");
        if ms < size || whole_only && !ms.is_multiple_of(size) {
            continue;
        }
        out.push_str(&format!("{}{unit}", ms / size));
        ms %= size;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes() {
        for (text, ms, back) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("15s", 15_000, "15s"),
            ("90s", 90_000, "1m30s"),
            ("1m30s", 90_000, "1m30s"),
            ("1d12h", 36 * 3_600_000, "36h"),
            ("1y", 365 * 24 * 3_600_000, "1y"),
            ("14d", 14 * 24 * 3_600_000, "2w"),
            ("1h1ms", 3_600_001, "1h1ms"),
            ("1500ms", 1_500, "1s500ms"),
        ] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse(text), Ok(duration), "{text}");
            assert_eq!(format(duration), back, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for (text, error) in [
            ("", "empty duration string"),
            ("1", "not a valid duration string: \"1\""),
            ("s", "not a valid duration string: \"s\""),
            ("1s1m", "not a valid duration string: \"1s1m\""),
            ("1s2s", "not a valid duration string: \"1s2s\""),
            ("-1s", "not a valid duration string: \"-1s\""),
            ("1.5h", "not a valid duration string: \"1.5h\""),
            ("300y", "duration out of range"),
            ("99999999999999999999s", "duration out of range"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..MS_MAX) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-z]{0,12}") {
            let _ = parse(&text);
        }
    }
}
