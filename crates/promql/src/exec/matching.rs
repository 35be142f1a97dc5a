//! Which series of two vectors belong together.

use ferula_model::{Builder, Labels, METRIC_NAME};

use super::Frame;
use super::grouping::{Ordinals, push_text};
use super::row::is_metadata;
use crate::syntax::ast::{Cardinality, Matching};

/// The match groups of two vectors.
pub(super) struct MatchGroups {
    /// The group of each row of the left side.
    pub(super) left: Vec<usize>,
    /// The group of each row of the right side.
    pub(super) right: Vec<usize>,
    /// How many groups there are.
    pub(super) count: usize,
}

impl MatchGroups {
    pub(super) fn new(matching: &Matching, left: &Frame<'_>, right: &Frame<'_>) -> Self {
        let mut ordinals = Ordinals::default();
        let mut key = Vec::new();
        let mut number = |frame: &Frame<'_>| -> Vec<usize> {
            (0..frame.len())
                .map(|i| {
                    key.clear();
                    signature(matching, frame.labels(i), &mut key);
                    ordinals.of(&key).0
                })
                .collect()
        };
        let (left, right) = (number(left), number(right));
        Self {
            left,
            right,
            count: ordinals.len(),
        }
    }
}

/// The labels of the match group of a series with `labels`.
pub(super) fn group_labels(matching: &Matching, labels: &Labels) -> Labels {
    labels.filter(|name| tells_apart(matching, name))
}

fn signature(matching: &Matching, labels: &Labels, key: &mut Vec<u8>) {
    for (name, value) in labels.iter() {
        if tells_apart(matching, name) {
            push_text(key, name);
            push_text(key, value);
        }
    }
}

fn tells_apart(matching: &Matching, name: &str) -> bool {
    let listed = matching.labels.iter().any(|label| label == name);
    if matching.on {
        listed
    } else {
        !listed && name != METRIC_NAME
    }
}

/// The labels of the result of two series; `many` is the side the result's labels start from.
pub(super) fn result_labels(
    matching: &Matching,
    drops: bool,
    many: &Labels,
    one: &Labels,
) -> Labels {
    let one_to_one = matching.card == Cardinality::OneToOne;
    let kept = many.filter(|name| {
        !(drops && is_metadata(name))
            && (!one_to_one || matching.labels.iter().any(|l| l == name) == matching.on)
    });
    if matching.include.is_empty() {
        return kept;
    }
    let mut builder = Builder::from(&kept);
    for label in &matching.include {
        builder.set(label, one.value(label));
    }
    builder.build()
}
