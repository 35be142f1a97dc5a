//! What servers leave on disk, seen from outside.

use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Every file below a folder, and whether it belongs to a log: Ferula keeps those in folders called
/// `log`, Prometheus in one called `wal`. What goes while it is looked at is left out.
///
/// # Errors
/// When a folder cannot be read.
pub fn below(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let mut folders = vec![(folder.to_owned(), false)];
    let mut files = Vec::new();
    while let Some((folder, in_log)) = folders.pop() {
        let Some(entries) = unless_gone(std::fs::read_dir(&folder))? else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let is_log = entry.file_name() == "log" || entry.file_name() == "wal";
                folders.push((entry.path(), in_log || is_log));
            } else {
                files.push((entry.path(), in_log));
            }
        }
    }
    Ok(files)
}

/// Where the content of a file ends: space that was reserved and not written yet is zero.
///
/// # Errors
/// When the file cannot be read.
pub fn content_end(file: &Path) -> Result<u64> {
    let bytes = std::fs::read(file)?;
    let last = bytes.iter().rposition(|&byte| byte != 0);
    Ok(last.map_or(0, |last| last as u64 + 1))
}

/// The log file with the latest name that holds anything, and where its content ends.
///
/// # Errors
/// When a file cannot be read.
pub fn log_end(data: &Path) -> Result<Option<(PathBuf, u64)>> {
    let mut newest = None;
    for (file, in_log) in below(data)? {
        if in_log && let Some(end) = unless_gone(content_end(&file))? {
            newest = newest.max((end > 0).then_some((file, end)));
        }
    }
    Ok(newest)
}

/// A server deletes and renames files beside those who look at them.
fn unless_gone<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
