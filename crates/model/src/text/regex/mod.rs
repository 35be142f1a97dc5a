//! Go's regular expressions, fully anchored.

mod template;

pub use template::Template;

/// Why a pattern is no regular expression; displays Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct Error(String);

/// A pattern that must match a whole value; `.` matches newline too.
#[derive(Clone, Debug)]
pub struct Regex {
    meta: regex_automata::meta::Regex,
}

impl Regex {
    /// Compiles `^(?s:pattern)$`.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let meta = regex_automata::meta::Regex::new(&format!("^(?s:{pattern})$"))
            .map_err(|e| Error(e.to_string()))?;
        Ok(Self { meta })
    }

    /// Whether the whole of `value` matches.
    pub fn is_match(&self, value: &str) -> bool {
        self.meta.is_match(value)
    }

    /// The groups of the match, if the whole of `value` matches.
    pub fn captures<'v>(&self, value: &'v str) -> Option<Captures<'v>> {
        let mut groups = self.meta.create_captures();
        self.meta.captures(value, &mut groups);
        groups.is_match().then_some(Captures { value, groups })
    }
}

/// What the groups of a pattern matched in a value; made by [`Regex::captures`].
#[derive(Clone, Debug)]
pub struct Captures<'v> {
    value: &'v str,
    groups: regex_automata::util::captures::Captures,
}

impl<'v> Captures<'v> {
    /// What group `index` matched, if it exists and took part; group 0 is the whole value.
    pub fn get(&self, index: usize) -> Option<&'v str> {
        self.groups.get_group(index).map(|span| &self.value[span])
    }

    /// What the group called `name` matched, if it exists and took part.
    pub fn name(&self, name: &str) -> Option<&'v str> {
        self.groups
            .get_group_by_name(name)
            .map(|span| &self.value[span])
    }
}
