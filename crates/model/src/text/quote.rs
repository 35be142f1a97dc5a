//! Go's `strconv.Quote` and `strconv.QuoteRune`.

use std::fmt::{self, Write};

use super::unicode::is_printable;

/// `s` in double quotes with Go's escapes, as `%q` prints it.
pub fn quoted(s: &str) -> Quoted<'_> {
    Quoted(s)
}

/// `c` in single quotes with Go's escapes, as `%q` prints a rune.
pub fn quoted_char(c: char) -> QuotedChar {
    QuotedChar(c)
}

/// Displays a string quoted; made by [`quoted`].
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(&'a str);

/// Displays a character quoted; made by [`quoted_char`].
#[derive(Clone, Copy, Debug)]
pub struct QuotedChar(char);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut rest = self.0;
        // Runs of characters that stand for themselves are written at once.
        while let Some(at) = rest.find(|c| !matches!(c, ' '..='~') || c == '"' || c == '\\') {
            f.write_str(&rest[..at])?;
            let c = rest[at..].chars().next().unwrap_or_default();
            write_escaped(f, c, '"')?;
            rest = &rest[at + c.len_utf8()..];
        }
        f.write_str(rest)?;
        f.write_char('"')
    }
}

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('\'')?;
        write_escaped(f, self.0, '\'')?;
        f.write_char('\'')
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char, quote: char) -> fmt::Result {
    if c == quote || c == '\\' {
        f.write_char('\\')?;
        return f.write_char(c);
    }
    match c {
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        c if is_printable(c) => f.write_char(c),
        c if c.is_ascii() => write!(f, "\\x{:02x}", c as u32),
        c if (c as u32) < 0x1_0000 => write!(f, "\\u{:04x}", c as u32),
        c => write!(f, "\\U{:08x}", c as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_as_go_quotes_them() {
        for (raw, want) in [
            ("", r#""""#),
            ("plain text", r#""plain text""#),
            ("a\"b\\c'd", r#""a\"b\\c'd""#),
            (
                "\x07\x08\x0c\n\r\t\x0b\0\x1b\x7f",
                r#""\a\b\f\n\r\t\v\x00\x1b\x7f""#,
            ),
            ("é日本☺\u{fffd}", "\"é日本☺\u{fffd}\""),
            (
                "\u{80}\u{a0}\u{ad}\u{200b}\u{2028}\u{feff}\u{e000}",
                r#""\u0080\u00a0\u00ad\u200b\u2028\ufeff\ue000""#,
            ),
            ("\u{e0001}\u{10ffff}😀", r#""\U000e0001\U0010ffff😀""#),
            ("\u{301}\u{378}", "\"\u{301}\\u0378\""),
        ] {
            assert_eq!(quoted(raw).to_string(), want);
        }
    }

    #[test]
    fn characters_as_go_quotes_them() {
        for (raw, want) in [
            ('é', "'é'"),
            ('\'', r"'\''"),
            ('"', "'\"'"),
            ('\\', r"'\\'"),
            ('\n', r"'\n'"),
            ('\u{200b}', r"'\u200b'"),
            ('\u{e0001}', r"'\U000e0001'"),
        ] {
            assert_eq!(quoted_char(raw).to_string(), want);
        }
    }
}
