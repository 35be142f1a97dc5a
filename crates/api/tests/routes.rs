//! The routes, called without a network: status, envelope and texts that clients compare.

#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use ferula_api::{Api, BuildInfo, Host, HttpStats, Readiness, RuntimeInfo, router};
use ferula_cluster::RefCache;
use ferula_env::{Clock, SystemClock};
use ferula_model::{Labels, Range, TenantId, Ulid};
use ferula_promql::{Engine, EngineOptions};
use ferula_scrape::{Alignment, Manager, Options};
use ferula_storage::{
    Admin, AdminError, Append, AppendError, Batch, BlockInfo, Deletion, Report, SeriesInfo,
    SeriesQuery, Stretch,
};
use ferula_testkit::MemStore;
use ferula_wire::Sample;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tower::ServiceExt as _;

/// A process of which nothing is true but its readiness, and whether it may be administered.
struct Bare(Readiness, bool);

impl Host for Bare {
    fn readiness(&self) -> Readiness {
        self.0.clone()
    }
    fn build_info(&self) -> BuildInfo {
        let none = String::new;
        BuildInfo {
            version: "3.5.0".to_owned(),
            revision: none(),
            branch: none(),
            build_user: none(),
            build_date: none(),
            go_version: none(),
        }
    }
    fn runtime_info(&self) -> RuntimeInfo {
        unreachable!("not asked for here")
    }
    fn hostname(&self) -> String {
        "box".to_owned()
    }
    fn flags(&self) -> Vec<(String, String)> {
        vec![("web.enable-lifecycle".to_owned(), "false".to_owned())]
    }
    fn config_yaml(&self) -> String {
        "global: {}\n".to_owned()
    }
    fn wal_replay(&self) -> (u64, u64, u64) {
        (0, 3, 1)
    }
    fn tsdb_status(&self, limit: usize) -> String {
        format!("{{\"limit\":{limit}}}")
    }
    fn metrics(&self) -> Vec<u8> {
        b"up 1\n".to_vec()
    }
    fn lifecycle_enabled(&self) -> bool {
        false
    }
    fn admin_enabled(&self) -> bool {
        self.1
    }
    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        unreachable!("lifecycle is off")
    }
    fn quit(&self) -> bool {
        unreachable!("lifecycle is off")
    }
}

struct Full;

impl Append for Full {
    fn append(&self, _: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        let limit = "--storage.head-bytes-max";
        Box::pin(async move {
            Err(AppendError::HeadFull {
                used: 2,
                max: 1,
                limit,
            })
        })
    }
}

/// A store of one block and one series, which cannot be cleaned and notes what it is asked for.
#[derive(Default)]
struct Noted(Mutex<Vec<String>>);

impl Admin for Noted {
    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<(), AdminError>> {
        let sets = deletion.matchers.iter().map(|set| {
            let texts: Vec<_> = set.iter().map(ToString::to_string).collect();
            texts.join(",")
        });
        let (sets, Range { start, end }) = (sets.collect::<Vec<_>>().join(" or "), deletion.range);
        self.0.lock().push(format!("delete {sets} {start} {end}"));
        Box::pin(async { Ok(()) })
    }
    fn clean(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async { Err(AdminError::Failed("block 7: no room".to_owned())) })
    }
    fn snapshot(&self, name: String, skip_head: bool) -> BoxFuture<'_, Result<(), AdminError>> {
        self.0.lock().push(format!("snapshot {name} {skip_head}"));
        Box::pin(async { Ok(()) })
    }
    fn blocks(&self) -> BoxFuture<'_, Result<Vec<BlockInfo>, AdminError>> {
        let block = BlockInfo {
            id: Ulid(7),
            range: Range { start: 0, end: 5 },
            level: 1,
            series: 2,
            samples: 3,
            bytes: 4,
            sources: vec![Ulid(7)],
            deletes: 0,
        };
        Box::pin(async { Ok(vec![block]) })
    }
    fn where_is(&self, query: SeriesQuery) -> BoxFuture<'_, Result<Vec<SeriesInfo>, AdminError>> {
        let part = |samples, first, last| Stretch {
            samples,
            first,
            last,
        };
        let info = SeriesInfo {
            labels: Labels::from_pairs([("__name__", "up")]),
            head: Some(part(2, 5, 6)),
            blocks: vec![(Ulid(7), part(3, 1, 4))],
            active: true,
        };
        Box::pin(async move { Ok(vec![info; query.limit.min(3)]) })
    }
}

fn api(readiness: Readiness) -> Arc<Api> {
    api_of(Bare(readiness, false), Arc::default())
}

