//! Means of histograms: from the sum while that stays finite, step by step afterwards.

use super::FloatHistogram;
use super::combine::{Incompatible, Merged, Sign};

/// Numbers up to here can be added without becoming infinite.
const SAFE_MAX: f64 = f64::MAX / 4.0;

/// A running mean.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    /// The sum, or the mean itself once `stepwise`.
    acc: FloatHistogram,
    count: f64,
    stepwise: bool,
}

impl HistogramMean {
    /// The mean of one histogram.
    pub(crate) fn new(first: FloatHistogram) -> Self {
        Self {
            acc: first,
            count: 1.0,
            stepwise: false,
        }
    }

    /// Takes another histogram in.
    pub(crate) fn add(&mut self, h: &FloatHistogram) -> Result<Merged, Incompatible> {
        self.count += 1.0;
        if !self.stepwise {
            let is_large = |x: f64| x.is_nan() || x.abs() > SAFE_MAX;
            if !self.acc.any(is_large) && !h.any(is_large) {
                return self.acc.accumulate(h, Sign::Plus);
            }
            let mut sum = self.acc.clone();
            let merged = sum.accumulate(h, Sign::Plus)?;
            if !sum.any(f64::is_infinite) {
                self.acc = sum;
                return Ok(merged);
            }
            self.stepwise = true;
            self.acc.divide(self.count - 1.0);
        }
        self.acc.scale((self.count - 1.0) / self.count);
        let mut part = h.clone();
        part.divide(self.count);
        self.acc.accumulate(&part, Sign::Plus)
    }

    /// The mean.
    pub(crate) fn finish(mut self) -> FloatHistogram {
        if !self.stepwise && self.count > 1.0 {
            self.acc.divide(self.count);
        }
        self.acc.settle();
        self.acc
    }
}
