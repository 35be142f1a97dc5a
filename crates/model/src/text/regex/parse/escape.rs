//! Backslashes and brackets: characters by their codes, and classes of characters.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::super::class::{self, CODE_MAX, CodeRange};
use super::super::{Error, Problem};
use super::{FOLDS_PER_PART, Parser, TABLE_PARTS};

impl Parser<'_> {
    /// Reads `\d`, `\pL`, `\P{Greek}` and the like, if one comes next.
    pub(super) fn class_escape(&mut self) -> Result<Option<ClassUnicode>, Error> {
        let [b'\\', letter, ..] = self.rest().as_bytes() else {
            return Ok(None);
        };
        if matches!(letter, b'p' | b'P') {
            let negated = *letter == b'P';
            return self.unicode_class(negated).map(Some);
        }
        let Some(ranges) = class::perl(letter.to_ascii_lowercase()) else {
            return Ok(None);
        };
        let negated = letter.is_ascii_uppercase();
        self.at += 2;
        self.finish_class(class::set(ranges), negated).map(Some)
    }

    /// Folds and negates a named class.
    fn finish_class(
        &mut self,
        mut class: ClassUnicode,
        negated: bool,
    ) -> Result<ClassUnicode, Error> {
        self.fold(&mut class)?;
        if negated {
            class.negate();
        }
        self.charge(class.ranges().len())?;
        Ok(class)
    }

    fn fold(&mut self, class: &mut ClassUnicode) -> Result<(), Error> {
        match self.flags.fold {
            true => self.charge(class::fold(class) / FOLDS_PER_PART),
            false => Ok(()),
        }
    }

    /// Reads `\pL` or `\p{Greek}`.
    fn unicode_class(&mut self, mut negated: bool) -> Result<ClassUnicode, Error> {
        let start = self.at;
        self.at += 2;
        let mut name = match self.next() {
            None => "",
            Some('{') => {
                let Some(len) = self.rest().find('}') else {
                    return Err(Error::new(Problem::CharRange, &self.pattern[start..]));
                };
                let name = &self.rest()[..len];
                self.at += len + 1;
                name
            }
            Some(_) => &self.pattern[start + 2..self.at],
        };
        if let Some(rest) = name.strip_prefix('^') {
            negated = !negated;
            name = rest;
        }
        self.charge(TABLE_PARTS)?;
        match class::unicode(name) {
            Some(class) => self.finish_class(class, negated),
            None => Err(self.error(Problem::CharRange, start)),
        }
    }

    /// Reads a backslash and the character it stands for.
    pub(super) fn escape(&mut self) -> Result<u32, Error> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.next() else {
            return Err(Error::new(Problem::TrailingBackslash, ""));
        };
        let octal = |b: Option<u8>| b.filter(|b| (b'0'..=b'7').contains(b));
        match c {
            'a' => return Ok(0x07),
            'f' => return Ok(0x0c),
            'n' => return Ok(0x0a),
            'r' => return Ok(0x0d),
            't' => return Ok(0x09),
            'v' => return Ok(0x0b),
            'x' => {
                if let Some(code) = self.hex() {
                    return Ok(code);
                }
            }
            // One digit that is not zero would refer back to a group, which Go does not do.
            '0'..='7' if c == '0' || octal(self.peek()).is_some() => {
                let mut code = c as u32 - '0' as u32;
                for _ in 1..3 {
                    let Some(b) = octal(self.peek()) else { break };
                    code = code * 8 + u32::from(b - b'0');
                    self.at += 1;
                }
                return Ok(code);
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => return Ok(c as u32),
            _ => {}
        }
        Err(self.error(Problem::Escape, start))
    }

    /// Reads what follows `\x`: two digits, or any number of them in braces.
    fn hex(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next().and_then(|c| c.to_digit(16));
            return Some(first.to_digit(16)? * 16 + second?);
        }
        let mut code = 0;
        let mut any = false;
        loop {
            match self.next()? {
                '}' => return any.then_some(code),
                c => code = code * 16 + c.to_digit(16)?,
            }
            if code > CODE_MAX {
                return None;
            }
            any = true;
        }
    }

    /// Reads `[...]`.
    pub(super) fn bracket(&mut self) -> Result<ClassUnicode, Error> {
        let start = self.at;
        self.at += 1;
        let negated = self.take("^");
        let mut ranges: Vec<CodeRange> = Vec::new();
        // Named classes are folded and negated on their own.
        let mut named: Vec<ClassUnicodeRange> = Vec::new();
        let mut first = true;
        while first || self.peek() != Some(b']') {
            first = false;
            let class = match self.posix_class()? {
                Some(class) => Some(class),
                None => self.class_escape()?,
            };
            if let Some(class) = class {
                named.extend(class.ranges());
                continue;
            }
            let range_at = self.at;
            let low = self.class_char(start)?;
            let mut high = low;
            let rest = self.rest().as_bytes();
            if rest.len() >= 2 && rest[0] == b'-' && rest[1] != b']' {
                self.at += 1;
                high = self.class_char(start)?;
                if high < low {
                    return Err(self.error(Problem::CharRange, range_at));
                }
            }
            self.charge(1)?;
            ranges.push((low, high));
        }
        self.at += 1;
        let mut class = class::set(&ranges);
        self.fold(&mut class)?;
        class.union(&ClassUnicode::new(named));
        if negated {
            class.negate();
        }
        Ok(class)
    }

    /// Reads `[:alpha:]` or `[:^alpha:]`, if one comes next.
    fn posix_class(&mut self) -> Result<Option<ClassUnicode>, Error> {
        let start = self.at;
        let Some(after) = self
            .rest()
            .strip_prefix("[:")
            .filter(|_| !self.no_posix_end)
        else {
            return Ok(None);
        };
        let Some(len) = after.find(":]") else {
            self.no_posix_end = true;
            return Ok(None);
        };
        let name = &self.rest()[2..2 + len];
        self.at += len + 4;
        let (name, negated) = match name.strip_prefix('^') {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        match class::posix(name) {
            Some(ranges) => self.finish_class(class::set(ranges), negated).map(Some),
            None => Err(self.error(Problem::CharRange, start)),
        }
    }

    /// Reads one character of the class that starts at `start`.
    fn class_char(&mut self, start: usize) -> Result<u32, Error> {
        if self.peek() == Some(b'\\') {
            return self.escape();
        }
        match self.next() {
            Some(c) => Ok(c as u32),
            None => Err(self.error(Problem::MissingBracket, start)),
        }
    }
}
