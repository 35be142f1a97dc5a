//! Walks over bytes: names, quoted strings, blanks and label lists. Positions in, positions out;
//! past the end of the body every byte reads as a line feed, so no caller checks bounds.

use std::borrow::Cow;

use crate::error::{At, Problem};
use crate::parser::LABELS_MAX;

const METRIC_START: u8 = 1;
const METRIC: u8 = 2;
const LABEL_START: u8 = 4;
const LABEL: u8 = 8;

/// What each byte may be part of.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        table[b] = if byte.is_ascii_alphabetic() || byte == b'_' {
            METRIC_START | METRIC | LABEL_START | LABEL
        } else if byte == b':' {
            METRIC_START | METRIC
        } else if byte.is_ascii_digit() {
            METRIC | LABEL
        } else {
            0
        };
        b += 1;
    }
    table
};

/// The byte at `pos`; a line feed past the end.
#[inline(always)]
pub(crate) fn at(body: &[u8], pos: usize) -> u8 {
    match body.get(pos) {
        Some(&b) => b,
        None => b'\n',
    }
}

/// Skips spaces and tabs.
#[inline(always)]
pub(crate) fn skip_blanks(body: &[u8], mut pos: usize) -> usize {
    while matches!(at(body, pos), b' ' | b'\t') {
        pos += 1;
    }
    pos
}

/// Whether a bare metric name may start at `pos`.
#[inline(always)]
pub(crate) fn is_metric_start(body: &[u8], pos: usize) -> bool {
    CLASS[at(body, pos) as usize] & METRIC_START != 0
}

/// The end of the bare metric name that starts at `pos`.
#[inline(always)]
pub(crate) fn metric_end(body: &[u8], pos: usize) -> usize {
    run_end(body, pos, METRIC)
}

#[inline(always)]
fn run_end(body: &[u8], mut pos: usize, class: u8) -> usize {
    while CLASS[at(body, pos) as usize] & class != 0 {
        pos += 1;
    }
    pos
}

/// The end of the line that holds `pos`: the position of its line feed, or the body's end.
#[inline]
pub(crate) fn line_end(body: &[u8], pos: usize) -> usize {
    let rest = body.get(pos..).unwrap_or_default();
    memchr::memchr(b'\n', rest).map_or(body.len(), |i| pos + i)
}

/// The end of the quoted string whose opening quote is at `pos`, after its closing quote.
/// Line feeds may stand inside, except in the values of OpenMetrics.
#[inline(always)]
pub(crate) fn quoted_end<const LINE_FEEDS: bool>(body: &[u8], pos: usize) -> Result<usize, At> {
    let mut at = pos + 1;
    loop {
        at = special(body, at);
        match body.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') if !matches!(body.get(at + 1), None | Some(b'\n')) => at += 2,
            Some(b'\n') if LINE_FEEDS => at += 1,
            _ => return At::expected(pos, "a string with a closing quote"),
        }
    }
}

