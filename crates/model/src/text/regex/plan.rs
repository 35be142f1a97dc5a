//! Ways to answer without an automaton: most patterns in dashboards are lists of words, or
//! words with `.*` between them.

use std::collections::HashSet;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::class::is_everything;

/// How many words a product of several parts (`a[0-9][0-9]`) may have. A plain list of words may
/// be of any length: it is no longer than its pattern.
const PRODUCT_MAX: usize = 256;

/// How many bytes a set's words may have beyond those of the pattern: a common part is repeated
/// in each word.
const SET_EXTRA_BYTES_MAX: usize = 64 << 10;

/// From here on, a set is looked up by hash.
const LIST_MAX: usize = 16;

/// How many alternatives with wild parts are tried one by one.
const GLOBS_MAX: usize = 16;

/// How a value is matched.
#[derive(Debug)]
pub(super) enum Plan {
    /// It must be one of these.
    Set(Set),
    /// It must be like one of these.
    Globs(Vec<Glob>),
    /// It must start with this, and then the automaton decides.
    Automaton(String),
}

/// Words in order, each once.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) words: Vec<String>,
    hashed: Option<HashSet<String>>,
}

impl Set {
    fn new(mut words: Vec<String>) -> Self {
        words.sort_unstable();
        words.dedup();
        let hashed = (words.len() > LIST_MAX).then(|| words.iter().cloned().collect());
        Self { words, hashed }
    }

    pub(super) fn contains(&self, value: &str) -> bool {
        match &self.hashed {
            Some(words) => words.contains(value),
            None => self.words.iter().any(|word| word == value),
        }
    }
}

/// Texts with wild parts between them: `a.*b.+`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Glob {
    /// What the value starts with.
    pub(super) prefix: String,
    /// Wild parts, each with the text after it. If there are any, the last text is what the
    /// value ends with; if there are none, the value is the prefix.
    gaps: Vec<Gap>,
}

#[derive(Debug, PartialEq, Eq)]
struct Gap {
    /// `.+` rather than `.*`.
    filled: bool,
    after: String,
}

impl Glob {
    pub(super) fn is_match(&self, value: &str) -> bool {
        let Some(mut rest) = value.strip_prefix(self.prefix.as_str()) else {
            return false;
        };
        let Some((last, middle)) = self.gaps.split_last() else {
            return rest.is_empty();
        };
        // The first place where a text occurs leaves most for those after it.
        for gap in middle {
            let Some(at) = skip(rest, gap.filled).and_then(|r| find(r, &gap.after)) else {
                return false;
            };
            rest = at;
        }
        skip(rest, last.filled).is_some_and(|rest| rest.ends_with(&last.after))
    }

    /// Whether every value is like it.
    pub(super) fn is_anything(&self) -> bool {
        matches!(self.gaps.as_slice(), [gap] if !gap.filled && gap.after.is_empty())
            && self.prefix.is_empty()
    }

    /// Whether every value but the empty one is like it.
    pub(super) fn is_nonempty(&self) -> bool {
        matches!(self.gaps.as_slice(), [gap] if gap.filled && gap.after.is_empty())
            && self.prefix.is_empty()
    }

    fn push_text(&mut self, text: &str) {
        match self.gaps.last_mut() {
            Some(gap) => gap.after.push_str(text),
            None => self.prefix.push_str(text),
        }
    }

    /// Adds a wild part, unless it would have to be of two characters or more.
    fn push_gap(&mut self, filled: bool) -> bool {
        match self.gaps.last_mut() {
            Some(gap) if gap.after.is_empty() => {
                let both = gap.filled && filled;
                gap.filled |= filled;
                !both
            }
            _ => {
                let after = String::new();
                self.gaps.push(Gap { filled, after });
                true
            }
        }
    }
}

/// `text` without its first character, if it must have one.
fn skip(text: &str, filled: bool) -> Option<&str> {
    if !filled {
        return Some(text);
    }
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

/// What follows the first `word` in `text`.
fn find<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    text.find(word).map(|at| &text[at + word.len()..])
}

/// Finds the best way to match values against a pattern of `pattern_len` bytes.
pub(super) fn plan(hir: &Hir, pattern_len: usize) -> Plan {
    let bytes_max = pattern_len + SET_EXTRA_BYTES_MAX;
    let parts = inner(hir);
    if let Some(words) = concat_words(parts, bytes_max) {
        return Plan::Set(Set::new(words));
    }
    if let Some(globs) = globs(parts) {
        return Plan::Globs(globs);
    }
    let mut prefix = String::new();
    push_prefix(parts, &mut prefix);
    Plan::Automaton(prefix)
}

