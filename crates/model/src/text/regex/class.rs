//! Sets of characters: what Go's `\d`, `[:alpha:]`, `\p{Greek}` and `(?i)` mean.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Code points, both ends inside; surrogates may occur, as Go lets a pattern name them.
pub(super) type CodeRange = (u32, u32);

/// The last code point.
pub(super) const CODE_MAX: u32 = char::MAX as u32;

/// The ranges of `\d`, `\s` or `\w`, which know ASCII only.
pub(super) fn perl(letter: u8) -> Option<&'static [CodeRange]> {
    Some(match letter {
        b'd' => &[(0x30, 0x39)],
        b's' => &[(0x09, 0x0a), (0x0c, 0x0d), (0x20, 0x20)],
        b'w' => &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)],
        _ => return None,
    })
}

/// The ranges of `[:name:]`.
pub(super) fn posix(name: &str) -> Option<&'static [CodeRange]> {
    Some(match name {
        "alnum" => &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
        "alpha" => &[(0x41, 0x5a), (0x61, 0x7a)],
        "ascii" => &[(0x00, 0x7f)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0x00, 0x1f), (0x7f, 0x7f)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7e)],
        "lower" => &[(0x61, 0x7a)],
        "print" => &[(0x20, 0x7e)],
        "punct" => &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        "space" => &[(0x09, 0x0d), (0x20, 0x20)],
        "upper" => &[(0x41, 0x5a)],
        "word" => &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)],
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    })
}

/// The characters of a general category or a script: `Lu`, `Letter`, `Greek`. Upper and lower
/// case, spaces, `-` and `_` make no difference.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    // Of what the tables know besides, Go knows no names that start with `is` ...
    if !word || name.starts_with("is") {
        return None;
    }
    let table = |kind: &str| match regex_syntax::parse(&format!(r"\p{{{kind}={name}}}")) {
        Ok(hir) => match hir.into_kind() {
            HirKind::Class(Class::Unicode(class)) => Some(class),
            // A set of one character is held as a literal.
            HirKind::Literal(literal) => std::str::from_utf8(&literal.0)
                .ok()
                .map(|text| ClassUnicode::new(text.chars().map(|c| ClassUnicodeRange::new(c, c)))),
            _ => None,
        },
        Err(_) => None,
    };
    // ... nor scripts by their four-letter codes; these are scripts whose name has four letters.
    let code = name.len() == 4
        && !["ahom", "cham", "kawi", "lisu", "thai", "toto"].contains(&name.as_str());
    table("gc").or_else(|| if code { None } else { table("sc") })
}

/// A set of the ranges' characters; surrogates are no characters and are left out.
pub(super) fn set(ranges: &[CodeRange]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().filter_map(|&(low, high)| {
        let low = char::from_u32(low).unwrap_or('\u{e000}');
        let high = char::from_u32(high).unwrap_or('\u{d7ff}');
        (low <= high).then(|| ClassUnicodeRange::new(low, high))
    }))
}

/// Adds the characters that differ in case alone from those in the set, and answers how many
/// were looked at.
pub(super) fn fold(class: &mut ClassUnicode) -> usize {
    // Folding looks at every character of a set; most have no case, so they are left out first.
    static CASED: LazyLock<ClassUnicode> =
        LazyLock::new(
            || match regex_syntax::parse(r"\p{Cased}").map(|hir| hir.into_kind()) {
                Ok(HirKind::Class(Class::Unicode(class))) => class,
                other => unreachable!("a constant character class: {other:?}"),
            },
        );
    let mut cased = class.clone();
    cased.intersect(&CASED);
    let looked_at = cased.ranges().iter().map(ClassUnicodeRange::len).sum();
    cased.case_fold_simple();
    class.union(&cased);
    looked_at
}

/// The characters that differ from `c` in case alone, and `c`; none if there is only `c`.
pub(super) fn fold_char(c: char) -> Option<ClassUnicode> {
    if c.is_ascii() && !c.is_ascii_alphabetic() {
        return None;
    }
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
    class.case_fold_simple();
    (class.ranges() != [ClassUnicodeRange::new(c, c)]).then_some(class)
}

/// Whether every character is in the set.
pub(super) fn is_everything(class: &ClassUnicode) -> bool {
    class.ranges() == [ClassUnicodeRange::new('\0', char::MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cased_characters_have_folds() {
        let Ok(HirKind::Class(Class::Unicode(uncased))) =
            regex_syntax::parse(r"\P{Cased}").map(|hir| hir.into_kind())
        else {
            panic!("no class");
        };
        let mut folded = uncased.clone();
        folded.case_fold_simple();
        assert_eq!(folded, uncased);
    }

    #[test]
    fn names_of_categories_and_scripts() {
        let len = |name| unicode(name).map(|class| class.ranges().len());
        assert_eq!(len("Braille"), Some(1));
        assert_eq!(len("Zl"), Some(1));
        assert!(len("L") > Some(500));
        assert_eq!(unicode("upper case-let ter"), unicode("Lu"));
        assert_eq!(
            unicode("canadian_aboriginal"),
            unicode("Canadian_Aboriginal")
        );
        assert!(is_everything(&unicode("Any").unwrap()));
        assert!(len("Assigned").is_some() && len("ascii") == Some(1) && len("Thai").is_some());
        for none in [
            "",
            "Nobody",
            "Grek",
            "isGreek",
            "Alphabetic",
            "Script=Greek",
            "L1",
            "}",
            "é",
        ] {
            assert_eq!(unicode(none), None, "{none}");
        }
    }
}
