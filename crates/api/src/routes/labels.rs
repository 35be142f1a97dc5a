//! Series and labels.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use ferula_model::{Matcher, Range};
use ferula_promql::syntax;
use ferula_storage::{LabelQuery, SelectError};

use super::Api;
use crate::error::{ApiError, ErrorKind};
use crate::json;
use crate::params::Params;
use crate::reply::{ApiResult, Reply, respond};
use crate::tenant::tenant_of;

const TRUNCATED: &str = "results truncated due to limit";

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
    let (start, end) = params.range()?;
    let matchers = selectors(params).map_err(|e| ApiError::parameter("match[]", e.message))?;
    let query = label_query(headers, matchers, start, end, limit);
    let mut found = api.select.series(query).await.map_err(execution)?;
    let warnings = truncate(&mut found, limit);
    let mut data = String::from("[");
    for (i, labels) in found.iter().enumerate() {
        if i > 0 {
            data.push(',');
        }
        json::labels(&mut data, labels);
    }
    data.push(']');
    Ok(Reply {
        data,
        warnings,
        ..Reply::default()
    })
}

pub(super) async fn names(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    respond(names_of(&api, &headers, &params).await)
}

async fn names_of(api: &Api, headers: &HeaderMap, params: &Params) -> ApiResult {
    let limit = params.limit()?;
    let (start, end) = params.range()?;
    let query = label_query(headers, selectors(params)?, start, end, limit);
    let found = api.select.label_names(query).await.map_err(execution)?;
    strings(found, limit)
}

pub(super) async fn values(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    respond(values_of(&api, &name, &headers, &params).await)
}

async fn values_of(api: &Api, name: &str, headers: &HeaderMap, params: &Params) -> ApiResult {
    let name = unescaped(name);
    if name.is_empty() || name.contains('\u{FFFD}') {
        let quoted = ferula_model::text::quote::quoted(&name);
        return Err(ApiError::bad_data(format!("invalid label name: {quoted}")));
    }
    let limit = params.limit()?;
    let (start, end) = params.range()?;
    let query = label_query(headers, selectors(params)?, start, end, limit);
    let found = api
        .select
        .label_values(name, query)
        .await
        .map_err(execution)?;
    strings(found, limit)
}

/// Names that start with `U__` are in Prometheus's escaping of names for URLs: `__` is `_`,
/// `_2e_` the character with that code point. What does not decode is taken as it is.
fn unescaped(name: &str) -> String {
    let decode = |escaped: &str| {
        let mut out = String::new();
        let mut rest = escaped;
        while let Some(at) = rest.find('_') {
            out.push_str(&rest[..at]);
            let (code, after) = rest[at + 1..].split_once('_')?;
            match code {
                "" => out.push('_'),
                hex => out.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?),
            }
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    };
    name.strip_prefix("U__")
        .and_then(decode)
        .unwrap_or_else(|| name.to_owned())
}

/// The selectors of `match[]`, each with at least one test that is not met by nothing.
pub(super) fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    params
        .all("match[]")
        .map(|text| {
            let matchers = syntax::parse_selector(text)
                .map_err(|error| ApiError::bad_data(error.display(text).to_string()))?;
            if matchers.iter().all(Matcher::matches_empty) {
                let text = "match[] must contain at least one non-empty matcher";
                return Err(ApiError::bad_data(text));
            }
            Ok(matchers)
        })
        .collect()
}

fn label_query(
    headers: &HeaderMap,
    matchers: Vec<Vec<Matcher>>,
    start: i64,
    end: i64,
    limit: usize,
) -> LabelQuery {
    LabelQuery {
        tenant: tenant_of(headers),
        matchers,
        range: Range::closed(start, end),
        // One more than asked for tells whether there was more.
        limit: if limit == 0 {
            0
        } else {
            limit.saturating_add(1)
        },
    }
}

/// Takes off what is beyond `limit`, and says so.
pub(super) fn truncate<T>(found: &mut Vec<T>, limit: usize) -> Vec<String> {
    if limit == 0 || found.len() <= limit {
        return Vec::new();
    }
    found.truncate(limit);
    vec![TRUNCATED.to_owned()]
}

fn strings(mut found: Vec<String>, limit: usize) -> ApiResult {
    let warnings = truncate(&mut found, limit);
    Ok(Reply {
        warnings,
        ..Reply::of(&found)?
    })
}

fn execution(error: SelectError) -> ApiError {
    let kind = match error {
        SelectError::Unavailable { .. } => ErrorKind::Unavailable,
        SelectError::Corrupt { .. } => ErrorKind::Execution,
    };
    ApiError::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names() {
        let check = |name: &str, expected: &str| assert_eq!(unescaped(name), expected, "{name}");
        check("job", "job");
        check("U__http_2e_status", "http.status");
        check("U__a__b", "a_b");
        check("U__bad_zz_", "U__bad_zz_");
    }
}
