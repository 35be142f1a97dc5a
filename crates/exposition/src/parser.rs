//! The pull parser: what the formats share.

use std::borrow::Cow;

use ferula_model::MetricKind;

use crate::cursor;
use crate::error::{At, ParseError, Problem};
use crate::series::Series;
use crate::{Format, number, openmetrics, prometheus};

/// The longest line, in bytes. Real ones stay below a few KiB; with this bound no name or value
/// comes near what a label set can hold.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The most labels a sample may have. Real ones stay below a hundred.
pub const LABELS_MAX: usize = 1_024;

/// What one line says.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// A sample.
    Series(Series<'a>),
    /// The kind of a family, which holds for the samples that follow.
    Type {
        /// The family.
        family: Cow<'a, str>,
        /// Its kind.
        kind: MetricKind,
    },
    /// What a family means.
    Help {
        /// The family.
        family: Cow<'a, str>,
        /// The text, escapes replaced.
        text: Cow<'a, str>,
    },
    /// What a family is measured in; OpenMetrics only.
    Unit {
        /// The family.
        family: Cow<'a, str>,
        /// The unit, which may be empty.
        unit: Cow<'a, str>,
    },
    /// A line for human readers, without its line feed; Prometheus text only.
    Comment(&'a [u8]),
    /// The line that ends an OpenMetrics body.
    Eof,
}

/// Reads a body entry by entry.
///
/// An empty body has no entries in either format. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) pos: usize,
    /// The kind the latest TYPE line names.
    pub(crate) kind: MetricKind,
    pub(crate) done: bool,
    format: Format,
    /// The whole body is UTF-8, so no part of it needs a look.
    utf8: bool,
}

impl<'a> Parser<'a> {
    /// Starts at the first line of `body`.
    pub fn new(format: Format, body: &'a [u8]) -> Self {
        Self {
            body,
            pos: 0,
            kind: MetricKind::Unknown,
            done: body.is_empty(),
            format,
            utf8: std::str::from_utf8(body).is_ok(),
        }
    }

    /// The next entry, or `None` at the end.
    #[allow(
        clippy::should_implement_trait,
        reason = "the error belongs outside the option, so that `?` and `while let` both read well"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.done {
            return Ok(None);
        }
        let start = self.pos;
        let entry = match self.format {
            Format::Prometheus => prometheus::next(self),
            Format::OpenMetrics => openmetrics::next(self),
        };
        let entry = entry.and_then(|entry| match self.pos - start > LINE_BYTES_MAX {
            true => self.check_length(start).map(|()| entry),
            false => Ok(entry),
        });
        match entry {
            Ok(entry) => {
                self.done |= entry.is_none();
                Ok(entry)
            }
            Err(at) => {
                self.done = true;
                Err(at.locate(self.body))
            }
        }
    }

    /// One call may have skipped many blank lines, so the entry is looked at by itself.
    #[cold]
    fn check_length(&self, start: usize) -> Result<(), At> {
        let read = &self.body[start..self.pos];
        let blank = |b: &u8| matches!(b, b'\n' | b' ' | b'\t');
        let skipped = read.iter().take_while(|b| blank(b)).count();
        if read.len() - skipped > LINE_BYTES_MAX {
            let problem = Problem::LineTooLong;
            let pos = start + skipped;
            return Err(At { pos, problem });
        }
        Ok(())
    }

    /// Checks that the bytes from `start` to `end` are UTF-8.
    #[inline(always)]
    pub(crate) fn check_utf8(&self, start: usize, end: usize) -> Result<(), At> {
        if self.utf8 {
            return Ok(());
        }
        match std::str::from_utf8(&self.body[start..end]) {
            Ok(_) => Ok(()),
            Err(error) => At::expected(start + error.valid_up_to(), "valid UTF-8"),
        }
    }

    /// The family name at `pos`, bare or quoted, and the position after it.
    pub(crate) fn family(&self, pos: usize) -> Result<(Cow<'a, str>, usize), At> {
        let body = self.body;
        if cursor::at(body, pos) == b'"' {
            let end = cursor::quoted_end::<true>(body, pos)?;
            self.check_utf8(pos, end)?;
            return Ok((cursor::unescape(&body[pos + 1..end - 1], true), end));
        }
        if !cursor::is_metric_start(body, pos) {
            return At::expected(pos, "a metric name");
        }
        let end = cursor::metric_end(body, pos);
        Ok((String::from_utf8_lossy(&body[pos..end]), end))
    }

    /// The value at `pos` and the position after it, if the fast path or, up to `end`, the slow
    /// path can read it.
    #[inline(always)]
    pub(crate) fn value(&self, pos: usize, ends: impl Fn(u8) -> bool) -> Result<(f64, usize), At> {
        let body = self.body;
        if let Some((value, end)) = number::scan_decimal(body, pos)
            && ends(cursor::at(body, end))
        {
            return Ok((value, end));
        }
        let mut end = pos;
        while !ends(cursor::at(body, end)) {
            end += 1;
        }
        match number::parse_float(&body[pos..end]) {
            Some(value) => Ok((value, end)),
            None => At::expected(pos, "a number"),
        }
    }
}
