//! In what relation two answers to a query stand where they are not the same.

use std::collections::BTreeMap;

use super::case::Case;
use super::compare::same;
use super::reply::{Point, PointValue, Reply};

/// Points of a reply by labels, the name left out, and time.
fn by_place(reply: &Reply) -> BTreeMap<(String, String), Vec<&PointValue>> {
    let mut places = BTreeMap::<_, Vec<&PointValue>>::new();
    for series in &reply.series {
        let mut labels = series.labels.clone();
        labels.remove("__name__");
        let labels = format!("{labels:?}");
        for point in &series.points {
            let place = (labels.clone(), point.time.clone());
            places.entry(place).or_default().push(&point.value);
        }
    }
    places
}

/// Whether both have points at the same places, and all pairs that are not the same are `related`:
/// Ferula's first.
pub(super) fn points(case: &Case, related: impl Fn(&PointValue, &PointValue) -> bool) -> bool {
    let (ours, theirs) = (by_place(&case.ferula), by_place(&case.prometheus));
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|((a, ours), (b, theirs))| {
            let mut pairs = ours.iter().zip(theirs);
            a == b
                && ours.len() == theirs.len()
                && pairs.all(|(a, b)| same(a, b, case.tolerance()) || related(a, b))
        })
}

/// Whether both have the same series with the same points, but for the names.
pub(super) fn names_differ(case: &Case) -> bool {
    points(case, |_, _| false)
}

/// Whether each step has the same values, whatever the labels.
pub(super) fn same_values(case: &Case) -> bool {
    let values = |reply: &Reply| {
        let points = reply.series.iter().flat_map(|series| &series.points);
        let mut values: Vec<String> = points.map(|p: &Point| format!("{p:?}")).collect();
        values.sort();
        values
    };
    values(&case.ferula) == values(&case.prometheus)
}

/// Whether both values are floats and `related`.
pub(super) fn floats(
    ours: &PointValue,
    theirs: &PointValue,
    related: fn(f64, f64) -> bool,
) -> bool {
    match (ours, theirs) {
        (PointValue::Float(a), PointValue::Float(b)) => match (a.parse(), b.parse()) {
            (Ok(a), Ok(b)) => related(a, b),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a value is NaN.
pub(super) fn is_nan(value: &PointValue) -> bool {
    matches!(value, PointValue::Float(text) if text == "NaN")
}

/// The numbers of a histogram: count, sum, and populations by bounds.
struct Numbers {
    count: f64,
    sum: f64,
    buckets: BTreeMap<String, f64>,
}

fn numbers(value: &PointValue) -> Option<Numbers> {
    let PointValue::Histogram {
        count,
        sum,
        buckets,
    } = value
    else {
        return None;
    };
    let buckets = buckets.iter().map(|(rule, [lower, upper, population])| {
        let population = population.parse().ok()?;
        Some((format!("{rule}:{lower},{upper}"), population))
    });
    Some(Numbers {
        count: count.parse().ok()?,
        sum: sum.parse().ok()?,
        buckets: buckets.collect::<Option<_>>()?,
    })
}

/// Whether the first histogram is the second times a factor between 0 and 1.
pub(super) fn is_smaller_by_a_factor(ours: &PointValue, theirs: &PointValue) -> bool {
    let (Some(ours), Some(theirs)) = (numbers(ours), numbers(theirs)) else {
        return false;
    };
    let factor = ours.count / theirs.count;
    let scaled = |a: f64, b: f64| {
        (a.is_nan() && b.is_nan()) || (a - b * factor).abs() <= 1e-9 * a.abs().max(b.abs())
    };
    (0.0..1.0).contains(&factor)
        && scaled(ours.sum, theirs.sum)
        && ours.buckets.len() == theirs.buckets.len()
        && ours
            .buckets
            .iter()
            .zip(&theirs.buckets)
            .all(|(a, b)| a.0 == b.0 && scaled(*a.1, *b.1))
}

/// Whether two histograms are the same but for what rounding takes from their largest numbers.
pub(super) fn differ_by_rounding(ours: &PointValue, theirs: &PointValue) -> bool {
    let (Some(ours), Some(theirs)) = (numbers(ours), numbers(theirs)) else {
        return false;
    };
    let populations = ours.buckets.values().chain(theirs.buckets.values());
    let largest = populations.fold(ours.count.abs(), |max, v| max.max(v.abs()));
    let near = |a: f64, b: f64, size: f64| {
        (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-11 * size
    };
    let of =
        |numbers: &Numbers, bounds: &String| numbers.buckets.get(bounds).copied().unwrap_or(0.0);
    let all = ours.buckets.keys().chain(theirs.buckets.keys());
    near(ours.count, theirs.count, largest)
        && near(
            ours.sum,
            theirs.sum,
            ours.sum.abs().max(theirs.sum.abs()).max(largest),
        )
        && all
            .into_iter()
            .all(|b| near(of(&ours, b), of(&theirs, b), largest))
}

/// Whether both are histograms of no finite count.
pub(super) fn are_infinite(ours: &PointValue, theirs: &PointValue) -> bool {
    let infinite = |value| numbers(value).is_some_and(|numbers| !numbers.count.is_finite());
    infinite(ours) && infinite(theirs)
}

/// Whether the second histogram has buckets with NaN that the first lacks, and else the same.
pub(super) fn lacks_nan_buckets(ours: &PointValue, theirs: &PointValue) -> bool {
    let (Some(ours), Some(theirs)) = (numbers(ours), numbers(theirs)) else {
        return false;
    };
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    ours.buckets.len() < theirs.buckets.len()
        && same(ours.count, theirs.count)
        && same(ours.sum, theirs.sum)
        && (ours.buckets.iter()).all(|(b, v)| theirs.buckets.get(b).is_some_and(|w| same(*v, *w)))
        && (theirs.buckets.iter()).all(|(b, v)| ours.buckets.contains_key(b) || v.is_nan())
}
