//! One job of `scrape_configs`.

use ferula_diag::{Diagnostic, Span};

use super::{global::name_schemes, relabel, targets, values};
use crate::load::Surroundings;
use crate::yaml::{Cx, Fields, NodeId, Read, shown};
use crate::{GlobalConfig, Limits, ScrapeConfig, keys};

/// A job, and where its name is.
pub(super) fn job(
    cx: &mut Cx<'_>,
    node: NodeId,
    global: &GlobalConfig,
    surroundings: Surroundings<'_>,
) -> Read<(ScrapeConfig, Span)> {
    let fields = cx.fields(node, &keys::SCRAPE)?;
    let mut name = "";
    fields.read(cx, "job_name", Cx::text, &mut name);
    let whole = cx.first_line(cx.span(node));
    let name_span = fields.span(cx, "job_name").unwrap_or(whole);
    if name.is_empty() {
        let message = match fields.pair("job_name") {
            Some(_) => "`job_name` is empty",
            None => "a job without `job_name`",
        };
        cx.report(Diagnostic::error("E-config-value", name_span, message));
    }
    let mut job = ScrapeConfig::inheriting(global, name);
    let inherited = (global.scrape_interval, global.scrape_timeout);
    (job.scrape_interval, job.scrape_timeout) = values::scrape_times(cx, &fields, inherited);
    protocols(cx, &fields, &mut job);
    request(cx, &fields, &mut job);
    for (name, to) in [
        ("honor_labels", &mut job.honor_labels),
        ("honor_timestamps", &mut job.honor_timestamps),
        (
            "track_timestamps_staleness",
            &mut job.track_timestamps_staleness,
        ),
        ("extra_scrape_metrics", &mut job.extra_scrape_metrics),
    ] {
        fields.read(cx, name, Cx::bool, to);
    }
    job.limits = inherit(values::limits(cx, &fields), global.limits);
    let inherited = (
        job.metric_name_validation_scheme,
        job.metric_name_escaping_scheme,
    );
    (
        job.metric_name_validation_scheme,
        job.metric_name_escaping_scheme,
    ) = name_schemes(cx, &fields, inherited);

    let names = job.metric_name_validation_scheme;
    if let Some(pair) = fields.pair("relabel_configs") {
        job.relabel_configs = relabel::rules(cx, pair.value, names);
    }
    if let Some(pair) = fields.pair("metric_relabel_configs") {
        job.metric_relabel_configs = relabel::rules(cx, pair.value, names);
    }
    let relabelled = fields
        .pair("relabel_configs")
        .is_some_and(|pair| !cx.list_is_empty(pair.value));
    if let Some(pair) = fields.pair("static_configs") {
        job.static_configs = targets::static_configs(cx, pair.value, relabelled);
    }
    if let Some(pair) = fields.pair("file_sd_configs") {
        job.file_sd_configs = targets::file_sd_configs(cx, pair.value, surroundings.dir);
    }
    Some((job, name_span))
}

fn protocols<'t>(cx: &mut Cx<'t>, fields: &Fields<'t>, job: &mut ScrapeConfig) {
    let mut protocols = None;
    fields.read(cx, "scrape_protocols", values::protocols, &mut protocols);
    if let Some(protocols) = protocols {
        job.scrape_protocols = protocols;
    }
    let fallback = &mut job.fallback_scrape_protocol;
    fields.read(cx, "fallback_scrape_protocol", values::protocol, fallback);
}

/// How a target is asked.
fn request<'t>(cx: &mut Cx<'t>, fields: &Fields<'t>, job: &mut ScrapeConfig) {
    fields.read(cx, "params", params, &mut job.params);
    let path = &mut job.metrics_path;
    fields.read(
        cx,
        "metrics_path",
        |cx, id| cx.text(id).map(str::to_owned),
        path,
    );
    fields.read(cx, "scheme", scheme, &mut job.scheme);
    fields.read(
        cx,
        "enable_compression",
        Cx::bool,
        &mut job.enable_compression,
    );
    fields.read(cx, "follow_redirects", Cx::bool, &mut job.follow_redirects);
    fields.read(cx, "enable_http2", Cx::bool, &mut false);
}

fn params(cx: &mut Cx<'_>, node: NodeId) -> Read<Vec<(String, Vec<String>)>> {
    let mut params = Vec::new();
    for pair in cx.pairs(node)? {
        if let Some(texts) = cx.texts(pair.value) {
            let values = texts.into_iter().map(str::to_owned).collect();
            params.push((pair.name.to_owned(), values));
        }
    }
    params.sort();
    Some(params)
}

fn scheme(cx: &mut Cx<'_>, node: NodeId) -> Read<String> {
    let text = cx.text(node)?;
    if text == "http" {
        return Some(text.to_owned());
    }
    let span = cx.span(node);
    cx.report(match text {
        "https" => Diagnostic::error("E-config-unserved", span, "`https` is not supported yet")
            .help("scrape over plain http; a later version will support TLS"),
        _ => {
            let message = format!("`{}` is not a scheme to scrape over", shown(text));
            Diagnostic::error("E-config-value", span, message).help("it can be `http`")
        }
    });
    None
}

/// A job's own limits; those it leaves at zero are the global ones.
fn inherit(own: Limits, global: Limits) -> Limits {
    let pick = |own, global| if own == 0 { global } else { own };
    Limits {
        body_size_limit: pick(own.body_size_limit, global.body_size_limit),
        sample_limit: pick(own.sample_limit, global.sample_limit),
        label_limit: pick(own.label_limit, global.label_limit),
        label_name_length_limit: pick(own.label_name_length_limit, global.label_name_length_limit),
        label_value_length_limit: pick(
            own.label_value_length_limit,
            global.label_value_length_limit,
        ),
        target_limit: pick(own.target_limit, global.target_limit),
        keep_dropped_targets: pick(own.keep_dropped_targets, global.keep_dropped_targets),
    }
}
