//! A metrics server under test: Ferula, or a peer that speaks the same API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::answer::Answer;
use crate::http::{Client, encode_form};
use crate::peers::{Peer, repository};
use crate::process::{Process, free_address};
use crate::wait_for;

/// Names the server binary to test. A file called `prometheus` is started with Prometheus's
/// flags: that is how these tests are themselves tested against the reference.
pub const SERVER_ENV: &str = "FERULA_BIN";

/// The package whose binary is the server.
pub const SERVER_PACKAGE: &str = "ferula";

/// How long a server may take from start to ready.
pub const READY_MAX: Duration = Duration::from_secs(60);

/// Which command line a server wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server under test.
    Ferula,
    /// The reference.
    Prometheus,
    /// The other peer of benchmarks.
    VictoriaMetrics,
}

/// A server with a folder of its own; dropping it ends the process and removes the folder.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    binary: PathBuf,
    address: SocketAddr,
    extra: Vec<String>,
    // Before the folder, because fields are dropped in this order.
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl Server {
    /// The server under test, not started yet.
    ///
    /// # Errors
    /// When it does not build.
    pub fn ferula() -> Result<Self> {
        let binary = server_binary()?;
        let kind = match binary.file_name() {
            Some(name) if name == "prometheus" => Kind::Prometheus,
            _ => Kind::Ferula,
        };
        Self::prepare(kind, binary, &std::env::temp_dir())
    }

    /// The reference server, not started yet.
    ///
    /// # Errors
    /// When this machine has none; the text says how to get it.
    pub fn prometheus() -> Result<Self, String> {
        let binary = Peer::Prometheus.find()?;
        Self::prepare(Kind::Prometheus, binary, &std::env::temp_dir()).map_err(|e| format!("{e:#}"))
    }

    /// Starts it with `config` as its `prometheus.yml`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn started(mut self, config: &str) -> Result<Self> {
        self.write_config(config)?;
        self.start()?;
        Ok(self)
    }

    /// A server that is not started yet, with a folder below `parent`, an address and no scrapes.
    ///
    /// # Errors
    /// When the folder cannot be made or no port is free.
    pub fn prepare(kind: Kind, binary: PathBuf, parent: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ferula-e2e-")
            .tempdir_in(parent)?;
        let server = Self {
            kind,
            binary,
            address: free_address()?,
            folder,
            extra: Vec::new(),
            process: None,
        };
        server.write_config("")?;
        Ok(server)
    }

    /// Adds command line arguments for the next start.
    pub fn add_arguments(&mut self, arguments: &[&str]) {
        self.extra.extend(arguments.iter().map(|&a| a.to_owned()));
    }

    /// Replaces the configuration file; the next start or reload reads it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, config: &str) -> Result<()> {
        Ok(std::fs::write(self.config_path(), config)?)
    }

    /// Starts the process and waits until it says it is ready; returns how long that took.
    ///
    /// # Errors
    /// When it ends or is not ready in time; its log is in the error.
    pub fn start(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.spawn()?;
        let path = match self.kind {
            Kind::VictoriaMetrics => "/health",
            Kind::Ferula | Kind::Prometheus => "/-/ready",
        };
        loop {
            let ready = self.client().get(path);
            if ready.as_ref().is_ok_and(|response| response.status == 200) {
                return Ok(start.elapsed());
            }
            let process = self.process.as_mut().context("just spawned")?;
            if let Some(status) = process.ended()? {
                bail!("{:?} ended with {status}:\n{}", self.kind, process.log());
            }
            ensure!(
                start.elapsed() < READY_MAX,
                "{:?} is not ready after {READY_MAX:?}: {ready:?}\n{}",
                self.kind,
                process.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the process without waiting for anything.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        self.process = None;
        let (config, data) = (self.config_path(), self.data_path());
        let listen = self.address.to_string();
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path());
        match self.kind {
            Kind::Ferula => {
                command.arg("serve").arg("--config.file").arg(config);
                command.arg("--storage.path").arg(data);
                command.args(["--web.listen-address", &listen]);
            }
            Kind::Prometheus => {
                command.arg("--config.file").arg(config);
                command.arg("--storage.tsdb.path").arg(data);
                command.args(["--web.listen-address", &listen]);
                command.arg("--web.enable-remote-write-receiver");
            }
            Kind::VictoriaMetrics => {
                if std::fs::metadata(&config)?.len() > 0 {
                    command.arg(format!("-promscrape.config={}", config.display()));
                }
                command.arg(format!("-storageDataPath={}", data.display()));
                command.arg(format!("-httpListenAddr={listen}"));
            }
        }
        command.args(&self.extra);
        self.process = Some(Process::start("server", &mut command, self.folder.path())?);
        Ok(())
    }

    /// The running process.
    ///
    /// # Panics
    /// When it was not started: a mistake of the test.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was started")
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Which server this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it keeps its data.
    pub fn data_path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its `prometheus.yml`.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("prometheus.yml")
    }

    /// A connection of its own.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Evaluates `query` at a time in milliseconds.
    ///
    /// # Errors
    /// When the server refuses or cannot be reached.
    pub fn query(&self, query: &str, time: i64) -> Result<Answer> {
        let form = [("query", query), ("time", &seconds(time))];
        self.answer("/api/v1/query", &form)
    }

    /// Evaluates `query` from `start` to `end` in steps, all in milliseconds.
    ///
    /// # Errors
    /// When the server refuses or cannot be reached.
    pub fn query_range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Answer> {
        let (start, end, step) = (seconds(start), seconds(end), seconds(step));
        let form = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("step", &step),
        ];
        self.answer("/api/v1/query_range", &form)
    }

    fn answer(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer> {
        let response = self.client().post_form(path, form)?;
        Answer::parse(&response.text())
            .with_context(|| format!("{:?}, {path}, {}", self.kind, encode_form(form)))
    }

    /// Waits until an instant query for this moment gives one value that satisfies `wanted`.
    ///
    /// # Errors
    /// When that does not happen within `limit`.
    pub fn wait_value(
        &self,
        query: &str,
        limit: Duration,
        wanted: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        wait_for(&format!("{query} on {:?}", self.kind), limit, || {
            let answer = self.query(query, now_ms())?;
            let value = answer.only_value().filter(|&value| wanted(value));
            value.with_context(|| format!("it answers {answer:?}"))
        })
    }
}

/// The time now in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Milliseconds as the API's decimal seconds.
pub fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

/// The binary under test, built first unless [`SERVER_ENV`] names one.
///
/// # Errors
/// When it does not build.
pub fn server_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(SERVER_ENV) {
        return Ok(path.into());
    }
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|e| format!("{e:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    let out = Command::new(env!("CARGO"))
        .args(["build", "--package", SERVER_PACKAGE])
        .current_dir(repository())
        .output()?;
    ensure!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // This test program lies in <target>/debug/deps.
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(3)
        .context("the test does not lie in a target folder")?;
    Ok(target.join("debug/ferula"))
}
