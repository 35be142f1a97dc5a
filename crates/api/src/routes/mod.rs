//! Which path does what.

mod admin;
mod explain;
mod labels;
mod lifecycle;
mod page;
mod queries;
mod query;
mod status;
mod targets;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::{delete, get, post};
use ferula_cluster::RefCache;
use ferula_env::Clock;
use ferula_promql::Engine;
use ferula_storage::{Admin, Append, Select};

use crate::compress;
use crate::host::{Host, Readiness};
use crate::stats::{self, HttpStats};

/// Everything the routes serve from.
pub struct Api {
    /// Answers queries.
    pub engine: Arc<Engine>,
    /// Reads series.
    pub select: Arc<dyn Select>,
    /// Takes samples.
    pub append: Arc<dyn Append>,
    /// Deletes, and knows where things are.
    pub admin: Arc<dyn Admin>,
    /// Finds known series of pushed requests from their raw bytes.
    pub refs: RefCache,
    /// What is scraped.
    pub scrape: Arc<ferula_scrape::Manager>,
    /// The process.
    pub host: Arc<dyn Host>,
    /// Requests, counted.
    pub http: Arc<HttpStats>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    let json = Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/format_query", get(query::format).post(query::format))
        .route("/parse_query", get(query::parse).post(query::parse))
        .route("/series", get(labels::series).post(labels::series))
        .route("/labels", get(labels::names).post(labels::names))
        .route("/label/{name}/values", get(labels::values))
        .route("/metadata", get(targets::metadata))
        .route("/targets", get(targets::targets))
        .route("/targets/metadata", get(targets::target_metadata))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/tsdb/blocks", get(admin::blocks))
        .route(
            "/admin/tsdb/delete_series",
            post(admin::delete_series).put(admin::delete_series),
        )
        .route(
            "/admin/tsdb/clean_tombstones",
            post(admin::clean_tombstones).put(admin::clean_tombstones),
        )
        .route(
            "/admin/tsdb/snapshot",
            post(admin::snapshot).put(admin::snapshot),
        )
        .layer(from_fn(compress::layer));
    let needs_readiness = Router::new()
        .merge(json)
        .route("/write", post(write::remote_write))
        .route_layer(from_fn_with_state(api.clone(), require_readiness));
    let v1 = needs_readiness.route("/status/walreplay", get(status::wal_replay));
    let own = Router::new()
        .route(
            "/query/explain",
            get(explain::explain).post(explain::explain),
        )
        .route("/series", get(admin::series).post(admin::series))
        .route("/queries", get(queries::list))
        .route("/queries/{id}", delete(queries::stop))
        .layer(from_fn(compress::layer))
        .route_layer(from_fn_with_state(api.clone(), require_readiness));
    Router::new()
        .nest("/api/v1", v1)
        .nest("/api/ferula/v1", own)
        .route(
            "/-/healthy",
            get(lifecycle::healthy).head(lifecycle::healthy),
        )
        .route("/-/ready", get(lifecycle::ready).head(lifecycle::ready))
        .route("/-/reload", axum::routing::any(lifecycle::reload))
        .route("/-/quit", axum::routing::any(lifecycle::quit))
        .route(
            "/metrics",
            get(lifecycle::metrics).layer(from_fn(compress::layer)),
        )
        .route("/", get(page::play))
        .route("/play", get(page::play))
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
        })
        .layer(from_fn_with_state(api.http.clone(), stats::layer))
        .layer(from_fn(api_conventions))
        .with_state(api)
}

/// Answers 503 until the start is done, and again while stopping.
async fn require_readiness(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let stopping = match api.host.readiness() {
        Readiness::Ready => return next.run(request).await,
        Readiness::Starting(_) => "false",
        Readiness::Stopping => "true",
    };
    let headers = [("X-Prometheus-Stopping", stopping)];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        headers,
        "Service Unavailable",
    )
        .into_response()
}

/// What holds for every API path: pages of other origins may ask, as the reference lets them by
/// default, and HEAD is not served.
async fn api_conventions(request: Request, next: Next) -> Response<Body> {
    if !request.uri().path().starts_with("/api/v1/") {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        Method::HEAD => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        let allowed = HeaderValue::from_static("Accept, Authorization, Content-Type, Origin");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        let methods = HeaderValue::from_static("GET, POST, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let exposed = HeaderValue::from_static("Date");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
