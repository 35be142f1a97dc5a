//! Relabelling rules.

use ferula_diag::{Diagnostic, Span};
use ferula_model::text::NameScheme;
use ferula_relabel::{Action, Rule, RuleConfig, RuleError};

use super::values;
use crate::keys;
use crate::yaml::{Cx, Fields, NodeId, Read, closest, shown};

pub(super) fn rules(cx: &mut Cx<'_>, node: NodeId, names: NameScheme) -> Vec<Rule> {
    let items = cx.list(node).unwrap_or_default();
    let one = |item: &NodeId| rule(cx, *item, names);
    items.iter().filter_map(one).collect()
}

fn rule(cx: &mut Cx<'_>, node: NodeId, names: NameScheme) -> Read<Rule> {
    if cx.is_null(node) {
        values::refuse(cx, node, "empty relabelling rule".to_owned());
        return None;
    }
    let fields = cx.fields(node, &keys::RELABEL)?;
    let mut config = RuleConfig {
        names,
        ..RuleConfig::default()
    };
    // A value that was refused must not make another look wrong.
    let mut good = true;
    let mut text = |cx: &mut Cx<'_>, name, to: &mut String| {
        if let Some(pair) = fields.pair(name) {
            match cx.text(pair.value) {
                Some(text) => *to = text.to_owned(),
                None => good = false,
            }
        }
    };
    text(cx, "separator", &mut config.separator);
    text(cx, "target_label", &mut config.target_label);
    text(cx, "regex", &mut config.regex);
    text(cx, "replacement", &mut config.replacement);
    if let Some(pair) = fields.pair("source_labels") {
        match cx.texts(pair.value) {
            Some(texts) => config.source_labels = texts.into_iter().map(str::to_owned).collect(),
            None => good = false,
        }
    }
    if let Some(pair) = fields.pair("modulus") {
        config.modulus = cx.count(pair.value)?;
    }
    if let Some(pair) = fields.pair("action") {
        config.action = action(cx, pair.value)?;
    }
    if !good {
        return None;
    }
    let whole = cx.first_line(cx.span(node));
    match Rule::new(config) {
        Ok(rule) => Some(rule),
        Err(error) => {
            let found = refusal(cx, &fields, whole, &error);
            cx.report(found);
            None
        }
    }
}

fn action(cx: &mut Cx<'_>, node: NodeId) -> Read<Action> {
    let text = cx.text(node)?;
    if let Ok(action) = text.parse() {
        return Some(action);
    }
    let message = format!("`{}` is not a relabelling action", shown(text));
    let mut found = Diagnostic::error("E-config-value", cx.span(node), message);
    let names = Action::ALL.map(Action::as_str);
    if let Some(meant) = closest(text, names) {
        found = found.labelled(format!("did you mean `{meant}`?"));
    } else {
        found = found.help(format!("it can be `{}`", names.join("`, `")));
    }
    cx.report(found);
    None
}

/// What is wrong with a rule, at the field it is wrong in.
fn refusal(cx: &Cx<'_>, fields: &Fields<'_>, whole: Span, error: &RuleError) -> Diagnostic {
    let span = fields.span(cx, error.field()).unwrap_or(whole);
    match error {
        RuleError::Regex(error) => {
            let why = error.to_string();
            let why = why.strip_prefix("error parsing regexp: ").unwrap_or(&why);
            let span = quoted_part(cx, span, why).unwrap_or(span);
            let why = match why.split_once('\n') {
                Some((line, _)) => format!("{line}…`"),
                None => why.to_owned(),
            };
            Diagnostic::error("E-config-regex", span, "invalid regular expression")
                .labelled(why)
                .note("a pattern matches the whole value")
        }
        error => Diagnostic::error("E-config-relabel", span, error.to_string()),
    }
}

/// Where in `span` the part of a pattern is that an error text quotes at its end, if it is
/// there once.
fn quoted_part(cx: &Cx<'_>, span: Span, why: &str) -> Option<Span> {
    let (_, part) = why.strip_suffix('`')?.rsplit_once('`')?;
    let start = span.start as usize;
    let text = cx.source.text.get(start..span.end as usize)?;
    let mut places = text.match_indices(part).filter(|_| !part.is_empty());
    let (at, _) = places.next()?;
    places
        .next()
        .is_none()
        .then(|| Span::new(start + at, start + at + part.len()))
}
