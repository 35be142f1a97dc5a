//! Aggregations.

use super::{QueryGen, Vector, Want};

impl QueryGen<'_> {
    /// An aggregation with or without grouping, the clause before or behind.
    pub(super) fn aggregate(&mut self, depth: u32, want: Want) -> Vector {
        let op = match want {
            Want::Histograms => {
                let limits = self.allowed.limits;
                let op = self.random.weighted(&[
                    (5, "sum"),
                    (4, "avg"),
                    (1, "limitk"),
                    (1, "limit_ratio"),
                ]);
                if limits || !op.starts_with("limit") {
                    op
                } else {
                    "avg"
                }
            }
            Want::Floats => self.float_aggregator(),
        };
        // Counting works on everything; now and then others meet histograms, too.
        let inner = match (want, op) {
            (Want::Floats, "count" | "group" | "count_values") if self.random.chance(25) => {
                Want::Histograms
            }
            (Want::Floats, "min" | "quantile" | "topk" | "stdvar") if self.random.chance(4) => {
                Want::Histograms
            }
            (want, _) => want,
        };
        let inner = self.vector(depth - 1, inner);
        let (clause, mut labels) = self.grouping(&inner.labels);
        let parameter = self.parameter(op, depth);
        match op {
            "topk" | "bottomk" | "limitk" | "limit_ratio" => labels.clone_from(&inner.labels),
            "count_values" => {
                labels.push("value");
                labels.sort_unstable();
            }
            _ => {}
        }
        let operand = &inner.text;
        let text = match (clause.is_empty(), self.random.chance(70)) {
            (true, _) => format!("{op}({parameter}{operand})"),
            (false, true) => format!("{op} {clause} ({parameter}{operand})"),
            (false, false) => format!("{op}({parameter}{operand}) {clause}"),
        };
        Vector::new(text, &labels)
    }

    fn float_aggregator(&mut self) -> &'static str {
        let op = self.random.weighted(&[
            (8, "sum"),
            (5, "avg"),
            (4, "count"),
            (4, "max"),
            (4, "min"),
            (2, "group"),
            (3, "stddev"),
            (3, "stdvar"),
            (3, "quantile"),
            (4, "topk"),
            (3, "bottomk"),
            (2, "count_values"),
            (3, "limitk"),
            (3, "limit_ratio"),
        ]);
        if op.starts_with("limit") && !self.allowed.limits {
            return "sum";
        }
        op
    }

    /// The parameter with the comma behind it, if the aggregation has one.
    fn parameter(&mut self, op: &str, depth: u32) -> String {
        let parameter = match op {
            "topk" | "bottomk" | "limitk" => match self.random.below(20) {
                0 => self.scalar(depth - 1),
                1 => "0".to_owned(),
                2 => "1.9".to_owned(),
                _ => self.random.pick(&["1", "2", "3", "5", "100"]).to_owned(),
            },
            "limit_ratio" => self
                .random
                .pick(&["0.5", "-0.5", "0.3", "-0.7", "0.9", "1", "-1", "2", "0.8"])
                .to_owned(),
            "quantile" => self.quantile(depth - 1),
            "count_values" => "\"value\"".to_owned(),
            _ => return String::new(),
        };
        format!("{parameter}, ")
    }

    /// A grouping clause, and the labels that are left.
    fn grouping(&mut self, labels: &[&'static str]) -> (String, Vec<&'static str>) {
        let some = self.some_labels(labels);
        let rest: Vec<&'static str> = labels
            .iter()
            .copied()
            .filter(|l| !some.contains(l))
            .collect();
        let mut sorted = some.clone();
        sorted.sort_unstable();
        match self.random.below(20) {
            0..9 => (format!("by ({})", some.join(", ")), sorted),
            9..15 => (format!("without ({})", some.join(", ")), rest),
            15 => {
                let some = [&some[..], &["__name__"]].concat();
                (format!("by ({})", some.join(", ")), sorted)
            }
            16 => {
                let some = [&some[..], &["missing"]].concat();
                (format!("without ({})", some.join(", ")), rest)
            }
            _ => (String::new(), Vec::new()),
        }
    }
}
