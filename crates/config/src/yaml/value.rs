//! What a scalar means.

use super::Kind;

/// A scalar by the rules of YAML 1.1 as Go's `yaml.v2` has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// Left out, `~` or `null`.
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// Anything else, and everything in quotes.
    Text,
    /// `<<` as a key.
    Merge,
    /// `!!binary`: bytes in base64.
    Binary,
}

impl Value {
    /// What a node means that is a scalar.
    pub(crate) fn of(kind: &Kind) -> Option<Self> {
        let Kind::Scalar { text, plain, tag } = kind else {
            return None;
        };
        Some(match tag.as_deref() {
            None if *plain => Self::of_plain(text),
            None => Self::Text,
            Some("binary") => Self::Binary,
            Some("null" | "bool" | "int" | "float") => Self::of_plain(text),
            Some(_) => Self::Text,
        })
    }

    fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "<<" => return Self::Merge,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Self::Bool(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => return Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Self::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            _ => {}
        }
        let first = text.as_bytes()[0];
        if !(first.is_ascii_digit() || b"+-.".contains(&first)) {
            return Self::Text;
        }
        let digits = text.replace('_', "");
        if let Some(int) = int(&digits) {
            return Self::Int(int);
        }
        match is_float(&digits).then(|| digits.parse()) {
            Some(Ok(float)) => Self::Float(float),
            _ => Self::Text,
        }
    }
}

/// Decimal, `0x` hexadecimal, `0b` binary, octal with `0o` or just a leading zero.
fn int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    // 64 bits hold every number there is a use for.
    let size = u64::from_str_radix(digits, radix).ok()? as i128;
    Some(if negative { -size } else { size })
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let good_exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && good_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        let cases = [
            ("", Value::Null),
            ("~", Value::Null),
            ("NULL", Value::Null),
            ("nULL", Value::Text),
            ("yes", Value::Bool(true)),
            ("on", Value::Bool(true)),
            ("N", Value::Bool(false)),
            ("oN", Value::Text),
            ("0", Value::Int(0)),
            ("0755", Value::Int(493)),
            ("0o17", Value::Int(15)),
            ("089", Value::Float(89.0)),
            ("1_000", Value::Int(1000)),
            ("0xFf", Value::Int(255)),
            ("-0b11", Value::Int(-3)),
            ("+-1", Value::Text),
            ("--1", Value::Text),
            ("18446744073709551615", Value::Int(u64::MAX as i128)),
            ("18446744073709551616", Value::Float(18446744073709551616.0)),
            ("1e6", Value::Float(1e6)),
            (".5", Value::Float(0.5)),
            ("1.", Value::Float(1.0)),
            (".", Value::Text),
            ("1e", Value::Text),
            ("15s", Value::Text),
            ("1.2.3", Value::Text),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("<<", Value::Merge),
        ];
        for (text, want) in cases {
            assert_eq!(Value::of_plain(text), want, "{text:?}");
        }
    }

    #[test]
    fn quotes_and_tags() {
        let of = |text: &str, plain, tag: Option<&str>| {
            let tag = tag.map(Into::into);
            let text = text.into();
            Value::of(&Kind::Scalar { text, plain, tag })
        };
        assert_eq!(of("true", false, None), Some(Value::Text));
        assert_eq!(of("", false, None), Some(Value::Text));
        assert_eq!(of("true", true, Some("str")), Some(Value::Text));
        assert_eq!(of("5", false, Some("int")), Some(Value::Int(5)));
        assert_eq!(of("bar", true, Some("!foo")), Some(Value::Text));
        assert_eq!(of("aGk=", true, Some("binary")), Some(Value::Binary));
        assert_eq!(Value::of(&Kind::List(Vec::new())), None);
    }
}
