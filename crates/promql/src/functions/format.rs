//! Numbers and times in messages, as Go prints them.

use ferula_model::Timestamp;

/// Go's `%.{digits}g`.
pub(crate) fn general_precise(value: f64, digits: usize) -> String {
    special(value).map_or_else(
        || {
            let text = format!("{value:.*e}", digits.saturating_sub(1));
            place_point(&text, digits as i32)
        },
        str::to_owned,
    )
}

/// A time in UTC, as RFC 3339 writes it; fractions of a second only if there are any.
pub(crate) fn rfc3339(timestamp: Timestamp) -> String {
    let seconds = timestamp.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = super::time::civil_from_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let ms = timestamp.rem_euclid(1000);
    if ms > 0 {
        text.push_str(format!(".{ms:03}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

/// Turns `1.5e7` into the form Go picks: an exponent below 1e-4 and from `10^digits` on.
fn place_point(scientific: &str, digits: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    if exponent < -4 || exponent >= digits {
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{sign_of_exponent}{:02}", exponent.abs());
    }
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{all}");
    }
    let whole = exponent as usize + 1;
    if all.len() <= whole {
        return format!("{sign}{all}{}", "0".repeat(whole - all.len()));
    }
    format!("{sign}{}.{}", &all[..whole], &all[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints() {
        let cases = [
            (0.012345, "0.012"),
            (120.0, "1.2e+02"),
            (1.0, "1"),
            (-0.0, "-0"),
            (12.0, "12"),
            (0.000012, "1.2e-05"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(general_precise(value, 2), text);
        }
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_826_154_120), "2000-02-29T12:09:14.12Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }
}
