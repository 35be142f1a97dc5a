//! Go's regular expressions, fully anchored.
//!
//! The syntax is read here ([`parse`]); lists of words and patterns of words with `.*` between
//! them are matched here, too ([`plan`]); the rest is done by an automaton that is built when it
//! is first asked. All matching takes time linear in the value.

mod class;
mod error;
mod parse;
mod plan;
mod template;

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Hir, Look};

pub use error::{Error, Problem};
use parse::Parsed;
use plan::Plan;
pub use template::Template;

/// Patterns with no more states than this surely fit and are compiled when first used; larger
/// ones at once, to know whether they fit. 16 Ki states × about 40 B = 640 KiB.
const STATES_LATER_MAX: u64 = 16 << 10;

/// The memory of a compiled pattern.
const COMPILED_BYTES_MAX: usize = 32 << 20;

/// The memory in which a large pattern remembers the ways it has gone, per thread that matches
/// at the same time; with less, the largest would be a thousand times slower.
const LARGE_CACHE_BYTES_MAX: usize = 16 << 20;

/// A pattern that must match a whole value; `.` matches newline too. Cheap to clone.
#[derive(Clone)]
pub struct Regex(Arc<Inner>);

struct Inner {
    pattern: String,
    hir: Hir,
    plan: Plan,
    automaton: OnceLock<meta::Regex>,
    names: Vec<(Box<str>, usize)>,
    groups: usize,
    group_of_anything: bool,
}

impl Regex {
    /// Compiles `^(?s:pattern)$`.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let Parsed {
            hir,
            names,
            groups,
            states,
        } = parse::parse(pattern)?;
        let plan = plan::plan(&hir, pattern.len());
        let group_of_anything = plan::is_group_of_anything(&hir);
        let hir = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let automaton = OnceLock::new();
        if states > STATES_LATER_MAX && matches!(plan, Plan::Automaton(_)) {
            let config = meta::Config::new()
                .nfa_size_limit(Some(COMPILED_BYTES_MAX))
                .hybrid_cache_capacity(LARGE_CACHE_BYTES_MAX);
            let large = || Error::new(Problem::Large, pattern);
            // Nobody else has seen it, so it is not set yet.
            let _ = automaton.set(compile(&hir, config).ok_or_else(large)?);
        }
        Ok(Self(Arc::new(Inner {
            pattern: pattern.to_string(),
            hir,
            plan,
            automaton,
            names,
            groups,
            group_of_anything,
        })))
    }

    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// Whether the whole of `value` matches.
    pub fn is_match(&self, value: &str) -> bool {
        match &self.0.plan {
            Plan::Set(set) => set.contains(value),
            Plan::Globs(globs) => globs.iter().any(|glob| glob.is_match(value)),
            Plan::Automaton(prefix) => {
                value.starts_with(prefix.as_str())
                    && self.0.automaton().is_match(whole(value).earliest(true))
            }
        }
    }

    /// The only values that match, sorted, if the pattern is a list of words: `a|b`, `v[1-3]`.
    pub fn set_matches(&self) -> Option<&[String]> {
        match &self.0.plan {
            Plan::Set(set) => Some(&set.words),
            _ => None,
        }
    }

    /// What every value that matches starts with; empty if there is nothing.
    pub fn prefix(&self) -> &str {
        match &self.0.plan {
            Plan::Set(set) => match set.words.as_slice() {
                [word] => word,
                _ => "",
            },
            Plan::Globs(globs) => match globs.as_slice() {
                [glob] => &glob.prefix,
                _ => "",
            },
            Plan::Automaton(prefix) => prefix,
        }
    }

    /// Whether it is `.*` or an equivalent that is as easily seen: every value matches.
    pub fn is_anything(&self) -> bool {
        matches!(&self.0.plan, Plan::Globs(globs) if globs.iter().any(|g| g.is_anything()))
    }

    /// Whether it is `.+` or an equivalent that is as easily seen: every value but the empty one
    /// matches.
    pub fn is_nonempty(&self) -> bool {
        matches!(&self.0.plan, Plan::Globs(globs) if globs.iter().all(|g| g.is_nonempty()))
    }

    /// The groups of the match, if the whole of `value` matches.
    pub fn captures<'v>(&self, value: &'v str) -> Option<Captures<'v>> {
        let inner = &self.0;
        let mut slots = vec![None; 2 * inner.groups];
        if inner.group_of_anything {
            let ends = [NonMaxUsize::new(0), NonMaxUsize::new(value.len())];
            slots[..2].copy_from_slice(&ends);
            slots[2..4].copy_from_slice(&ends);
        } else {
            if !self.is_match(value) {
                return None;
            }
            inner.automaton().search_slots(&whole(value), &mut slots)?;
        }
        Some(Captures {
            value,
            slots,
            regex: self.clone(),
        })
    }
}

/// A search for the whole of `value`.
fn whole(value: &str) -> Input<'_> {
    Input::new(value).anchored(Anchored::Yes)
}

impl Inner {
    fn automaton(&self) -> &meta::Regex {
        self.automaton.get_or_init(|| {
            let config = meta::Config::new().nfa_size_limit(None);
            compile(&self.hir, config).expect("a small pattern without a limit can be compiled")
        })
    }
}

/// None if the compiled pattern would be larger than the configuration allows.
fn compile(hir: &Hir, config: meta::Config) -> Option<meta::Regex> {
    let mut builder = meta::Builder::new();
    builder.configure(config).build_from_hir(hir).ok()
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.0.pattern).finish()
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.pattern == other.0.pattern
    }
}

impl Eq for Regex {}

/// What the groups of a pattern matched in a value; made by [`Regex::captures`].
#[derive(Clone, Debug)]
pub struct Captures<'v> {
    value: &'v str,
    slots: Vec<Option<NonMaxUsize>>,
    regex: Regex,
}

impl<'v> Captures<'v> {
    /// What group `index` matched, if it exists and took part; group 0 is the whole value.
    pub fn get(&self, index: usize) -> Option<&'v str> {
        let slot = |at| self.slots.get(at).copied().flatten();
        let start = slot(index.checked_mul(2)?)?;
        let end = slot(index * 2 + 1)?;
        self.value.get(start.get()..end.get())
    }

    /// What the group called `name` matched, if it exists and took part; of several groups of
    /// that name, the first that did.
    pub fn name(&self, name: &str) -> Option<&'v str> {
        let names = self.regex.0.names.iter();
        names
            .filter(|(own, _)| **own == *name)
            .find_map(|(_, index)| self.get(*index))
    }
}

#[cfg(test)]
mod tests;
