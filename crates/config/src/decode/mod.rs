//! From YAML to [`Config`]: one file for each part of it, read from top to bottom.

mod global;
mod relabel;
mod scrape;
mod storage;
mod targets;
mod values;

use std::collections::HashMap;

use ferula_diag::{Diagnostic, Span};

use crate::keys;
use crate::load::Surroundings;
use crate::yaml::{Cx, NodeId, shown};
use crate::{Config, GlobalConfig, ScrapeConfig};

pub(crate) use targets::target_groups;

/// The whole file. What is refused is reported and left at its default.
pub(crate) fn config(cx: &mut Cx<'_>, surroundings: Surroundings<'_>) -> Config {
    let mut config = Config::default();
    let Some(root) = cx.tree.root else {
        return config;
    };
    let Some(fields) = cx.fields(root, &keys::ROOT) else {
        return config;
    };
    let section = |name: &str| fields.pair(name).map(|pair| pair.value);
    if let Some(node) = section("global").filter(|node| !cx.is_null(*node)) {
        global::global(cx, node, surroundings, &mut config.global);
    }
    if let Some(node) = section("runtime") {
        cx.fields(node, &keys::RUNTIME);
    }
    if let Some(node) = section("storage") {
        storage::storage(cx, node, &mut config.storage);
    }
    if let Some(node) = section("scrape_configs") {
        config.scrape_configs = scrape_configs(cx, node, &config.global, surroundings);
    }
    config
}

fn scrape_configs(
    cx: &mut Cx<'_>,
    node: NodeId,
    global: &GlobalConfig,
    surroundings: Surroundings<'_>,
) -> Vec<ScrapeConfig> {
    let mut jobs = Vec::new();
    let mut names: HashMap<String, Span> = HashMap::new();
    for &item in cx.list(node).unwrap_or_default() {
        if cx.is_null(item) {
            let span = cx.span(item);
            cx.report(Diagnostic::error(
                "E-config-value",
                span,
                "empty scrape configuration",
            ));
            continue;
        }
        let Some((job, name_span)) = scrape::job(cx, item, global, surroundings) else {
            continue;
        };
        if let Some(first) = names.get(&job.job_name) {
            let line = cx.source.position(first.start).line;
            let message = format!("there are two jobs named `{}`", shown(&job.job_name));
            cx.report(
                Diagnostic::error("E-config-duplicate-job", name_span, message)
                    .note(format!("the first is on line {line}"))
                    .help("give each job a name of its own, or put both into one job"),
            );
        } else if !job.job_name.is_empty() {
            names.insert(job.job_name.clone(), name_span);
        }
        jobs.push(job);
    }
    jobs
}
