//! What the server is and how it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::Api;
use crate::error::ApiError;
use crate::params::Params;
use crate::reply::{Reply, respond};

/// How many entries the lists of `/status/tsdb` have at most, and unless asked otherwise.
const TSDB_LIMIT_MAX: usize = 10_000;
const TSDB_LIMIT_DEFAULT: usize = 10;

pub(super) async fn config(State(api): State<Arc<Api>>) -> Response {
    respond(Reply::of(&json!({ "yaml": api.host.config_yaml() })))
}

pub(super) async fn flags(State(api): State<Arc<Api>>) -> Response {
    respond(Reply::of(
        &api.host.flags().into_iter().collect::<BTreeMap<_, _>>(),
    ))
}

pub(super) async fn runtime_info(State(api): State<Arc<Api>>) -> Response {
    respond(Reply::of(&api.host.runtime_info()))
}

pub(super) async fn build_info(State(api): State<Arc<Api>>) -> Response {
    respond(Reply::of(&api.host.build_info()))
}

pub(super) async fn wal_replay(State(api): State<Arc<Api>>) -> Response {
    let (min, max, current) = api.host.wal_replay();
    respond(Reply::of(
        &json!({ "min": min, "max": max, "current": current }),
    ))
}

pub(super) async fn tsdb(State(api): State<Arc<Api>>, params: Params) -> Response {
    let limit = match params.get("limit") {
        "" => Ok(TSDB_LIMIT_DEFAULT),
        text => match text.parse::<usize>() {
            Ok(n) if n > TSDB_LIMIT_MAX => Err(ApiError::bad_data(format!(
                "limit must not exceed {TSDB_LIMIT_MAX}"
            ))),
            Ok(n) if n > 0 => Ok(n),
            _ => Err(ApiError::bad_data("limit must be a positive number")),
        },
    };
    respond(limit.map(|limit| Reply::data(api.host.tsdb_status(limit))))
}
