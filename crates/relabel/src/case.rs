//! Upper and lower case one character at a time, as Go's `strings.ToUpper` and `ToLower` do:
//! `ß` stays `ß`, where Rust's own conversion makes two letters of it.

/// `s` in lower case.
pub(crate) fn lower(s: &str) -> String {
    s.chars().map(lower_char).collect()
}

/// `s` in upper case.
pub(crate) fn upper(s: &str) -> String {
    s.chars().map(upper_char).collect()
}

fn lower_char(c: char) -> char {
    let mut all = c.to_lowercase();
    match (all.next(), all.next()) {
        (Some(lower), None) => lower,
        // İ (U+0130) is the only letter with a longer lower case; its simple one is this.
        _ => 'i',
    }
}

fn upper_char(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(upper), None) => upper,
        _ => simple_upper(c),
    }
}

/// The simple upper case of letters whose full one is longer: Greek with iota subscript has
/// one, the others stay.
fn simple_upper(c: char) -> char {
    let offset = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(c as u32 + offset).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_becomes_one_letter() {
        assert_eq!(lower("ABC-1 ÄΣ İ"), "abc-1 äσ i");
        assert_eq!(upper("abc-1 äß ﬁ ᾀ ᾳ ŉ"), "ABC-1 Äß ﬁ ᾈ ᾼ ŉ");
    }

    #[test]
    fn only_one_letter_has_a_longer_lower_case() {
        let longer: Vec<char> = ('\0'..=char::MAX)
            .filter(|c| c.to_lowercase().count() > 1)
            .collect();
        assert_eq!(longer, ['\u{130}']);
    }
}
