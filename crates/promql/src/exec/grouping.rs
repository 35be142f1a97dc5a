//! Numbers for label subsets: groups of aggregations, match groups of operators.

use std::hash::BuildHasher;

use ferula_model::METRIC_NAME;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::row::{Key, Meta, is_metadata};
use crate::plan::Grouping;

/// Numbers byte strings in order of first sight.
#[derive(Default)]
pub(super) struct Ordinals {
    hasher: RandomState,
    table: HashTable<usize>,
    /// All strings, one after the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Ordinals {
    /// The number of `key`, and whether it is new.
    pub(super) fn of(&mut self, key: &[u8]) -> (usize, bool) {
        let Self {
            hasher,
            table,
            bytes,
            ends,
        } = self;
        let get = |i: usize| {
            let start = if i == 0 { 0 } else { ends[i - 1] };
            &bytes[start..ends[i]]
        };
        let hash = hasher.hash_one(key);
        if let Some(&known) = table.find(hash, |&i| get(i) == key) {
            return (known, false);
        }
        let number = ends.len();
        table.insert_unique(hash, number, |&i| hasher.hash_one(get(i)));
        bytes.extend_from_slice(key);
        ends.push(bytes.len());
        (number, true)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Appends a text so that no two sequences of texts look the same.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u64).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// Sorts series into the groups of an aggregation.
pub(super) struct Groups<'g> {
    grouping: &'g Grouping,
    /// Whether a dropped name still tells groups apart.
    delayed_names: bool,
    ordinals: Ordinals,
    key: Vec<u8>,
    /// The groups' labels, and whether a member's name is dropped.
    pub(super) heads: Vec<Key>,
}

impl<'g> Groups<'g> {
    pub(super) fn new(grouping: &'g Grouping, delayed_names: bool) -> Self {
        Self {
            grouping,
            delayed_names,
            ordinals: Ordinals::default(),
            key: Vec::new(),
            heads: Vec::new(),
        }
    }

    /// The number of the group `meta` belongs to.
    pub(super) fn of(&mut self, meta: Meta<'_>) -> usize {
        let nameless = meta.drop_name && !self.delayed_names;
        self.key.clear();
        for (name, value) in meta.labels.iter() {
            if keeps(self.grouping, name) && !(nameless && is_metadata(name)) {
                push_text(&mut self.key, name);
                push_text(&mut self.key, value);
            }
        }
        let (number, new) = self.ordinals.of(&self.key);
        if new {
            let labels = meta
                .labels
                .filter(|name| keeps(self.grouping, name) && !(nameless && is_metadata(name)));
            self.heads.push(Key {
                labels,
                drop_name: false,
            });
        }
        self.heads[number].drop_name |= meta.drop_name && self.delayed_names;
        number
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }
}

/// Whether a group's labels have `name`.
fn keeps(grouping: &Grouping, name: &str) -> bool {
    let listed = grouping
        .labels
        .binary_search_by(|label| label.as_str().cmp(name))
        .is_ok();
    if grouping.without {
        !listed && name != METRIC_NAME
    } else {
        listed
    }
}

/// Rows by group.
pub(super) struct ByGroup {
    rows: Vec<usize>,
    starts: Vec<usize>,
}

impl ByGroup {
    /// `groups` has the group of each row.
    pub(super) fn new(groups: &[usize], count: usize) -> Self {
        let mut starts = vec![0; count + 1];
        for &g in groups {
            starts[g + 1] += 1;
        }
        for g in 0..count {
            starts[g + 1] += starts[g];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; groups.len()];
        for (row, &g) in groups.iter().enumerate() {
            rows[next[g]] = row;
            next[g] += 1;
        }
        Self { rows, starts }
    }

    /// The rows of a group, in order.
    pub(super) fn of(&self, group: usize) -> &[usize] {
        &self.rows[self.starts[group]..self.starts[group + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::Labels;

    #[test]
    fn groups_by_and_without() {
        let check = |without, expected: [&str; 3]| {
            let grouping = Grouping {
                labels: vec!["a".to_owned()],
                without,
            };
            let mut groups = Groups::new(&grouping, false);
            for (name, a, b) in [("m", "1", "2"), ("n", "1", "2"), ("m", "12", "")] {
                let labels = Labels::from_pairs([(METRIC_NAME, name), ("a", a), ("b", b)]);
                let number = groups.of(Meta::named(&labels));
                let group = groups.heads[number].labels.to_string();
                let i = match (name, a) {
                    ("m", "1") => 0,
                    ("n", _) => 1,
                    _ => 2,
                };
                assert_eq!(group, expected[i]);
            }
        };
        check(false, [r#"{a="1"}"#, r#"{a="1"}"#, r#"{a="12"}"#]);
        check(true, [r#"{b="2"}"#, r#"{b="2"}"#, "{}"]);
    }
}
