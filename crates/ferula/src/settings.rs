//! Flags, read and checked: what `serve` runs with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferula_config::RetentionConfig;
use ferula_model::text::{duration, size};
use ferula_shard::UpkeepSettings;
use ferula_tsdb::compact::Retention;
use tracing::Level;

use crate::flags::Given;
use crate::logging::Format;

/// Everything `ferula serve` was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) storage_path: PathBuf,
    /// Where blocks are, if not in `storage_path`.
    pub(crate) blocks_path: Option<PathBuf>,
    pub(crate) block_cache_bytes: u64,
    /// What is kept if the configuration does not say; zero is no bound.
    pub(crate) retention: RetentionConfig,
    pub(crate) block_min: Duration,
    pub(crate) block_max: Option<Duration>,
    pub(crate) ack_durable: bool,
    pub(crate) head_bytes_max: u64,
    pub(crate) listen: SocketAddr,
    pub(crate) connections_max: usize,
    pub(crate) read_timeout: Duration,
    pub(crate) lifecycle: bool,
    pub(crate) admin: bool,
    pub(crate) lookback: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) query_concurrency: usize,
    pub(crate) query_waiting: usize,
    pub(crate) query_samples_max: u64,
    pub(crate) query_bytes_max: u64,
    pub(crate) query_bytes_max_total: u64,
    pub(crate) log_level: Level,
    pub(crate) log_format: Format,
    pub(crate) features: Vec<String>,
}

/// Blocks are merged by this many at a time: 2 h become 12 h, those 48 h, those 14 d.
const MERGED: [i64; 3] = [6, 4, 7];

/// A checkpoint is due once the log has so many bytes behind the last one: a second or two of
/// replay.
const CHECKPOINT_LOG_BYTES: u64 = 256 << 20;

/// How long samples are kept if nothing is said.
const RETENTION: Duration = Duration::from_secs(15 * 24 * 3600);

/// What blocks grow to if nothing else is said, as in Prometheus.
const BLOCK_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

impl Settings {
    /// Where blocks are.
    pub(crate) fn blocks_path(&self) -> &Path {
        self.blocks_path.as_ref().unwrap_or(&self.storage_path)
    }

    /// How samples age, where this is kept.
    pub(crate) fn upkeep(&self, retention: Retention) -> UpkeepSettings {
        let ms = |d: Duration| d.as_millis() as i64;
        let block_ms = ms(self.block_min).max(1);
        let tenth = retention
            .time_ms
            .map_or(ms(BLOCK_MAX), |time| (time / 10).min(ms(BLOCK_MAX)));
        let max = self.block_max.map_or(tenth, ms);
        let sizes = MERGED.iter().scan(block_ms, |size, times| {
            *size = size.saturating_mul(*times);
            Some(*size)
        });
        let larger = sizes.take_while(|size| *size <= max);
        UpkeepSettings {
            ranges_ms: std::iter::once(block_ms).chain(larger).collect(),
            checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
            retention,
            cache_bytes: self.block_cache_bytes,
        }
    }

    /// Reads the flags; every one that makes no sense is an error.
    pub(crate) fn new(given: &Given) -> Result<Self, Vec<String>> {
        let mut reader = Reader {
            given,
            errors: Vec::new(),
        };
        let settings = reader.settings();
        if reader.errors.is_empty() {
            Ok(settings)
        } else {
            Err(reader.errors)
        }
    }
}

