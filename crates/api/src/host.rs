//! What the routes need of the process around them.

use futures::future::BoxFuture;
use serde::Serialize;

/// Whether requests can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// Not yet; the text says how far the start is.
    Starting(String),
    /// No more.
    Stopping,
}

/// `/api/v1/status/buildinfo`. Grafana reads `version` to know what it may ask for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the fields of the reference's answer
pub struct BuildInfo {
    pub version: String,
    pub revision: String,
    pub branch: String,
    pub build_user: String,
    pub build_date: String,
    pub go_version: String,
}

/// `/api/v1/status/runtimeinfo`, the Go-only fields with what comes nearest.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the fields of the reference's answer
pub struct RuntimeInfo {
    #[serde(rename = "startTime")]
    pub start_time: String,
    #[serde(rename = "CWD")]
    pub cwd: String,
    pub hostname: String,
    #[serde(rename = "serverTime")]
    pub server_time: String,
    #[serde(rename = "reloadConfigSuccess")]
    pub reload_config_success: bool,
    #[serde(rename = "lastConfigTime")]
    pub last_config_time: String,
    #[serde(rename = "corruptionCount")]
    pub corruption_count: u64,
    #[serde(rename = "goroutineCount")]
    pub goroutine_count: u64,
    #[serde(rename = "GOMAXPROCS")]
    pub gomaxprocs: u64,
    #[serde(rename = "GOMEMLIMIT")]
    pub gomemlimit: u64,
    #[serde(rename = "GOGC")]
    pub gogc: String,
    #[serde(rename = "GODEBUG")]
    pub godebug: String,
    #[serde(rename = "storageRetention")]
    pub storage_retention: String,
}

/// The process, as far as the routes may see and steer it.
pub trait Host: Send + Sync {
    /// Whether requests can be served.
    fn readiness(&self) -> Readiness;
    /// What was built.
    fn build_info(&self) -> BuildInfo;
    /// What is running.
    fn runtime_info(&self) -> RuntimeInfo;
    /// What other machines call this one.
    fn hostname(&self) -> String;
    /// Command-line settings, by name.
    fn flags(&self) -> Vec<(String, String)>;
    /// The configuration in force, secrets masked.
    fn config_yaml(&self) -> String;
    /// Replay progress: first segment, last segment, segments read.
    fn wal_replay(&self) -> (u64, u64, u64);
    /// `/api/v1/status/tsdb`'s data as JSON, lists no longer than `limit`.
    fn tsdb_status(&self, limit: usize) -> String;
    /// Own metrics in text exposition format.
    fn metrics(&self) -> Vec<u8>;
    /// Whether `/-/reload` and `/-/quit` are served.
    fn lifecycle_enabled(&self) -> bool;
    /// Whether `/api/v1/admin` is served.
    fn admin_enabled(&self) -> bool;
    /// Reads the configuration again; all of it takes effect, or none.
    fn reload(&self) -> BoxFuture<'_, Result<(), String>>;
    /// Begins an orderly end; false if one has begun already.
    fn quit(&self) -> bool;
}
