//! One series' values, dense over the steps.

use std::sync::Arc;

use ferula_model::{Histogram, Labels, is_stale};

use crate::plan::METADATA;

/// Stands where a row has no float at a step. It is the staleness marker, which no calculation
/// yields and no step ever has as its value.
pub(crate) const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether there is no float.
#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// Whether `label` says what a metric is.
pub(crate) fn is_metadata(label: &str) -> bool {
    label.starts_with("__") && METADATA.contains(&label)
}

/// The labels without those that say what the metric is.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.filter(|name| !is_metadata(name))
}

/// A series' values: a float or [`ABSENT`] for every step, and the histograms of those steps that
/// have one in place of a float. Reused from series to series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) values: Vec<f64>,
    /// In order of step.
    pub(crate) histograms: Vec<(u32, Arc<Histogram>)>,
}

impl Row {
    /// Makes the row `steps` long, with nothing in it.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.values.clear();
        self.values.resize(steps, ABSENT);
        self.histograms.clear();
    }

    /// Whether no step has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.values.iter().all(|&v| is_absent(v))
    }

    /// Makes this row `steps` long, each like the first of `other`.
    pub(crate) fn repeat(&mut self, other: &Self, steps: usize) {
        let value = other.values.first().copied().unwrap_or(ABSENT);
        self.values.clear();
        self.values.resize(steps, value);
        self.histograms.clear();
        if let Some((0, h)) = other.histograms.first() {
            self.histograms
                .extend((0..steps as u32).map(|step| (step, Arc::clone(h))));
        }
    }
}

/// Which series a row is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta<'a> {
    pub(crate) labels: &'a Labels,
    /// Whether an operation dropped the name. `labels` still has it.
    pub(crate) drop_name: bool,
}

impl<'a> Meta<'a> {
    /// A series whose name, if it has one, is its own.
    pub(crate) fn named(labels: &'a Labels) -> Self {
        Self {
            labels,
            drop_name: false,
        }
    }

    /// The metric's name in messages: empty once it is dropped for good.
    pub(crate) fn shown_name(self, exec: &super::Exec<'_>) -> &'a str {
        if self.drop_name && !exec.delayed_names {
            ""
        } else {
            self.labels.metric_name()
        }
    }

    /// The same with the name dropped as well if `drop`.
    pub(crate) fn dropping(self, drop: bool) -> Self {
        Self {
            drop_name: self.drop_name || drop,
            ..self
        }
    }

    /// Labels to keep: with `delayed` as they are with the mark, otherwise really without name.
    pub(crate) fn resolve(self, delayed: bool) -> Key {
        if self.drop_name && !delayed {
            Key {
                labels: without_metadata(self.labels),
                drop_name: false,
            }
        } else {
            Key {
                labels: self.labels.clone(),
                drop_name: self.drop_name,
            }
        }
    }
}

/// A kept [`Meta`].
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_the_marker() {
        assert!(is_absent(ferula_model::stale_marker()) && is_absent(ABSENT));
        assert!(!is_absent(f64::NAN));
    }

    #[test]
    fn names_are_dropped_at_once_or_later() {
        let labels = Labels::from_pairs([("__name__", "a"), ("__type__", "counter"), ("x", "1")]);
        let meta = Meta::named(&labels).dropping(true);
        assert_eq!(meta.resolve(false).labels.to_string(), r#"{x="1"}"#);
        let later = meta.resolve(true);
        assert!(later.drop_name && later.labels == labels);
    }
}
