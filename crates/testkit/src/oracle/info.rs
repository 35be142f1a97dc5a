//! `info` (§9.7): labels of info metrics for the series they are about.

use std::collections::BTreeMap;

use ferula_model::{Labels, METRIC_NAME, MatchOp, Matcher, Timestamp};
use ferula_promql::syntax::ast::{Call, Expr, Modifiers};

use super::eval::Eval;
use super::labels::unique;
use super::select::Stored;
use super::value::{Element, Sample, Val};
use super::{Result, failed};

/// The labels that say what a series is about.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// Per identity and name, the info series with the newest sample, and when that is.
type InForce<'i> = BTreeMap<(Vec<String>, String), (&'i Labels, Timestamp)>;

fn identity(labels: &Labels) -> Vec<String> {
    IDENTIFYING.map(|name| labels.value(name).to_owned()).into()
}

impl Eval<'_> {
    pub(super) fn info(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let given = match call.args.get(1).map(Expr::unparen) {
            Some(Expr::Selector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let is_name = |m: &Matcher| m.name() == METRIC_NAME;
        let (names, data): (Vec<Matcher>, Vec<Matcher>) = given.into_iter().partition(is_name);
        let names = info_names(names);
        let is_info = |labels: &Labels| names.iter().all(|m| m.matches(labels.metric_name()));
        let base = self.vector(&call.args[0], steps)?;

        // Only series that share an identifying value with a base series are looked at.
        let about: Vec<Labels> = base
            .iter()
            .flatten()
            .filter(|e| !is_info(&e.labels))
            .map(|e| e.labels.clone())
            .collect();
        let mut matchers = names.clone();
        matchers.extend(data.iter().cloned());
        let mut infos = self.stored(&matchers)?;
        infos.retain(|info| may_be_about(&info.labels, &about));

        let path = first_path(&call.args[0]);
        let mut out = Vec::new();
        for (vector, &time) in base.into_iter().zip(steps) {
            let at = path.iter().fold(time, |t, m| self.reference(m, t));
            let in_force = self.in_force(&infos, at)?;
            let mut made = Vec::new();
            for element in vector {
                if is_info(&element.labels) {
                    made.push(element);
                    continue;
                }
                let about: Vec<&Labels> = in_force
                    .iter()
                    .filter(|((id, _), _)| *id == identity(&element.labels))
                    .map(|(_, (labels, _))| *labels)
                    .collect();
                let required = data.iter().any(|m| !m.matches_empty());
                if about.is_empty() && required {
                    continue;
                }
                made.push(Element {
                    labels: with_data(&element.labels, &about, &data)?,
                    ..element
                });
            }
            unique(&made)?;
            out.push(made);
        }
        Ok(out)
    }

    /// Of the series of one info metric about the same thing, the one with the newest sample.
    fn in_force<'i>(&self, infos: &'i [Stored], at: Timestamp) -> Result<InForce<'i>> {
        let mut found = InForce::new();
        for info in infos {
            let start = at.saturating_sub(self.lookback_ms());
            let Some(Sample { t: time, val, .. }) = info.newest(start, at) else {
                continue;
            };
            let labels = &info.labels;
            if let Val::Hist(_) = val {
                return Err(failed(format!(
                    "this should be an info metric, with float samples: {labels}"
                )));
            }
            let key = (identity(labels), labels.metric_name().to_owned());
            match found.get(&key) {
                Some((other, known)) if known == time => {
                    return Err(failed(format!(
                        "found duplicate series for info metric: existing {other} @ {known}, new {labels} @ {time}"
                    )));
                }
                Some((_, known)) if known > time => {}
                _ => {
                    found.insert(key, (labels, *time));
                }
            }
        }
        Ok(found)
    }
}

/// What info metrics may be called.
fn info_names(mut given: Vec<Matcher>) -> Vec<Matcher> {
    let negative = |m: &Matcher| matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex);
    if given.is_empty() {
        given.push(Matcher::equal(METRIC_NAME, "target_info"));
    } else if given.iter().all(negative) {
        let any = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info");
        given.push(any.expect("a good pattern"));
    }
    given
}

/// Whether each identifying label of an info series has a value that some base series has, unless
/// no base series has one.
fn may_be_about(info: &Labels, about: &[Labels]) -> bool {
    let values = |name: &str| -> Vec<String> {
        let values = about.iter().map(|l| l.value(name).to_owned());
        values.filter(|v| !v.is_empty()).collect()
    };
    let all: Vec<(&str, Vec<String>)> = IDENTIFYING.iter().map(|n| (*n, values(n))).collect();
    all.iter().any(|(_, values)| !values.is_empty())
        && all
            .iter()
            .all(|(name, values)| values.is_empty() || values.iter().any(|v| v == info.value(name)))
}

/// A base series' labels, and those it lacks.
fn with_data(base: &Labels, infos: &[&Labels], data: &[Matcher]) -> Result<Labels> {
    let mut labels = base.clone();
    for info in infos {
        for (name, value) in info.iter() {
            let wanted = data.is_empty() || data.iter().any(|m| m.name() == name);
            if name == METRIC_NAME || !wanted || base.get(name).is_some() {
                continue;
            }
            if labels.get(name).is_some_and(|other| other != value) {
                return Err(failed(format!("conflicting label: {name}")));
            }
            labels = labels.with(name, value);
        }
    }
    Ok(labels)
}

/// The modifiers on the way to the first selector, from outside: they say when info series are
/// looked at.
fn first_path(expr: &Expr) -> Vec<&Modifiers> {
    match expr {
        Expr::Number(_) | Expr::String(_) => Vec::new(),
        Expr::Selector(e) => vec![&e.modifiers],
        Expr::Range(e) => vec![&e.selector.modifiers],
        Expr::Subquery(e) => {
            let mut path = first_path(&e.expr);
            if !path.is_empty() {
                path.insert(0, &e.modifiers);
            }
            path
        }
        Expr::Paren(e) => first_path(&e.inner),
        Expr::Unary(e) => first_path(&e.operand),
        Expr::Binary(e) => first_of([&e.lhs, &e.rhs]),
        Expr::Call(e) => first_of(&e.args),
        Expr::Aggregate(e) => first_of([&e.expr].into_iter().chain(&e.param)),
    }
}

fn first_of<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Vec<&'e Modifiers> {
    let mut paths = exprs.into_iter().map(first_path);
    paths.find(|path| !path.is_empty()).unwrap_or_default()
}
