//! The process as the HTTP routes see it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ferula_api::{BuildInfo, Host, HttpStats, Readiness, RuntimeInfo};
use ferula_env::{Clock, Disk};
use ferula_model::{TenantId, Timestamp};
use ferula_promql::Engine;
use ferula_shard::Shard;
use ferula_tsdb::log::Progress;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use crate::journal::QueryLog;
use crate::metrics;
use crate::process;
use crate::reload::Reloader;
use crate::retention::Keeping;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Replaying its log.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what was begun.
    Stopping,
}

/// What the routes ask of the process.
pub(crate) struct Process {
    pub(crate) flags: Vec<(String, String)>,
    pub(crate) lifecycle: bool,
    pub(crate) admin: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) keeping: Arc<Keeping>,
    pub(crate) scrape: Arc<ferula_scrape::Manager>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) http: Arc<HttpStats>,
    pub(crate) query_log: Arc<QueryLog>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) shard: OnceLock<Arc<Shard>>,
    pub(crate) started: Timestamp,
    stage: Mutex<Stage>,
    quit: Notify,
    quitting: AtomicBool,
}

impl Process {
    #[allow(clippy::too_many_arguments)] // each is one part, named where it is stored
    pub(crate) fn new(
        flags: Vec<(String, String)>,
        lifecycle: bool,
        admin: bool,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        reloader: Arc<Reloader>,
        keeping: Arc<Keeping>,
        scrape: Arc<ferula_scrape::Manager>,
        engine: Arc<Engine>,
        http: Arc<HttpStats>,
        query_log: Arc<QueryLog>,
    ) -> Self {
        Self {
            started: clock.now_ms(),
            flags,
            lifecycle,
            admin,
            clock,
            disk,
            reloader,
            keeping,
            scrape,
            engine,
            http,
            query_log,
            progress: Arc::default(),
            shard: OnceLock::new(),
            stage: Mutex::new(Stage::Starting),
            quit: Notify::new(),
            quitting: AtomicBool::new(false),
        }
    }

    /// The shard is open.
    pub(crate) fn opened(&self, shard: Arc<Shard>) {
        let _ = self.shard.set(shard);
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        *self.stage.lock() = stage;
    }

    /// Resolves once somebody asked for the end over HTTP.
    pub(crate) async fn quit_requested(&self) {
        self.quit.notified().await;
    }
}

/// What other machines call this one.
pub(crate) fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn rfc3339(t: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(t)
        .unwrap_or_default()
        .to_string()
}

impl Host for Process {
    fn readiness(&self) -> Readiness {
        match *self.stage.lock() {
            Stage::Ready => Readiness::Ready,
            Stage::Stopping => Readiness::Stopping,
            Stage::Starting => Readiness::Starting(starting(&self.progress)),
        }
    }

    fn build_info(&self) -> BuildInfo {
        BuildInfo {
            version: metrics::COMPATIBLE_VERSION.to_owned(),
            revision: format!("ferula-{}", env!("CARGO_PKG_VERSION")),
            branch: String::new(),
            build_user: String::new(),
            build_date: String::new(),
            go_version: String::new(),
        }
    }

    fn runtime_info(&self) -> RuntimeInfo {
        let in_force = self.reloader.in_force();
        let stats = self.shard.get().map(|shard| shard.stats());
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        RuntimeInfo {
            start_time: rfc3339(self.started),
            cwd: std::env::current_dir()
                .unwrap_or_default()
                .display()
                .to_string(),
            hostname: hostname(),
            server_time: rfc3339(self.clock.now_ms()),
            reload_config_success: in_force.last_reload_ok,
            last_config_time: rfc3339(in_force.since),
            corruption_count: stats.map_or(0, |s| s.log_corruptions),
            goroutine_count: process::stats(&*self.disk).threads,
            gomaxprocs: cores,
            gomemlimit: memory_limit(&*self.disk),
            gogc: String::new(),
            godebug: String::new(),
            storage_retention: self.keeping.text(&in_force.config),
        }
    }

    fn hostname(&self) -> String {
        hostname()
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.flags.clone()
    }

    fn config_yaml(&self) -> String {
        ferula_config::render(&self.reloader.in_force().config)
    }

    fn wal_replay(&self) -> (u64, u64, u64) {
        (0, self.progress.total(), self.progress.done())
    }

    fn tsdb_status(&self, limit: usize) -> String {
        let Some(shard) = self.shard.get() else {
            return "null".to_owned();
        };
        let (stats, sources) = (
            shard.stats(),
            shard.cardinality(&TenantId::anonymous(), limit),
        );
        let list = |entries: Vec<(String, u64)>| -> Vec<_> {
            entries
                .into_iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect()
        };
        json!({
            "headStats": {
                "numSeries": sources.series,
                "numLabelPairs": sources.label_pairs,
                "chunkCount": stats.head.chunks,
                "minTime": stats.head.min_time.unwrap_or(i64::MAX),
                "maxTime": stats.head.max_time.unwrap_or(i64::MIN),
            },
            "seriesCountByMetricName": list(sources.series_by_metric),
            "labelValueCountByLabelName": list(sources.values_by_label),
            "memoryInBytesByLabelName": list(sources.bytes_by_label),
            "seriesCountByLabelValuePair": list(sources.series_by_pair),
        })
        .to_string()
    }

    fn metrics(&self) -> Vec<u8> {
        metrics::page(self).into_bytes()
    }

    fn lifecycle_enabled(&self) -> bool {
        self.lifecycle
    }

    fn admin_enabled(&self) -> bool {
        self.admin
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.reloader.reload())
    }

    fn quit(&self) -> bool {
        let first = !self.quitting.swap(true, Ordering::SeqCst);
        if first {
            self.quit.notify_one();
        }
        first
    }
}

/// How far the start is.
pub(crate) fn starting(progress: &Progress) -> String {
    match progress.total() {
        0 => "reading what there is of blocks and checkpoints".to_owned(),
        total => format!("replaying the log, {} of {total} segments", progress.done()),
    }
}

/// Memory the process may use, as its control group says; 0 for all of it.
fn memory_limit(disk: &dyn Disk) -> u64 {
    let text = disk
        .read(Path::new("/sys/fs/cgroup/memory.max"), 64)
        .unwrap_or_default();
    String::from_utf8_lossy(&text).trim().parse().unwrap_or(0)
}