/// The first quote, backslash or line feed at or after `pos`, or the body's end. Eight bytes at
/// a time, since most label values are too short for a call to `memchr` to pay.
#[inline(always)]
fn special(body: &[u8], mut pos: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |x: u64| x.wrapping_sub(LOW) & !x & HIGH;
    while let Some(chunk) = body.get(pos..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let hits = zero(word ^ (LOW * b'"' as u64))
            | zero(word ^ (LOW * b'\\' as u64))
            | zero(word ^ (LOW * b'\n' as u64));
        if hits != 0 {
            // The lowest hit is exact; a borrow can only mark bytes above a true one.
            return pos + (hits.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    while let Some(b) = body.get(pos) {
        if matches!(b, b'"' | b'\\' | b'\n') {
            break;
        }
        pos += 1;
    }
    pos.min(body.len())
}

/// Which items a label list may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Exactly one quoted metric name.
    Wanted,
    /// No metric name: it stands before the braces, or there is none (exemplars).
    Refused,
}

/// The end of the label list whose opening brace is at `pos`, after its closing brace.
pub(crate) fn labels_end<const OM: bool>(
    body: &[u8],
    pos: usize,
    mut name: Name,
) -> Result<usize, At> {
    let blanks = |pos| if OM { pos } else { skip_blanks(body, pos) };
    let mut pos = blanks(pos + 1);
    let mut labels = 0;
    while at(body, pos) != b'}' {
        let start = pos;
        let quoted = at(body, pos) == b'"';
        if quoted {
            pos = blanks(quoted_end::<true>(body, pos)?);
        } else if CLASS[at(body, pos) as usize] & LABEL_START != 0 {
            pos = blanks(run_end(body, pos, LABEL));
        } else {
            return At::expected(pos, "a label name or `}`");
        }
        if quoted && matches!(at(body, pos), b',' | b'}') {
            if name == Name::Refused {
                return At::expected(start, "a label (a metric name has no place here)");
            }
            name = Name::Refused;
        } else {
            pos = label_value_end::<OM>(body, pos)?;
            labels += 1;
            if labels > LABELS_MAX {
                let problem = Problem::TooManyLabels;
                return Err(At {
                    pos: start,
                    problem,
                });
            }
        }
        // The Prometheus format puts up with a missing comma between labels.
        match at(body, pos) {
            b',' => pos = blanks(pos + 1),
            b'}' => {}
            _ if OM => return At::expected(pos, "`,` or `}`"),
            _ => {}
        }
    }
    if name == Name::Wanted {
        return At::expected(pos, "a metric name, as a quoted string");
    }
    Ok(pos + 1)
}

/// From the equals sign at `pos` to after the value and the blanks that follow.
#[inline(always)]
fn label_value_end<const OM: bool>(body: &[u8], pos: usize) -> Result<usize, At> {
    let blanks = |pos| if OM { pos } else { skip_blanks(body, pos) };
    if at(body, pos) != b'=' {
        return At::expected(pos, "`=`");
    }
    let pos = blanks(pos + 1);
    if at(body, pos) != b'"' {
        return At::expected(pos, "a label value in quotes");
    }
    let end = match OM {
        true => quoted_end::<false>(body, pos)?,
        false => quoted_end::<true>(body, pos)?,
    };
    Ok(blanks(end))
}

/// One item of a label list that [`labels_end`] has accepted, without its quotes.
pub(crate) enum Item<'a> {
    /// A quoted metric name.
    Name(&'a [u8]),
    /// A label and its value, escapes still in.
    Label(&'a [u8], &'a [u8]),
}

/// Takes the item at `pos` off an accepted label list; `None` at its end. Blanks are skipped in
/// both formats: OpenMetrics would not have been accepted with any.
pub(crate) fn next_item<'a>(list: &'a [u8], pos: &mut usize) -> Option<Item<'a>> {
    *pos = skip_blanks(list, *pos);
    while matches!(list.get(*pos), Some(b',')) {
        *pos = skip_blanks(list, *pos + 1);
    }
    let name = match list.get(*pos)? {
        b'"' => take_quoted(list, pos)?,
        b'}' => return None,
        _ => {
            let start = *pos;
            *pos = run_end(list, start, LABEL);
            &list[start..*pos]
        }
    };
    *pos = skip_blanks(list, *pos);
    if list.get(*pos) != Some(&b'=') {
        return Some(Item::Name(name));
    }
    *pos = skip_blanks(list, *pos + 1);
    Some(Item::Label(name, take_quoted(list, pos)?))
}

fn take_quoted<'a>(list: &'a [u8], pos: &mut usize) -> Option<&'a [u8]> {
    let start = *pos + 1;
    *pos = quoted_end::<true>(list, *pos).ok()?;
    list.get(start..*pos - 1)
}

/// `bytes` as text with `\\`, `\n` and (if `quotes`) `\"` replaced; other escapes stay as they
/// are. The parser has checked that the bytes are UTF-8.
pub(crate) fn unescape(bytes: &[u8], quotes: bool) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let replaced = match (c, chars.peek()) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) if quotes => '"',
            _ => {
                out.push(c);
                continue;
            }
        };
        chars.next();
        out.push(replaced);
    }
    Cow::Owned(out)
}
