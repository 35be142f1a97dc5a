//! `ferula serve`: builds the parts, runs them, ends them in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ferula_api::{Api, HttpStats, ServerSettings};
use ferula_cluster::{
    Admins, Admission, AdmissionSettings, Fanout, RefCache, Router, placement::ShardMap,
};
use ferula_config::Config;
use ferula_coord::LocalCoord;
use ferula_env::{Clock, Disk, SystemClock, SystemDisk, net, spawn};
use ferula_model::TenantId;
use ferula_objects::{LocalObjects, Objects};
use ferula_promql::{Engine, EngineOptions};
use ferula_scrape::Alignment;
use ferula_shard::{Ack, Shard, ShardParts, ShardSettings};
use ferula_storage::Append;
use ferula_tsdb::compact::Retention;
use ferula_tsdb::log::Progress;
use ferula_tsdb::manifest::delete_unnamed_blocks;
use futures::FutureExt as _;
use futures::future::{Either, select};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::flags::Given;
use crate::host::{Process, Stage, starting};
use crate::journal::{ActiveFile, QueryLog, ServerJournal};
use crate::late::{Late, Parts};
use crate::reload::{self, Reloader};
use crate::retention::Keeping;
use crate::settings::Settings;
use crate::{flags, logging};

/// The one shard of a server that is alone.
pub(crate) const SHARD: u32 = 0;

/// Size of a log segment file.
pub(crate) const SEGMENT_BYTES: u64 = 16 << 20;

/// Bytes of batches that may wait for the shard's writer.
pub(crate) const QUEUE_BYTES_MAX: u64 = 256 << 20;

/// Samples of one tenant that may wait for the log: 16 requests of the largest usual size.
const IN_FLIGHT_SAMPLES_MAX: u64 = 4_000_000;

/// How often the log tells how far the start is.
const START_REPORT: Duration = Duration::from_secs(5);

/// How long requests may go on once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The least time between two changes of a job's targets.
const DISCOVERY_PAUSE: Duration = Duration::from_secs(5);

/// A scrape this much late gets the time at which it was due.
const TIMESTAMP_TOLERANCE: Duration = Duration::from_millis(2);

/// Exit code of a command line or configuration that makes no sense.
const EXIT_USAGE: u8 = 2;

/// Runs the server until it is told to stop.
pub(crate) fn run(given: Given) -> ExitCode {
    let settings = match (given.check(), Settings::new(&given)) {
        (Ok(warnings), Ok(settings)) => (warnings, settings),
        (checked, read) => {
            let errors = [checked.err(), read.err()].into_iter().flatten().flatten();
            return usage(&errors.collect::<Vec<_>>().join("\n"));
        }
    };
    let (warnings, settings) = settings;
    let clock = SystemClock::shared();
    logging::start(settings.log_level, settings.log_format, clock.clone());
    for warning in warnings {
        warn!("{warning}");
    }
    let disk = SystemDisk::shared();
    let built_in = built_in_config(settings.listen);
    let config = match reload::read(settings.config_file.as_deref(), &built_in, &*disk) {
        Ok(config) => config,
        Err(findings) => return usage(&findings),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure(&anyhow::Error::from(error)),
    };
    let server = Server {
        settings,
        given,
        clock,
        disk,
        built_in,
    };
    match runtime.block_on(server.run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

#[allow(clippy::print_stderr)] // said before, or instead of, the log
fn usage(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(EXIT_USAGE)
}

fn failure(error: &anyhow::Error) -> ExitCode {
    error!("{error:#}");
    ExitCode::FAILURE
}

/// What is scraped where no configuration is given: this server itself.
fn built_in_config(listen: SocketAddr) -> String {
    let own = own_address(listen);
    format!(
        "global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: ferula\n    \
         static_configs:\n      - targets: ['{own}']\n"
    )
}

/// Where this machine reaches a server that listens on `listen`.
fn own_address(listen: SocketAddr) -> SocketAddr {
    match (listen.ip().is_unspecified(), listen.is_ipv6()) {
        (true, false) => SocketAddr::from(([127, 0, 0, 1], listen.port())),
        (true, true) => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], listen.port())),
        (false, _) => listen,
    }
}

struct Server {
    settings: Settings,
    given: Given,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    built_in: String,
}

