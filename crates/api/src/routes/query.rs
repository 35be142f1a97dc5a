//! Instant and range queries; queries as text and as trees.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use ferula_model::{Labels, TenantId, Value};
use ferula_promql::{
    MatrixSeries, Origin, Query, QueryError, QueryParams, QueryResult, QueryValue, Times, syntax,
};
use ferula_storage::Columns;

use super::Api;
use crate::asker::Asker;
use crate::error::{ApiError, ErrorKind};
use crate::json;
use crate::params::{Params, parse_duration_ms};
use crate::query_stats;
use crate::reply::{ApiResult, Reply, respond};

/// The most steps a range query may have.
const POINTS_MAX: i64 = 11_000;

pub(super) async fn instant(State(api): State<Arc<Api>>, asker: Asker, params: Params) -> Response {
    respond(instant_of(&api, asker, &params).await)
}

async fn instant_of(api: &Api, asker: Asker, params: &Params) -> ApiResult {
    let limit = params.limit()?;
    let evaluation = Evaluation::instant(api, params, asker.origin)?;
    let text = params.get("query");
    let result = evaluation.run(api, &asker.tenant, text).await?;
    Ok(answer(result, limit, params.get("stats")))
}

pub(super) async fn range(State(api): State<Arc<Api>>, asker: Asker, params: Params) -> Response {
    respond(range_of(&api, asker, &params).await)
}

async fn range_of(api: &Api, asker: Asker, params: &Params) -> ApiResult {
    let limit = params.limit()?;
    let evaluation = Evaluation::range(params, asker.origin)?;
    let text = params.get("query");
    let result = evaluation.run(api, &asker.tenant, text).await?;
    Ok(answer(result, limit, params.get("stats")))
}

/// When and how an expression is to be evaluated.
pub(super) struct Evaluation {
    times: Times,
    pub(super) options: QueryParams,
}

impl Evaluation {
    /// At one instant.
    pub(super) fn instant(api: &Api, params: &Params, origin: Origin) -> Result<Self, ApiError> {
        let time = params.time_or("time", api.clock.now_ms())?;
        Ok(Self {
            times: Times::Instant(time),
            options: options(params, origin)?,
        })
    }

    /// At the steps of a range.
    pub(super) fn range(params: &Params, origin: Origin) -> Result<Self, ApiError> {
        let (start, end) = (params.time("start")?, params.time("end")?);
        if end < start {
            return Err(ApiError::parameter(
                "end",
                "end timestamp must not be before start time",
            ));
        }
        let step_ms =
            parse_duration_ms(params.get("step")).map_err(|e| ApiError::parameter("step", e))?;
        if step_ms <= 0 {
            let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ApiError::parameter("step", text));
        }
        if end.saturating_sub(start) / step_ms > POINTS_MAX {
            let text = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
            return Err(ApiError::bad_data(text));
        }
        Ok(Self {
            times: Times::Range {
                start,
                end,
                step_ms,
            },
            options: options(params, origin)?,
        })
    }

    /// Evaluates an expression.
    pub(super) async fn run(
        &self,
        api: &Api,
        tenant: &TenantId,
        text: &str,
    ) -> Result<QueryResult, ApiError> {
        let query = api.engine.parse(text).map_err(query_error)?;
        let running = api
            .engine
            .run(&*api.select, tenant, &query, self.times, &self.options);
        running.await.map_err(query_error)
    }
}

/// The query in canonical form, broken into lines.
pub(super) async fn format(State(api): State<Arc<Api>>, params: Params) -> Response {
    respond(parsed(&api, &params).map(|query| {
        let mut data = String::new();
        json::string(&mut data, &syntax::pretty(&query.expr), true);
        Reply::data(data)
    }))
}

/// The query as a tree.
pub(super) async fn parse(State(api): State<Arc<Api>>, params: Params) -> Response {
    respond(parsed(&api, &params).map(|query| Reply::data(syntax::json(&query.expr))))
}

fn parsed(api: &Api, params: &Params) -> Result<Query, ApiError> {
    api.engine.parse(params.get("query")).map_err(query_error)
}

fn options(params: &Params, origin: Origin) -> Result<QueryParams, ApiError> {
    let timeout = params.duration("timeout")?;
    let lookback = match params.get("lookback_delta") {
        "" => None,
        text => {
            let ms = parse_duration_ms(text).map_err(|error| {
                ApiError::bad_data(format!("error parsing lookback delta duration: {error}"))
            })?;
            u64::try_from(ms)
                .ok()
                .filter(|&ms| ms > 0)
                .map(Duration::from_millis)
        }
    };
    Ok(QueryParams {
        timeout,
        lookback,
        origin: Some(origin),
        step_stats: params.get("stats") == "all",
        ..QueryParams::default()
    })
}

