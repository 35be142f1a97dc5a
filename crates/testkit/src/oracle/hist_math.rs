//! Computing with histograms: sums, means, scaling, resets (§6.3, §8.2, §9.6).

use ferula_model::CounterReset::{self, Gauge, NotReset, Reset, Unknown};

use super::hist::{Hist, Layout, Mixed, common_layout};
use super::sums::Sum;

/// The hint of a sum, and whether the hints contradict each other.
pub(super) fn joint_hint(a: CounterReset, b: CounterReset) -> (CounterReset, bool) {
    match (a, b) {
        (a, b) if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}

/// What `+` and `-` of two histograms yield.
pub(super) struct Combined {
    pub(super) hist: Hist,
    pub(super) conflict: bool,
    pub(super) reconciled: bool,
}

/// `a + b`, or `a - b`.
pub(super) fn combine(a: &Hist, b: &Hist, minus: bool) -> Result<Combined, Mixed> {
    let layout = common_layout(a, b)?;
    let (reset, conflict) = joint_hint(a.reset, b.reset);
    let sign = if minus { -1.0 } else { 1.0 };
    let mut hist = each(&a.fit(&layout), &b.fit(&layout), |x, y| x + sign * y);
    hist.reset = if minus { Gauge } else { reset };
    Ok(Combined {
        hist,
        conflict,
        reconciled: layout.reconciled,
    })
}

/// Two histograms of one layout, number by number.
fn each(a: &Hist, b: &Hist, f: impl Fn(f64, f64) -> f64) -> Hist {
    let mut h = a.clone();
    h.count = f(a.count, b.count);
    h.sum = f(a.sum, b.sum);
    h.zero = f(a.zero, b.zero);
    for (out, x, y) in [
        (&mut h.positive, &a.positive, &b.positive),
        (&mut h.negative, &a.negative, &b.negative),
    ] {
        for &i in x.keys().chain(y.keys()) {
            let at = |side: &std::collections::BTreeMap<i32, f64>| {
                side.get(&i).copied().unwrap_or_default()
            };
            out.insert(i, f(at(x), at(y)));
        }
    }
    h
}

/// `h * factor`.
pub(super) fn scaled(h: &Hist, factor: f64) -> Hist {
    let mut out = h.map(|v| v * factor);
    if factor < 0.0 {
        out.reset = Gauge;
    }
    out
}

/// `h / divisor`; all buckets are lost if that is 0.
pub(super) fn divided(h: &Hist, divisor: f64) -> Hist {
    let mut out = h.map(|v| v / divisor);
    if divisor < 0.0 {
        out.reset = Gauge;
    }
    if divisor == 0.0 {
        out.positive.clear();
        out.negative.clear();
    }
    out
}

/// Whether the observations were counted anew between `prev` and `cur` (§9.6).
pub(super) fn is_reset(prev: &Hist, cur: &Hist) -> bool {
    match cur.reset {
        Reset => return true,
        NotReset => return false,
        Unknown | Gauge => {}
    }
    if cur.count < prev.count {
        return true;
    }
    if cur.is_custom() {
        if !prev.is_custom() {
            return true;
        }
        return match common_layout(prev, cur) {
            Ok(layout) if layout.reconciled => {
                let (prev, cur) = (prev.fit(&layout), cur.fit(&layout));
                let grown = each(&cur, &prev, |now, before| now - before);
                grown.positive.values().any(|growth| *growth < 0.0)
            }
            Ok(_) => fell(prev, cur),
            Err(Mixed) => true,
        };
    }
    if cur.schema > prev.schema || cur.zero_threshold < prev.zero_threshold {
        return true;
    }
    if prev.uncut_threshold(cur.zero_threshold) != cur.zero_threshold
        && prev.zero_threshold != cur.zero_threshold
    {
        return true;
    }
    let prev = prev.widened(cur.zero_threshold).coarsened(cur.schema);
    cur.zero < prev.zero || fell(&prev.outside_zero(), &cur.outside_zero())
}

/// Whether a bucket is smaller than before, or populated before and missing.
fn fell(prev: &Hist, cur: &Hist) -> bool {
    [
        (&prev.positive, &cur.positive),
        (&prev.negative, &cur.negative),
    ]
    .into_iter()
    .any(|(prev, cur)| {
        prev.iter().any(|(i, &before)| match cur.get(i) {
            Some(&after) => after < before,
            None => before != 0.0,
        })
    })
}

/// A compensated sum or mean of histograms, number by number (§8.1, §8.2).
pub(super) struct Total {
    sum: Hist,
    lost: Hist,
    n: f64,
    is_mean: bool,
    /// Whether the sum would not be finite, so that the mean is updated instead.
    incremental: bool,
    hints: Vec<CounterReset>,
    pub(super) reconciled: bool,
}

impl Total {
    pub(super) fn new(first: &Hist, is_mean: bool) -> Self {
        Self {
            sum: first.clone(),
            lost: first.emptied(),
            n: 1.0,
            is_mean,
            incremental: false,
            hints: vec![first.reset],
            reconciled: false,
        }
    }

    pub(super) fn add(&mut self, next: &Hist) -> Result<(), Mixed> {
        self.hints.push(next.reset);
        let layout = common_layout(&self.sum, next)?;
        self.n += 1.0;
        self.reconciled |= layout.reconciled;
        let (reset, _) = joint_hint(self.sum.reset, next.reset);
        if !self.incremental {
            let (sum, lost) = self.plus(next, &layout);
            if !self.is_mean || !sum.overflows() {
                (self.sum, self.lost) = (sum, lost);
                self.sum.reset = reset;
                return Ok(());
            }
            self.incremental = true;
            self.sum = self.sum.map(|v| v / (self.n - 1.0));
            self.lost = self.lost.map(|v| v / (self.n - 1.0));
        }
        let q = (self.n - 1.0) / self.n;
        self.sum = self.sum.map(|v| q * v);
        self.lost = self.lost.map(|v| q * v);
        let n = self.n;
        (self.sum, self.lost) = self.plus(&next.map(|v| v / n), &layout);
        self.sum.reset = reset;
        Ok(())
    }

    fn plus(&self, next: &Hist, layout: &Layout) -> (Hist, Hist) {
        let (sum, lost, next) = (
            self.sum.fit(layout),
            self.lost.fit(layout),
            next.fit(layout),
        );
        let state = |s: f64, c: f64| Sum { s, c };
        // Each pass picks one half of the same compensated addition.
        let total = each(&sum, &next, |s, x| state(s, 0.0).inc(x).s);
        let error = each(&sum, &next, |s, x| state(s, 0.0).inc(x).c);
        let mut lost = each(&lost, &error, |c, e| c + e);
        // Beyond the floats' range nothing is kept aside.
        lost = each(&lost, &total, |c, t| if t.is_infinite() { 0.0 } else { c });
        (total, lost)
    }

    /// The sum or mean.
    pub(super) fn finish(&self) -> Hist {
        if self.is_mean && !self.incremental {
            let n = self.n;
            return each(&self.sum, &self.lost, |s, c| s / n + c / n);
        }
        // Adding nothing would take the sign from a zero.
        each(
            &self.sum,
            &self.lost,
            |s, c| if c == 0.0 { s } else { s + c },
        )
    }

    /// Whether some hints say reset, and others not.
    pub(super) fn conflict(&self) -> bool {
        self.hints.contains(&Reset) && self.hints.contains(&NotReset)
    }
}
