//! Patterns of file names.

use std::io;
use std::path::{Path, PathBuf};

use ferula_env::Disk;

/// The files a path stands for: those in its folder that match its last segment, or the path
/// itself if it is no pattern, whether or not there is such a file.
pub(super) fn expand(disk: &dyn Disk, path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let pattern = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    if !pattern.contains(['*', '?', '[', '\\']) {
        return Ok(vec![path.to_owned()]);
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let names = disk.list(here)?;
    let matching = names.iter().filter(|name| {
        let name: Vec<char> = name.chars().collect();
        matches(&pattern, &name)
    });
    Ok(matching.map(|name| folder.join(name)).collect())
}

/// Whether a name matches as a whole: `*` is any text, `?` any character, `[a-z]` and `[^a-z]`
/// are sets, and a backslash takes away what the next character means.
fn matches(mut pattern: &[char], mut name: &[char]) -> bool {
    // Where to go on if what follows the latest `*` does not match here.
    let mut retry: Option<(&[char], &[char])> = None;
    loop {
        if let ['*', after @ ..] = pattern {
            retry = Some((after, name));
            pattern = after;
            continue;
        }
        match (one(pattern, name.first().copied()), name) {
            (Some(after), [_, rest @ ..]) => (pattern, name) = (after, rest),
            _ if pattern.is_empty() && name.is_empty() => return true,
            _ => match retry {
                Some((after, [_, rest @ ..])) => {
                    retry = Some((after, rest));
                    (pattern, name) = (after, rest);
                }
                _ => return false,
            },
        }
    }
}

/// What is left of a pattern after it took character `c`.
fn one(pattern: &[char], c: Option<char>) -> Option<&[char]> {
    let c = c?;
    match pattern {
        ['?', after @ ..] => Some(after),
        ['[', set @ ..] => {
            let end = 1 + set.iter().skip(1).position(|&c| c == ']')?;
            let (set, after) = (&set[..end], &set[end + 1..]);
            in_set(set, c).then_some(after)
        }
        ['\\', literal, after @ ..] => (*literal == c).then_some(after),
        [literal, after @ ..] => (*literal == c).then_some(after),
        [] => None,
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (negated, mut set) = match set {
        ['^', set @ ..] => (true, set),
        set => (false, set),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        match rest {
            ['-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&c);
                set = rest;
            }
            _ => {
                found |= *first == c;
                set = rest;
            }
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, name: &str) -> bool {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        matches(&chars(pattern), &chars(name))
    }

    #[test]
    fn patterns() {
        let cases = [
            ("*.yml", "a.yml", true),
            ("*.yml", ".yml", true),
            ("*.yml", "a.yml.bak", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("?.json", "é.json", true),
            ("?.json", ".json", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[^a-c]x", "dx", true),
            ("[]]x", "]x", true),
            ("[x", "[x", false),
            (r"\*.yml", "*.yml", true),
            (r"\*.yml", "a.yml", false),
            ("", "", true),
            ("**", "anything", true),
        ];
        for (pattern, name, want) in cases {
            assert_eq!(check(pattern, name), want, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_judged(pattern in "[ab*?\\[\\]^\\\\-]{0,12}", name in "[ab\\]-]{0,12}") {
            check(&pattern, &name);
        }
    }
}
