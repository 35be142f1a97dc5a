//! Health, readiness, reload, end; and the metrics of the server itself.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::host::Readiness;

pub(super) async fn healthy() -> &'static str {
    "Ferula is Healthy.\n"
}

pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let (stopping, text) = match api.host.readiness() {
        Readiness::Ready => return "Ferula is Ready.\n".into_response(),
        Readiness::Starting(progress) => ("false", format!("Service Unavailable: {progress}\n")),
        Readiness::Stopping => ("true", "Service Unavailable: stopping\n".to_owned()),
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [("X-Prometheus-Stopping", stopping)],
        text,
    )
        .into_response()
}

/// Whether a lifecycle request may go on; the answer if it may not.
fn refused(api: &Api, method: &Method) -> Option<Response> {
    if method != Method::POST && method != Method::PUT {
        let text = "Only POST or PUT requests allowed\n";
        return Some((StatusCode::METHOD_NOT_ALLOWED, text).into_response());
    }
    if !api.host.lifecycle_enabled() {
        return Some((StatusCode::FORBIDDEN, "Lifecycle API is not enabled.\n").into_response());
    }
    None
}

pub(super) async fn reload(State(api): State<Arc<Api>>, method: Method) -> Response {
    if let Some(response) = refused(&api, &method) {
        return response;
    }
    match api.host.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let text = format!("failed to reload config: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

pub(super) async fn quit(State(api): State<Arc<Api>>, method: Method) -> Response {
    if let Some(response) = refused(&api, &method) {
        return response;
    }
    match api.host.quit() {
        true => "Requesting termination... Goodbye!".into_response(),
        false => "Termination already in progress.".into_response(),
    }
}

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let format = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    ([(header::CONTENT_TYPE, format)], api.host.metrics()).into_response()
}
