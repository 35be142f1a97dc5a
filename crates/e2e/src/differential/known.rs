//! The one list of what differs between Ferula and the Prometheus it is compared with, and why.
//!
//! A class is a cause: a rule of 3.14 that the packaged release does not have yet, or something
//! that the reference leaves open. It names the queries it can touch and what it changes in their
//! answers; it never names a seed.

use std::collections::BTreeSet;

use ferula_promql::Times;
use ferula_promql::syntax::ast::{AggregateOp, BinaryOp, Expr};

use super::case::Case;
use super::compare::Difference;
use super::relation;
use super::reply::{PointValue, Reply};

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
            is_about(difference, "needed to be fixed for monotonicity")
                && both_told(case, "needed to be fixed for monotonicity")
        },
    },
    Known {
        class: "warning of sort in range queries",
        reason: "3.14 warns that sorting has no effect over steps, 3.5 does not",
        spreads: false,
        excuses: |case, difference| {
            let steps = matches!(case.times, Times::Range { .. })
                || case.has(|expr| matches!(expr, Expr::Subquery(_)));
            steps && is_ours_about(difference, "sort is ineffective for range queries")
        },
    },
    Known {
        class: "sort of histograms in range queries",
        reason: "3.14 does not sort over steps, and so keeps histograms; 3.5 removes them",
        spreads: true,
        excuses: |case, difference| {
            matches!(case.times, Times::Range { .. })
                && ["sort", "sort_desc"].contains(&case.function())
                && matches!(difference, Difference::Series { ours: true, .. })
        },
    },
    Known {
        class: "texts of custom buckets divided by zero",
        reason: "their zero bucket is NaN, which the reference cannot write into a label",
        spreads: true,
        excuses: |case, _| {
            case.aggregation() == Some(AggregateOp::CountValues)
                && errs(
                    &case.prometheus,
                    "histograms with custom buckets have no zero bucket",
                )
        },
    },
    Known {
        class: "custom buckets with other bounds",
        reason: "3.14 computes with the bounds both have, 3.5 drops such histograms with a warning",
        spreads: true,
        excuses: |case, _| {
            let reconciled = "mismatched custom buckets were reconciled";
            let dropped = "histograms with incompatible custom buckets";
            let told =
                |texts: &BTreeSet<String>, about: &str| texts.iter().any(|t| t.contains(about));
            told(&case.ferula.infos, reconciled) || told(&case.prometheus.warnings, dropped)
        },
    },
    Known {
        class: "rates of histograms that start near zero",
        reason: "3.14 does not extrapolate counts below zero, 3.5 does so with histograms",
        spreads: true,
        excuses: |case, difference| {
            matches!(difference, Difference::Points(_))
                && ["rate", "increase"].contains(&case.function())
                && relation::points(case, relation::is_smaller_by_a_factor)
        },
    },
    Known {
        class: "infos about NaN observations",
        reason: "3.14 points at the histograms and names no metric, 3.5 points at the quantile",
        spreads: false,
        excuses: |case, difference| {
            is_about(difference, "has NaN observations") && both_told(case, "has NaN observations")
        },
    },
    Known {
        class: "quantiles of histograms with NaN observations",
        reason: "3.5 takes the last bucket it counted in place of the one the quantile is in",
        spreads: true,
        excuses: |case, difference| {
            matches!(difference, Difference::Points(_))
                && case.function() == "histogram_quantile"
                && (both_told(case, "has NaN observations")
                    || case.has(|expr| matches!(expr, Expr::Binary(_))))
                && relation::points(case, |a, b| relation::floats(a, b, |a, b| a < b))
        },
    },
    Known {
        class: "histogram_fraction of classic histograms",
        reason: "releases before 3.8 give NaN",
        spreads: true,
        excuses: |case, difference| {
            matches!(difference, Difference::Points(_))
                && case.function() == "histogram_fraction"
                && relation::points(case, |_, theirs| relation::is_nan(theirs))
        },
    },
    Known {
        class: "mad_over_time with NaN",
        reason: "3.14 gives NaN where a sample is NaN, 3.5 ranks NaN below all numbers",
        spreads: true,
        excuses: |case, difference| {
            matches!(difference, Difference::Points(_))
                && case.function() == "mad_over_time"
                && relation::points(case, |ours, _| relation::is_nan(ours))
        },
    },
    Known {
        class: "computed histograms are gauges",
        reason: "3.14 marks differences, negatives and sums of them as gauges, 3.5 does not",
        spreads: false,
        excuses: |case, difference| {
            let computed = |expr: &Expr| {
                matches!(expr, Expr::Binary(b) if matches!(b.op, BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div))
                    || matches!(expr, Expr::Unary(_))
            };
            case.has(|expr| matches!(expr, Expr::Subquery(_)))
                && case.has(computed)
                && is_about(difference, "this native histogram metric is not a")
        },
    },
    Known {
        class: "series in an error",
        reason: "which match group and which two series of it are named is left open",
        spreads: true,
        excuses: |case, _| {
            let text = "found duplicate series for the match group";
            errs(&case.ferula, text) && errs(&case.prometheus, text)
        },
    },
    Known {
        class: "ties of topk and bottomk",
        reason: "which of several equal elements is kept is left open",
        spreads: true,
        excuses: |case, _| {
            matches!(
                case.aggregation(),
                Some(AggregateOp::Topk | AggregateOp::Bottomk)
            ) && relation::same_values(case)
        },
    },
    Known {
        class: "limitk of what has no order",
        reason: "the first elements of a group are those that come first, and only selectors have an order",
        spreads: true,
        excuses: |case, difference| {
            let Expr::Aggregate(aggregate) = case.expr.unparen() else {
                return false;
            };
            aggregate.op == AggregateOp::Limitk
                && !matches!(aggregate.expr.unparen(), Expr::Selector(_))
                && matches!(
                    difference,
                    Difference::Series { .. } | Difference::Points(_)
                )
        },
    },
    Known {
        class: "limitk of NaN elements",
        reason: "3.14 says `Parameter value is NaN`, 3.5 that NaN overflows",
        spreads: true,
        excuses: |case, _| {
            errs(&case.ferula, "Parameter value is NaN")
                && errs(&case.prometheus, "Scalar value NaN overflows int64")
        },
    },
    Known {
        class: "several left partners whose result is dropped",
        reason: "3.14 refuses them even if a comparison or the kinds of samples leave no result",
        spreads: true,
        excuses: |case, _| {
            errs(&case.ferula, "multiple matches for labels") && case.prometheus.error.is_none()
        },
    },
    Known {
        class: "series that become one",
        reason: "3.14 merges series that lose what told them apart if no step has both, 3.5 refuses",
        spreads: true,
        excuses: |case, _| {
            let merges = case.delayed_names
                || ["label_join", "label_replace"].contains(&case.function())
                || matches!(case.expr.unparen(), Expr::Unary(_));
            merges
                && case.ferula.error.is_none()
                && errs(
                    &case.prometheus,
                    "vector cannot contain metrics with the same labelset",
                )
        },
    },
    Known {
        class: "sums of histograms",
        reason: "3.14 sums histograms with compensation, 3.5 plainly",
        spreads: true,
        excuses: |case, difference| {
            let sums = ["sum_over_time", "avg_over_time"].contains(&case.function())
                || matches!(
                    case.aggregation(),
                    Some(AggregateOp::Sum | AggregateOp::Avg)
                );
            let adds = matches!(case.expr.unparen(), Expr::Binary(b)
                if matches!(b.op, BinaryOp::Add | BinaryOp::Sub));
            (sums || adds)
                && matches!(difference, Difference::Points(_))
                && relation::points(case, relation::differ_by_rounding)
        },
    },
    Known {
        class: "means of infinite histograms",
        reason: "3.5 corrects means of histograms step by step, and infinity minus infinity is NaN",
        spreads: true,
        excuses: |case, difference| {
            let means =
                case.function() == "avg_over_time" || case.aggregation() == Some(AggregateOp::Avg);
            means
                && matches!(difference, Difference::Points(_))
                && relation::points(case, relation::are_infinite)
        },
    },
    Known {
        class: "notes of one operator",
        reason: "3.5 keeps the last of what an operator notices at a step, 3.14 all of it",
        spreads: false,
        excuses: |case, difference| {
            let operator = |reply: &Reply| {
                let notes = reply.warnings.iter().chain(&reply.infos);
                notes
                    .filter(|t| t.contains("binary operator") || t.contains("incompatible custom"))
                    .count()
            };
            is_ours_about(difference, "encountered for binary operator")
                && operator(&case.ferula) > operator(&case.prometheus)
                && operator(&case.prometheus) > 0
        },
    },
    Known {
        class: "histograms read without buckets",
        reason: "3.5 reads no buckets where only counts and sums are asked for, and so misses what they say: \
                 that histograms differ, were reset, or do not go together",
        spreads: true,
        excuses: |case, difference| {
            let apart = |texts: &BTreeSet<String>| {
                let all = [
                    "incompatible bucket layout",
                    "exponential and custom buckets",
                ];
                texts
                    .iter()
                    .filter(|t| all.iter().any(|text| t.contains(text)))
                    .count()
            };
            let compares = |expr: &Expr| matches!(expr, Expr::Binary(b) if matches!(b.op, BinaryOp::Eq | BinaryOp::Ne));
            let resets = ["rate", "irate", "increase", "resets"];
            case.calls(&["histogram_avg", "histogram_count", "histogram_sum"])
                && (case.has(compares)
                    || case.calls(&resets)
                    || is_about(difference, "incompatible bucket layout")
                    || apart(&case.ferula.warnings) != apart(&case.prometheus.warnings))
        },
    },
    Known {
        class: "metric of a malformed bucket label",
        reason: "3.5 names the metric, 3.14 does so only where names are dropped at the end",
        spreads: false,
        excuses: |case, difference| {
            let text = "bucket label \"le\" is missing or has a malformed value";
            let told = |reply: &Reply| reply.warnings.iter().any(|t| t.contains(text));
            is_about(difference, text) && told(&case.ferula) && told(&case.prometheus)
        },
    },
    Known {
        class: "last_over_time and dropped names",
        reason: "3.5 forgets that the names of a subquery are to be dropped",
        spreads: true,
        excuses: |case, _| {
            case.delayed_names
                && ["first_over_time", "last_over_time"].contains(&case.function())
                && relation::names_differ(case)
        },
    },
    Known {
        class: "empty buckets in chunks",
        reason: "which empty buckets a stored histogram has depends on its chunk: 3.5 counts them as changes, \
                 and takes a zero bucket for two-sided if there are empty negative ones",
        spreads: true,
        excuses: |case, difference| {
            let more = |a: &PointValue, b: &PointValue| relation::floats(a, b, |a, b| a < b);
            let in_zero = |a: &PointValue, b: &PointValue| {
                relation::floats(a, b, |a, b| a.abs().max(b.abs()) <= 0.01)
            };
            matches!(difference, Difference::Points(_))
                && match case.function() {
                    "changes" => relation::points(case, more),
                    "histogram_quantile" | "histogram_fraction" => relation::points(case, in_zero),
                    _ => false,
                }
        },
    },
    Known {
        class: "last digits brought forward",
        reason: "a remainder or a difference of what is not computed exactly has fewer digits in common",
        spreads: true,
        excuses: |case, difference| {
            let cancels = |expr: &Expr| matches!(expr, Expr::Binary(b) if matches!(b.op, BinaryOp::Mod | BinaryOp::Sub | BinaryOp::Add));
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-7 * a.abs().max(b.abs());
            case.tolerance() > 0.0
                && (case.has(cancels) || case.calls(DIFFERENCES))
                && matches!(difference, Difference::Points(_))
                && relation::points(case, |a, b| relation::floats(a, b, near))
        },
    },
    Known {
        class: "logarithms of subnormal numbers",
        reason: "Go's assembly for amd64 takes the exponent of a subnormal number for a normal one's",
        spreads: true,
        excuses: |case, difference| {
            let near_zero = |a: f64, b: f64| a < -708.3 && (-710.0..-708.3).contains(&b);
            case.function() == "ln"
                && matches!(difference, Difference::Points(_))
                && relation::points(case, |a, b| relation::floats(a, b, near_zero))
        },
    },
    Known {
        class: "range vectors in parentheses",
        reason: "3.5 cannot give back a range vector in parentheses that does not depend on the step",
        spreads: false,
        excuses: |case, _| {
            matches!(case.expr, Expr::Paren(_))
                && case.ferula.kind == "matrix"
                && errs(&case.prometheus, "unexpected number of samples")
        },
    },
    Known {
        class: "last digits in labels",
        reason: "count_values writes what is not computed exactly into labels",
        spreads: true,
        excuses: |case, difference| {
            matches!(difference, Difference::Series { .. })
                && case.aggregation() == Some(AggregateOp::CountValues)
                && case.tolerance() > 0.0
        },
    },
    Known {
        class: "empty buckets that become NaN",
        reason: "which empty buckets a stored histogram has depends on its chunk, and 0 / NaN is NaN",
        spreads: true,
        excuses: |case, difference| {
            matches!(difference, Difference::Points(_))
                && relation::points(case, relation::lacks_nan_buckets)
        },
    },
    Known {
        class: "info() where a series has a gap",
        reason: "3.5 mixes up the info series at steps where not every series has a sample",
        spreads: true,
        excuses: |case, _| {
            let mixed_up = "found duplicate series for info metric";
            case.function() == "info"
                && case.ferula.error.is_none()
                && (case.prometheus.error.is_none() || errs(&case.prometheus, mixed_up))
        },
    },
    Known {
        class: "info() and dropped names",
        reason: "3.5 forgets that names are to be dropped",
        spreads: true,
        excuses: |case, _| {
            case.delayed_names && case.function() == "info" && relation::names_differ(case)
        },
    },
    Known {
        class: "text of info()'s errors",
        reason: "3.14 names both series, 3.5 the metric",
        spreads: true,
        excuses: |case, _| {
            let text = "found duplicate series for info metric";
            errs(&case.ferula, text) && errs(&case.prometheus, text)
        },
    },
];

/// Functions that look at how values of one series differ.
const DIFFERENCES: &[&str] = &[
    "delta",
    "deriv",
    "idelta",
    "increase",
    "irate",
    "rate",
    "stddev_over_time",
    "stdvar_over_time",
];

/// Whether a difference is a warning or an info about something.
fn is_about(difference: &Difference, what: &str) -> bool {
    matches!(difference, Difference::Note { text, .. } if text.contains(what))
}

/// Whether a difference is a warning or an info of Ferula's about something.
fn is_ours_about(difference: &Difference, what: &str) -> bool {
    matches!(difference, Difference::Note { ours: true, text } if text.contains(what))
}

/// Whether both servers have an info about something.
fn both_told(case: &Case, what: &str) -> bool {
    let told = |reply: &Reply| reply.infos.iter().any(|text| text.contains(what));
    told(&case.ferula) && told(&case.prometheus)
}

/// Whether a reply is an error about something.
fn errs(reply: &Reply, what: &str) -> bool {
    matches!(&reply.error, Some((_, text)) if text.contains(what))
}
