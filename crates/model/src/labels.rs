//! Label sets: sorted by name, names unique, no empty values. Only this module makes them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::text::{is_legacy_label_name, quote};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A length of 255 or more is written as this byte and three bytes, little-endian.
const LONG: u8 = 0xFF;

/// The longest name or value a label can have, in bytes: what the encoding's three-byte length
/// can state, 16 MiB less one byte. Who takes labels from outside refuses longer ones.
pub const LABEL_LEN_MAX: usize = (1 << 24) - 1;

/// An immutable label set in one allocation.
///
/// Bytes: for each label, in order of name, `len(name) name len(value) value`; a length below
/// 255 is one byte, otherwise `0xFF` and three bytes little-endian. That is also the input of
/// the hash Prometheus defines for `limit_ratio`, so [`Labels::hash64`] is one pass over it.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// The empty label set.
    pub fn empty() -> Self {
        Self(Arc::from([].as_slice()))
    }

    /// Makes a label set from pairs in any order. Empty values are left out; of pairs with the
    /// same name the last one counts.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = Builder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Makes a label set from pairs that are sorted by name and unique; empty values are left
    /// out. The fast path for stores that keep labels sorted.
    ///
    /// # Panics
    /// In debug builds, if the pairs are out of order.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut out = Vec::with_capacity(128);
        let mut previous: Option<&str> = None;
        for (name, value) in pairs {
            debug_assert!(
                previous < Some(name),
                "labels out of order: {previous:?}, {name:?}"
            );
            previous = Some(name);
            if !value.is_empty() {
                push_str(&mut out, name);
                push_str(&mut out, value);
            }
        }
        Self(out.into())
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// The value of label `name`, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .take_while(|(n, _)| *n <= name)
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    }

    /// The value of label `name`, or the empty string: the two mean the same in PromQL.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric's name, empty if there is none.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded bytes, as the type describes them: equal exactly if the sets are equal.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// XXH64 with seed 0 over the encoded bytes: the hash of Prometheus's label sets.
    pub fn hash64(&self) -> u64 {
        xxhash_rust::xxh64::xxh64(&self.0, 0)
    }

    /// The labels for which `keep` holds.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        if self.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        Self::from_sorted(self.iter().filter(|(name, _)| keep(name)))
    }

    /// The set without the metric name.
    pub fn without_name(&self) -> Self {
        self.filter(|name| name != METRIC_NAME)
    }

    /// The set with `name` set to `value`; an empty value removes the label.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut builder = Builder::from(self);
        builder.set(name, value);
        builder.build()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

fn push_str(out: &mut Vec<u8>, s: &str) {
    assert!(
        s.len() <= LABEL_LEN_MAX,
        "a label of {} bytes cannot be held",
        s.len()
    );
    if s.len() < LONG as usize {
        out.push(s.len() as u8);
    } else {
        let len = (s.len() as u32).to_le_bytes();
        out.extend_from_slice(&[LONG, len[0], len[1], len[2]]);
    }
    out.extend_from_slice(s.as_bytes());
}

/// Iterates over the pairs of a label set; made by [`Labels::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    #[inline]
    fn take_str(&mut self) -> &'a str {
        let (len, rest) = match self.rest {
            [LONG, a, b, c, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, 0]) as usize, rest),
            [len, rest @ ..] => (*len as usize, rest),
            [] => (0, self.rest),
        };
        let (bytes, rest) = rest.split_at(len);
        self.rest = rest;
        // SAFETY: the bytes of a `Labels` are written by `push_str` alone, from a `&str`, and
        // never changed; lengths are written beside them, so the slice is the whole string.
        #[allow(unsafe_code)]
        unsafe {
            std::str::from_utf8_unchecked(bytes)
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = self.take_str();
        let value = self.take_str();
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Pairs compared left to right by name, then value; a prefix comes first.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// `{__name__="up", job="node"}`: the form error messages use.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(name) {
                write!(f, "{name}={}", quote::quoted(value))?;
            } else {
                write!(f, "{}={}", quote::quoted(name), quote::quoted(value))?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Edits a label set. Keeps labels sorted as it goes, so building is one copy.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pairs: Vec<(Box<str>, Box<str>)>,
}

impl From<&Labels> for Builder {
    fn from(labels: &Labels) -> Self {
        Self {
            pairs: labels.iter().map(|(n, v)| (n.into(), v.into())).collect(),
        }
    }
}

impl Builder {
    /// The current value of `name`, empty if it is not set.
    pub fn get(&self, name: &str) -> &str {
        match self.find(name) {
            Ok(i) => &self.pairs[i].1,
            Err(_) => "",
        }
    }

    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match (self.find(name), value.is_empty()) {
            (Ok(i), true) => {
                self.pairs.remove(i);
            }
            (Ok(i), false) => self.pairs[i].1 = value.into(),
            (Err(_), true) => {}
            (Err(i), false) => self.pairs.insert(i, (name.into(), value.into())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// Keeps the labels for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        self.pairs.retain(|(name, value)| keep(name, value));
        self
    }

    /// Removes everything, keeping the memory.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (&**n, &**v))
    }

    /// The label set as it stands.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(n, _)| (**n).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sorted_unique_and_without_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.with("a", ""), Labels::from_pairs([("b", "3")]));
    }

    #[test]
    fn hash_is_the_one_prometheus_documents() {
        let offset = |l: Labels| l.hash64() as f64 / 2f64.powi(64);
        let g = Labels::from_pairs([("__name__", "g"), ("k", "a")]);
        assert!((offset(g) - 0.99872590).abs() < 1e-8);
        assert!((offset(Labels::empty()) - 0.93467493).abs() < 1e-8);
    }

    #[test]
    fn long_values_survive() {
        for len in [254, 255, 256, 70_000] {
            let value = "x".repeat(len);
            let labels = Labels::from_pairs([("a", value.as_str()), ("b", "1")]);
            assert_eq!(labels.get("a"), Some(value.as_str()));
            assert_eq!(labels.get("b"), Some("1"));
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_was_set(pairs in proptest::collection::btree_map("[a-z_é]{1,4}", ".{1,300}", 0..6)) {
            let labels = Labels::from_pairs(&pairs);
            let back: Vec<_> = labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            prop_assert_eq!(back, pairs.into_iter().collect::<Vec<_>>());
        }
    }
}
