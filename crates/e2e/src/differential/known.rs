//! The one list of what differs between Ferula and the Prometheus it is compared with, and why.
//!
//! A class is a cause: a rule of 3.14 that the packaged release does not have yet, or something
//! that the reference leaves open. It names the queries it can touch and what it changes in their
//! answers; it never names a seed.

use std::collections::BTreeSet;

use ferula_promql::Times;

use super::case::Case;
use super::compare::Difference;

/// A cause of differences.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub class: &'static str,
    /// Why the answers differ.
    pub reason: &'static str,
    /// Whether it changes values, and with them whatever is computed from them.
    pub spreads: bool,
    /// Whether one difference of a case comes from it.
    pub excuses: fn(&Case, &Difference) -> bool,
}

/// Every known cause.
pub const KNOWN: &[Known] = &[
    Known {
        class: "text of the monotonicity info",
        reason: "3.14 tells buckets, sizes and times, 3.5 the metric's name",
        spreads: false,
        excuses: |case, difference| {
            let about = |text: &str| text.contains("needed to be fixed for monotonicity");
            let told = |infos: &BTreeSet<String>| infos.iter().any(|text| about(text));
            matches!(difference, Difference::Note { text, .. } if about(text))
                && told(&case.ferula.infos)
                && told(&case.prometheus.infos)
        },
    },
    Known {
        class: "warning of sort in range queries",
        reason: "3.14 warns that sorting has no effect, 3.5 does not",
        spreads: false,
        excuses: |case, difference| {
            matches!(case.times, Times::Range { .. })
                && matches!(difference, Difference::Note { ours: true, text }
                    if text.contains("sort is ineffective for range queries"))
        },
    },
    Known {
        class: "custom buckets with other bounds",
        reason: "3.14 computes with the bounds both have, 3.5 drops such histograms with a warning",
        spreads: true,
        excuses: |case, _| {
            let reconciled = "mismatched custom buckets were reconciled";
            let dropped = "histograms with incompatible custom buckets";
            case.ferula
                .infos
                .iter()
                .any(|text| text.contains(reconciled))
                || case
                    .prometheus
                    .warnings
                    .iter()
                    .any(|text| text.contains(dropped))
        },
    },
];
