//! Sizes as configurations write them: `512MB`. Units are powers of 1024, spelt either way.

use std::fmt;

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Numbers and units do not alternate.
    #[error("units: invalid {0}")]
    Invalid(String),
    /// A number without a unit.
    #[error("units: missing unit in {0}")]
    MissingUnit(String),
    /// A number is followed by something else than a unit.
    #[error("units: unknown unit {unit} in {text}")]
    Unit {
        /// What should be a unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// It does not fit 63 bits.
    #[error("units: overflow in {0}")]
    Range(String),
}

/// Units from large to small.
const UNITS: [(&str, u64); 7] = [
    ("E", 1 << 60),
    ("P", 1 << 50),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("", 1),
];

/// Reads a size; the answer is in bytes. Only `0` needs no unit. Numbers may have fractions,
/// and a size may be a sum: `1.5GB`, `1GB512MB`.
pub fn parse(text: &str) -> Result<u64, ParseError> {
    if text == "0" {
        return Ok(0);
    }
    let invalid = || ParseError::Invalid(text.to_string());
    let range = || ParseError::Range(text.to_string());
    let mut total: u64 = 0;
    let mut rest = text;
    loop {
        let is_number = |b: u8| b.is_ascii_digit() || b == b'.';
        let end = rest.bytes().position(|b| !is_number(b));
        let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
        let end = after.bytes().position(is_number);
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(ParseError::MissingUnit(text.to_string()));
        }
        let bytes = unit_bytes(unit).ok_or_else(|| ParseError::Unit {
            unit: unit.to_string(),
            text: text.to_string(),
        })?;
        let whole: u64 = match whole {
            "" => 0,
            digits => digits.parse().map_err(|_| range())?,
        };
        // Digits and a point before them are always a number below one.
        let part: f64 = format!("0.{fraction}").parse().map_err(|_| invalid())?;
        total = whole
            .checked_mul(bytes)
            .and_then(|whole| whole.checked_add((part * bytes as f64) as u64))
            .and_then(|sum| sum.checked_add(total))
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or_else(range)?;
        rest = after;
        if rest.is_empty() {
            return Ok(total);
        }
    }
}

fn unit_bytes(unit: &str) -> Option<u64> {
    let prefix = unit.strip_suffix("iB").or_else(|| unit.strip_suffix('B'))?;
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == prefix)?;
    (unit != "iB").then_some(*bytes)
}

/// A size in bytes as a sum of units: `1GiB512MiB`.
pub fn shown(bytes: u64) -> Shown {
    Shown(bytes)
}

/// Displays a size; made by [`shown`].
#[derive(Clone, Copy, Debug)]
pub struct Shown(u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let mut rest = self.0;
        for (name, bytes) in UNITS {
            if rest >= bytes {
                let i = if name.is_empty() { "" } else { "i" };
                write!(f, "{}{name}{i}B", rest / bytes)?;
                rest %= bytes;
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
        let got = match parse(text) {
            Ok(bytes) => shown(bytes).to_string(),
            Err(e) => e.to_string(),
        };
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("0", "0B"),
            ("0B", "0B"),
            ("1B", "1B"),
            ("512MB", "512MiB"),
            ("512MiB", "512MiB"),
            ("1024KB", "1MiB"),
            ("1.5GB", "1GiB512MiB"),
            (".5KB", "512B"),
            ("1GB512MB", "1GiB512MiB"),
            ("7EB", "7EiB"),
            ("", "units: invalid "),
            ("-1B", "units: invalid -1B"),
            ("MB", "units: invalid MB"),
            ("1..2KB", "units: invalid 1..2KB"),
            (".B", "units: invalid .B"),
            ("512", "units: missing unit in 512"),
            ("1KB5", "units: missing unit in 1KB5"),
            ("5kB", "units: unknown unit kB in 5kB"),
            ("5iB", "units: unknown unit iB in 5iB"),
            ("5K", "units: unknown unit K in 5K"),
            ("8EB", "units: overflow in 8EB"),
            (
                "99999999999999999999B",
                "units: overflow in 99999999999999999999B",
            ),
        ] {
            check(text, want);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes in 0..=i64::MAX as u64) {
            prop_assert_eq!(parse(&shown(bytes).to_string()), Ok(bytes));
        }

        #[test]
        fn any_text_does_no_harm(text in ".*") {
            let _ = parse(&text);
        }
    }
}