fn api_of(host: Bare, admin: Arc<Noted>) -> Arc<Api> {
    let clock: Arc<dyn Clock> = SystemClock::shared();
    let options = Options {
        tenant: TenantId::anonymous(),
        user_agent: "test".to_owned(),
        offset_seed: 0,
        alignment: Alignment {
            tolerance: Duration::ZERO,
        },
        discovery_reload_interval: Duration::from_secs(5),
    };
    Arc::new(Api {
        engine: Arc::new(Engine::new(EngineOptions::prometheus(), clock.clone())),
        select: Arc::new(MemStore::default()),
        append: Arc::new(Full),
        admin,
        refs: RefCache::new(1),
        scrape: Arc::new(Manager::new(clock.clone(), Arc::new(Full), options)),
        host: Arc::new(host),
        http: Arc::new(HttpStats::new(clock.clone())),
        clock,
    })
}

async fn check(readiness: Readiness, method: &str, path: &str, status: u16, body: &str) {
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("Origin", "http://grafana")
        .body(Body::empty())
        .unwrap();
    let response = router(api(readiness)).oneshot(request).await.unwrap();
    let (parts, answer) = response.into_parts();
    let answer = answer.collect().await.unwrap().to_bytes();
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    assert_eq!(parts.status, status, "{method} {path}: {answer}");
    assert!(answer.contains(body), "{method} {path}: {answer}");
    let shared = parts.headers.get("Access-Control-Allow-Origin");
    assert_eq!(
        shared.is_some(),
        path.starts_with("/api/v1/"),
        "{method} {path}"
    );
}

