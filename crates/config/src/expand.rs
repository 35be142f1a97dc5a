//! `${VAR}` in external labels.

use ferula_model::LABEL_LEN_MAX;

/// `text` with `$VAR` and `${VAR}` replaced by what `variable` answers, `$$` by a dollar; a
/// variable without an answer is left out and named in `unset`. Everything as Go's `os.Expand`
/// does it: a dollar before anything else stays, and `${` without an end is dropped. Once the
/// outcome is too long for a label, the rest is left as it is.
pub(crate) fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while out.len() <= LABEL_LEN_MAX
        && let Some((before, after)) = rest.split_once('$')
    {
        out.push_str(before);
        let (name, after) = name(after);
        rest = after;
        match name {
            Name::None => out.push('$'),
            Name::Malformed => {}
            Name::Of("$") => out.push('$'),
            Name::Of(name) => match variable(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None => unset.push(name.to_owned()),
            },
        }
    }
    out.push_str(rest);
    out
}

enum Name<'a> {
    /// No name follows the dollar.
    None,
    /// `${}` or `${` without its end.
    Malformed,
    Of(&'a str),
}

/// The name after a dollar, and what comes after it.
fn name(text: &str) -> (Name<'_>, &str) {
    if let Some(braced) = text.strip_prefix('{') {
        return match braced.split_once('}') {
            None => (Name::Malformed, braced),
            Some(("", after)) => (Name::Malformed, after),
            Some((name, after)) => (Name::Of(name), after),
        };
    }
    let special = |b: u8| b.is_ascii_digit() || b"*#$@!?-".contains(&b);
    let end = match text.bytes().next() {
        Some(b) if special(b) => 1,
        _ => text
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count(),
    };
    match end {
        0 => (Name::None, text),
        _ => (Name::Of(&text[..end]), &text[end..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_go_does() {
        let variable = |name: &str| match name {
            "A" => Some("alpha".to_owned()),
            "A_1" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("plain", "plain", ""),
            ("${A}", "alpha", ""),
            ("x$A.y", "xalpha.y", ""),
            ("$A_1", "one", ""),
            ("$$A", "$A", ""),
            ("${NOPE}!", "!", "NOPE"),
            ("$EMPTY", "", "EMPTY"),
            ("5$ each", "5$ each", ""),
            ("end$", "end$", ""),
            ("a${}b", "ab", ""),
            ("a${b", "ab", ""),
            ("$1x", "x", "1"),
            ("ü$A", "üalpha", ""),
        ];
        for (text, want, want_unset) in cases {
            let mut unset = Vec::new();
            assert_eq!(expand(text, &variable, &mut unset), want, "{text:?}");
            assert_eq!(unset.join(","), want_unset, "{text:?}");
        }
    }
}
