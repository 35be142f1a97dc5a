//! How long and how much is kept: as the configuration says, or, if it says nothing, the command
//! line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ferula_config::{Config, RetentionConfig};
use ferula_env::Disk;
use ferula_model::text::{duration, size};
use ferula_shard::Shard;
use ferula_tsdb::compact::Retention;

/// What is kept, and the shard that has to know.
pub(crate) struct Keeping {
    /// What the command line says.
    flags: RetentionConfig,
    /// Where blocks are.
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    shard: OnceLock<Arc<Shard>>,
}

impl Keeping {
    pub(crate) fn new(flags: RetentionConfig, dir: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            flags,
            dir,
            disk,
            shard: OnceLock::new(),
        }
    }

    /// The shard is open, and is told of changes from now on.
    pub(crate) fn opened(&self, shard: Arc<Shard>) {
        let _ = self.shard.set(shard);
    }

    /// What a configuration means.
    pub(crate) fn prepare(&self, config: &Config) -> Result<Retention, String> {
        let said = self.said(config);
        let bytes = match said.percentage {
            0 => Some(said.size).filter(|size| *size > 0),
            percent => {
                let capacity = self.capacity();
                let capacity = capacity
                    .map_err(|error| format!("`retention.percentage` cannot be kept: {error}"))?;
                Some(capacity / 100 * percent)
            }
        };
        let time_ms = Some(said.time.as_millis() as i64).filter(|ms| *ms > 0);
        Ok(Retention { time_ms, bytes })
    }

    /// Of the file system that the directory is on, or will be.
    fn capacity(&self) -> io::Result<u64> {
        let mut capacity = self.disk.capacity(&self.dir);
        for above in self.dir.ancestors().skip(1) {
            if !matches!(&capacity, Err(e) if e.kind() == io::ErrorKind::NotFound) {
                break;
            }
            let here = above.as_os_str().is_empty();
            capacity = self
                .disk
                .capacity(if here { Path::new(".") } else { above });
        }
        capacity
    }

    pub(crate) fn put_into_force(&self, config: &Config, retention: Retention) {
        if let Some(shard) = self.shard.get() {
            shard.set_retention(retention);
            shard.set_out_of_order_window(config.storage.out_of_order_time_window);
        }
    }

    /// In the reference's words: `15d or 5GiB`.
    pub(crate) fn text(&self, config: &Config) -> String {
        let said = self.said(config);
        let mut bounds = Vec::new();
        if !said.time.is_zero() {
            bounds.push(duration::format(said.time));
        }
        if said.percentage > 0 {
            bounds.push(format!("{}%", said.percentage));
        } else if said.size > 0 {
            bounds.push(size::shown(said.size).to_string());
        }
        bounds.join(" or ")
    }

    fn said(&self, config: &Config) -> RetentionConfig {
        config.storage.retention.unwrap_or(self.flags)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use ferula_env::SystemDisk;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn keeping() -> Keeping {
        let flags = RetentionConfig {
            time: 15 * DAY,
            ..RetentionConfig::default()
        };
        Keeping::new(flags, std::env::temp_dir(), SystemDisk::shared())
    }

    fn config(retention: Option<RetentionConfig>) -> Config {
        let mut config = Config::default();
        config.storage.retention = retention;
        config
    }

    #[test]
    fn a_block_of_the_configuration_replaces_the_flags() {
        let keeping = keeping();
        let flags = keeping.prepare(&config(None)).unwrap();
        assert_eq!(
            (flags.time_ms, flags.bytes),
            (Some(15 * 24 * 3_600_000), None)
        );
        assert_eq!(keeping.text(&config(None)), "15d");
        let size = config(Some(RetentionConfig {
            size: 5 << 30,
            ..RetentionConfig::default()
        }));
        let only_size = keeping.prepare(&size).unwrap();
        assert_eq!((only_size.time_ms, only_size.bytes), (None, Some(5 << 30)));
        let none = keeping.prepare(&config(Some(RetentionConfig::default())));
        assert_eq!(none, Ok(Retention::default()));
    }

    #[test]
    fn a_part_of_the_disk() {
        let keeping = keeping();
        let part = |percentage| {
            let said = RetentionConfig {
                percentage,
                size: 1,
                time: DAY,
            };
            keeping.prepare(&config(Some(said))).unwrap().bytes.unwrap()
        };
        let later = Keeping::new(
            RetentionConfig::default(),
            "no/such/folder".into(),
            keeping.disk.clone(),
        );
        assert!(later.capacity().is_ok());
        assert!(part(100) > 1_000 && part(50) < part(100) && part(50) > part(100) / 3);
    }
}
