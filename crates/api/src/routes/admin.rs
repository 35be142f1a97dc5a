//! Deleting, snapshots, and where things are on disk.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ferula_model::{Matcher, Range};
use ferula_promql::syntax;
use ferula_storage::{AdminError, BlockInfo, Deletion, SeriesInfo, SeriesQuery, Stretch};
use serde_json::{Value, json};

use super::Api;
use super::labels::selectors;
use crate::error::{ApiError, ErrorKind};
use crate::json;
use crate::params::Params;
use crate::reply::{ApiResult, Reply, respond};
use crate::tenant::tenant_of;

/// Series that one answer describes, unless asked otherwise: each may mean reading from every
/// block.
const SERIES_DEFAULT: usize = 100;

/// The version of block descriptions that the reference's tools read.
const BLOCK_VERSION: u32 = 1;

pub(super) async fn delete_series(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    done(delete_of(&api, &headers, &params).await)
}

async fn delete_of(api: &Api, headers: &HeaderMap, params: &Params) -> Result<(), ApiError> {
    enabled(api)?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (start, end) = params.range()?;
    // A selector that everything passes is no mistake here.
    let matchers = params
        .all("match[]")
        .map(|text| {
            syntax::parse_selector(text)
                .map_err(|error| ApiError::parameter("match[]", error.display(text)))
        })
        .collect::<Result<Vec<Vec<Matcher>>, _>>()?;
    let deletion = Deletion {
        tenant: tenant_of(headers),
        matchers,
        range: Range::closed(start, end),
    };
    api.admin.delete(deletion).await.map_err(failed)
}

pub(super) async fn clean_tombstones(State(api): State<Arc<Api>>) -> Response {
    done(match enabled(&api) {
        Ok(()) => api.admin.clean().await.map_err(failed),
        Err(error) => Err(error),
    })
}

pub(super) async fn snapshot(State(api): State<Arc<Api>>, params: Params) -> Response {
    respond(snapshot_of(&api, &params).await)
}

async fn snapshot_of(api: &Api, params: &Params) -> ApiResult {
    enabled(api)?;
    let skip_head = match params.get("skip_head") {
        "" => false,
        text => parse_bool(text).map_err(|e| ApiError::parameter("skip_head", e))?,
    };
    let now = jiff::Timestamp::from_millisecond(api.clock.now_ms()).unwrap_or_default();
    let random = ferula_env::random_u64();
    let name = format!("{}-{random:016x}", now.strftime("%Y%m%dT%H%M%SZ"));
    api.admin
        .snapshot(name.clone(), skip_head)
        .await
        .map_err(failed)?;
    Reply::of(&json!({ "name": name }))
}

pub(super) async fn blocks(State(api): State<Arc<Api>>) -> Response {
    let blocks = api.admin.blocks().await.map_err(failed);
    respond(blocks.and_then(|blocks| {
        let blocks: Vec<Value> = blocks.iter().map(block).collect();
        Reply::of(&json!({ "blocks": blocks }))
    }))
}

/// A block as the reference describes its own.
fn block(block: &BlockInfo) -> Value {
    let sources = block.sources.iter().map(ToString::to_string);
    json!({
        "ulid": block.id.to_string(),
        "minTime": block.range.start,
        "maxTime": block.range.end,
        "stats": {
            "numSamples": block.samples,
            "numSeries": block.series,
            "numBytes": block.bytes,
            "numTombstones": block.deletes,
        },
        "compaction": { "level": block.level, "sources": sources.collect::<Vec<_>>() },
        "version": BLOCK_VERSION,
    })
}

pub(super) async fn series(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    respond(series_of(&api, &headers, &params).await)
}

async fn series_of(api: &Api, headers: &HeaderMap, params: &Params) -> ApiResult {
    let limit = params.limit()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = if limit == 0 { SERIES_DEFAULT } else { limit };
    let query = SeriesQuery {
        tenant: tenant_of(headers),
        matchers: selectors(params).map_err(|e| ApiError::parameter("match[]", e.message))?,
        // One more than asked for tells whether there was more.
        limit: limit.saturating_add(1),
    };
    let mut found = api.admin.where_is(query).await.map_err(failed)?;
    let warnings = super::labels::truncate(&mut found, limit);
    let mut data = String::from("[");
    for (i, info) in found.iter().enumerate() {
        if i > 0 {
            data.push(',');
        }
        data.push_str("{\"labels\":");
        json::labels(&mut data, &info.labels);
        for (name, value) in whereabouts(info) {
            data.push_str(&format!(",\"{name}\":{value}"));
        }
        data.push('}');
    }
    data.push(']');
    Ok(Reply {
        data,
        warnings,
        ..Reply::default()
    })
}

/// What is told of a series beside its labels; times in milliseconds, as in descriptions of
/// blocks.
fn whereabouts(info: &SeriesInfo) -> [(&'static str, Value); 5] {
    let stretch =
        |s: Stretch| json!({ "samples": s.samples, "minTime": s.first, "maxTime": s.last });
    let blocks = info.blocks.iter().map(|(id, part)| {
        let mut part = stretch(*part);
        part["ulid"] = id.to_string().into();
        part
    });
    let whole = info.whole();
    [
        ("minTime", whole.map(|s| s.first).into()),
        ("maxTime", whole.map(|s| s.last).into()),
        ("active", info.active.into()),
        ("head", info.head.map(stretch).into()),
        ("blocks", blocks.collect()),
    ]
}

fn enabled(api: &Api) -> Result<(), ApiError> {
    match api.host.admin_enabled() {
        true => Ok(()),
        false => Err(ApiError::new(ErrorKind::Unavailable, "admin APIs disabled")),
    }
}

fn done(result: Result<(), ApiError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => respond(Err(error)),
    }
}

fn failed(error: AdminError) -> ApiError {
    let kind = match error {
        AdminError::Unavailable { .. } => ErrorKind::Unavailable,
        AdminError::Failed(_) => ErrorKind::Internal,
    };
    ApiError::new(kind, error.to_string())
}

/// A truth value in any of the spellings that Go reads.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => {
            let quoted = ferula_model::text::quote::quoted(text);
            Err(format!(
                "unable to parse boolean: strconv.ParseBool: parsing {quoted}: invalid syntax"
            ))
        }
    }
}
