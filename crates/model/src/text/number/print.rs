//! Floats as Go prints them: the fewest digits that read back as the same value, laid out in
//! one of several forms.

use std::fmt;

/// What text is appended to.
pub trait Sink {
    /// Appends `text`.
    fn put(&mut self, text: &str);
}

impl Sink for String {
    #[inline]
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// How a float is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Never an exponent, Go's `'f'`: `100000000000000000000`.
    Plain,
    /// Always an exponent, Go's `'e'`: `1e+20`.
    Exponent,
    /// An exponent below 1e-4 and from 1e6 on, Go's `%v` and `'g'`: `1e+06`.
    General,
    /// As the HTTP API writes sample values: an exponent below 1e-6 and from 1e21 on.
    Api,
    /// As OpenMetrics writes `le` and `quantile`: as [`Form::General`], always with a point or
    /// an exponent.
    OpenMetrics,
}

impl Form {
    /// Appends `value`.
    #[inline]
    pub fn write(self, out: &mut impl Sink, value: f64) {
        match self {
            Self::Plain => write_plain(out, value),
            Self::Exponent => write_exponent(out, value),
            Self::General => write_general(out, value),
            Self::Api => write_api(out, value),
            Self::OpenMetrics => write_openmetrics(out, value),
        }
    }

    /// `value` for `format!`.
    pub fn show(self, value: f64) -> Shown {
        Shown { form: self, value }
    }
}

/// Displays a float; made by [`Form::show`].
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    form: Form,
    value: f64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Into<'a, 'b>(&'a mut fmt::Formatter<'b>, fmt::Result);
        impl Sink for Into<'_, '_> {
            fn put(&mut self, text: &str) {
                if self.1.is_ok() {
                    self.1 = self.0.write_str(text);
                }
            }
        }
        let mut into = Into(f, Ok(()));
        self.form.write(&mut into, self.value);
        into.1
    }
}

/// The powers of ten that [`write_general`] prints without an exponent.
const GENERAL_EXPONENTS: std::ops::Range<i32> = -4..6;

/// Appends `value` without an exponent: Go's `FormatFloat(v, 'f', -1, 64)`.
pub fn write_plain(out: &mut impl Sink, value: f64) {
    if !write_special(out, value) && !write_integer(out, value) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        // Of these sizes, `zmij` uses no exponent, either.
        if (1e-4..1e15).contains(&value.abs()) {
            out.put(text.strip_suffix(".0").unwrap_or(text));
        } else {
            Digits::of(text).write_plain(out);
        }
    }
}

/// Appends `value` with an exponent of at least two digits: Go's `FormatFloat(v, 'e', -1, 64)`.
pub fn write_exponent(out: &mut impl Sink, value: f64) {
    if !write_special(out, value) {
        let mut buffer = zmij::Buffer::new();
        Digits::of(buffer.format_finite(value)).write_exponent(out);
    }
}

/// Appends `value`, with an exponent if it is large or small: Go's `FormatFloat(v, 'g', -1, 64)`.
pub fn write_general(out: &mut impl Sink, value: f64) {
    if !write_special(out, value) {
        let mut buffer = zmij::Buffer::new();
        let digits = Digits::of(buffer.format_finite(value));
        if value == 0.0 || GENERAL_EXPONENTS.contains(&digits.exponent()) {
            digits.write_plain(out);
        } else {
            digits.write_exponent(out);
        }
    }
}

/// Appends `value` as sample values are written in the HTTP API.
#[inline]
pub fn write_api(out: &mut impl Sink, value: f64) {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write_exponent(out, value);
    } else {
        write_plain(out, value);
    }
}

/// Appends `value` as OpenMetrics wants bucket bounds and quantiles: `1.0`, `0.25`, `1e+06`.
/// Zero has no sign.
pub fn write_openmetrics(out: &mut impl Sink, value: f64) {
    if !write_special(out, value) {
        let value = if value == 0.0 { 0.0 } else { value };
        write_general(out, value);
        let exponent = value != 0.0 && !(1e-4..1e6).contains(&value.abs());
        if !exponent && value.fract() == 0.0 {
            out.put(".0");
        }
    }
}

/// Appends NaN and the infinities, and answers whether `value` was one of them.
#[inline]
fn write_special(out: &mut impl Sink, value: f64) -> bool {
    if value.is_finite() {
        return false;
    }
    out.put(if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    });
    true
}