#[tokio::test]
async fn answers_as_the_reference_does() {
    let table = [
        (
            "GET",
            "/api/v1/query?query=1%2B1&time=5",
            200,
            r#""result":[5,"2"]"#,
        ),
        (
            "GET",
            "/api/v1/query",
            400,
            "unknown position: parse error: no expression found",
        ),
        (
            "GET",
            "/api/v1/query?query=foo&time=x",
            400,
            r#"cannot parse \"x\" to a valid timestamp"#,
        ),
        (
            "GET",
            "/api/v1/query_range?query=1&start=0&end=11001&step=1",
            400,
            "maximum resolution",
        ),
        (
            "GET",
            "/api/v1/query_range?query=1&start=1&end=0&step=1",
            400,
            "must not be before",
        ),
        (
            "GET",
            "/api/v1/query_range?query=1&start=0&end=1&step=0",
            400,
            "zero or negative",
        ),
        (
            "GET",
            "/api/v1/series",
            400,
            "no match[] parameter provided",
        ),
        (
            "GET",
            "/api/v1/labels",
            200,
            r#"{"status":"success","data":[]}"#,
        ),
        ("GET", "/api/v1/label/U__a/values", 200, "[]"),
        (
            "GET",
            "/api/v1/metadata?limit=x",
            400,
            "limit must be a number",
        ),
        (
            "GET",
            "/api/v1/targets?state=active",
            200,
            r#""droppedTargetCounts":null"#,
        ),
        (
            "GET",
            "/api/v1/status/buildinfo",
            200,
            r#""version":"3.5.0""#,
        ),
        ("GET", "/api/v1/status/tsdb?limit=7", 200, r#"{"limit":7}"#),
        (
            "GET",
            "/api/v1/status/tsdb?limit=0",
            400,
            "limit must be a positive number",
        ),
        (
            "GET",
            "/api/v1/status/tsdb/blocks",
            200,
            r#"{"blocks":[{"compaction":{"level":1,"sources":["00000000000000000000000007"]},"maxTime":5,"minTime":0,"#,
        ),
        (
            "POST",
            "/api/v1/admin/tsdb/delete_series?match[]=up",
            500,
            r#""errorType":"unavailable","error":"admin APIs disabled""#,
        ),
        (
            "PUT",
            "/api/v1/admin/tsdb/clean_tombstones",
            500,
            "admin APIs disabled",
        ),
        (
            "POST",
            "/api/v1/admin/tsdb/snapshot",
            500,
            "admin APIs disabled",
        ),
        (
            "GET",
            "/api/v1/admin/tsdb/snapshot",
            405,
            "Method Not Allowed",
        ),
        (
            "GET",
            "/api/ferula/v1/series?match[]=up&limit=1",
            200,
            r#"[{"labels":{"__name__":"up"},"minTime":1,"maxTime":6,"active":true,"head":{"maxTime":6,"minTime":5,"samples":2},"blocks":[{"maxTime":4,"minTime":1,"samples":3,"ulid":"00000000000000000000000007"}]}],"warnings":["results truncated due to limit"]"#,
        ),
        (
            "GET",
            "/api/ferula/v1/series",
            400,
            "no match[] parameter provided",
        ),
        ("GET", "/api/ferula/v1/queries", 200, r#"{"queries":[]}"#),
        (
            "GET",
            "/api/ferula/v1/query/explain?query=-vector(time())&start=0&end=60&step=60",
            200,
            r#"{"title":"-","seriesIn":1,"seriesOut":1,"samplesRead":0,"samplesOut":2,"#,
        ),
        (
            "GET",
            "/api/ferula/v1/query/explain?query=sum(x&time=0",
            400,
            "unclosed left parenthesis",
        ),
        (
            "GET",
            "/api/ferula/v1/queries?state=slow",
            400,
            "`running`, `queued`",
        ),
        (
            "DELETE",
            "/api/ferula/v1/queries/7",
            404,
            r#""errorType":"not_found""#,
        ),
        ("OPTIONS", "/api/v1/query", 204, ""),
        ("DELETE", "/api/v1/series", 405, "Method Not Allowed"),
        ("HEAD", "/api/v1/labels", 405, ""),
        ("GET", "/-/reload", 405, "Only POST or PUT requests allowed"),
        ("GET", "/api/v1/nope", 404, "404 page not found"),
        ("POST", "/-/reload", 403, "Lifecycle API is not enabled."),
        ("GET", "/-/healthy", 200, "Ferula is Healthy."),
        ("HEAD", "/-/ready", 200, ""),
        ("GET", "/metrics", 200, "up 1"),
        ("GET", "/", 200, "<title>Ferula</title>"),
        (
            "POST",
            "/api/v1/write",
            415,
            "expected application/x-protobuf",
        ),
    ];
    for (method, path, status, body) in table {
        check(Readiness::Ready, method, path, status, body).await;
    }
}

#[tokio::test]
async fn administration_where_it_is_enabled() {
    let admin = Arc::new(Noted::default());
    for (path, status, body) in [
        ("delete_series", 400, "no match[] parameter provided"),
        (
            "delete_series?match[]=up&start=x",
            400,
            r#"invalid parameter \"start\": invalid time value for 'start'"#,
        ),
        (
            "delete_series?match[]=up&match[]=foo[",
            400,
            r#"invalid parameter \"match[]\": 1:4: parse error"#,
        ),
        (
            "delete_series?match[]=up&match[]={a=\"\"}&start=1&end=2",
            204,
            "",
        ),
        (
            "clean_tombstones",
            500,
            r#""errorType":"internal","error":"block 7: no room""#,
        ),
        (
            "snapshot?skip_head=maybe",
            400,
            r#"unable to parse boolean: strconv.ParseBool: parsing \"maybe\": invalid syntax"#,
        ),
        ("snapshot?skip_head=1", 200, r#""data":{"name":"20"#),
    ] {
        let path = path.replace('"', "%22");
        let request = Request::post(format!("/api/v1/admin/tsdb/{path}"))
            .body(Body::empty())
            .unwrap();
        let router = router(api_of(Bare(Readiness::Ready, true), admin.clone()));
        let response = router.oneshot(request).await.unwrap();
        let answered = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        assert_eq!(answered, status, "{path}: {answer}");
        assert!(answer.contains(body), "{path}: {answer}");
    }
    let noted = std::mem::take(&mut *admin.0.lock());
    assert_eq!(noted[0], "delete __name__=\"up\" or a=\"\" 1000 2001");
    let [_, snapshot] = &noted[..] else {
        panic!("{noted:?}");
    };
    // snapshot 20261128T131500Z-0123456789abcdef true
    assert_eq!(
        snapshot.len(),
        "snapshot ".len() + 16 + 1 + 16 + " true".len()
    );
    assert!(snapshot.ends_with(" true"), "{snapshot}");
}

#[tokio::test]
async fn answers_to_queries_tell_what_they_took() {
    let request = Request::get("/api/v1/query?query=vector(1)")
        .body(Body::empty())
        .unwrap();
    let response = router(api(Readiness::Ready))
        .oneshot(request)
        .await
        .unwrap();
    let cost = response.headers()["ferula-query-cost"].to_str().unwrap();
    assert!(cost.starts_with("0 series, 0 samples, 0.0 MiB, "), "{cost}");
}

#[tokio::test]
async fn only_health_and_progress_before_the_start_is_done() {
    let starting = || Readiness::Starting("replaying the log, 1 of 3 segments".to_owned());
    check(starting(), "GET", "/-/ready", 503, "1 of 3 segments").await;
    check(starting(), "GET", "/-/healthy", 200, "Healthy").await;
    check(
        starting(),
        "GET",
        "/api/v1/query?query=1",
        503,
        "Service Unavailable",
    )
    .await;
    check(
        starting(),
        "POST",
        "/api/v1/write",
        503,
        "Service Unavailable",
    )
    .await;
    check(
        starting(),
        "GET",
        "/api/v1/status/walreplay",
        200,
        r#""current":1"#,
    )
    .await;
}

#[tokio::test]
async fn a_full_head_asks_the_sender_to_wait() {
    let mut encoder = ferula_wire::Encoder::default();
    encoder.series(
        [("__name__", "m")],
        &[Sample {
            timestamp: 1,
            value: 1.0,
        }],
        &[],
    );
    let body = ferula_wire::snappy::compress(encoder.message()).unwrap();
    let request = Request::post("/api/v1/write")
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .body(Body::from(body))
        .unwrap();
    let response = router(api(Readiness::Ready))
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("Retry-After"));
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    assert!(
        answer.contains("raise --storage.head-bytes-max"),
        "{answer}"
    );
}
