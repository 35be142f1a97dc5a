//! Names dropped, labels made (§7.1, §9.1, §10).

use std::collections::BTreeSet;

use ferula_model::text::regex::{Regex, Template};
use ferula_model::{Labels, METRIC_NAME, Timestamp};
use ferula_promql::syntax::ast::{Call, Expr, StringLiteral};

use super::eval::{Eval, literal, text};
use super::value::Element;
use super::{Result, failed, same_labelset};

/// The labels that tell what a metric is.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Without the labels that tell what a metric is.
pub(super) fn nameless(labels: &Labels) -> Labels {
    labels.filter(|name| !METADATA.contains(&name))
}

/// With the listed labels alone.
pub(super) fn only(labels: &Labels, listed: &[String]) -> Labels {
    labels.filter(|name| listed.iter().any(|l| l == name))
}

/// Without the listed labels and the name.
pub(super) fn all_but(labels: &Labels, listed: &[String]) -> Labels {
    labels.filter(|name| name != METRIC_NAME && !listed.iter().any(|l| l == name))
}

/// No two elements of a step may have the same labels (§3.4).
pub(super) fn unique(vector: &[Element]) -> Result<()> {
    let mut seen = BTreeSet::new();
    if vector.iter().all(|element| seen.insert(&element.labels)) {
        Ok(())
    } else {
        Err(same_labelset())
    }
}

/// Whether a label may be called so: any text but the empty one, if it is text.
pub(super) fn is_label_name(name: &StringLiteral) -> bool {
    !name.value.is_empty() && name.bytes.is_none()
}

fn check_label_name(arg: &Expr, kind: &str, func: &str) -> Result<()> {
    let name = literal(arg);
    if is_label_name(name) {
        return Ok(());
    }
    let name = &name.value;
    Err(failed(format!(
        "invalid {kind} label name in {func}(): {name}"
    )))
}

impl Eval<'_> {
    /// Drops the name now, or marks it to be dropped at the end (§10).
    pub(super) fn drop_name(&self, element: &mut Element) {
        if self.delayed() {
            element.drop_name = true;
        } else {
            element.labels = nameless(&element.labels);
        }
    }

    /// `label_replace(v, dst, replacement, src, regex)`
    pub(super) fn label_replace(
        &self,
        call: &Call,
        steps: &[Timestamp],
    ) -> Result<Vec<Vec<Element>>> {
        let [dst, replacement, src, pattern] = [1, 2, 3, 4].map(|i| text(&call.args[i]));
        let regex = Regex::new(pattern).map_err(|_| {
            failed(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        check_label_name(&call.args[1], "destination", "label_replace")?;
        let template = Template::new(replacement);
        self.relabel(call, steps, |element| {
            if let Some(captures) = regex.captures(element.labels.value(src)) {
                let mut value = String::new();
                template.expand(&captures, &mut value);
                element.labels = element.labels.with(dst, &value);
                element.drop_name &= dst != METRIC_NAME;
            }
        })
    }

    /// `label_join(v, dst, separator, src...)`
    pub(super) fn label_join(&self, call: &Call, steps: &[Timestamp]) -> Result<Vec<Vec<Element>>> {
        let (dst, separator) = (text(&call.args[1]), text(&call.args[2]));
        let sources: Vec<&str> = call.args[3..].iter().map(text).collect();
        for source in &call.args[3..] {
            check_label_name(source, "source", "label_join")?;
        }
        check_label_name(&call.args[1], "destination", "label_join")?;
        self.relabel(call, steps, |element| {
            let values: Vec<&str> = sources.iter().map(|s| element.labels.value(s)).collect();
            let value = values.join(separator);
            element.labels = element.labels.with(dst, &value);
            element.drop_name &= dst != METRIC_NAME;
        })
    }

    fn relabel(
        &self,
        call: &Call,
        steps: &[Timestamp],
        change: impl Fn(&mut Element),
    ) -> Result<Vec<Vec<Element>>> {
        let mut vectors = self.vector(&call.args[0], steps)?;
        for vector in &mut vectors {
            vector.iter_mut().for_each(&change);
            unique(vector)?;
        }
        Ok(vectors)
    }
}
