//! Active queries: which there are, and how to stop one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ferula_promql::{ActiveQuery, Times};
use serde::Serialize;

use super::Api;
use crate::asker::Asker;
use crate::error::{ApiError, ErrorKind};
use crate::params::Params;
use crate::reply::{ApiResult, Reply, respond};

/// One page of active queries.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    queries: Vec<Shown>,
    /// What `cursor` gives the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An active query, times in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    query: String,
    start: f64,
    end: f64,
    step: f64,
    state: &'static str,
    started: String,
    elapsed: f64,
    samples: u64,
    peak_samples: u64,
    bytes: u64,
    peak_bytes: u64,
}

pub(super) async fn list(State(api): State<Arc<Api>>, asker: Asker, params: Params) -> Response {
    respond(list_of(&api, &asker, &params))
}

fn list_of(api: &Api, asker: &Asker, params: &Params) -> ApiResult {
    let limit = params.limit()?;
    let state = match params.get("state") {
        state @ ("" | "running" | "queued") => state,
        _ => {
            let text = "it is `running`, `queued`, or left out for both";
            return Err(ApiError::parameter("state", text));
        }
    };
    let after = match params.get("cursor") {
        "" => 0,
        text => text.parse::<u64>().map_err(|_| {
            ApiError::parameter("cursor", "not a cursor that an earlier page has given")
        })?,
    };
    let mut shown: Vec<Shown> = api
        .engine
        .active(&asker.tenant)
        .iter()
        .filter(|query| query.id > after)
        .map(show)
        .filter(|query| state.is_empty() || query.state == state)
        .collect();
    let more = limit > 0 && shown.len() > limit;
    if more {
        shown.truncate(limit);
    }
    let next_cursor = shown.last().filter(|_| more).map(|last| last.id.clone());
    Reply::of(&Page {
        queries: shown,
        next_cursor,
    })
}

fn show(query: &ActiveQuery) -> Shown {
    let (start, end, step) = match query.times {
        Times::Instant(time) => (time, time, 0),
        Times::Range {
            start,
            end,
            step_ms,
        } => (start, end, step_ms),
    };
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let started = jiff::Timestamp::from_millisecond(query.started).unwrap_or_default();
    Shown {
        id: query.id.to_string(),
        query: query.text.to_string(),
        start: seconds(start),
        end: seconds(end),
        step: seconds(step),
        state: if query.running { "running" } else { "queued" },
        started: format!("{started:.3}"),
        elapsed: query.elapsed.as_secs_f64(),
        samples: query.samples,
        peak_samples: query.samples_peak,
        bytes: query.bytes,
        peak_bytes: query.bytes_peak,
    }
}

pub(super) async fn stop(
    State(api): State<Arc<Api>>,
    asker: Asker,
    Path(id): Path<String>,
) -> Response {
    let stopped = id
        .parse()
        .is_ok_and(|id| api.engine.stop(&asker.tenant, id));
    if stopped {
        return StatusCode::NO_CONTENT.into_response();
    }
    let quoted = ferula_model::text::quote::quoted(&id);
    respond(Err(ApiError::new(
        ErrorKind::NotFound,
        format!("no query {quoted} is waiting or running: it is over, or never was"),
    )))
}
