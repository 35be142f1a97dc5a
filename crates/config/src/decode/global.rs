//! The `global` section.

use std::time::Duration;

use ferula_diag::Diagnostic;
use ferula_exposition::EscapingScheme;
use ferula_model::text::NameScheme;

use super::values;
use crate::expand::expand;
use crate::load::Surroundings;
use crate::yaml::{Cx, Fields, NodeId};
use crate::{GlobalConfig, defaults, keys};

pub(super) fn global(
    cx: &mut Cx<'_>,
    node: NodeId,
    surroundings: Surroundings<'_>,
    global: &mut GlobalConfig,
) {
    let Some(fields) = cx.fields(node, &keys::GLOBAL) else {
        return;
    };
    let inherited = (defaults::SCRAPE_INTERVAL, defaults::SCRAPE_TIMEOUT);
    (global.scrape_interval, global.scrape_timeout) = values::scrape_times(cx, &fields, inherited);
    let mut evaluation = Duration::ZERO;
    fields.read(cx, "evaluation_interval", values::duration, &mut evaluation);
    if !evaluation.is_zero() {
        global.evaluation_interval = evaluation;
    }
    let mut query_log_file = "";
    fields.read(cx, "query_log_file", Cx::text, &mut query_log_file);
    if !query_log_file.is_empty() {
        global.query_log_file = surroundings.dir.join(query_log_file);
    }
    let mut protocols = None;
    fields.read(cx, "scrape_protocols", values::protocols, &mut protocols);
    if let Some(protocols) = protocols {
        global.scrape_protocols = protocols;
    }
    global.limits = values::limits(cx, &fields);
    fields.read(
        cx,
        "extra_scrape_metrics",
        Cx::bool,
        &mut global.extra_scrape_metrics,
    );
    let inherited = (NameScheme::Utf8, EscapingScheme::AllowUtf8);
    (
        global.metric_name_validation_scheme,
        global.metric_name_escaping_scheme,
    ) = name_schemes(cx, &fields, inherited);
    if let Some(pair) = fields.pair("external_labels") {
        external_labels(cx, pair.value, surroundings, global);
    }
}

/// Which names are good and what becomes of others; what is not said is `inherited`. With
/// `legacy` alone, names are escaped with underscores.
pub(super) fn name_schemes<'t>(
    cx: &mut Cx<'t>,
    fields: &Fields<'t>,
    inherited: (NameScheme, EscapingScheme),
) -> (NameScheme, EscapingScheme) {
    let (mut names, mut escaping) = (None, None);
    let key = "metric_name_validation_scheme";
    fields.read(cx, key, values::name_scheme, &mut names);
    let key = "metric_name_escaping_scheme";
    fields.read(cx, key, values::escaping_scheme, &mut escaping);
    let chosen = match (names, escaping) {
        (Some(NameScheme::Legacy), None) => (NameScheme::Legacy, EscapingScheme::Underscores),
        (names, escaping) => (
            names.unwrap_or(inherited.0),
            escaping.unwrap_or(inherited.1),
        ),
    };
    if chosen == (NameScheme::Legacy, EscapingScheme::AllowUtf8)
        && let Some(span) = fields.span(cx, key)
    {
        let message = "`allow-utf-8` lets targets send names that `legacy` refuses";
        let found = Diagnostic::error("E-config-value", span, message);
        cx.report(found.help("escape with `underscores`, `dots` or `values`"));
    }
    chosen
}

fn external_labels(
    cx: &mut Cx<'_>,
    node: NodeId,
    surroundings: Surroundings<'_>,
    global: &mut GlobalConfig,
) {
    let names = global.metric_name_validation_scheme;
    let labels = values::labels(cx, node, names, |cx, id, text| {
        let mut unset = Vec::new();
        let text = expand(text, surroundings.variable, &mut unset);
        for name in unset {
            let message = format!("environment variable `{name}` is not set");
            let found = Diagnostic::warning("W-config-variable", cx.span(id), message);
            cx.report(found.note("it stands for the empty string; write `$$` for a dollar"));
        }
        text
    });
    if let Some(labels) = labels {
        global.external_labels = labels;
    }
}
