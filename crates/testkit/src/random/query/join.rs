//! Binary operators between vectors, with matching clauses that fit the labels of both sides.

use super::{QueryGen, Vector, Want};

/// What stands behind the operator, and the labels of the result.
struct Clause {
    text: String,
    labels: Vec<&'static str>,
}

impl QueryGen<'_> {
    /// An operation between two vectors.
    pub(super) fn joined(&mut self, depth: u32, want: Want) -> Vector {
        let op = match want {
            Want::Histograms => self
                .random
                .weighted(&[(5, "+"), (4, "-"), (1, "=="), (1, "!=")]),
            Want::Floats => self.random.weighted(&[
                (5, "+"),
                (5, "-"),
                (5, "*"),
                (5, "/"),
                (2, "%"),
                (2, "^"),
                (2, "atan2"),
                (2, "=="),
                (2, "!="),
                (3, ">"),
                (2, ">="),
                (3, "<"),
                (2, "<="),
            ]),
        };
        let left = self.vector(depth - 1, want);
        // The second operand is mostly smaller: queries stay of a size one can read.
        let shallower = self.random.pick(&[1, 2, 2]);
        let mut right = self.vector(depth.saturating_sub(shallower), want);
        let compares = matches!(op, "==" | "!=" | ">" | ">=" | "<" | "<=");
        let bool = if compares && want == Want::Floats && self.random.chance(50) {
            " bool"
        } else {
            ""
        };
        let clause = if self.random.chance(3) {
            self.unfitting(&left)
        } else {
            self.fitting(&left, &mut right)
        };
        let fill = if self.allowed.fills && self.random.chance(12) {
            self.random.pick(&[
                " fill (0)",
                " fill_left (1)",
                " fill_right (-2.5)",
                " fill_left (1) fill_right (NaN)",
            ])
        } else {
            ""
        };
        let (left, right) = (left.operand(), right.operand());
        // A parenthesis behind `group_left` would be read as its labels.
        let no_labels = if fill.is_empty()
            && right.starts_with('(')
            && (clause.text.ends_with("_left") || clause.text.ends_with("_right"))
        {
            " ()"
        } else {
            ""
        };
        let text = clause.text;
        Vector {
            text: format!("{left} {op}{bool}{text}{no_labels}{fill} {right}"),
            labels: clause.labels,
            loose: true,
        }
    }

    /// A set operation.
    pub(super) fn set(&mut self, depth: u32, want: Want) -> Vector {
        let op = self
            .random
            .weighted(&[(4, "and"), (5, "or"), (3, "unless")]);
        let left = self.vector(depth - 1, want);
        let right = if op == "or" && self.random.chance(15) {
            let other = match want {
                Want::Floats => Want::Histograms,
                Want::Histograms => Want::Floats,
            };
            self.vector(depth.saturating_sub(2), other)
        } else {
            self.vector(depth.saturating_sub(2), want)
        };
        let common = shared(&left.labels, &right.labels);
        let clause = if left.labels == right.labels && self.random.chance(50) {
            String::new()
        } else if self.random.chance(70) {
            format!(" on ({})", common.join(", "))
        } else {
            let others = [
                lacking(&left.labels, &common),
                lacking(&right.labels, &common),
            ]
            .concat();
            format!(" ignoring ({})", others.join(", "))
        };
        Vector {
            text: format!("{} {op}{clause} {}", left.operand(), right.operand()),
            labels: left.labels,
            loose: true,
        }
    }

    /// A clause under which each series of the right finds its like. Where the labels of neither
    /// side hold those of the other, the right is aggregated first.
    fn fitting(&mut self, left: &Vector, right: &mut Vector) -> Clause {
        let common = shared(&left.labels, &right.labels);
        if left.labels == right.labels {
            return self.equal_labels(&common);
        }
        let right_in_left = lacking(&right.labels, &left.labels).is_empty();
        let left_in_right = lacking(&left.labels, &right.labels).is_empty();
        if left_in_right && !right_in_left {
            let rest = lacking(&right.labels, &common);
            let on = self.on_or_ignoring(&common, &rest);
            return Clause {
                text: format!("{on} group_right{}", self.random.pick(&["", " ()"])),
                labels: right.labels.clone(),
            };
        }
        let mut rest = lacking(&left.labels, &common);
        let mut include = String::new();
        if !right_in_left {
            let extra = lacking(&right.labels, &common);
            // An information metric gives its labels away, others are summed up.
            if extra.len() == 1 && ["revision", "version"].contains(&extra[0]) {
                include = format!("({})", extra[0]);
                rest.push(extra[0]);
            } else {
                let op = self.random.pick(&["sum", "max", "avg", "count"]);
                let by = common.join(", ");
                *right = Vector::new(format!("{op} by ({by}) ({})", right.text), &common);
            }
        }
        let on = self.on_or_ignoring(&common, &rest);
        Clause {
            text: format!("{on} group_left {include}").trim_end().to_owned(),
            labels: left.labels.clone(),
        }
    }

    fn equal_labels(&mut self, labels: &[&'static str]) -> Clause {
        let all = labels.join(", ");
        let text = match self.random.below(12) {
            0 | 1 => format!(" on ({all})"),
            2 => format!(" on ({all}) group_left"),
            3 => format!(" on ({all}) group_right ()"),
            4 => " ignoring (missing)".to_owned(),
            _ => String::new(),
        };
        Clause {
            text,
            labels: labels.to_vec(),
        }
    }

    fn on_or_ignoring(&mut self, common: &[&str], rest: &[&str]) -> String {
        if self.random.chance(65) {
            format!(" on ({})", common.join(", "))
        } else {
            format!(" ignoring ({})", rest.join(", "))
        }
    }

    /// A clause that has nothing to do with the labels: mostly an error.
    fn unfitting(&mut self, left: &Vector) -> Clause {
        let some = self.some_labels(&left.labels).join(", ");
        let text = match self.random.below(4) {
            0 => format!(" on ({some})"),
            1 => format!(" ignoring ({some})"),
            2 => format!(" on ({some}) group_left (job)")
                .replace("job, ", "")
                .replace("job) g", ") g"),
            _ => String::new(),
        };
        Clause {
            text,
            labels: left.labels.clone(),
        }
    }
}

/// Labels that both have.
fn shared(a: &[&'static str], b: &[&'static str]) -> Vec<&'static str> {
    a.iter()
        .copied()
        .filter(|label| b.contains(label))
        .collect()
}

/// Labels of `a` that `b` lacks.
fn lacking(a: &[&'static str], b: &[&'static str]) -> Vec<&'static str> {
    a.iter()
        .copied()
        .filter(|label| !b.contains(label))
        .collect()
}
