//! Range vectors, and the functions that take them.

use super::selector::held_together;
use super::{QueryGen, Vector, Want};
use crate::random::data::Kind;

/// What the samples of a window are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Counters,
    Gauges,
    Histograms,
    Anything,
}

/// Functions by what they are meant for; each may be given something else now and then.
const COUNTERS: [&str; 4] = ["rate", "increase", "irate", "resets"];
const GAUGES: [&str; 25] = [
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "first_over_time",
    "idelta",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "resets",
    "absent_over_time",
    "avg_over_time",
];
const HISTOGRAMS: [&str; 9] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "avg_over_time",
    "sum_over_time",
    "last_over_time",
    "first_over_time",
];

impl QueryGen<'_> {
    /// A function of a window.
    pub(super) fn over_time(&mut self, depth: u32, want: Want) -> Vector {
        let (function, of) = match want {
            Want::Histograms => (self.function(&HISTOGRAMS), Of::Histograms),
            Want::Floats => match self.random.below(20) {
                0..8 => (self.function(&COUNTERS), Of::Counters),
                8..17 => (self.function(&GAUGES), Of::Gauges),
                17 => (
                    self.function(&[
                        "changes",
                        "resets",
                        "count_over_time",
                        "present_over_time",
                        "ts_of_last_over_time",
                    ]),
                    Of::Histograms,
                ),
                _ => (self.function(&GAUGES), Of::Anything),
            },
        };
        let (range, labels) = self.range_vector(depth, of, Some(function));
        let labels = if function == "absent_over_time" {
            Vec::new()
        } else {
            labels
        };
        let text = match function {
            "quantile_over_time" => {
                let quantile = self.quantile(depth.saturating_sub(1));
                format!("{function}({quantile}, {range})")
            }
            "predict_linear" => {
                let ahead = self.random.pick(&["60", "1h", "-30", "0.5", "5m"]);
                format!("{function}({range}, {ahead})")
            }
            "double_exponential_smoothing" => {
                let smoothing = self.random.pick(&["0.1", "0.5", "0.9"]);
                let trend = self.random.pick(&["0.1", "0.5", "0.3", "0.8", "1"]);
                format!("{function}({range}, {smoothing}, {trend})")
            }
            _ => format!("{function}({range})"),
        };
        Vector::new(text, &labels)
    }

    /// A range selector or a subquery, with the labels of its series.
    pub(super) fn range_vector(
        &mut self,
        depth: u32,
        of: Of,
        function: Option<&str>,
    ) -> (String, Vec<&'static str>) {
        if depth > 1 && self.random.chance(30) {
            let want = match of {
                Of::Histograms => Want::Histograms,
                _ => Want::Floats,
            };
            let inner = self.vector(depth - 1, want);
            let (width, step) = (self.width(), self.resolution());
            let modifiers = self.modifiers();
            let text = format!("{}[{width}:{step}]{modifiers}", inner.operand());
            return (held_together(text), inner.labels);
        }
        let metric = match of {
            Of::Counters => self.metric(&[Kind::Counter, Kind::Counter, Kind::Buckets]),
            Of::Gauges => {
                let kind = self.random.weighted(&[
                    (6, Kind::Gauge),
                    (3, Kind::Special),
                    (1, Kind::Counter),
                    (1, Kind::Time),
                ]);
                self.metric(&[kind])
            }
            Of::Histograms => self.histogram_metric(),
            Of::Anything => self.metric(&[
                Kind::Counter,
                Kind::Gauge,
                Kind::Special,
                Kind::Exponential,
                Kind::Custom,
                Kind::Mixed,
            ]),
        };
        let (series, width) = (self.series(&metric), self.width());
        let extended = self.extended(function);
        let modifiers = self.modifiers();
        let text = format!("{series}[{width}]{extended}{modifiers}");
        (held_together(text), metric.labels.to_vec())
    }

    /// `anchored` or `smoothed` where the function takes it.
    fn extended(&mut self, function: Option<&str>) -> &'static str {
        if !self.allowed.extended || !self.random.chance(15) {
            return "";
        }
        match function {
            Some("rate" | "increase" | "delta") => self.random.pick(&[" anchored", " smoothed"]),
            Some("changes" | "resets") => " anchored",
            _ => "",
        }
    }
}
