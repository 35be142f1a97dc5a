//! Worked examples, and properties against naive models.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A histogram from populations by index.
fn histogram(
    schema: i8,
    (count, sum): (f64, f64),
    (zero_threshold, zero): (f64, f64),
    positive: &[(i64, f64)],
    negative: &[(i64, f64)],
) -> FloatHistogram {
    let cells = |buckets: &[(i64, f64)]| buckets.iter().map(|&(i, c)| (i, exact(c))).collect();
    FloatHistogram {
        reset: CounterReset::Unknown,
        schema,
        zero_threshold,
        count: exact(count),
        sum: exact(sum),
        zero: exact(zero),
        positive: cells(positive),
        negative: cells(negative),
        custom_values: Vec::new(),
    }
}

fn custom(bounds: &[f64], populations: &[f64], sum: f64) -> FloatHistogram {
    let cells: Vec<(i64, f64)> = (0..).zip(populations.iter().copied()).collect();
    let count = populations.iter().sum();
    FloatHistogram {
        custom_values: bounds.to_vec(),
        ..histogram(SCHEMA_CUSTOM, (count, sum), (0.0, 0.0), &cells, &[])
    }
}

fn a() -> FloatHistogram {
    let buckets = [(0, 3.0), (1, 5.0), (2, 10.0)];
    histogram(0, (20.0, 50.0), (0.001, 2.0), &buckets, &[])
}

fn d() -> FloatHistogram {
    custom(&[-2.0, 1.0, 5.0, 10.0], &[1.0, 2.0, 3.0, 4.0, 5.0], 20.0)
}

