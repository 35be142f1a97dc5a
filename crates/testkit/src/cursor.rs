//! Reads a line from left to right.

use crate::NotationError;

pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(crate) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Goes past `prefix` if it comes next.
    pub(crate) fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    pub(crate) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    pub(crate) fn skip_space(&mut self) {
        self.take_while(|c| c == ' ' || c == '\t');
    }

    pub(crate) fn expect(&mut self, token: &str) -> Result<(), NotationError> {
        if self.eat(token) {
            return Ok(());
        }
        Err(self.error(format!("expected {token:?}")))
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> NotationError {
        NotationError {
            what: what.into(),
            column: self.at + 1,
        }
    }

    /// A count after `x`.
    pub(crate) fn repeat_count(&mut self) -> Result<usize, NotationError> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        match digits.parse::<usize>() {
            Ok(n) if n <= REPEAT_MAX => Ok(n),
            _ => Err(self.error(format!("expected a count up to {REPEAT_MAX} after x"))),
        }
    }

    /// A number with an optional sign; a duration counts in seconds. No hexadecimal: `x` repeats.
    pub(crate) fn number(&mut self) -> Result<f64, NotationError> {
        let sign = if self.eat("-") {
            -1.0
        } else {
            self.eat("+");
            1.0
        };
        for word in ["Inf", "inf", "INF"] {
            if self.eat(word) {
                return Ok(sign * f64::INFINITY);
            }
        }
        for word in ["NaN", "nan", "NAN"] {
            if self.eat(word) {
                return Ok(f64::NAN);
            }
        }
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit());
        let whole_end = self.at;
        if self.peek().is_some_and(|c| "smhdwy".contains(c)) && whole_end > start {
            self.take_while(|c| c.is_ascii_digit() || "smhdwy".contains(c));
            let ms = crate::parse_duration(&self.text[start..self.at])
                .ok_or_else(|| self.error("not a duration"))?;
            return Ok(sign * ms as f64 / 1000.0);
        }
        if self.eat(".") {
            self.take_while(|c| c.is_ascii_digit());
        }
        let mantissa_end = self.at;
        if self.eat("e") || self.eat("E") {
            if !self.eat("-") {
                self.eat("+");
            }
            if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                self.at = mantissa_end;
            }
        }
        match self.text[start..self.at].parse::<f64>() {
            Ok(value) => Ok(sign * value),
            Err(_) => Err(self.error("expected a number")),
        }
    }

    /// A duration with an optional sign, in milliseconds.
    pub(crate) fn signed_duration(&mut self) -> Result<i64, NotationError> {
        let sign = if self.eat("-") {
            -1
        } else {
            self.eat("+");
            1
        };
        let text = self.take_while(|c| c.is_ascii_digit() || "smhdwy".contains(c));
        let has_unit = text == "0" || text.ends_with(|c: char| c.is_ascii_alphabetic());
        match crate::parse_duration(text).filter(|_| has_unit) {
            Some(ms) => Ok(sign * ms),
            None => Err(self.error("expected a duration")),
        }
    }

    /// A string in `"`, `'` or backquotes, with Go's escapes in the first two.
    pub(crate) fn string(&mut self) -> Result<String, NotationError> {
        let quote = match self.bump() {
            Some(c @ ('"' | '\'' | '`')) => c,
            _ => return Err(self.error("expected a quoted string")),
        };
        let mut bytes = Vec::new();
        loop {
            match self.bump() {
                None => return Err(self.error("unterminated string")),
                Some(c) if c == quote => break,
                Some('\\') if quote != '`' => self.escape(&mut bytes)?,
                Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.error("the string is not UTF-8"))
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), NotationError> {
        let c = self.bump().ok_or_else(|| self.error("escape not ended"))?;
        let simple = match c {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '"' | '\'' => Some(c as u8),
            _ => None,
        };
        if let Some(byte) = simple {
            out.push(byte);
            return Ok(());
        }
        let (digits, radix) = match c {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => return Err(self.error(format!("unknown escape \\{c}"))),
        };
        if radix == 8 {
            self.at -= 1;
        }
        let text = self
            .rest()
            .get(..digits)
            .ok_or_else(|| self.error("escape not ended"))?;
        let code = u32::from_str_radix(text, radix)
            .map_err(|_| self.error("not the digits of an escape"))?;
        self.at += digits;
        match c {
            'u' | 'U' => {
                let c = char::from_u32(code).ok_or_else(|| self.error("not a code point"))?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => out.push(u8::try_from(code).map_err(|_| self.error("escape above 255"))?),
        }
        Ok(())
    }
}

/// The most often an item of a value sequence repeats: far above what any script needs.
const REPEAT_MAX: usize = 1_000_000;
