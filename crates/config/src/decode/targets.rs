//! Where a job's targets come from.

use std::path::Path;
use std::time::Duration;

use ferula_diag::Diagnostic;
use ferula_model::text::NameScheme;

use super::values;
use crate::yaml::{Cx, NodeId, Read, shown};
use crate::{FileSdConfig, StaticConfig, defaults, keys};

/// Targets written into the configuration. Nothing but `host:port` can be scraped, unless rules
/// (`relabelled`) make something else of it.
pub(super) fn static_configs(cx: &mut Cx<'_>, node: NodeId, relabelled: bool) -> Vec<StaticConfig> {
    let groups = target_groups(cx, node);
    if relabelled {
        return groups;
    }
    for &item in cx.list(node).unwrap_or_default() {
        let Some(pairs) = cx.pairs(item) else {
            continue;
        };
        let targets = pairs.iter().find(|pair| pair.name == "targets");
        for &target in targets.map_or(&[][..], |pair| cx.list(pair.value).unwrap_or_default()) {
            if let Some(text) = cx.text(target).filter(|text| text.contains('/')) {
                cx.report(not_a_host(cx.span(target), text));
            }
        }
    }
    groups
}

fn not_a_host(span: ferula_diag::Span, text: &str) -> Diagnostic {
    let message = format!("`{}` is not a valid host name", shown(text));
    let found = Diagnostic::error("E-config-target", span, message);
    match text
        .split_once("://")
        .map_or(text, |(_, rest)| rest)
        .split_once('/')
    {
        Some((host, path)) if !path.is_empty() && !host.is_empty() => found.help(format!(
            "targets are `host:port`: write `{}`, and put `/{}` in `metrics_path`",
            shown(host),
            shown(path)
        )),
        Some((host, _)) if !host.is_empty() => {
            found.help(format!("targets are `host:port`: write `{}`", shown(host)))
        }
        _ => found.help("targets are `host:port`; a scheme goes in `scheme`"),
    }
}

/// A list of target groups.
pub(crate) fn target_groups(cx: &mut Cx<'_>, node: NodeId) -> Vec<StaticConfig> {
    let items = cx.list(node).unwrap_or_default();
    items.iter().filter_map(|item| group(cx, *item)).collect()
}

fn group(cx: &mut Cx<'_>, node: NodeId) -> Read<StaticConfig> {
    if cx.is_null(node) {
        values::refuse(cx, node, "empty target group".to_owned());
        return None;
    }
    let fields = cx.fields(node, &keys::STATIC)?;
    let mut group = StaticConfig::default();
    let mut targets = Vec::new();
    fields.read(cx, "targets", Cx::texts, &mut targets);
    group.targets = targets.into_iter().map(str::to_owned).collect();
    let read_labels = |cx: &mut Cx<'_>, id| {
        values::labels(cx, id, NameScheme::Utf8, |_, _, text| text.to_owned())
    };
    fields.read(cx, "labels", read_labels, &mut group.labels);
    Some(group)
}

/// Targets read from files; paths start at `dir`.
pub(super) fn file_sd_configs(cx: &mut Cx<'_>, node: NodeId, dir: &Path) -> Vec<FileSdConfig> {
    let items = cx.list(node).unwrap_or_default();
    let one = |item: &NodeId| file_sd(cx, *item, dir);
    items.iter().filter_map(one).collect()
}

fn file_sd(cx: &mut Cx<'_>, node: NodeId, dir: &Path) -> Read<FileSdConfig> {
    if cx.is_null(node) {
        values::refuse(cx, node, "empty `file_sd_configs` entry".to_owned());
        return None;
    }
    let fields = cx.fields(node, &keys::FILE_SD)?;
    let mut refresh_interval = defaults::FILE_SD_REFRESH_INTERVAL;
    if let Some(pair) = fields
        .pair("refresh_interval")
        .filter(|p| !cx.is_null(p.value))
    {
        refresh_interval = values::duration(cx, pair.value)?;
        if refresh_interval == Duration::ZERO {
            values::refuse(
                cx,
                pair.value,
                "`refresh_interval` must be above zero".to_owned(),
            );
        }
    }
    let paths = match fields.pair("files") {
        Some(pair) => cx.list(pair.value)?,
        None => &[],
    };
    if paths.is_empty() {
        values::refuse(cx, node, "`file_sd_configs` without `files`".to_owned());
    }
    let mut files = Vec::new();
    for &path in paths {
        let Some(text) = cx.text(path) else { continue };
        if is_target_file(text) {
            files.push(dir.join(text));
        } else {
            let message = format!("`{}` cannot be a file of targets", shown(text));
            let found = Diagnostic::error("E-config-value", cx.span(path), message);
            cx.report(found.note(
                "the name ends in `.json`, `.yml` or `.yaml`; `*` can stand in its last segment",
            ));
        }
    }
    Some(FileSdConfig {
        files,
        refresh_interval,
    })
}

/// Whether the name has an ending that says what is inside, and `*` in its last segment alone.
fn is_target_file(path: &str) -> bool {
    let (_, ending) = path.rsplit_once('.').unwrap_or_default();
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let known = ["json", "yml", "yaml", "JSON", "YML", "YAML"];
    known.contains(&ending) && !folder.contains('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_target_files() {
        for good in ["a.json", "/x/y/*.yml", "*-b*.YAML", "x.y/a.json"] {
            assert!(is_target_file(good), "{good}");
        }
        for bad in ["", "a", "a.txt", "*/a.json", "a.json/", ".json/b", "a.Json"] {
            assert!(!is_target_file(bad), "{bad}");
        }
    }
}
