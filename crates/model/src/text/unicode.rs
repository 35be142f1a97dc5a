//! Unicode classes as Go's standard library has them.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // Go's tables are those of Unicode 15.0.
    static TABLE: LazyLock<ClassUnicode> =
        LazyLock::new(|| class(r"[\p{L}\p{M}\p{N}\p{P}\p{S}&&\p{Age:15.0}]"));
    contains(&TABLE, c)
}

/// Go's `unicode.IsLetter` or `unicode.IsDigit`.
pub(super) fn is_letter_or_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    static TABLE: LazyLock<ClassUnicode> = LazyLock::new(|| class(r"[\p{L}\p{Nd}]"));
    contains(&TABLE, c)
}

fn contains(table: &ClassUnicode, c: char) -> bool {
    let ranges: &[ClassUnicodeRange] = table.ranges();
    let after = ranges.partition_point(|range| range.start() <= c);
    after > 0 && c <= ranges[after - 1].end()
}

/// The characters of `pattern`, a constant in the syntax of the `regex` crate.
fn class(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        other => unreachable!("a constant character class: {other:?}"),
    }
}
