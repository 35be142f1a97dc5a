//! `query_log_file`: a line of JSON for each query that is over.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use ferula_api::query_log_line;
use ferula_env::{AppendFile, Disk};
use ferula_model::Timestamp;
use ferula_promql::Finished;
use parking_lot::RwLock;
use tracing::error;

/// Writes to the file that the configuration in force names, if it names one. A line is written
/// at once and kept nowhere, so that the log takes no memory however slow the disk is.
#[derive(Debug)]
pub(crate) struct QueryLog {
    disk: Arc<dyn Disk>,
    open: RwLock<Option<Arc<LogFile>>>,
    failures: AtomicU64,
}

/// An open log.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Box<dyn AppendFile>,
    /// Whether the last line could not be written, and a part of it may be there.
    failing: AtomicBool,
}

impl QueryLog {
    /// A log that is off.
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            open: RwLock::new(None),
            failures: AtomicU64::new(0),
        }
    }

    /// Opens the file of a configuration, without using it yet; nothing for an empty path.
    pub(crate) fn prepare(&self, path: &Path) -> io::Result<Option<LogFile>> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let file = self.disk.append_to(path)?;
        Ok(Some(LogFile {
            file,
            failing: AtomicBool::new(false),
        }))
    }

    /// From here on, lines go to this file. The one before is closed: it may have been renamed.
    pub(crate) fn switch(&self, to: Option<LogFile>) {
        *self.open.write() = to.map(Arc::new);
    }

    /// Whether there is a file.
    pub(crate) fn enabled(&self) -> bool {
        self.open.read().is_some()
    }

    /// Lines that could not be written.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Writes the line of a query.
    pub(crate) fn write(&self, finished: &Finished<'_>, now: Timestamp) {
        let Some(log) = self.open.read().clone() else {
            return;
        };
        let mut line = query_log_line(finished, now);
        if log.failing.load(Relaxed) {
            // What a failed write left behind ends here.
            line.insert(0, '\n');
        }
        match log.file.append(line.as_bytes()) {
            Ok(()) => log.failing.store(false, Relaxed),
            Err(error) => {
                self.failures.fetch_add(1, Relaxed);
                if !log.failing.swap(true, Relaxed) {
                    error!(%error, "cannot log queries; this is said once");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::{FaultyDisk, SystemDisk};
    use ferula_promql::{QueryStats, Times};

    fn write(log: &QueryLog, query: &str) {
        let finished = Finished {
            query,
            times: Times::Instant(0),
            origin: None,
            error: None,
            stats: &QueryStats::default(),
        };
        log.write(&finished, 0);
    }

    /// The queries of a log, and how many lines are no JSON.
    fn queries(path: &Path) -> (Vec<String>, usize) {
        let text = SystemDisk.read(path, 1 << 20).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        let read = lines.map(serde_json::from_str::<serde_json::Value>);
        let (good, torn): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        let query = |line: serde_json::Value| line["params"]["query"].as_str().unwrap().to_owned();
        let good = good.into_iter().flatten().map(query);
        (good.collect(), torn.len())
    }

    #[test]
    fn lines_follow_the_file_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let [first, moved] = ["q.log", "q.log.1"].map(|name| dir.path().join(name));
        let log = QueryLog::new(SystemDisk::shared());
        write(&log, "before");
        assert!(!log.enabled() && log.prepare(Path::new("")).unwrap().is_none());
        assert!(log.prepare(&dir.path().join("no/such/folder")).is_err());

        log.switch(log.prepare(&first).unwrap());
        write(&log, "a");
        SystemDisk.rename(&first, &moved).unwrap();
        write(&log, "b");
        log.switch(log.prepare(&first).unwrap());
        write(&log, "c");
        assert_eq!(queries(&moved), (vec!["a".into(), "b".into()], 0));
        assert_eq!(queries(&first), (vec!["c".into()], 0));

        // Whoever cuts the file gets lines from its start on, not a hole.
        SystemDisk.open(&first).unwrap().set_len(0).unwrap();
        write(&log, "d");
        assert_eq!(queries(&first), (vec!["d".into()], 0));
        log.switch(None);
        write(&log, "after");
        assert_eq!(queries(&first), (vec!["d".into()], 0));
        assert!(!log.enabled() && log.failures() == 0);
    }

    #[test]
    fn a_full_disk_fails_no_query_and_no_later_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.log");
        let (disk, faults) = FaultyDisk::over(SystemDisk::shared());
        let log = QueryLog::new(disk);
        log.switch(log.prepare(&path).unwrap());
        write(&log, "a");
        faults.set_write_bytes(Some(10));
        write(&log, "b");
        write(&log, "c");
        assert_eq!(log.failures(), 2);
        faults.set_write_bytes(None);
        write(&log, "d");
        write(&log, "e");
        assert_eq!(log.failures(), 2);
        assert_eq!(
            queries(&path),
            (["a", "d", "e"].map(str::to_owned).to_vec(), 1)
        );
    }
}
