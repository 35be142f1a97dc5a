//! Function calls by name (§9).

use ferula_model::{Labels, MatchOp, Matcher, Timestamp};
use ferula_promql::syntax::ast::{Call, Expr, ValueType};

use super::Result;
use super::calendar;
use super::eval::Eval;
use super::sums::{max, min};
use super::value::{Element, Steps, Val};

impl Eval<'_> {
    pub(super) fn call(&self, call: &Call, steps: &[Timestamp]) -> Result<Steps> {
        if call.func.returns == ValueType::Scalar {
            return Ok(Steps::Scalar(self.scalar_call(call, steps)?));
        }
        let is_ranged = call
            .args
            .iter()
            .any(|a| a.value_type() == ValueType::Matrix);
        Ok(Steps::Vector(match call.func.name {
            "absent_over_time" => self.absent_over_time(call, steps)?,
            _ if is_ranged => self.range_call(call, steps)?,
            "absent" => self.absent(call, steps)?,
            "vector" => self.of_scalar(call, steps)?,
            "info" => self.info(call, steps)?,
            "label_replace" => self.label_replace(call, steps)?,
            "label_join" => self.label_join(call, steps)?,
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                self.sort(call, steps)?
            }
            "histogram_quantile" | "histogram_fraction" | "histogram_quantiles" => {
                self.histogram_call(call, steps)?
            }
            _ if call.args.is_empty() => of_time(call.func.name, steps),
            _ => self.instant_call(call, steps)?,
        }))
    }

    fn scalar_call(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<f64>> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let same = |v: f64| Ok(vec![v; steps.len()]);
        match call.func.name {
            "time" => Ok(steps.iter().map(|&t| seconds(t)).collect()),
            "pi" => same(std::f64::consts::PI),
            "start" => same(seconds(self.span.start)),
            "end" => same(seconds(self.span.end)),
            "range" => same(seconds(self.span.end - self.span.start)),
            "step" => same(seconds(self.span.step_ms)),
            "scalar" => {
                let vectors = self.vector(&call.args[0], steps)?;
                Ok(vectors.iter().map(|v| lone_float(v)).collect())
            }
            name => {
                let pick = if name == "min_of" { min } else { max };
                let (a, b) = (
                    self.scalar(&call.args[0], steps)?,
                    self.scalar(&call.args[1], steps)?,
                );
                Ok(a.into_iter().zip(b).map(|(a, b)| pick(a, b)).collect())
            }
        }
    }

    /// `vector(s)`
    fn of_scalar(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let values = self.scalar(&call.args[0], steps)?;
        let values = steps.iter().zip(values);
        Ok(values
            .map(|(&t, v)| vec![nameless_element(t, v, Labels::empty())])
            .collect())
    }

    /// `absent(v)`
    fn absent(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let labels = match call.args[0].unparen() {
            Expr::Selector(selector) => implied(&selector.matchers),
            _ => Labels::empty(),
        };
        let vectors = self.vector(&call.args[0], steps)?;
        let present = vectors.iter().map(|vector| !vector.is_empty());
        Ok(where_absent(&labels, steps, present))
    }

    /// `absent_over_time(v[d])`
    fn absent_over_time(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let labels = match call.args[0].unparen() {
            Expr::Range(range) => {
                self.check_extended(call, range.selector.extended)?;
                implied(&range.selector.matchers)
            }
            _ => Labels::empty(),
        };
        let ranged = self.ranged(&call.args[0], steps)?;
        let present = ranged.iter().map(|r| !r.series.is_empty());
        Ok(where_absent(&labels, steps, present))
    }
}

/// A calendar function of the evaluation time.
fn of_time(name: &str, steps: &[Timestamp]) -> Vec<Vec<Element>> {
    let at = |t: Timestamp| calendar::call(name, t.div_euclid(1000) as f64);
    steps
        .iter()
        .map(|&t| vec![nameless_element(t, at(t), Labels::empty())])
        .collect()
}

fn nameless_element(t: Timestamp, v: f64, labels: Labels) -> Element {
    Element {
        labels,
        drop_name: false,
        val: Val::Float(v),
        stored: t,
        start: 0,
    }
}

fn where_absent(
    labels: &Labels,
    steps: &[Timestamp],
    present: impl Iterator<Item = bool>,
) -> Vec<Vec<Element>> {
    let each = steps.iter().zip(present);
    each.map(|(&t, present)| match present {
        true => Vec::new(),
        false => vec![nameless_element(t, 1.0, labels.clone())],
    })
    .collect()
}

/// The value if there is exactly one float.
fn lone_float(vector: &[Element]) -> f64 {
    let floats: Vec<f64> = vector.iter().filter_map(|e| e.val.float()).collect();
    match floats.as_slice() {
        [one] => *one,
        _ => f64::NAN,
    }
}

/// The labels matchers imply: the first `=` of a label sets it, any other matcher on it removes it.
fn implied(matchers: &[Matcher]) -> Labels {
    let mut labels = ferula_model::Builder::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers {
        let name = matcher.name();
        if name == ferula_model::METRIC_NAME {
            continue;
        }
        if matcher.op() == MatchOp::Equal && !seen.contains(&name) {
            labels.set(name, matcher.value());
            seen.push(name);
        } else {
            labels.remove(name);
        }
    }
    labels.build()
}