/// Appends `value` if it is a small whole number, as most samples are, and answers whether it
/// is one.
#[inline]
fn write_integer(out: &mut impl Sink, value: f64) -> bool {
    /// Up to here every whole number is a float, and its digits are the shortest ones.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let whole = value as i64;
    let negative_zero = whole == 0 && value.is_sign_negative();
    if value.abs() >= EXACT_MAX || whole as f64 != value || negative_zero {
        return false;
    }
    out.put(itoa::Buffer::new().format(whole));
    true
}

/// The shortest decimal digits of a finite float: `±0.head tail × 10^point`.
struct Digits<'a> {
    negative: bool,
    /// Digits without leading zeros, in two pieces because the source has a point somewhere.
    head: &'a str,
    tail: &'a str,
    /// Where the decimal point is, counted from before the first digit.
    point: i32,
}

/// More zeros than any float has between its point and its digits, or after them.
const ZEROS: &str = match std::str::from_utf8(&[b'0'; 330]) {
    Ok(zeros) => zeros,
    Err(_) => panic!("zeros are ASCII"),
};

impl<'a> Digits<'a> {
    /// Reads what `zmij` prints: `-12.5`, `0.001`, `1e-7`, `1.5e20`.
    fn of(text: &'a str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.find('e') {
            Some(at) => (&text[..at], text[at + 1..].parse().unwrap_or(0)),
            None => (text, 0),
        };
        let (head, tail) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let tail = tail.trim_end_matches('0');
        let (head, tail, point) = if head == "0" {
            let digits = tail.trim_start_matches('0');
            ("", digits, -((tail.len() - digits.len()) as i32))
        } else if tail.is_empty() {
            (head.trim_end_matches('0'), "", head.len() as i32)
        } else {
            (head, tail, head.len() as i32)
        };
        Self {
            negative,
            head,
            tail,
            point: point + exponent,
        }
    }

    /// The power of ten of the first digit.
    fn exponent(&self) -> i32 {
        self.point - 1
    }

    /// Digits `[from, to)`.
    fn put(&self, out: &mut impl Sink, from: usize, to: usize) {
        let middle = self.head.len();
        if from < middle {
            out.put(&self.head[from..to.min(middle)]);
        }
        if to > middle {
            out.put(&self.tail[from.max(middle) - middle..to - middle]);
        }
    }

    fn write_plain(&self, out: &mut impl Sink) {
        if self.negative {
            out.put("-");
        }
        let len = self.head.len() + self.tail.len();
        if self.point <= 0 {
            out.put("0");
            if len > 0 {
                out.put(".");
                out.put(&ZEROS[..-self.point as usize]);
                self.put(out, 0, len);
            }
            return;
        }
        let point = self.point as usize;
        if len <= point {
            self.put(out, 0, len);
            out.put(&ZEROS[..point - len]);
        } else {
            self.put(out, 0, point);
            out.put(".");
            self.put(out, point, len);
        }
    }

    fn write_exponent(&self, out: &mut impl Sink) {
        if self.negative {
            out.put("-");
        }
        let len = self.head.len() + self.tail.len();
        if len == 0 {
            return out.put("0e+00");
        }
        self.put(out, 0, 1);
        if len > 1 {
            out.put(".");
            self.put(out, 1, len);
        }
        let exponent = self.exponent();
        out.put(if exponent < 0 { "e-" } else { "e+" });
        if exponent.unsigned_abs() < 10 {
            out.put("0");
        }
        out.put(itoa::Buffer::new().format(exponent.unsigned_abs()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: f64, plain: &str, exponent: &str, general: &str, api: &str, openmetrics: &str) {
        for (form, want) in [
            (Form::Plain, plain),
            (Form::Exponent, exponent),
            (Form::General, general),
            (Form::Api, api),
            (Form::OpenMetrics, openmetrics),
        ] {
            assert_eq!(form.show(value).to_string(), want, "{form:?} {value:e}");
            let mut bytes = b"x".to_vec();
            form.write(&mut bytes, value);
            assert_eq!(bytes, format!("x{want}").into_bytes());
        }
    }

    #[test]
    fn forms() {
        #[rustfmt::skip]
        let rows = [
            (0.0, "0", "0e+00", "0", "0", "0.0"),
            (-0.0, "-0", "-0e+00", "-0", "-0", "0.0"),
            (1.0, "1", "1e+00", "1", "1", "1.0"),
            (-1.0, "-1", "-1e+00", "-1", "-1", "-1.0"),
            (10.0, "10", "1e+01", "10", "10", "10.0"),
            (0.5, "0.5", "5e-01", "0.5", "0.5", "0.5"),
            (-12.25, "-12.25", "-1.225e+01", "-12.25", "-12.25", "-12.25"),
            (100000.0, "100000", "1e+05", "100000", "100000", "100000.0"),
            (200000.5, "200000.5", "2.000005e+05", "200000.5", "200000.5", "200000.5"),
            (1e6, "1000000", "1e+06", "1e+06", "1000000", "1e+06"),
            (1234567.8, "1234567.8", "1.2345678e+06", "1.2345678e+06", "1234567.8", "1.2345678e+06"),
            (123456700.0, "123456700", "1.234567e+08", "1.234567e+08", "123456700", "1.234567e+08"),
            (0.0001, "0.0001", "1e-04", "0.0001", "0.0001", "0.0001"),
            (0.00004, "0.00004", "4e-05", "4e-05", "0.00004", "4e-05"),
            (1e-6, "0.000001", "1e-06", "1e-06", "0.000001", "1e-06"),
            (1.5e-7, "0.00000015", "1.5e-07", "1.5e-07", "1.5e-07", "1.5e-07"),
            (1e15, "1000000000000000", "1e+15", "1e+15", "1000000000000000", "1e+15"),
            (498484681984085570.0, "498484681984085570", "4.9848468198408557e+17",
                "4.9848468198408557e+17", "498484681984085570", "4.9848468198408557e+17"),
            (9007199254740993.0, "9007199254740992", "9.007199254740992e+15",
                "9.007199254740992e+15", "9007199254740992", "9.007199254740992e+15"),
            (1e20, "100000000000000000000", "1e+20", "1e+20", "100000000000000000000", "1e+20"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21", "1e+21", "1e+21"),
            (-1.5e300, &format!("-15{}", &ZEROS[..299]), "-1.5e+300", "-1.5e+300", "-1.5e+300", "-1.5e+300"),
            (5e-324, &format!("0.{}5", &ZEROS[..323]), "5e-324", "5e-324", "5e-324", "5e-324"),
            (f64::MAX, &format!("17976931348623157{}", &ZEROS[..292]), "1.7976931348623157e+308",
                "1.7976931348623157e+308", "1.7976931348623157e+308", "1.7976931348623157e+308"),
            (f64::NAN, "NaN", "NaN", "NaN", "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf", "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf", "-Inf", "-Inf"),
        ];
        for (value, plain, exponent, general, api, openmetrics) in rows {
            check(value, plain, exponent, general, api, openmetrics);
        }
    }

    #[test]
    fn halves_round_to_even_in_the_last_digit() {
        assert_eq!(Form::Plain.show(5e-324).to_string().len(), 326);
        assert_eq!(
            Form::Exponent.show(9.5367431640625e-7).to_string(),
            "9.5367431640625e-07"
        );
        assert_eq!(
            Form::Exponent.show(2f64.powi(-44)).to_string(),
            "5.684341886080802e-14"
        );
    }

    fn any_float() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            any::<i64>().prop_map(|i| i as f64),
            (any::<i32>(), 0..12i32).prop_map(|(i, e)| f64::from(i) / 10f64.powi(e)),
        ]
        .prop_filter("finite", |f| f.is_finite())
    }

    proptest! {
        #[test]
        fn every_form_reads_back(value in any_float()) {
            for form in [Form::Plain, Form::Exponent, Form::General, Form::Api] {
                let text = form.show(value).to_string();
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text);
            }
            let text = Form::OpenMetrics.show(value).to_string();
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
            prop_assert!(text.contains(['.', 'e']));
        }

        #[test]
        fn plain_is_as_long_as_what_std_prints(value in any_float()) {
            // Digits may differ in the last place where two are equally near.
            prop_assert_eq!(Form::Plain.show(value).to_string().len(), format!("{value}").len());
        }

        #[test]
        fn fractions_of_ten_are_as_std_prints_them(i in any::<i32>(), e in 0..9i32) {
            let value = f64::from(i) / 10f64.powi(e);
            prop_assert_eq!(Form::Plain.show(value).to_string(), format!("{value}"));
        }
    }
}