impl Server {
    async fn run(self, config: Config) -> anyhow::Result<()> {
        let settings = &self.settings;
        let listener = net::listen(settings.listen).await?;
        let storage = Arc::new(Late::default());
        let scrape = Arc::new(self.scrape_manager(&config, storage.clone()));
        let engine = Arc::new(self.engine(&config));
        let http = Arc::new(HttpStats::new(self.clock.clone()));
        let query_log = Arc::new(QueryLog::new(self.disk.clone()));
        let keeping = Arc::new(self.keeping());
        let retention = keeping.prepare(&config).map_err(anyhow::Error::msg)?;
        let reloader = Arc::new(Reloader::new(
            settings.config_file.clone(),
            self.built_in.clone(),
            config,
            self.disk.clone(),
            self.clock.clone(),
            scrape.clone(),
            query_log.clone(),
            keeping.clone(),
        ));
        let process = Arc::new(Process::new(
            self.given.all(),
            settings.lifecycle,
            settings.admin,
            self.clock.clone(),
            self.disk.clone(),
            reloader.clone(),
            keeping.clone(),
            scrape.clone(),
            engine.clone(),
            http.clone(),
            query_log.clone(),
        ));
        let api = Arc::new(Api {
            engine: engine.clone(),
            select: storage.clone(),
            append: storage.clone(),
            admin: storage.clone(),
            refs: RefCache::new(ferula_env::random_u64()),
            scrape: scrape.clone(),
            host: process.clone(),
            http,
            clock: self.clock.clone(),
        });
        let (stop_http, http_stopped) = futures::channel::oneshot::channel::<()>();
        let http_settings = ServerSettings {
            connections_max: settings.connections_max,
            read_timeout: settings.read_timeout,
            drain_timeout: DRAIN_TIMEOUT,
        };
        let stop = http_stopped.map(|_| ());
        let router = ferula_api::router(api);
        let serving = spawn::task(ferula_api::serve(
            listener,
            router,
            http_settings,
            self.clock.clone(),
            stop,
        ));

        let shard = self.open_shard(retention, process.progress.clone()).await?;
        process.opened(shard.clone());
        keeping.opened(shard.clone());
        engine.keep_journal(Arc::new(self.journal(query_log)));
        storage.open(paths(shard.clone()));
        reloader.start().map_err(anyhow::Error::msg)?;
        process.set_stage(Stage::Ready);
        self.say_hello(&reloader.in_force().config);

        self.wait_for_the_end(&process, &reloader).await?;

        // First what writes, then what keeps, then what answers.
        process.set_stage(Stage::Stopping);
        info!("stopping: no more scrapes");
        scrape.shutdown().await;
        info!("stopping: finishing writes");
        spawn::blocking(move || shard.close())
            .await
            .context("closing the shard")?;
        info!("stopping: finishing requests");
        let _ = stop_http.send(());
        serving.await.context("serving HTTP")?;
        info!("stopped: every acknowledged sample is on disk");
        Ok(())
    }

    fn keeping(&self) -> Keeping {
        let (settings, disk) = (&self.settings, self.disk.clone());
        Keeping::new(settings.retention, settings.blocks_path().to_owned(), disk)
    }

    fn scrape_manager(&self, config: &Config, append: Arc<dyn Append>) -> ferula_scrape::Manager {
        let hostname = crate::host::hostname();
        let options = ferula_scrape::Options {
            tenant: TenantId::anonymous(),
            user_agent: format!("Ferula/{}", env!("CARGO_PKG_VERSION")),
            offset_seed: ferula_scrape::offset_seed(&hostname, &config.global.external_labels),
            alignment: Alignment {
                tolerance: TIMESTAMP_TOLERANCE,
            },
            discovery_reload_interval: DISCOVERY_PAUSE,
        };
        ferula_scrape::Manager::new(self.clock.clone(), append, options)
    }

    fn engine(&self, config: &Config) -> Engine {
        let settings = &self.settings;
        let has = |feature: &str| settings.features.iter().any(|f| f == feature);
        let options = EngineOptions {
            lookback: settings.lookback,
            timeout: settings.query_timeout,
            samples_max: settings.query_samples_max,
            bytes_max: settings.query_bytes_max,
            bytes_max_total: settings.query_bytes_max_total,
            threads_max: spawn::cores(),
            concurrency_max: settings.query_concurrency,
            waiting_max: settings.query_waiting,
            subquery_step: config.global.evaluation_interval,
            experimental_functions: has("promql-experimental-functions"),
            extended_range_selectors: has("promql-extended-range-selectors"),
            fill_modifiers: has("promql-binop-fill-modifiers"),
            per_step_stats: has("promql-per-step-stats"),
            delayed_name_removal: has("promql-delayed-name-removal"),
            use_start_timestamps: has("use-start-timestamps"),
            type_and_unit_labels: has("type-and-unit-labels"),
        };
        for feature in &settings.features {
            if let Some(why) = flags::idle_feature(feature) {
                warn!(%feature, why, "feature flag has no effect");
            }
        }
        Engine::new(options, self.clock.clone())
    }