struct Reader<'a> {
    given: &'a Given,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn settings(&mut self) -> Settings {
        let text = |name: &str| self.given.value(name);
        let path = |name: &str| {
            Some(text(name))
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let config_file = path("config.file");
        let storage_path = path("storage.tsdb.path").or_else(|| path("storage.path"));
        let features = text("enable-feature");
        Settings {
            config_file,
            storage_path: storage_path.unwrap_or_else(|| PathBuf::from("ferula-data")),
            blocks_path: path("storage.blocks-path"),
            block_cache_bytes: self.read("storage.block-cache-bytes-max", size::parse, 0),
            retention: self.retention(),
            block_min: self.duration("storage.tsdb.min-block-duration"),
            block_max: self.optional_duration("storage.tsdb.max-block-duration"),
            ack_durable: self.one_of("storage.ack", &[("durable", true), ("memory", false)]),
            head_bytes_max: self.read("storage.head-bytes-max", size::parse, 0),
            listen: self.listen("web.listen-address"),
            connections_max: self.number("web.max-connections") as usize,
            read_timeout: self.duration("web.read-timeout"),
            lifecycle: self.given.value("web.enable-lifecycle") == "true",
            admin: self.given.value("web.enable-admin-api") == "true",
            lookback: self.duration("query.lookback-delta"),
            query_timeout: self.duration("query.timeout"),
            query_concurrency: self.number("query.max-concurrency") as usize,
            query_waiting: self.number("query.max-queued") as usize,
            query_samples_max: self.number("query.max-samples"),
            query_bytes_max: self.read("query.bytes-max", size::parse, 0),
            query_bytes_max_total: self.read("query.bytes-max-total", size::parse, 0),
            log_level: self.one_of(
                "log.level",
                &[
                    ("debug", Level::DEBUG),
                    ("info", Level::INFO),
                    ("warn", Level::WARN),
                    ("error", Level::ERROR),
                ],
            ),
            log_format: self.one_of(
                "log.format",
                &[("logfmt", Format::Logfmt), ("json", Format::Json)],
            ),
            features: features
                .split(',')
                .filter(|f| !f.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Bounds that are given; if none is, the usual one on age.
    fn retention(&mut self) -> RetentionConfig {
        let time = self.optional_duration("storage.tsdb.retention.time");
        let size = self.read("storage.tsdb.retention.size", size::parse, 0);
        let usual = if size > 0 { Duration::ZERO } else { RETENTION };
        RetentionConfig {
            time: time.unwrap_or(usual),
            size,
            percentage: 0,
        }
    }

    fn read<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        otherwise: T,
    ) -> T {
        let text = self.given.value(name);
        match parse(&text) {
            Ok(value) => value,
            Err(error) => {
                self.errors.push(format!("--{name}={text}: {error}"));
                otherwise
            }
        }
    }

    fn number(&mut self, name: &str) -> u64 {
        self.read(
            name,
            |text| {
                text.parse::<u64>()
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or("not a positive number")
            },
            1,
        )
    }

    fn duration(&mut self, name: &str) -> Duration {
        self.read(name, duration::parse, Duration::ZERO)
    }

    fn optional_duration(&mut self, name: &str) -> Option<Duration> {
        (!self.given.value(name).is_empty()).then(|| self.duration(name))
    }

    /// An address; a port alone means all of this machine's addresses, as in Prometheus.
    fn listen(&mut self, name: &str) -> SocketAddr {
        let parse = |text: &str| {
            let full = match text.strip_prefix(':') {
                Some(port) => format!("0.0.0.0:{port}"),
                None => text.replace("localhost:", "127.0.0.1:"),
            };
            full.parse::<SocketAddr>()
                .map_err(|_| "not an address and port, such as 127.0.0.1:9090")
        };
        self.read(name, parse, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let parse = |text: &str| match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => Err(format!("one of {} is wanted", words.join(", "))),
        };
        self.read(name, parse, choices[0].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Result<Settings, Vec<String>> {
        let command = clap::Command::new("serve").no_binary_name(true);
        let matches = crate::flags::add_to(command)
            .try_get_matches_from(args)
            .unwrap();
        Settings::new(&Given::new(matches))
    }

    #[test]
    fn defaults_are_good() {
        let s = settings(&[]).unwrap();
        assert_eq!(
            (s.storage_path, s.listen.port()),
            (PathBuf::from("ferula-data"), 9090)
        );
        assert!(s.ack_durable && s.head_bytes_max == 8 << 30 && s.lookback.as_secs() == 300);
    }

    #[test]
    fn both_names_of_the_storage_path() {
        let s = settings(&["--storage.tsdb.path=/x", "--web.listen-address=:80"]).unwrap();
        assert_eq!(
            (s.storage_path, s.listen.to_string()),
            (PathBuf::from("/x"), "0.0.0.0:80".into())
        );
    }

    #[test]
    fn every_mistake_is_named() {
        let errors = settings(&[
            "--log.level=loud",
            "--query.timeout=1x",
            "--web.max-connections=0",
        ]);
        let errors = errors.unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors
                .iter()
                .any(|e| e.contains("--log.level=loud: one of debug, info, warn, error"))
        );
    }
}
