//! Scalars: literals, times, and vectors of one series.

use super::{QueryGen, Want};

impl QueryGen<'_> {
    /// A scalar expression that holds together by itself.
    pub(super) fn scalar(&mut self, depth: u32) -> String {
        if depth == 0 || self.random.chance(45) {
            return self.number();
        }
        match self.random.below(14) {
            0 => "time()".to_owned(),
            1 => "pi()".to_owned(),
            2..5 => {
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                let op = self.random.pick(&[
                    "+", "-", "*", "/", "%", "^", "atan2", "== bool", "!= bool", "< bool",
                    "<= bool", "> bool", ">= bool",
                ]);
                format!("({left} {op} {right})")
            }
            5 if self.allowed.functions.contains("min_of") => {
                let function = self.random.pick(&["min_of", "max_of"]);
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                format!("{function}({left}, {right})")
            }
            6 if self.allowed.functions.contains("start") => {
                let function = self.random.pick(&["start", "end", "range", "step"]);
                format!("{function}()")
            }
            7 => format!("-{}", self.scalar(depth - 1)),
            8 | 9 => {
                let vector = self.vector(depth - 1, Want::Floats);
                format!("scalar({})", vector.text)
            }
            _ => {
                let vector = self.vector(depth.saturating_sub(2), Want::Floats);
                let op = self
                    .random
                    .pick(&["sum", "avg", "max", "min", "count", "stddev"]);
                format!("scalar({op}({}))", vector.text)
            }
        }
    }

    /// A number, mostly one of the size of the samples.
    pub(super) fn number(&mut self) -> String {
        let usual = [
            "0", "1", "2", "10", "0.5", "50", "100", "3", "7.25", "1e3", "-1", "20",
        ];
        let unusual = [
            "NaN", "Inf", "-Inf", "-0", "5m", "0x1F", "1_000", "1e-300", "1e300", ".5", "1m30s",
            "017",
        ];
        if self.random.chance(92) {
            self.random.pick(&usual).to_owned()
        } else {
            self.random.pick(&unusual).to_owned()
        }
    }

    /// A quantile, mostly one between 0 and 1.
    pub(super) fn quantile(&mut self, depth: u32) -> String {
        match self.random.below(30) {
            0 => "1.5".to_owned(),
            1 => "-0.1".to_owned(),
            2 => "NaN".to_owned(),
            3 => self.scalar(depth),
            _ => self
                .random
                .pick(&["0", "0.1", "0.25", "0.5", "0.9", "0.95", "0.99", "1"])
                .to_owned(),
        }
    }
}
