//! OpenMetrics 0.0.1 and 1.0.0.

use ferula_model::{MetricKind, Timestamp};

use crate::cursor::{self, Name, at};
use crate::error::At;
use crate::parser::{Entry, Parser};
use crate::series::{Exemplar, Series};

pub(crate) fn next<'a>(parser: &mut Parser<'a>) -> Result<Option<Entry<'a>>, At> {
    let body = parser.body;
    let pos = parser.pos;
    if pos >= body.len() {
        return At::expected(pos, "`# EOF` as the last line");
    }
    let (entry, end) = match at(body, pos) {
        b'#' => metadata(parser, pos)?,
        _ => series(parser, pos)?,
    };
    if at(body, end) != b'\n' {
        return At::expected(end, "the end of the line");
    }
    if matches!(entry, Entry::Eof) {
        parser.done = true;
        parser.pos = (end + 1).min(body.len());
        if parser.pos < body.len() {
            return At::expected(parser.pos, "nothing after `# EOF`");
        }
    } else if end >= body.len() {
        return At::expected(end, "a line feed, and `# EOF` as the last line");
    } else {
        parser.pos = end + 1;
    }
    Ok(Some(entry))
}

/// The sample that starts at `pos`, and where it ends.
#[inline(always)]
fn series<'a>(parser: &Parser<'a>, start: usize) -> Result<(Entry<'a>, usize), At> {
    let body = parser.body;
    let mut pos = start;
    let mut name = Name::Wanted;
    if at(body, pos) != b'{' {
        if !cursor::is_metric_start(body, pos) {
            return At::expected(pos, "a metric name or `#`");
        }
        pos = cursor::metric_end(body, pos);
        name = Name::Refused;
    }
    if at(body, pos) == b'{' {
        pos = cursor::labels_end::<true>(body, pos, name)?;
    }
    parser.check_utf8(start, pos)?;
    let raw = &body[start..pos];
    let (value, mut pos) = value(parser, pos)?;
    let mut timestamp = None;
    if at(body, pos) == b' ' && at(body, pos + 1) != b'#' {
        let (t, end) = self::timestamp(parser, pos)?;
        (timestamp, pos) = (Some(t), end);
    }
    let mut exemplar = None;
    if at(body, pos) == b' ' {
        let (e, end) = self::exemplar(parser, pos)?;
        (exemplar, pos) = (Some(e), end);
    }
    let series = Series {
        raw,
        value,
        timestamp,
        exemplar,
        kind: parser.kind,
    };
    Ok((Entry::Series(series), pos))
}

/// The exemplar whose leading space is at `pos`, and where it ends.
fn exemplar<'a>(parser: &Parser<'a>, pos: usize) -> Result<(Exemplar<'a>, usize), At> {
    let body = parser.body;
    if !body[pos..].starts_with(b" # {") {
        return At::expected(pos, "the end of the line or an exemplar, ` # {`");
    }
    let start = pos + 3;
    let end = cursor::labels_end::<true>(body, start, Name::Refused)?;
    parser.check_utf8(start, end)?;
    let (value, mut pos) = value(parser, end)?;
    let mut timestamp = None;
    if at(body, pos) == b' ' {
        let (t, end) = self::timestamp(parser, pos)?;
        (timestamp, pos) = (Some(t), end);
    }
    let raw = &body[start..end];
    Ok((
        Exemplar {
            raw,
            value,
            timestamp,
        },
        pos,
    ))
}

/// The value after the space at `pos`, and where it ends.
#[inline(always)]
fn value(parser: &Parser<'_>, pos: usize) -> Result<(f64, usize), At> {
    if at(parser.body, pos) != b' ' {
        return At::expected(pos, "one space and a value");
    }
    parser.value(pos + 1, |b| matches!(b, b' ' | b'\n'))
}

/// The timestamp, in seconds, after the space at `pos`, and where it ends.
fn timestamp(parser: &Parser<'_>, pos: usize) -> Result<(Timestamp, usize), At> {
    let (seconds, end) = value(parser, pos)?;
    if !seconds.is_finite() {
        return At::expected(pos + 1, "a finite timestamp in seconds");
    }
    Ok(((seconds * 1_000.0) as Timestamp, end))
}

/// The `# HELP`, `# TYPE`, `# UNIT` or `# EOF` at `pos`, and where it ends.
fn metadata<'a>(parser: &mut Parser<'a>, pos: usize) -> Result<(Entry<'a>, usize), At> {
    let body = parser.body;
    let line_end = cursor::line_end(body, pos);
    let line = &body[pos..line_end];
    if line == b"# EOF" {
        return Ok((Entry::Eof, line_end));
    }
    let keyword = line.get(..7).unwrap_or_default();
    if !matches!(keyword, b"# HELP " | b"# TYPE " | b"# UNIT ") {
        return At::expected(pos, "`# HELP`, `# TYPE`, `# UNIT` or `# EOF`");
    }
    let (family, end) = parser.family(pos + 7)?;
    if at(body, end) != b' ' {
        return At::expected(end, "one space and a text");
    }
    // A quoted family name may hold line feeds.
    let line_end = cursor::line_end(body, end);
    let text = end + 1;
    let bytes = &body[text..line_end];
    let entry = match keyword {
        b"# TYPE " => {
            let Some(kind) = kind(bytes) else {
                let kinds = "counter, gauge, histogram, gaugehistogram, summary, info, stateset \
                             or unknown";
                return At::expected(text, kinds);
            };
            parser.kind = kind;
            Entry::Type { family, kind }
        }
        b"# UNIT " => {
            parser.check_utf8(text, line_end)?;
            let unit = String::from_utf8_lossy(bytes);
            let stem = family.strip_suffix(&*unit);
            if !unit.is_empty() && !stem.is_some_and(|stem| stem.ends_with('_')) {
                return At::expected(text, "the unit to be the family name's suffix after `_`");
            }
            Entry::Unit { family, unit }
        }
        _ => {
            parser.check_utf8(text, line_end)?;
            let text = cursor::unescape(bytes, true);
            Entry::Help { family, text }
        }
    };
    Ok((entry, line_end))
}

fn kind(word: &[u8]) -> Option<MetricKind> {
    use MetricKind::{Counter, Gauge, GaugeHistogram, Histogram, Info, StateSet, Summary, Unknown};
    [
        Counter,
        Gauge,
        Histogram,
        GaugeHistogram,
        Summary,
        Info,
        StateSet,
        Unknown,
    ]
    .into_iter()
    .find(|kind| kind.as_str().as_bytes() == word)
}
