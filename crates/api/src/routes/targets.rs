//! What is scraped, and what targets say about their metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ferula_model::{Labels, Matcher, Timestamp};
use ferula_promql::syntax;
use ferula_scrape::{ActiveTarget, FamilyMetadata};
use serde_json::{Map, Value, json};

use super::Api;
use crate::error::ApiError;
use crate::params::Params;
use crate::reply::{ApiResult, Reply, respond};

pub(super) async fn targets(State(api): State<Arc<Api>>, params: Params) -> Response {
    respond(targets_of(&api, &params))
}

fn targets_of(api: &Api, params: &Params) -> ApiResult {
    let state = params.url("state").to_ascii_lowercase();
    let pool = params.url("scrapePool");
    let wanted = |name: &str| pool.is_empty() || pool == name;
    let (mut active, mut dropped) = (Vec::new(), Vec::new());
    let mut dropped_counts = Value::Null;
    if matches!(&*state, "" | "any" | "active") {
        let targets = api.scrape.active_targets();
        let targets = targets.iter().filter(|t| wanted(&t.scrape_pool));
        active = targets
            .map(|t| active_json(t, &api.host.hostname()))
            .collect();
    }
    if matches!(&*state, "" | "any" | "dropped") {
        let targets = api.scrape.dropped_targets();
        let targets = targets.iter().filter(|t| wanted(&t.scrape_pool));
        let one = |t: &ferula_scrape::DroppedTarget| json!({ "discoveredLabels": map(&t.discovered_labels), "scrapePool": &*t.scrape_pool });
        dropped = targets.map(one).collect();
        let pools = api.scrape.pools();
        let counts: BTreeMap<_, _> = pools
            .iter()
            .map(|p| (p.scrape_pool.to_string(), p.dropped))
            .collect();
        dropped_counts = json!(counts);
    }
    Reply::of(&json!({
        "activeTargets": active,
        "droppedTargets": dropped,
        "droppedTargetCounts": dropped_counts,
    }))
}

fn active_json(target: &ActiveTarget, hostname: &str) -> Value {
    json!({
        "discoveredLabels": map(&target.discovered_labels),
        "labels": map(&target.labels),
        "scrapePool": &*target.scrape_pool,
        "scrapeUrl": target.scrape_url,
        "globalUrl": global_url(&target.scrape_url, hostname),
        "lastError": target.last_error,
        "lastScrape": rfc3339(target.last_scrape),
        "lastScrapeDuration": target.last_scrape_duration.as_secs_f64(),
        "health": target.health.as_str(),
        "scrapeInterval": duration(target.scrape_interval),
        "scrapeTimeout": duration(target.scrape_timeout),
    })
}

fn duration(duration: std::time::Duration) -> String {
    ferula_model::text::duration::shown(duration.as_millis() as i64).to_string()
}

/// Go's zero time stands for "never".
fn rfc3339(time: Option<Timestamp>) -> String {
    time.and_then(|t| jiff::Timestamp::from_millisecond(t).ok())
        .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

/// The URL as others reach it: this machine's name in place of its loopback names.
fn global_url(url: &str, hostname: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    for local in ["localhost", "127.0.0.1", "[::1]"] {
        if let Some(after) = rest.strip_prefix(local)
            && (after.is_empty() || after.starts_with([':', '/', '?']))
        {
            return format!("{scheme}://{hostname}{after}");
        }
    }
    url.to_owned()
}

fn map(labels: &Labels) -> Map<String, Value> {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

pub(super) async fn scrape_pools(State(api): State<Arc<Api>>) -> Response {
    respond(Reply::of(
        &json!({ "scrapePools": api.scrape.scrape_pools() }),
    ))
}

/// A bound on the number of results; negative for none.
fn number(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    match params.get(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(n) => Ok(usize::try_from(n).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    }
}

fn wanted_family(params: &Params) -> Option<&str> {
    Some(params.get("metric")).filter(|family| !family.is_empty())
}

pub(super) async fn metadata(State(api): State<Arc<Api>>, params: Params) -> Response {
    respond(metadata_of(&api, &params))
}

fn metadata_of(api: &Api, params: &Params) -> ApiResult {
    let limit = number(params, "limit")?.unwrap_or(usize::MAX);
    let per_metric = number(params, "limit_per_metric")?
        .filter(|&n| n > 0)
        .unwrap_or(usize::MAX);
    let mut families: BTreeMap<String, BTreeSet<(&'static str, String, String)>> = BTreeMap::new();
    api.scrape
        .visit_metadata(wanted_family(params), |_, family, metadata| {
            if families.len() >= limit && !families.contains_key(family) {
                return;
            }
            let entries = families.entry(family.to_owned()).or_default();
            if entries.len() < per_metric {
                let FamilyMetadata { kind, help, unit } = metadata;
                entries.insert((kind.as_str(), unit.to_string(), help.to_string()));
            }
        });
    let entry = |(kind, unit, help): (&str, String, String)| json!({ "type": kind, "unit": unit, "help": help });
    let data: Map<String, Value> = families
        .into_iter()
        .map(|(family, entries)| (family, entries.into_iter().map(entry).collect()))
        .collect();
    Reply::of(&data)
}

pub(super) async fn target_metadata(State(api): State<Arc<Api>>, params: Params) -> Response {
    respond(target_metadata_of(&api, &params))
}

fn target_metadata_of(api: &Api, params: &Params) -> ApiResult {
    let limit = number(params, "limit")?.unwrap_or(usize::MAX);
    let selector = params.get("match_target");
    let matchers = match selector {
        "" => Vec::new(),
        text => syntax::parse_selector(text)
            .map_err(|error| ApiError::bad_data(error.display(text).to_string()))?,
    };
    let wanted = wanted_family(params);
    let mut found = Vec::new();
    api.scrape
        .visit_metadata(wanted, |target, family, metadata| {
            let matches = |m: &Matcher| m.matches(target.value(m.name()));
            if found.len() >= limit || !matchers.iter().all(matches) {
                return;
            }
            let mut entry = json!({
                "target": map(target),
                "type": metadata.kind.as_str(),
                "help": &*metadata.help,
                "unit": &*metadata.unit,
            });
            if wanted.is_none() {
                entry["metric"] = family.into();
            }
            found.push(entry);
        });
    Reply::of(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_replaced() {
        let check = |url: &str, expected: &str| assert_eq!(global_url(url, "box"), expected);
        check("http://localhost:9100/metrics", "http://box:9100/metrics");
        check("http://127.0.0.1:9100/metrics", "http://box:9100/metrics");
        check("http://[::1]/metrics", "http://box/metrics");
        check(
            "http://localhost.example/metrics",
            "http://localhost.example/metrics",
        );
    }

    #[test]
    fn never_is_the_zero_time() {
        assert_eq!(rfc3339(None), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339(Some(1_500)), "1970-01-01T00:00:01.5Z");
    }
}
