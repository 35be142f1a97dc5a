//! Aggregations (§7).

use ferula_model::text::number::Form;
use ferula_model::{Labels, Timestamp};
use ferula_promql::syntax::ast::{Aggregate, AggregateOp};

use super::eval::{Eval, literal, place};
use super::hist::Hist;
use super::hist_math::Total;
use super::labels::{all_but, is_label_name, only};
use super::sums::{extremum, mean, quantile, sum, variance};
use super::value::{Element, Val};
use super::{Result, failed};

/// The elements of a group at one step, and the labels of its result.
pub(super) struct Group {
    pub(super) labels: Labels,
    pub(super) drop_name: bool,
    pub(super) members: Vec<Element>,
}

/// The labels of the group of an element (§7.1).
fn group_labels(labels: &Labels, by: &[String], without: bool) -> Labels {
    if without {
        all_but(labels, by)
    } else {
        only(labels, by)
    }
}

/// Groups a vector, in the order of first members.
pub(super) fn groups(vector: Vec<Element>, by: &[String], without: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for element in vector {
        let labels = group_labels(&element.labels, by, without);
        match groups.iter_mut().find(|group| group.labels == labels) {
            Some(group) => {
                group.drop_name |= element.drop_name;
                group.members.push(element);
            }
            None => groups.push(Group {
                labels,
                drop_name: element.drop_name,
                members: vec![element],
            }),
        }
    }
    groups
}

impl Eval<'_> {
    pub(super) fn aggregate(
        &self,
        aggregate: &Aggregate,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        match aggregate.op {
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => self.select_some(aggregate, steps),
            AggregateOp::CountValues => self.count_values(aggregate, steps),
            _ => self.fold(aggregate, steps),
        }
    }

    /// Aggregations that make one element of a group.
    fn fold(&self, aggregate: &Aggregate, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let param = match &aggregate.param {
            Some(param) => {
                let values = self.scalar(param, steps)?;
                for &q in &values {
                    self.check_quantile(q, place(param));
                }
                values
            }
            None => vec![f64::NAN; steps.len()],
        };
        let vectors = self.vector(&aggregate.expr, steps)?;
        let mut out = Vec::new();
        for ((vector, &time), q) in vectors.into_iter().zip(steps).zip(param) {
            let mut made = Vec::new();
            for group in groups(vector, &aggregate.grouping, aggregate.without) {
                if let Some(val) = self.fold_group(aggregate, &group, q) {
                    made.push(Element {
                        labels: group.labels,
                        drop_name: group.drop_name,
                        val,
                        stored: time,
                        start: 0,
                    });
                }
            }
            out.push(made);
        }
        Ok(out)
    }

    fn fold_group(&self, aggregate: &Aggregate, group: &Group, q: f64) -> Option<Val> {
        let members = &group.members;
        match aggregate.op {
            AggregateOp::Count => return Some(Val::Float(members.len() as f64)),
            AggregateOp::Group => return Some(Val::Float(1.0)),
            AggregateOp::Sum | AggregateOp::Avg => return self.total_of_group(aggregate, group),
            _ => {}
        }
        let values = self.floats_alone(aggregate, members);
        if values.is_empty() {
            return None;
        }
        Some(Val::Float(match aggregate.op {
            AggregateOp::Min => extremum(&values, |v, best| v < best),
            AggregateOp::Max => extremum(&values, |v, best| v > best),
            AggregateOp::Stdvar => variance(&values),
            AggregateOp::Stddev => variance(&values).sqrt(),
            _ => quantile(q, &values),
        }))
    }

    /// The floats of a group; says so if there are histograms, which do not count.
    fn floats_alone(&self, aggregate: &Aggregate, members: &[Element]) -> Vec<f64> {
        let floats: Vec<f64> = members.iter().filter_map(|e| e.val.float()).collect();
        if floats.len() < members.len() {
            self.note_ignored(aggregate);
        }
        floats
    }

    pub(super) fn note_ignored(&self, aggregate: &Aggregate) {
        let op = aggregate.op;
        let at = match op {
            AggregateOp::Topk | AggregateOp::Bottomk => aggregate.span.start,
            _ => place(&aggregate.expr),
        };
        let text = format!("ignored histogram in {} aggregation", op.as_str());
        self.notes.info(text, at);
    }

    /// `sum` and `avg`
    fn total_of_group(&self, aggregate: &Aggregate, group: &Group) -> Option<Val> {
        let at = place(&aggregate.expr);
        let is_mean = aggregate.op == AggregateOp::Avg;
        let members = &group.members;
        let floats: Vec<f64> = members.iter().filter_map(|e| e.val.float()).collect();
        let hists: Vec<(usize, &Labels, &Hist)> = members
            .iter()
            .enumerate()
            .filter_map(|(i, e)| Some((i, &e.labels, e.val.hist()?)))
            .collect();
        if hists.is_empty() {
            let total = if is_mean { mean(&floats) } else { sum(&floats) };
            return Some(Val::Float(total));
        }
        if hists[0].0 > 0 {
            // After a float, histograms are only noticed.
            let text = "encountered a mix of histograms and floats for aggregation";
            self.notes.warn(text, at);
            return None;
        }
        let mut total = Total::new(hists[0].2, is_mean);
        let mut mixed = false;
        let mut looked_at = members.len();
        for (i, labels, next) in &hists[1..] {
            if total.add(next).is_err() {
                (mixed, looked_at) = (true, *i);
                let name = ferula_model::text::quote::quoted(labels.metric_name()).to_string();
                let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
                self.notes.warn(format!("{text} {name}"), at);
                // What comes after does not matter any more.
                break;
            }
        }
        // What was met on the way is noted, whatever becomes of the group.
        if total.conflict() {
            let text = "conflicting counter resets during histogram aggregation";
            self.notes.warn(text, at);
        }
        if total.reconciled {
            let text = "mismatched custom buckets were reconciled during aggregation";
            self.notes.info(text, at);
        }
        if members[..looked_at].iter().any(|e| e.val.float().is_some()) {
            let text = "encountered a mix of histograms and floats for aggregation";
            self.notes.warn(text, at);
            return None;
        }
        (!mixed).then(|| total.finish().into())
    }

    /// `count_values`: how many elements have which value.
    fn count_values(
        &self,
        aggregate: &Aggregate,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let label = literal(aggregate.param.as_ref().expect("the parser asks for it"));
        if !is_label_name(label) {
            return Err(failed(format!("invalid label name {label}")));
        }
        let label = &label.value;
        let mut by = aggregate.grouping.clone();
        if !aggregate.without {
            by.push(label.clone());
        }
        let vectors = self.vector(&aggregate.expr, steps)?;
        let each = vectors.into_iter().zip(steps);
        Ok(each
            .map(|(mut vector, &time)| {
                for element in &mut vector {
                    let value = match &element.val {
                        Val::Float(v) => Form::Plain.show(*v).to_string(),
                        Val::Hist(h) => h.text(),
                    };
                    element.labels = element.labels.with(label, &value);
                }
                groups(vector, &by, aggregate.without)
                    .into_iter()
                    .map(|group| Element {
                        labels: group.labels,
                        drop_name: group.drop_name,
                        val: Val::Float(group.members.len() as f64),
                        stored: time,
                        start: 0,
                    })
                    .collect()
            })
            .collect())
    }
}
