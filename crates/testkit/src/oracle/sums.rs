//! Numeric building blocks (§8).

use std::cmp::Ordering;

/// A compensated sum (§8.1): what is lost when `s` grows is kept in `c`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) s: f64,
    pub(super) c: f64,
}

impl Sum {
    pub(super) fn inc(self, x: f64) -> Self {
        let t = self.s + x;
        let c = if t.is_infinite() {
            0.0
        } else if self.s.abs() >= x.abs() {
            self.c + ((self.s - t) + x)
        } else {
            self.c + ((x - t) + self.s)
        };
        Self { s: t, c }
    }

    pub(super) fn total(self) -> f64 {
        self.s + self.c
    }
}

/// `sum_over_time` (§8.1).
pub(super) fn sum_over_time(values: &[f64]) -> f64 {
    let sum = values.iter().fold(Sum::default(), |sum, &v| sum.inc(v));
    if sum.s.is_infinite() {
        sum.s
    } else {
        sum.total()
    }
}

/// The aggregation `sum` (§8.1): begins with the first value.
pub(super) fn sum(values: &[f64]) -> f64 {
    let first = Sum {
        s: values[0],
        c: 0.0,
    };
    values[1..].iter().fold(first, |sum, &v| sum.inc(v)).total()
}

/// The mean (§8.2): directly, until a sum would leave the floats' range.
pub(super) fn mean(values: &[f64]) -> f64 {
    let mut sum = Sum {
        s: values[0],
        c: 0.0,
    };
    let mut direct = true;
    for (before, &x) in (1..).zip(&values[1..]) {
        let n = f64::from(before + 1);
        if direct {
            let next = sum.inc(x);
            if !next.s.is_infinite() {
                sum = next;
                continue;
            }
            direct = false;
            sum.s /= n - 1.0;
            sum.c /= n - 1.0;
        }
        let q = (n - 1.0) / n;
        sum = Sum {
            s: q * sum.s,
            c: q * sum.c,
        }
        .inc(x / n);
    }
    if direct {
        let n = values.len() as f64;
        sum.s / n + sum.c / n
    } else {
        sum.total()
    }
}

/// The population variance as the aggregations compute it (§7.1).
pub(super) fn variance(values: &[f64]) -> f64 {
    if !values[0].is_finite() {
        return f64::NAN;
    }
    let (mut m, mut m2) = (values[0], 0.0);
    for (before, &x) in (1..).zip(&values[1..]) {
        let n = f64::from(before + 1);
        let delta = x - m;
        m += delta / n;
        m2 += delta * (x - m);
    }
    m2 / values.len() as f64
}

/// The population variance over time (§8.3).
pub(super) fn variance_over_time(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    for (before, &x) in (0..).zip(values) {
        let n = f64::from(before + 1);
        let delta = x - mean.total();
        mean = mean.inc(delta / n);
        squares = squares.inc(delta * (x - mean.total()));
    }
    squares.total() / values.len() as f64
}

/// Slope and intercept of the line through points in milliseconds, seen from `reference` (§8.4).
pub(super) fn regression(points: &[(i64, f64)], reference: i64) -> (f64, f64) {
    let first = points[0].1;
    if points.iter().all(|&(_, y)| y == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let [mut sx, mut sy, mut sxy, mut sxx] = [Sum::default(); 4];
    for &(t, y) in points {
        let x = (t - reference) as f64 / 1000.0;
        sx = sx.inc(x);
        sy = sy.inc(y);
        sxy = sxy.inc(x * y);
        sxx = sxx.inc(x * x);
    }
    let n = points.len() as f64;
    let (sx, sy) = (sx.total(), sy.total());
    let cov = sxy.total() - sx * sy / n;
    let var = sxx.total() - sx * sx / n;
    let slope = cov / var;
    (slope, sy / n - slope * sx / n)
}

/// The order of values with NaN before all others.
pub(super) fn nan_first(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (a, b) => b.cmp(&a),
    }
}

/// The φ-quantile of some values (§8.6).
pub(super) fn quantile(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|&a, &b| nan_first(a, b));
    let n = sorted.len();
    let rank = q * (n as f64 - 1.0);
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(n - 1);
    let weight = rank - rank.floor();
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

/// The smallest or largest value; NaN only if all are (§7.1).
pub(super) fn extremum(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    let mut best = values[0];
    for &v in &values[1..] {
        if best.is_nan() || better(v, best) {
            best = v;
        }
    }
    best
}

/// IEEE minimum: NaN if one is, −0 below +0.
pub(super) fn min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// IEEE maximum.
pub(super) fn max(a: f64, b: f64) -> f64 {
    -min(-a, -b)
}
