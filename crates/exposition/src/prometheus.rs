//! Prometheus text 0.0.4 and 1.0.0.

use ferula_model::MetricKind;

use crate::cursor::{self, Name, at, skip_blanks};
use crate::error::At;
use crate::number;
use crate::parser::{Entry, Parser};
use crate::series::Series;

pub(crate) fn next<'a>(parser: &mut Parser<'a>) -> Result<Option<Entry<'a>>, At> {
    let body = parser.body;
    let mut pos = parser.pos;
    loop {
        let start = pos;
        pos = skip_blanks(body, pos);
        let (entry, end) = match at(body, pos) {
            b'\n' if pos >= body.len() => {
                parser.pos = body.len();
                return Ok(None);
            }
            b'\n' => {
                pos += 1;
                continue;
            }
            b'#' => comment(parser, pos)?,
            _ => series(parser, start, pos)?,
        };
        // The last line may lack its line feed.
        parser.pos = (end + 1).min(body.len());
        return Ok(Some(entry));
    }
}

/// The sample whose line starts at `start`, with its first word at `pos`; and its line's end.
/// Blanks before a bare name belong to the name, as in Prometheus.
#[inline(always)]
fn series<'a>(parser: &Parser<'a>, start: usize, pos: usize) -> Result<(Entry<'a>, usize), At> {
    let body = parser.body;
    let mut raw_end = pos;
    let mut name = Name::Wanted;
    if at(body, pos) != b'{' {
        if !cursor::is_metric_start(body, pos) {
            return At::expected(pos, "a metric name");
        }
        raw_end = cursor::metric_end(body, pos);
        name = Name::Refused;
    }
    let mut pos = skip_blanks(body, raw_end);
    if at(body, pos) == b'{' {
        raw_end = cursor::labels_end::<false>(body, pos, name)?;
        pos = skip_blanks(body, raw_end);
    }
    parser.check_utf8(start, raw_end)?;
    let (value, end) = parser.value(pos, |b| matches!(b, b' ' | b'\t' | b'\n' | b'{'))?;
    let mut pos = skip_blanks(body, end);
    let mut timestamp = None;
    if at(body, pos) != b'\n' {
        let digits = pos;
        while at(body, pos).is_ascii_digit() {
            pos += 1;
        }
        timestamp = number::parse_digits(&body[digits..pos]);
        if timestamp.is_none() {
            return At::expected(digits, "a timestamp in milliseconds or the end of the line");
        }
        pos = skip_blanks(body, pos);
        if at(body, pos) != b'\n' {
            return At::expected(pos, "the end of the line after the timestamp");
        }
    }
    let series = Series {
        raw: &body[start..raw_end],
        value,
        timestamp,
        exemplar: None,
        kind: parser.kind,
    };
    Ok((Entry::Series(series), pos))
}

/// The comment whose `#` is at `pos`, and its line's end.
fn comment<'a>(parser: &mut Parser<'a>, pos: usize) -> Result<(Entry<'a>, usize), At> {
    let body = parser.body;
    let line_end = cursor::line_end(body, pos);
    let word = skip_blanks(body, pos + 1);
    let rest = &body[word.min(line_end)..line_end];
    let after = |keyword: &[u8]| {
        let blank = matches!(rest.get(keyword.len()), Some(b' ' | b'\t'));
        (word > pos + 1 && blank && rest.starts_with(keyword))
            .then(|| skip_blanks(body, word + keyword.len()))
    };
    if let Some(pos) = after(b"HELP") {
        let (family, end) = parser.family(pos)?;
        let (text, line_end) = text_after(body, end);
        parser.check_utf8(text, line_end)?;
        let text = cursor::unescape(&body[text..line_end], false);
        Ok((Entry::Help { family, text }, line_end))
    } else if let Some(pos) = after(b"TYPE") {
        let (family, end) = parser.family(pos)?;
        let (text, line_end) = text_after(body, end);
        let kind = match &body[text..line_end] {
            b"counter" => MetricKind::Counter,
            b"gauge" => MetricKind::Gauge,
            b"histogram" => MetricKind::Histogram,
            b"summary" => MetricKind::Summary,
            b"untyped" => MetricKind::Unknown,
            _ => {
                let types = "counter, gauge, histogram, summary or untyped";
                return At::expected(text, types);
            }
        };
        parser.kind = kind;
        Ok((Entry::Type { family, kind }, line_end))
    } else {
        Ok((Entry::Comment(&body[pos..line_end]), line_end))
    }
}

/// The text after a family name that ends at `pos`: from exactly one byte later to the end of
/// the line.
fn text_after(body: &[u8], pos: usize) -> (usize, usize) {
    let line_end = cursor::line_end(body, pos);
    ((pos + 1).min(line_end), line_end)
}