    /// Opens the shard beside the runtime's workers: replay takes its time.
    async fn open_shard(
        &self,
        retention: Retention,
        progress: Arc<Progress>,
    ) -> anyhow::Result<Arc<Shard>> {
        let blocks_path = self.settings.blocks_path().to_owned();
        let settings = ShardSettings {
            dir: self.settings.storage_path.clone(),
            number: SHARD,
            ack: if self.settings.ack_durable {
                Ack::Durable
            } else {
                Ack::Memory
            },
            head_bytes_max: self.settings.head_bytes_max,
            queue_bytes_max: QUEUE_BYTES_MAX,
            segment_bytes: SEGMENT_BYTES,
            upkeep: self.settings.upkeep(retention),
            keeper: true,
        };
        let told = progress.clone();
        let (clock, disk) = (self.clock.clone(), self.disk.clone());
        let opening = spawn::blocking(move || {
            let coord = Arc::new(LocalCoord::open(disk.clone(), &settings.dir)?);
            // Only now is the directory this process's own.
            let objects: Arc<dyn Objects> =
                Arc::new(LocalObjects::open(disk.clone(), &blocks_path)?);
            let unnamed = delete_unnamed_blocks(&objects)?;
            if unnamed > 0 {
                info!(
                    blocks = unnamed,
                    "deleted blocks that a crash left unfinished"
                );
            }
            let parts = ShardParts {
                clock,
                disk,
                objects,
                coord,
            };
            anyhow::Ok(Shard::open(settings, parts, &progress)?)
        });
        let mut opening = opening;
        let shard = loop {
            // Who waits for a long start wants to know that it goes on.
            match select(opening, self.clock.sleep(START_REPORT)).await {
                Either::Left((opened, _)) => break opened.context("opening the shard")??,
                Either::Right(((), still)) => opening = still,
            }
            info!("starting: {}", starting(&told));
        };
        let stats = shard.stats();
        info!(
            series = stats.head.series,
            samples = stats.head.samples,
            seconds = format!("{:.3}", stats.replay_seconds),
            "log replayed"
        );
        Ok(Arc::new(shard))
    }

    /// What is told of queries, and a word on those that the last process did not finish. Called
    /// once the folder is this process's own.
    fn journal(&self, log: Arc<QueryLog>) -> ServerJournal {
        let (dir, turns) = (&self.settings.storage_path, self.settings.query_concurrency);
        let active = match ActiveFile::open(&*self.disk, dir, turns) {
            Ok((active, left)) => {
                if let Some(queries) = left {
                    // The reference's words: people and programs look for them.
                    warn!(
                        queries,
                        "These queries didn't finish in prometheus' last run:"
                    );
                }
                Some(active)
            }
            Err(error) => {
                warn!(%error, "cannot note active queries; a crash will not name them");
                None
            }
        };
        ServerJournal::new(self.clock.clone(), active, log)
    }

    /// Six lines for whoever started the server by hand.
    #[allow(clippy::print_stdout)] // this is what `serve` prints
    fn say_hello(&self, config: &Config) {
        let jobs = &config.scrape_configs;
        let targets: usize = jobs
            .iter()
            .flat_map(|j| &j.static_configs)
            .map(|s| s.targets.len())
            .sum();
        let interval = ferula_model::text::duration::format(config.global.scrape_interval);
        let scraping = match &self.settings.config_file {
            None => format!("1 target (itself), every {interval}"),
            Some(file) => format!(
                "{} jobs, {targets} static targets, from {}",
                jobs.len(),
                file.display()
            ),
        };
        let ack = if self.settings.ack_durable {
            "acknowledged once on disk"
        } else {
            "acknowledged in memory: the last 100 ms are at risk"
        };
        println!("Ferula {}", env!("CARGO_PKG_VERSION"));
        println!(
            "  data       {} ({ack})",
            self.settings.storage_path.display()
        );
        println!("  listening  http://{}", own_address(self.settings.listen));
        println!("  scraping   {scraping}");
        println!("  alerts     no rules, no receivers");
        println!("  stop with Ctrl-C");
    }

    /// Returns once somebody wants the server to end.
    async fn wait_for_the_end(
        &self,
        process: &Process,
        reloader: &Arc<Reloader>,
    ) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    // What was wrong is in the log already.
                    let _ = reloader.reload().await;
                }
                _ = terminate.recv() => {
                    info!("received SIGTERM, stopping");
                    return Ok(());
                }
                _ = interrupt.recv() => {
                    info!("received Ctrl-C, stopping");
                    return Ok(());
                }
                () = process.quit_requested() => {
                    info!("asked to stop over HTTP, stopping");
                    return Ok(());
                }
            }
        }
    }
}

/// The ways to the one shard there is.
fn paths(shard: Arc<Shard>) -> Parts {
    let router = Router::new(ShardMap::new(vec![SHARD]), vec![shard.clone()]);
    let settings = AdmissionSettings {
        in_flight_samples_max: IN_FLIGHT_SAMPLES_MAX,
    };
    let admission = Admission::new(settings, Arc::new(router));
    Parts {
        append: Arc::new(admission),
        select: Arc::new(Fanout::new(vec![shard.clone()])),
        admin: Arc::new(Admins::new(vec![shard])),
    }
}
