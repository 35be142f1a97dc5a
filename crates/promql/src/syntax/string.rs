//! Quoted strings.

use ferula_model::text::quote::quoted_char;

/// Reads the string `text` begins with: its value, and its length with the quotes. Escapes name
/// bytes, so the value need not be UTF-8.
///
/// # Panics
/// If `text` does not begin with a quote.
pub(super) fn unquote(text: &str) -> Result<(Vec<u8>, usize), String> {
    let quote = text.chars().next().expect("the caller saw a quote");
    if quote == '`' {
        return raw(text);
    }
    let mut value = Vec::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => break,
            char::REPLACEMENT_CHARACTER => return Err(INVALID_RUNE.into()),
            '\\' => escape(&mut chars, quote, &mut value)?,
            c if c == quote => return Ok((value, at + 1)),
            c => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("unterminated quoted string".into())
}

const INVALID_RUNE: &str = "invalid UTF-8 rune";

fn raw(text: &str) -> Result<(Vec<u8>, usize), String> {
    let inside = &text[1..];
    match inside.find(['`', char::REPLACEMENT_CHARACTER]) {
        None => Err("unterminated raw string".into()),
        Some(end) if inside[end..].starts_with('`') => Ok((inside[..end].into(), end + 2)),
        Some(_) => Err(INVALID_RUNE.into()),
    }
}

/// Reads an escape sequence from behind the backslash.
fn escape(
    chars: &mut impl Iterator<Item = (usize, char)>,
    quote: char,
    value: &mut Vec<u8>,
) -> Result<(), String> {
    let mut next = || {
        let c = chars.next().map(|(_, c)| c);
        c.ok_or_else(|| "escape sequence not terminated".to_owned())
    };
    let first = next()?;
    let byte = match first {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => c as u8,
        '0'..='7' | 'x' | 'u' | 'U' => {
            return numeric_escape(first, next, value);
        }
        c => return Err(format!("unknown escape sequence {}", code_point(c))),
    };
    value.push(byte);
    Ok(())
}

/// Reads `\101`, `\x41`, `\u0041` or `\U00000041` from behind its first character.
fn numeric_escape(
    first: char,
    mut next: impl FnMut() -> Result<char, String>,
    value: &mut Vec<u8>,
) -> Result<(), String> {
    let (mut code, digits, radix) = match first {
        'x' => (0, 2, 16),
        'u' => (0, 4, 16),
        'U' => (0, 8, 16),
        octal => (octal as u32 - '0' as u32, 2, 8),
    };
    for _ in 0..digits {
        let c = next()?;
        let digit = c
            .to_digit(radix)
            .ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
        // At most eight hexadecimal digits, so nothing is lost.
        code = code * radix + digit;
    }
    let invalid = "escape sequence is an invalid Unicode code point";
    if matches!(first, 'u' | 'U') {
        let c = char::from_u32(code).ok_or(invalid)?;
        value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        value.push(u8::try_from(code).map_err(|_| invalid)?);
    }
    Ok(())
}

/// `U+0071 'q'`, without the character if it cannot be shown.
fn code_point(c: char) -> String {
    let shown = quoted_char(c).to_string();
    let escaped = shown.starts_with("'\\") && c != '\\' && c != '\'';
    if escaped {
        format!("U+{:04X}", c as u32)
    } else {
        format!("U+{:04X} '{c}'", c as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_with_their_values() {
        for (text, want) in [
            (r#""a'b""#, "a'b"),
            (r#"'a"b\''"#, "a\"b'"),
            (r#""\a\b\f\n\r\t\v\\\"""#, "\x07\x08\x0c\n\r\t\x0b\\\""),
            (r#""\101\x41\u00e9\U0001F600""#, "AAé😀"),
            (r#""\xe4\xb8\x96""#, "世"),
            ("`a\\n\n\"`", "a\\n\n\""),
            ("\"\"", ""),
        ] {
            assert_eq!(unquote(text), Ok((want.as_bytes().into(), text.len())));
            let longer = format!("{text} more \"text\"");
            assert_eq!(unquote(&longer), Ok((want.as_bytes().into(), text.len())));
        }
        assert_eq!(unquote(r#""a\xff""#), Ok((b"a\xff".into(), 7)));
    }

    #[test]
    fn errors() {
        for (text, want) in [
            (r#""\q""#, "unknown escape sequence U+0071 'q'"),
            (r#""\'""#, "unknown escape sequence U+0027 '''"),
            (r#"'\"'"#, "unknown escape sequence U+0022 '\"'"),
            (r#""\8""#, "unknown escape sequence U+0038 '8'"),
            ("\"\\\n\"", "unknown escape sequence U+000A"),
            (r#""\"#, "escape sequence not terminated"),
            (r#""\x"#, "escape sequence not terminated"),
            (
                r#""\xz1""#,
                "illegal character U+007A 'z' in escape sequence",
            ),
            (
                r#""\400""#,
                "escape sequence is an invalid Unicode code point",
            ),
            (
                r#""\ud800""#,
                "escape sequence is an invalid Unicode code point",
            ),
            (
                r#""\U00110000""#,
                "escape sequence is an invalid Unicode code point",
            ),
            (r#""abc"#, "unterminated quoted string"),
            ("\"a\nb\"", "unterminated quoted string"),
            ("`abc", "unterminated raw string"),
            ("\"\u{fffd}\"", "invalid UTF-8 rune"),
            ("`\u{fffd}`", "invalid UTF-8 rune"),
        ] {
            assert_eq!(unquote(text), Err(want.into()), "{text}");
        }
    }
}
