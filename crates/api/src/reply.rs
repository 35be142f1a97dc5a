//! The envelope around every answer.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::json;

/// The header that tells what a query took.
const COST: &str = "ferula-query-cost";

/// An answer: data that is JSON already, and what the user should be told beside it.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The value of `data`, encoded.
    pub(crate) data: String,
    /// What a query took, in one line; sent as a header.
    pub(crate) cost: Option<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Reply {
    pub(crate) fn data(data: String) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }

    /// Encodes `value`, whose strings are then escaped as Go's HTML-safe encoder does.
    pub(crate) fn of(value: &impl serde::Serialize) -> Result<Self, ApiError> {
        let data = serde_json::to_string(value).map_err(|e| {
            ApiError::new(
                crate::error::ErrorKind::Internal,
                format!("encoding the answer: {e}"),
            )
        })?;
        Ok(Self::data(html_safe(data)))
    }
}

/// In JSON text, `<`, `>` and `&` stand only inside strings, so they can be replaced anywhere.
fn html_safe(json: String) -> String {
    if !json.contains(['<', '>', '&']) {
        return json;
    }
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// What a handler returns.
pub(crate) type ApiResult = Result<Reply, ApiError>;

/// Puts the envelope around an answer or an error.
pub(crate) fn respond(result: ApiResult) -> Response {
    let (status, body, cost) = match result {
        Ok(reply) => (StatusCode::OK, success_body(&reply), reply.cost),
        Err(error) => (error.kind.status(), error_body(&error), None),
    };
    let mut response = (status, body).into_response();
    if let Some(cost) = cost.and_then(|cost| HeaderValue::try_from(cost).ok()) {
        response.headers_mut().insert(COST, cost);
    }
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn success_body(reply: &Reply) -> String {
    let mut body = String::with_capacity(reply.data.len() + 64);
    body.push_str("{\"status\":\"success\",\"data\":");
    body.push_str(&reply.data);
    for (name, texts) in [("warnings", &reply.warnings), ("infos", &reply.infos)] {
        if texts.is_empty() {
            continue;
        }
        body.push_str(",\"");
        body.push_str(name);
        body.push_str("\":[");
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                body.push(',');
            }
            json::string(&mut body, text, true);
        }
        body.push(']');
    }
    body.push('}');
    body
}

pub(crate) fn error_body(error: &ApiError) -> String {
    let mut body = String::from("{\"status\":\"error\",\"errorType\":\"");
    body.push_str(error.kind.word());
    body.push_str("\",\"error\":");
    json::string(&mut body, &error.message, true);
    body.push('}');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_the_reference_order() {
        let reply = Reply {
            cost: None,
            data: "[]".into(),
            warnings: vec!["results truncated due to limit".into()],
            infos: vec!["a<b".into()],
        };
        assert_eq!(
            success_body(&reply),
            r#"{"status":"success","data":[],"warnings":["results truncated due to limit"],"infos":["a\u003cb"]}"#
        );
        let error = ApiError::parameter("query", "1:5: parse error: unexpected identifier \"bar\"");
        assert_eq!(
            error_body(&error),
            r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected identifier \"bar\""}"#
        );
    }
}