fn answer(mut result: QueryResult, limit: usize, stats: &str) -> Reply {
    let truncated = match &mut result.value {
        QueryValue::Vector(samples) => truncate(samples, limit),
        QueryValue::Matrix(series) => truncate(series, limit),
        QueryValue::Scalar { .. } | QueryValue::String { .. } => false,
    };
    if truncated {
        result
            .warnings
            .push("results truncated due to limit".to_owned());
    }
    if !matches!(stats, "" | "true" | "all") {
        let quoted = ferula_model::text::quote::quoted(stats);
        result.warnings.push(format!(
            "value {quoted} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\""
        ));
    }
    let mut data = String::from("{\"resultType\":\"");
    write_value(&mut data, &result.value);
    if !stats.is_empty() {
        data.push_str(",\"stats\":");
        data.push_str(&query_stats::json(&result.stats));
    }
    data.push('}');
    Reply {
        data,
        cost: Some(query_stats::cost(&result.stats)),
        warnings: result.warnings,
        infos: result.infos,
    }
}

fn query_error(error: QueryError) -> ApiError {
    let text = error.to_string();
    match error {
        QueryError::Parse(_) => ApiError::parameter("query", text),
        QueryError::Timeout(_) => ApiError::new(ErrorKind::Timeout, text),
        QueryError::Canceled(_) => ApiError::new(ErrorKind::Canceled, text),
        QueryError::QueueFull { .. } => ApiError::new(ErrorKind::Busy, text),
        QueryError::Execution(_)
        | QueryError::TooManySamples
        | QueryError::TooManyBytes { .. }
        | QueryError::Storage(_)
        | QueryError::Internal(_) => ApiError::new(ErrorKind::Execution, text),
    }
}

fn truncate<T>(list: &mut Vec<T>, limit: usize) -> bool {
    let too_long = limit > 0 && list.len() > limit;
    if too_long {
        list.truncate(limit);
    }
    too_long
}

/// Appends `vector","result":[…]` and the like.
fn write_value(out: &mut String, value: &QueryValue) {
    match value {
        QueryValue::Scalar { timestamp, value } => {
            out.push_str("scalar\",\"result\":[");
            seconds(out, *timestamp);
            out.push_str(",\"");
            ferula_model::text::number::write_plain(out, *value);
            out.push_str("\"]");
        }
        QueryValue::String { timestamp, value } => {
            out.push_str("string\",\"result\":[");
            seconds(out, *timestamp);
            out.push(',');
            json::string(out, value, true);
            out.push(']');
        }
        QueryValue::Vector(samples) => {
            out.push_str("vector\",\"result\":[");
            for (i, sample) in samples.iter().enumerate() {
                begin_series(out, i, &sample.labels);
                match &sample.value {
                    Value::Float(v) => {
                        out.push_str(",\"value\":");
                        json::point(out, sample.timestamp, *v);
                    }
                    Value::Histogram(h) => {
                        out.push_str(",\"histogram\":[");
                        json::timestamp(out, sample.timestamp);
                        out.push(',');
                        json::histogram(out, h);
                        out.push(']');
                    }
                }
                out.push('}');
            }
            out.push(']');
        }
        QueryValue::Matrix(series) => {
            out.push_str("matrix\",\"result\":[");
            for (i, MatrixSeries { labels, columns }) in series.iter().enumerate() {
                begin_series(out, i, labels);
                write_columns(out, columns);
                out.push('}');
            }
            out.push(']');
        }
    }
}

fn begin_series(out: &mut String, index: usize, labels: &Labels) {
    out.push_str(if index > 0 {
        ",{\"metric\":"
    } else {
        "{\"metric\":"
    });
    json::labels(out, labels);
}

fn write_columns(out: &mut String, columns: &Columns) {
    if !columns.timestamps.is_empty() {
        out.push_str(",\"values\":[");
        for (i, (t, v)) in columns.timestamps.iter().zip(&columns.values).enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::point(out, *t, *v);
        }
        out.push(']');
    }
    if !columns.histograms.is_empty() {
        out.push_str(",\"histograms\":[");
        for (i, point) in columns.histograms.iter().enumerate() {
            out.push_str(if i > 0 { ",[" } else { "[" });
            json::timestamp(out, point.timestamp);
            out.push(',');
            json::histogram(out, &point.histogram);
            out.push(']');
        }
        out.push(']');
    }
}

/// A time as a plain JSON number, which scalars and strings have.
fn seconds(out: &mut String, t: i64) {
    ferula_model::text::number::write_plain(out, t as f64 / 1_000.0);
}
