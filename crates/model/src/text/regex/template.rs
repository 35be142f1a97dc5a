//! Replacement texts with `$1`, `${name}` and `$$`.

use super::super::unicode::is_letter_or_digit;
use super::Captures;

/// A replacement text, read as Go's `Regexp.Expand` reads it.
///
/// `$name` takes the longest name of letters, digits and underscores: `$1x` is `${1x}`, not
/// `${1}x`. A name that is no group of the pattern stands for nothing; a `$` that starts no
/// name stands for itself; `$$` is one `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Index(usize),
    Name(String),
}

/// From this number on, digits are a name and no group number.
const INDEX_END: usize = 1_000_000_000;

impl Template {
    /// Reads a replacement text; every text is one.
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some((name, after)) = take_name(rest) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(group(name));
                rest = after;
            } else {
                plain.push('$');
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self { parts }
    }

    /// The text it always expands to, if it names no group.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// How many bytes it expands to.
    pub fn expanded_len(&self, captures: &Captures<'_>) -> usize {
        let lens = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Index(index) => captures.get(*index).map_or(0, str::len),
            Part::Name(name) => captures.name(name).map_or(0, str::len),
        });
        lens.fold(0, usize::saturating_add)
    }

    /// Appends the text with the groups of a match filled in.
    pub fn expand(&self, captures: &Captures<'_>, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Index(index) => out.push_str(captures.get(*index).unwrap_or("")),
                Part::Name(name) => out.push_str(captures.name(name).unwrap_or("")),
            }
        }
    }
}

/// The name at the start of `text`, in braces or not, and what follows it.
fn take_name(text: &str) -> Option<(&str, &str)> {
    let (text, braces) = match text.strip_prefix('{') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let end = text
        .find(|c| !is_letter_or_digit(c) && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = if braces {
        rest.strip_prefix('}')?
    } else {
        rest
    };
    Some((name, rest))
}

fn group(name: &str) -> Part {
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = name.len() > 1 && name.starts_with('0');
    match name.parse() {
        Ok(index) if digits && !leading_zero && index < INDEX_END => Part::Index(index),
        _ => Part::Name(name.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Regex;
    use super::*;

    fn check(pattern: &str, value: &str, template: &str, want: &str) {
        let regex = Regex::new(pattern).unwrap();
        let captures = regex.captures(value).unwrap();
        let mut out = String::new();
        let template = Template::new(template);
        template.expand(&captures, &mut out);
        assert_eq!(out, want, "{pattern} {value} {template:?}");
        assert_eq!(template.expanded_len(&captures), want.len());
    }

    #[test]
    fn groups_are_filled_in() {
        check("(.*)-(.*)", "a-b", "$2:$1", "b:a");
        check("(.*)-(.*)", "a-b", "${2}x$1x", "bx");
        check(
            "(.*)-(.*)",
            "a-b",
            "$0|$3|$01|$12345678901234567890",
            "a-b|||",
        );
        check("(?P<first>.*)-(?<zwei>.*)", "a-b", "$first", "a");
        check("(?P<first>.*)-(.*)", "a-b", "${first}_$2", "a_b");
        check("(a)|(b)", "b", "[$1$2]", "[b]");
        check("(?P<1x>.*)", "v", "$1x ${1x} $1", "v v v");
        check("(?<1>.)(.)", "ab", "$1", "a");
    }

    #[test]
    fn other_dollars_stand_for_themselves() {
        check(
            "(.*)",
            "v",
            "$$1 $ $- ${ ${} ${1 ${1- $",
            "$1 $ $- ${ ${} ${1 ${1- $",
        );
        check("(.*)", "v", "$1$", "v$");
        check("(.*)", "v", "", "");
    }

    #[test]
    fn constants_are_known() {
        assert_eq!(Template::new("a$$b").constant(), Some("a$b"));
        assert_eq!(Template::new("").constant(), Some(""));
        assert_eq!(Template::new("a$1").constant(), None);
    }
}
