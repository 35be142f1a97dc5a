//! Classic histograms as native ones with custom buckets, for `load_with_nhcb`.

use std::collections::BTreeMap;

use ferula_model::{Histogram, Labels, METRIC_NAME, SCHEMA_CUSTOM, Timestamp};

use crate::MemStore;
use crate::histogram::Literal;

/// The parts of a classic histogram at one instant.
#[derive(Default)]
struct Classic {
    /// Upper bound and cumulative count.
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Adds to `store` a native histogram for every classic one it holds.
pub(crate) fn convert(store: &mut MemStore) {
    let mut found: BTreeMap<(Labels, Timestamp), Classic> = BTreeMap::new();
    for labels in store.labels().cloned().collect::<Vec<_>>() {
        let name = labels.metric_name();
        let (base, part) = match name.rsplit_once('_') {
            Some((base, part @ ("bucket" | "sum" | "count"))) => (base, part),
            _ => continue,
        };
        let bound = labels.get("le").and_then(|le| le.parse::<f64>().ok());
        if (part == "bucket") != bound.is_some() {
            continue;
        }
        let key = labels.with("le", "").with(METRIC_NAME, base);
        for (timestamp, value) in store.floats(&labels) {
            let classic = found.entry((key.clone(), timestamp)).or_default();
            match (part, bound) {
                ("bucket", Some(bound)) => classic.buckets.push((bound, value)),
                ("sum", _) => classic.sum = Some(value),
                _ => classic.count = Some(value),
            }
        }
    }
    for ((labels, timestamp), classic) in found {
        if let Some(histogram) = native(classic) {
            store.push_histogram(&labels, timestamp, histogram);
        }
    }
}

fn native(mut classic: Classic) -> Option<Histogram> {
    if classic.buckets.is_empty() {
        return None;
    }
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Texts such as 0.2 and 2e-1 are one bound.
    classic.buckets.dedup_by(|next, kept| next.0 == kept.0);
    let last = classic.buckets.last()?.1;
    let count = classic.count.unwrap_or(last);
    if classic.buckets.last()?.0 != f64::INFINITY {
        classic.buckets.push((f64::INFINITY, count));
    }
    let mut literal = Literal {
        schema: SCHEMA_CUSTOM,
        count,
        sum: classic.sum.unwrap_or(0.0),
        ..Literal::default()
    };
    let mut below = 0.0;
    for (index, &(bound, cumulative)) in (0..).zip(&classic.buckets) {
        if bound != f64::INFINITY {
            literal.custom_values.push(bound);
        }
        if cumulative != below {
            literal.positive.insert(index, cumulative - below);
        }
        below = cumulative;
    }
    Some(literal.build())
}
