//! Request parameters, with Go's form semantics: the URL's and the form's, merged.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ferula_model::Timestamp;
use http_body_util::{BodyExt as _, Limited};

use crate::error::ApiError;
use crate::reply;

/// The largest form, in bytes: what Go's server takes.
const FORM_BYTES_MAX: usize = 10 << 20;

/// The times "min" and "max" that the API itself prints for open ranges.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";
const MIN_TIME_MS: Timestamp = i64::MIN / 1_000_000 * 1_000;
const MAX_TIME_MS: Timestamp = i64::MAX / 1_000_000 * 1_000;

/// The parameters of one request. For a single value the form wins over the URL.
#[derive(Debug, Default)]
pub(crate) struct Params {
    form: Vec<(String, String)>,
    url: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let url = pairs(request.uri().query().unwrap_or("").as_bytes());
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.trim().starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return Ok(Self {
                form: Vec::new(),
                url,
            });
        }
        let body = Limited::new(request.into_body(), FORM_BYTES_MAX);
        match body.collect().await {
            Ok(body) => Ok(Self {
                form: pairs(&body.to_bytes()),
                url,
            }),
            Err(_) => {
                let text =
                    format!("error parsing form values: a form has at most {FORM_BYTES_MAX} bytes");
                Err((
                    StatusCode::BAD_REQUEST,
                    reply::error_body(&ApiError::bad_data(text)),
                )
                    .into_response())
            }
        }
    }
}

/// Splits `a=1&b=2`, percent-decoded, `+` for a blank. What is not UTF-8 becomes U+FFFD.
fn pairs(text: &[u8]) -> Vec<(String, String)> {
    text.split(|&b| b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
            (
                percent_decoded(&pair[..at], true),
                percent_decoded(pair.get(at + 1..).unwrap_or(&[]), true),
            )
        })
        .collect()
}

/// Resolves `%41` (and, in forms, `+`); a stray `%` stands for itself.
pub(crate) fn percent_decoded(text: &[u8], plus_is_blank: bool) -> String {
    let digit = |i: usize| {
        text.get(i)
            .and_then(|&b| (b as char).to_digit(16))
            .map(|d| d as u8)
    };
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        match (text[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                i += 2;
            }
            (b'+', ..) if plus_is_blank => out.push(b' '),
            (other, ..) => out.push(other),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Params {
    /// The value of `name`, empty if absent.
    pub(crate) fn get<'a>(&'a self, name: &str) -> &'a str {
        let mut all = self.form.iter().chain(&self.url);
        all.find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// All values of `name`, the form's first.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.form
            .iter()
            .chain(&self.url)
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The value of `name` in the URL alone, empty if absent.
    pub(crate) fn url<'a>(&'a self, name: &str) -> &'a str {
        self.url
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, v)| v)
    }

    /// A time that must be given.
    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.get(name)).map_err(|detail| ApiError::parameter(name, detail))
    }

    /// A time that may be left out.
    pub(crate) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            value => parse_time(value).map_err(|detail| {
                ApiError::parameter(name, format!("invalid time value for '{name}': {detail}"))
            }),
        }
    }

    /// The span asked for; everything if neither end is given.
    pub(crate) fn range(&self) -> Result<(Timestamp, Timestamp), ApiError> {
        Ok((
            self.time_or("start", MIN_TIME_MS)?,
            self.time_or("end", MAX_TIME_MS)?,
        ))
    }

    /// A bound on the number of results; 0 for none.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let value = self.get("limit");
        if value.is_empty() {
            return Ok(0);
        }
        let quoted = ferula_model::text::quote::quoted(value);
        match value.parse::<i64>() {
            Ok(n) if n < 0 => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Ok(n) => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
            Err(_) => Err(ApiError::parameter(
                "limit",
                format!("strconv.Atoi: parsing {quoted}: invalid syntax"),
            )),
        }
    }

    /// A duration that may be left out.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            value => match parse_duration_ms(value) {
                Ok(ms) => Ok(Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))),
                Err(detail) => Err(ApiError::parameter(name, detail)),
            },
        }
    }
}

/// Unix seconds, or RFC 3339; in milliseconds.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    match text {
        MIN_TIME => return Ok(MIN_TIME_MS),
        MAX_TIME => return Ok(MAX_TIME_MS),
        _ => {}
    }
    let unparsable = || {
        format!(
            "cannot parse {} to a valid timestamp",
            ferula_model::text::quote::quoted(text)
        )
    };
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1_000.0).round();
        if !ms.is_finite() || ms.abs() >= i64::MAX as f64 {
            return Err(unparsable());
        }
        return Ok(ms as Timestamp);
    }
    text.parse::<jiff::Timestamp>()
        .map(|t| t.as_millisecond())
        .map_err(|_| unparsable())
}

/// Seconds, or `1h30m`; in milliseconds, may be negative.
pub(crate) fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let quoted = ferula_model::text::quote::quoted(text);
    if let Ok(seconds) = text.parse::<f64>() {
        let ns = seconds * 1e9;
        if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
            return Err(format!(
                "cannot parse {quoted} to a valid duration. It overflows int64"
            ));
        }
        if ns.is_nan() {
            return Err(format!("cannot parse {quoted} to a valid duration"));
        }
        return Ok((ns / 1e6) as i64);
    }
    ferula_model::text::duration::parse_ms(text)
        .map_err(|_| format!("cannot parse {quoted} to a valid duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(url: &str, form: &str) -> Params {
        Params {
            url: pairs(url.as_bytes()),
            form: pairs(form.as_bytes()),
        }
    }

    #[test]
    fn the_form_wins_and_lists_are_merged() {
        let p = params("query=a&match[]=x", "query=b%2Bc+d&match%5B%5D=y&empty");
        assert_eq!(p.get("query"), "b+c d");
        assert_eq!(p.url("query"), "a");
        assert_eq!(p.all("match[]").collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(p.get("empty"), "");
    }

    #[test]
    fn times_as_go_reads_them() {
        let check = |text: &str, expected: Result<i64, &str>| {
            assert_eq!(parse_time(text), expected.map_err(str::to_owned), "{text}");
        };
        check("1435781451.781", Ok(1_435_781_451_781));
        check("1e3", Ok(1_000_000));
        check("-1.5", Ok(-1_500));
        check("2015-07-01T20:10:51.781Z", Ok(1_435_781_451_781));
        check("2015-07-01T22:10:51.781+02:00", Ok(1_435_781_451_781));
        check(MIN_TIME, Ok(MIN_TIME_MS));
        check("foo", Err("cannot parse \"foo\" to a valid timestamp"));
        check("", Err("cannot parse \"\" to a valid timestamp"));
        check("NaN", Err("cannot parse \"NaN\" to a valid timestamp"));
    }

    #[test]
    fn durations_as_go_reads_them() {
        let check = |text: &str, expected: Result<i64, &str>| {
            assert_eq!(
                parse_duration_ms(text),
                expected.map_err(str::to_owned),
                "{text}"
            );
        };
        check("0.5", Ok(500));
        check("1h30m", Ok(5_400_000));
        check("1.5h", Err("cannot parse \"1.5h\" to a valid duration"));
        check(
            "1e99",
            Err("cannot parse \"1e99\" to a valid duration. It overflows int64"),
        );
    }

    #[test]
    fn errors_name_the_parameter() {
        let p = params("start=foo&limit=-1", "");
        assert_eq!(
            p.range().unwrap_err().message,
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"foo\" to a valid timestamp"
        );
        assert_eq!(
            p.limit().unwrap_err().message,
            "invalid parameter \"limit\": limit must be non-negative"
        );
    }
}
