//! Instant vectors: which construct comes next, and functions of vectors.

use super::{QueryGen, Vector, Want};
use crate::random::data::Kind;

/// What yields floats.
#[derive(Clone, Copy)]
enum Floats {
    Window,
    Aggregation,
    Math,
    Rounding,
    Join,
    WithScalar,
    Set,
    Classic,
    Native,
    Labels,
    Negated,
    Sorted,
    Absent,
    Info,
    Nameless,
    Date,
    Timestamp,
    Parentheses,
}

/// What yields histograms.
#[derive(Clone, Copy)]
enum Histograms {
    Selector,
    Window,
    Aggregation,
    Join,
    Scaled,
    Trimmed,
    Set,
    Labels,
    Negated,
    Info,
}

const MATH: [&str; 24] = [
    "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "sgn", "abs",
];
const DATES: [&str; 8] = [
    "year",
    "month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
];

impl QueryGen<'_> {
    /// An instant vector at most `depth` constructs above its selectors.
    pub(super) fn vector(&mut self, depth: u32, want: Want) -> Vector {
        if depth == 0 {
            return self.instant_selector(want);
        }
        match want {
            Want::Floats => self.floats(depth),
            Want::Histograms => self.histograms(depth),
        }
    }

    fn floats(&mut self, depth: u32) -> Vector {
        use Floats::*;
        let construct = self.random.weighted(&[
            (20, Window),
            (18, Aggregation),
            (6, Math),
            (5, Rounding),
            (12, Join),
            (10, WithScalar),
            (6, Set),
            (5, Classic),
            (9, Native),
            (4, Labels),
            (2, Negated),
            (1, Sorted),
            (1, Absent),
            (3, Info),
            (1, Nameless),
            (3, Date),
            (2, Timestamp),
            (1, Parentheses),
        ]);
        match construct {
            Window => self.over_time(depth, Want::Floats),
            Aggregation => self.aggregate(depth, Want::Floats),
            Math => {
                let function = self.random.pick(&MATH);
                self.called(function, depth)
            }
            Rounding => self.rounded(depth),
            Join => self.joined(depth, Want::Floats),
            WithScalar => self.with_scalar(depth),
            Set => self.set(depth, Want::Floats),
            Classic => self.classic(depth),
            Native => self.of_histogram(depth),
            Labels => self.relabelled(depth, Want::Floats),
            Negated => self.negated(depth, Want::Floats),
            Sorted => {
                let function = self.random.pick(&["sort", "sort_desc"]);
                self.called(function, depth)
            }
            Absent => {
                let inner = self.vector(depth - 1, Want::Floats);
                Vector::new(format!("absent({})", inner.text), &[])
            }
            Info => self.informed(depth, Want::Floats),
            Nameless => Vector::new(format!("vector({})", self.scalar(depth - 1)), &[]),
            Date => self.date(depth),
            Timestamp => {
                let function = self.function(&["timestamp", "timestamp", "start_timestamp"]);
                self.called(function, depth)
            }
            Parentheses => {
                let inner = self.vector(depth - 1, Want::Floats);
                Vector::new(format!("({})", inner.text), &inner.labels)
            }
        }
    }

    fn histograms(&mut self, depth: u32) -> Vector {
        use Histograms::*;
        let construct = self.random.weighted(&[
            (2, Selector),
            (9, Window),
            (7, Aggregation),
            (4, Join),
            (4, Scaled),
            (3, Trimmed),
            (2, Set),
            (1, Labels),
            (1, Negated),
            (1, Info),
        ]);
        match construct {
            Selector => self.instant_selector(Want::Histograms),
            Window => self.over_time(depth, Want::Histograms),
            Aggregation => self.aggregate(depth, Want::Histograms),
            Join => self.joined(depth, Want::Histograms),
            Trimmed if self.allowed.trims => {
                let inner = self.vector(depth - 1, Want::Histograms);
                let op = self.random.pick(&["</", ">/"]);
                let bound = self.number();
                Vector {
                    text: format!("{} {op} {bound}", inner.operand()),
                    labels: inner.labels,
                    loose: true,
                }
            }
            Scaled | Trimmed => {
                let inner = self.vector(depth - 1, Want::Histograms);
                let scalar = self.scalar(depth - 1);
                let text = match self.random.below(3) {
                    0 => format!("{scalar} * {}", inner.operand()),
                    1 => format!("{} * {scalar}", inner.operand()),
                    _ => format!("{} / {scalar}", inner.operand()),
                };
                Vector {
                    text,
                    labels: inner.labels,
                    loose: true,
                }
            }
            Set => self.set(depth, Want::Histograms),
            Labels => self.relabelled(depth, Want::Histograms),
            Negated => self.negated(depth, Want::Histograms),
            Info => self.informed(depth, Want::Histograms),
        }
    }

    fn called(&mut self, function: &str, depth: u32) -> Vector {
        let inner = self.vector(depth - 1, Want::Floats);
        Vector::new(format!("{function}({})", inner.text), &inner.labels)
    }

    fn rounded(&mut self, depth: u32) -> Vector {
        let inner = self.vector(depth - 1, Want::Floats);
        let bound = self.scalar(depth - 1);
        let text = match self.random.below(5) {
            0 => format!("round({})", inner.text),
            1 => format!("round({}, {bound})", inner.text),
            2 => format!("clamp_min({}, {bound})", inner.text),
            3 => format!("clamp_max({}, {bound})", inner.text),
            _ => {
                let low = self.random.pick(&["-5", "0", "1", "200"]);
                format!("clamp({}, {low}, {bound})", inner.text)
            }
        };
        Vector::new(text, &inner.labels)
    }

    fn with_scalar(&mut self, depth: u32) -> Vector {
        let want = if self.random.chance(5) {
            Want::Histograms
        } else {
            Want::Floats
        };
        let inner = self.vector(depth - 1, want);
        let scalar = self.scalar(depth - 1);
        let op = self.random.weighted(&[
            (4, "+"),
            (4, "-"),
            (5, "*"),
            (5, "/"),
            (2, "%"),
            (2, "^"),
            (1, "atan2"),
            (1, "== bool"),
            (1, "!="),
            (3, ">"),
            (2, ">= bool"),
            (2, "<"),
            (2, "<= bool"),
            (1, "=="),
        ]);
        let vector = inner.operand();
        let text = if self.random.chance(70) {
            format!("{vector} {op} {scalar}")
        } else {
            format!("{scalar} {op} {vector}")
        };
        Vector {
            text,
            labels: inner.labels,
            loose: true,
        }
    }

    /// A quantile or fraction of classic buckets.
    fn classic(&mut self, depth: u32) -> Vector {
        let metric = self.metric(&[Kind::Buckets]);
        let (series, width) = (self.series(&metric), self.width());
        let rates = match self.random.below(4) {
            0 => series,
            1 => format!("increase({series}[{width}])"),
            _ => format!("rate({series}[{width}])"),
        };
        let (buckets, labels) = match self.random.below(4) {
            0 => (format!("sum by (job, le) ({rates})"), vec!["job"]),
            1 => (format!("sum without (instance) ({rates})"), vec!["job"]),
            _ => (rates, vec!["instance", "job"]),
        };
        self.estimate(&buckets, &labels, depth)
    }

    /// A quantile, a fraction, or another number that describes histograms.
    fn of_histogram(&mut self, depth: u32) -> Vector {
        let inner = self.vector(depth - 1, Want::Histograms);
        if self.random.chance(45) {
            let function = self.random.pick(&[
                "histogram_count",
                "histogram_sum",
                "histogram_avg",
                "histogram_stddev",
                "histogram_stdvar",
            ]);
            return Vector::new(format!("{function}({})", inner.text), &inner.labels);
        }
        self.estimate(&inner.text, &inner.labels, depth)
    }

    fn estimate(&mut self, buckets: &str, labels: &[&'static str], depth: u32) -> Vector {
        if self.allowed.functions.contains("histogram_quantiles") && self.random.chance(15) {
            let (one, other) = (self.quantile(0), self.quantile(0));
            let text = format!("histogram_quantiles({buckets}, \"value\", {one}, {other})");
            let mut labels = labels.to_vec();
            labels.push("value");
            return Vector::new(text, &labels);
        }
        if self.random.chance(65) {
            let quantile = self.quantile(depth - 1);
            return Vector::new(format!("histogram_quantile({quantile}, {buckets})"), labels);
        }
        let low = self.random.pick(&["-Inf", "0", "0.2", "-1", "1"]);
        let high = self.random.pick(&["+Inf", "1", "0.7", "2", "5", "0.1"]);
        Vector::new(
            format!("histogram_fraction({low}, {high}, {buckets})"),
            labels,
        )
    }

    fn relabelled(&mut self, depth: u32, want: Want) -> Vector {
        let inner = self.vector(depth - 1, want);
        let mut labels = inner.labels.clone();
        let mut add = |label: &'static str| {
            if !labels.contains(&label) {
                labels.push(label);
                labels.sort_unstable();
            }
        };
        let operand = &inner.text;
        let text = match self.random.below(6) {
            0 => {
                add("extra");
                format!("label_join({operand}, \"extra\", \"-\", \"job\", \"instance\")")
            }
            1 => format!("label_join({operand}, \"__name__\", \"_\", \"job\", \"path\")"),
            2 => {
                add("extra");
                format!(
                    "label_replace({operand}, \"extra\", \"x-$1\", \"instance\", \"(.*)_[a-b]\")"
                )
            }
            3 => format!("label_replace({operand}, \"job\", \"$2$1\", \"job\", \"(.)(.*)\")"),
            4 => format!("label_replace({operand}, \"__name__\", \"renamed\", \"job\", \"api\")"),
            _ => {
                add("extra");
                format!(
                    "label_replace({operand}, \"extra\", \"${{first}}\", \"job\", \"(?P<first>[a-z]).*\")"
                )
            }
        };
        Vector::new(text, &labels)
    }

    fn negated(&mut self, depth: u32, want: Want) -> Vector {
        let inner = self.vector(depth - 1, want);
        let sign = self.random.pick(&["-", "-", "+"]);
        Vector {
            text: format!("{sign}{}", inner.operand()),
            labels: inner.labels,
            loose: true,
        }
    }

    /// A vector with what information metrics know about its targets.
    fn informed(&mut self, depth: u32, want: Want) -> Vector {
        let mut inner = self.vector(depth - 1, want);
        let known = inner.labels.contains(&"instance") && inner.labels.contains(&"job");
        let mut add = |label: &'static str| {
            if !inner.labels.contains(&label) {
                inner.labels.push(label);
                inner.labels.sort_unstable();
            }
        };
        if !self.allowed.functions.contains("info") || !known {
            // By hand, as everyone did before there was a function.
            if !known {
                return inner;
            }
            let metric = self.metric(&[Kind::Info]);
            let label = metric.labels[2];
            add(label);
            let (left, right) = (inner.operand(), self.series(&metric));
            return Vector {
                text: format!("{left} * on (instance, job) group_left ({label}) {right}"),
                labels: inner.labels,
                loose: true,
            };
        }
        let prefix = self.scenario.prefix();
        let selector = match self.random.below(6) {
            0 => ", {version=~\".+\"}".to_owned(),
            1 => format!(", {{__name__=\"{prefix}build_info\"}}"),
            2 => format!(", {{__name__=~\"{prefix}.*_info\", revision=~\".*\"}}"),
            3 => ", {version=\"1.2.3\"}".to_owned(),
            _ => String::new(),
        };
        if !selector.contains("build") && !selector.contains(".*_info") {
            add("version");
        } else {
            add("revision");
        }
        Vector::new(format!("info({}{selector})", inner.text), &inner.labels)
    }

    fn date(&mut self, depth: u32) -> Vector {
        let function = self.random.pick(&DATES);
        if self.random.chance(20) {
            return Vector::new(format!("{function}()"), &[]);
        }
        if self.random.chance(50) {
            let metric = self.metric(&[Kind::Time]);
            let series = self.series(&metric);
            return Vector::new(format!("{function}({series})"), metric.labels);
        }
        self.called(function, depth)
    }
}
