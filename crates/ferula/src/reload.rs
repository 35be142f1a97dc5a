//! Taking a configuration into force: all of it, or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferula_config::{CONFIG_BYTES_MAX, Config, Surroundings};
use ferula_discovery as discovery;
use ferula_env::{Clock, Disk};
use ferula_model::Timestamp;
use ferula_tsdb::compact::Retention;
use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::journal::{LogFile, QueryLog};
use crate::retention::Keeping;

/// The configuration in force, and how the last attempt to change it went.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) config: Arc<Config>,
    /// When it came into force.
    pub(crate) since: Timestamp,
    /// Whether the last attempt to read it again went well.
    pub(crate) last_reload_ok: bool,
}

/// Reads the configuration and hands it to those who act on it.
pub(crate) struct Reloader {
    file: Option<PathBuf>,
    /// Used where no file is given.
    built_in: String,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    discovery: discovery::Manager,
    scrape: Arc<ferula_scrape::Manager>,
    query_log: Arc<QueryLog>,
    keeping: Arc<Keeping>,
    in_force: Mutex<InForce>,
    /// One reload at a time: the later one must win.
    turn: tokio::sync::Mutex<()>,
}

/// What a configuration needs before it can come into force.
struct Prepared {
    query_log: Option<LogFile>,
    retention: Retention,
}

/// Reads and checks a configuration; the error is the findings as a terminal shows them.
pub(crate) fn read(file: Option<&Path>, built_in: &str, disk: &dyn Disk) -> Result<Config, String> {
    let (name, bytes) = match file {
        None => ("(built in)".into(), built_in.as_bytes().to_vec()),
        Some(path) => {
            let bytes = disk
                .read(path, CONFIG_BYTES_MAX)
                .map_err(|e| e.to_string())?;
            (path.display().to_string(), bytes)
        }
    };
    let surroundings = Surroundings {
        dir: file.and_then(Path::parent).unwrap_or(Path::new("")),
        variable: &|name| std::env::var(name).ok(),
    };
    let (source, loaded) = ferula_config::load_bytes(&name, &bytes, surroundings);
    match loaded {
        Ok(loaded) => {
            for finding in &loaded.warnings {
                warn!("{}", ferula_diag::render(&source, finding).trim_end());
            }
            Ok(loaded.config)
        }
        Err(findings) => Err(ferula_diag::render_all([(&source, findings.as_slice())])),
    }
}

impl Reloader {
    #[allow(clippy::too_many_arguments)] // each is one part, named where it is stored
    /// A reloader whose first configuration is `config`, not in force before [`Self::start`].
    pub(crate) fn new(
        file: Option<PathBuf>,
        built_in: String,
        config: Config,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        scrape: Arc<ferula_scrape::Manager>,
        query_log: Arc<QueryLog>,
        keeping: Arc<Keeping>,
    ) -> Self {
        let discovery = discovery::Manager::new(clock.clone(), disk.clone());
        let in_force = InForce {
            config: Arc::new(config),
            since: clock.now_ms(),
            last_reload_ok: true,
        };
        let (in_force, turn) = (Mutex::new(in_force), tokio::sync::Mutex::default());
        Self {
            file,
            built_in,
            disk,
            clock,
            discovery,
            scrape,
            query_log,
            keeping,
            in_force,
            turn,
        }
    }

    /// Puts the first configuration into force, or says why it cannot be.
    pub(crate) fn start(&self) -> Result<(), String> {
        let config = self.in_force().config;
        let prepared = self.prepare(&config)?;
        self.put_into_force(&config, prepared);
        let (scrape, targets) = (self.scrape.clone(), self.discovery.subscribe());
        ferula_env::spawn::task(async move { scrape.follow(targets).await });
        Ok(())
    }

    /// The configuration in force.
    pub(crate) fn in_force(&self) -> InForce {
        self.in_force.lock().clone()
    }

    /// Reads the configuration again. If anything is wrong with it, nothing changes.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let read = read(self.file.as_deref(), &self.built_in, &*self.disk);
        let prepared = read.and_then(|config| Ok((self.prepare(&config)?, config)));
        match prepared {
            Ok((prepared, config)) => {
                let config = Arc::new(config);
                self.put_into_force(&config, prepared);
                let since = self.clock.now_ms();
                *self.in_force.lock() = InForce {
                    config,
                    since,
                    last_reload_ok: true,
                };
                info!("configuration reloaded");
                Ok(())
            }
            Err(findings) => {
                self.in_force.lock().last_reload_ok = false;
                error!("the configuration is not reloaded, the one in force stays: {findings}");
                Err(findings)
            }
        }
    }

    /// Does what can fail of putting a configuration into force.
    fn prepare(&self, config: &Config) -> Result<Prepared, String> {
        let query_log = self.query_log.prepare(&config.global.query_log_file);
        Ok(Prepared {
            query_log: query_log.map_err(|error| format!("opening `query_log_file`: {error}"))?,
            retention: self.keeping.prepare(config)?,
        })
    }

    /// Nothing here can fail: what could, was done before.
    fn put_into_force(&self, config: &Config, prepared: Prepared) {
        self.query_log.switch(prepared.query_log);
        self.keeping.put_into_force(config, prepared.retention);
        self.scrape.apply(config);
        let wanted = config
            .scrape_configs
            .iter()
            .map(|job| (job.job_name.clone(), discovery::ProviderConfig::of_job(job)));
        self.discovery.apply(wanted.collect());
    }
}
