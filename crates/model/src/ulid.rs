//! Identifiers that sort by the time they were made at.

use std::fmt;
use std::str::FromStr;

/// Crockford's base 32, as the ULID specification uses it.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of the text form.
const TEXT_LEN: usize = 26;

/// A ULID: 48 bits of Unix time in milliseconds, 80 random bits. In text as in number, an
/// earlier one is the smaller one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(pub u128);

impl Ulid {
    /// Made at a time, in milliseconds since the Unix epoch; the low 80 bits of `random` are
    /// used.
    pub fn new(unix_ms: i64, random: u128) -> Self {
        let time = u128::from(unix_ms.max(0).unsigned_abs()) << 80;
        Self(time | random & ((1 << 80) - 1))
    }

    /// When it was made, in milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        (self.0 >> 80) as i64
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; TEXT_LEN];
        for (i, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(self.0 >> (5 * i) & 31) as usize];
        }
        let text: &str = &String::from_utf8_lossy(&text);
        f.pad(text)
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no ULID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ULID: 26 characters of 0-9 and A-Z without I, L, O, U, the first at most 7")]
pub struct UlidError(String);

impl FromStr for Ulid {
    type Err = UlidError;

    fn from_str(text: &str) -> Result<Self, UlidError> {
        let bad = || UlidError(text.chars().take(64).collect());
        if text.len() != TEXT_LEN || text.as_bytes()[0] > b'7' {
            return Err(bad());
        }
        let mut digits = text.bytes().map(|byte| {
            let digit = DIGITS.iter().position(|d| *d == byte);
            digit.map(|d| d as u128)
        });
        let number = digits.try_fold(0, |all, digit| Some(all << 5 | digit?));
        number.map(Self).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_are_one() {
        // The example of the specification.
        let text = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let ulid: Ulid = text.parse().unwrap();
        assert_eq!(ulid.to_string(), text);
        assert_eq!(ulid.unix_ms(), 1_469_922_850_259);
        assert_eq!(Ulid(u128::MAX).to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(Ulid::new(5, u128::MAX).unix_ms(), 5);
        assert!(Ulid::new(1, u128::MAX) < Ulid::new(2, 0));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "é1ARZ3NDEKTSV4RRFFQ69G5FA",
        ] {
            assert!(text.parse::<Ulid>().is_err(), "{text}");
        }
    }
}