#[test]
fn nothing_negated_is_negative() {
    let mut h = histogram(0, (0.0, 0.0), (0.0, 0.0), &[], &[]);
    h.scale(-1.0);
    let negated = FloatHistogram::from(&h.to_model()).to_model();
    assert_eq!(negated.sum.to_bits(), (-0.0_f64).to_bits());
    assert_eq!(negated.count().to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn estimates_as_the_reference() {
    let quantiles = [
        (a(), 0.1, 0.001),
        (a(), 0.5, 2.0),
        (a(), 0.9, 3.4822022531844965),
        (a(), 1.0, 4.0),
        (d(), 0.1, -1.25),
        (d(), 0.5, 6.875),
        (d(), 0.9, 10.0),
        (d(), 1.0, 10.0),
    ];
    for (h, phi, expected) in quantiles {
        assert_eq!(h.quantile(phi), (expected, None), "{phi} of {h}");
    }
    assert_eq!(a().fraction(-1.0, 1.0), (0.25, false));
    assert_eq!(d().fraction(-1.0, 1.0), (0.13333333333333333, false));
    assert_eq!(a().variance(), 1.4558351492782455);
}

#[test]
fn nan_observations_are_in_no_bucket() {
    let h = histogram(0, (30.0, f64::NAN), (0.0, 0.0), &[(1, 20.0)], &[]);
    assert_eq!(h.quantile(0.9).1, Some(NanNote::Result));
    assert_eq!(h.quantile(0.5).1, Some(NanNote::Skewed));
    assert_eq!(h.fraction(0.0, f64::INFINITY), (20.0 / 30.0, true));
}

#[test]
fn printed() {
    assert_eq!(
        a().to_string(),
        "{count:20, sum:50, [-0.001,0.001]:2, (0.5,1]:3, (1,2]:5, (2,4]:10}"
    );
    assert_eq!(
        d().to_string(),
        "{count:15, sum:20, [-Inf,-2]:1, (-2,1]:2, (1,5]:3, (5,10]:4, (10,+Inf]:5}"
    );
    let negative = histogram(0, (3.0, -3.0), (0.0, 0.0), &[], &[(0, 1.0), (1, 2.0)]);
    assert_eq!(
        negative.to_string(),
        "{count:3, sum:-3, [-2,-1):2, [-1,-0.5):1}"
    );
}

#[test]
fn zero_buckets_become_equally_wide() {
    // 0.75 cuts the bucket from 0.5 to 1, so both zero buckets end at 1.
    let mut wide = histogram(0, (4.0, 1.0), (0.75, 4.0), &[], &[]);
    let merged = wide.combine(&a(), Sign::Plus).unwrap();
    assert_eq!(merged, Merged::default());
    assert_eq!(
        wide.to_string(),
        "{count:24, sum:51, [-1,1]:9, (1,2]:5, (2,4]:10}"
    );
}

#[test]
fn custom_bounds_are_reduced_to_the_common_ones() {
    let mut sum = d();
    let other = custom(&[1.0, 3.0, 10.0], &[1.0; 4], 7.0);
    assert!(sum.combine(&other, Sign::Plus).unwrap().reconciled);
    assert_eq!(
        sum.to_string(),
        "{count:19, sum:27, [-Inf,1]:4, (1,10]:9, (10,+Inf]:6}"
    );
    assert_eq!(sum.combine(&a(), Sign::Plus), Err(Incompatible));
}

#[test]
fn hints() {
    use CounterReset::{Gauge, NotReset, Reset, Unknown};
    let cases = [
        (Reset, Reset, Reset, false),
        (Reset, NotReset, Unknown, true),
        (Reset, Unknown, Unknown, false),
        (Gauge, NotReset, Gauge, false),
        (Unknown, Gauge, Gauge, false),
    ];
    for (left, right, expected, conflict) in cases {
        let with = |reset| FloatHistogram { reset, ..a() };
        let mut sum = with(left);
        let merged = sum.accumulate(&with(right), Sign::Plus).unwrap();
        assert_eq!((sum.reset, merged.conflict), (expected, conflict));
        let mut difference = with(left);
        let _ = difference.accumulate(&with(right), Sign::Minus);
        assert_eq!(difference.reset, Gauge);
    }
}

#[test]
fn divided_by_zero() {
    let mut h = a();
    h.divide(0.0);
    assert_eq!(h.to_model().positive_spans, []);
    assert_eq!(h.count(), f64::INFINITY);
}

#[test]
fn means_do_not_overflow() {
    let big = histogram(0, (1e308, 1e308), (0.0, 0.0), &[(1, 1e308)], &[]);
    let mut mean = HistogramMean::new(big.clone());
    for _ in 0..3 {
        mean.add(&big).unwrap();
    }
    assert_eq!(mean.finish().to_model(), big.to_model());
}

#[test]
fn trimmed() {
    let cases = [
        (
            Side::Below,
            2.0,
            "{count:10, sum:9.193388155425119, [-0.001,0.001]:2, (0.5,1]:3, (1,2]:5}",
        ),
        (
            Side::Above,
            2.0,
            "{count:10, sum:28.284271247461902, (2,4]:10}",
        ),
        (
            Side::Below,
            4.0,
            "{count:20, sum:50, [-0.001,0.001]:2, (0.5,1]:3, (1,2]:5, (2,4]:10}",
        ),
        (
            Side::Above,
            0.0,
            "{count:20, sum:50, [-0.001,0.001]:2, (0.5,1]:3, (1,2]:5, (2,4]:10}",
        ),
    ];
    for (side, x, expected) in cases {
        let mut h = a();
        h.trim(side, x);
        assert_eq!(
            h.to_string().replace(", ", ","),
            expected.replace(", ", ","),
            "{side:?} {x}"
        );
    }
    let mut h = d();
    h.trim(Side::Below, 3.0);
    assert_eq!(
        h.to_string(),
        "{count:4.5, sum:0, [-Inf,-2]:1, (-2,1]:2, (1,5]:1.5}"
    );
    let mut h = d();
    h.trim(Side::Above, 12.0);
    assert_eq!(h.to_string(), "{count:5, sum:60, (10,+Inf]:5}");
}

type Populations = BTreeMap<i64, u16>;

fn counters() -> impl Strategy<Value = (i8, Populations)> {
    (
        0..4i8,
        prop::collection::btree_map(-20..20i64, 0..9u16, 0..8),
    )
}

fn counter(schema: i8, populations: &Populations) -> FloatHistogram {
    let cells: Vec<(i64, f64)> = populations
        .iter()
        .map(|(&i, &c)| (i, f64::from(c)))
        .collect();
    // A sum of nothing is -0.
    let count = cells.iter().map(|c| c.1).sum::<f64>() + 0.0;
    histogram(schema, (count, 0.0), (0.0, 0.0), &cells, &[])
}

proptest! {
    #[test]
    fn what_is_added_can_be_taken_away((schema, a) in counters(), (other, b) in counters()) {
        let (a, b) = (counter(schema, &a), counter(other, &b));
        let mut result = a.clone();
        result.combine(&b, Sign::Plus).unwrap();
        prop_assert_eq!(result.count(), a.count() + b.count());
        result.combine(&b, Sign::Minus).unwrap();
        let mut expected = a;
        expected.coarsen_to(schema.min(other));
        expected.reset = CounterReset::Gauge;
        prop_assert_eq!(result.to_model(), expected.to_model());
    }

    #[test]
    fn coarser_buckets_hold_the_same((schema, a) in counters(), to in -4..4i8) {
        let fine = counter(schema, &a);
        let mut coarse = fine.clone();
        coarse.coarsen_to(to);
        let total: f64 = coarse.buckets().iter().map(|b| b.count).sum();
        prop_assert_eq!(total, fine.count());
        // Every bucket of the fine one lies within a bucket of the coarse one.
        for b in fine.buckets() {
            let around = |c: &bounds::Bucket| c.lower <= b.lower && b.upper <= c.upper;
            prop_assert!(coarse.buckets().iter().any(around));
        }
    }

    #[test]
    fn quantiles_rise((schema, a) in counters(), p in 0.0..=1.0f64, q in 0.0..=1.0f64) {
        let h = counter(schema, &a);
        prop_assume!(h.count() > 0.0);
        let (low, high) = (h.quantile(p.min(q)).0, h.quantile(p.max(q)).0);
        prop_assert!(low <= high * (1.0 + 1e-12), "{} > {}", low, high);
        let part = h.fraction(f64::NEG_INFINITY, low).0;
        prop_assert!((part - p.min(q)).abs() < 1e-9 || part >= p.min(q));
    }

    #[test]
    fn resets_are_buckets_that_fell(
        (schema, before) in counters(),
        (other, now) in counters(),
        grown in any::<bool>(),
    ) {
        let (now, other) = if grown {
            let mut sum = before.clone();
            now.iter().for_each(|(i, c)| *sum.entry(*i).or_default() += c);
            (sum, schema)
        } else {
            (now, other)
        };
        let (p, h) = (counter(schema, &before), counter(other, &now));
        let mut naive = h.count() < p.count() || other > schema;
        if !naive {
            let mut merged = Populations::new();
            for (i, c) in &before {
                let wide = (*i as f64 / f64::from(1 << (schema - other))).ceil() as i64;
                *merged.entry(wide).or_default() += c;
            }
            naive = merged.iter().any(|(i, c)| now.get(i).unwrap_or(&0) < c);
        }
        prop_assert_eq!(h.is_reset_after(&p), naive);
    }
}