/// Whether the pattern is one group around everything there is, `(.*)`: the one that
/// relabelling uses if it is told no other.
pub(super) fn is_group_of_anything(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => matches!(gap(&capture.sub), Some(false)),
        _ => false,
    }
}

/// The parts of a pattern in their order, without `^` before and `$` after them: the whole value
/// must match in any case.
fn inner(hir: &Hir) -> &[Hir] {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = parts
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        parts = rest;
    }
    parts
}

/// All words a pattern matches, if they are few enough.
fn words(hir: &Hir, bytes_max: usize) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(vec![text.to_string()])
        }
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.ranges().iter().map(|range| range.len()).sum();
            let chars = class.ranges().iter().flat_map(|r| r.start()..=r.end());
            (1..=PRODUCT_MAX)
                .contains(&count)
                .then(|| chars.map(String::from).collect())
        }
        HirKind::Capture(capture) => words(&capture.sub, bytes_max),
        HirKind::Concat(parts) => concat_words(parts, bytes_max),
        HirKind::Alternation(alternatives) => {
            let mut all = Vec::new();
            let mut bytes = 0;
            for alternative in alternatives {
                let some = words(alternative, bytes_max)?;
                bytes += some.iter().map(String::len).sum::<usize>();
                if bytes > bytes_max {
                    return None;
                }
                all.extend(some);
            }
            Some(all)
        }
        _ => None,
    }
}

/// All words made of one word of each part.
fn concat_words(parts: &[Hir], bytes_max: usize) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    for part in parts {
        let ends = words(part, bytes_max)?;
        let count = all.len().saturating_mul(ends.len());
        if all.len() > 1 && ends.len() > 1 && count > PRODUCT_MAX {
            return None;
        }
        let bytes = |words: &[String]| words.iter().map(String::len).sum::<usize>();
        if bytes(&all) * ends.len() + bytes(&ends) * all.len() > bytes_max {
            return None;
        }
        all = match (all.as_mut_slice(), ends.as_slice()) {
            ([start], _) if start.is_empty() => ends,
            ([start], [end]) => {
                start.push_str(end);
                all
            }
            _ => all
                .iter()
                .flat_map(|start| ends.iter().map(move |end| format!("{start}{end}")))
                .collect(),
        };
    }
    Some(all)
}

fn globs(parts: &[Hir]) -> Option<Vec<Glob>> {
    if let [part] = parts
        && let HirKind::Alternation(alternatives) = uncaptured(part).kind()
    {
        if alternatives.len() > GLOBS_MAX {
            return None;
        }
        return alternatives
            .iter()
            .map(|hir| glob(std::slice::from_ref(hir)))
            .collect();
    }
    glob(parts).map(|glob| vec![glob])
}

fn glob(parts: &[Hir]) -> Option<Glob> {
    let mut glob = Glob::default();
    parts
        .iter()
        .all(|part| push_glob(part, &mut glob))
        .then_some(glob)
}

fn push_glob(hir: &Hir, glob: &mut Glob) -> bool {
    if let Some(filled) = gap(hir) {
        return glob.push_gap(filled);
    }
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                glob.push_text(text);
                true
            }
            Err(_) => false,
        },
        HirKind::Capture(capture) => push_glob(&capture.sub, glob),
        HirKind::Concat(parts) => parts.iter().all(|part| push_glob(part, glob)),
        _ => false,
    }
}

/// Whether the pattern is `.*` (false) or `.+` (true), newlines included.
fn gap(hir: &Hir) -> Option<bool> {
    match hir.kind() {
        HirKind::Repetition(Repetition {
            min: min @ (0 | 1),
            max: None,
            sub,
            ..
        }) => match sub.kind() {
            HirKind::Class(Class::Unicode(class)) if is_everything(class) => Some(*min == 1),
            _ => None,
        },
        _ => None,
    }
}

fn uncaptured(mut hir: &Hir) -> &Hir {
    while let HirKind::Capture(capture) = hir.kind() {
        hir = &capture.sub;
    }
    hir
}

/// Collects the text every match starts with, and answers whether the parts are nothing but
/// that text.
fn push_prefix(parts: &[Hir], prefix: &mut String) -> bool {
    parts.iter().all(|part| match part.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                prefix.push_str(text);
                true
            }
            Err(_) => false,
        },
        HirKind::Capture(capture) => push_prefix(std::slice::from_ref(&capture.sub), prefix),
        HirKind::Concat(parts) => push_prefix(parts, prefix),
        _ => false,
    })
}
