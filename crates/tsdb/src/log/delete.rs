//! Giving up segments that a checkpoint stands for.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use ferula_env::Disk;

use super::{LogStats, segment};

/// Deletes the segments that hold no frame behind `commit`, oldest first, and what was put aside
/// of them. The newest segment stays. A manifest that names a checkpoint at `commit` or later
/// must be durable; the log's writer may go on meanwhile. Returns how many there were.
pub fn delete_segments(
    disk: &dyn Disk,
    dir: &Path,
    commit: u64,
    stats: &LogStats,
) -> io::Result<u64> {
    let names = disk.list(dir)?;
    let numbers = names.iter().filter_map(|n| segment::parse_file_name(n));
    let numbers: Vec<u64> = numbers.collect();
    let mut deleted = 0;
    for pair in numbers.windows(2) {
        if pair[1] > commit + 1 {
            break;
        }
        let name = segment::file_name(pair[0]);
        let aside = format!("{name}.torn");
        for name in names
            .iter()
            .filter(|n| **n == name || n.starts_with(&aside))
        {
            disk.remove(&dir.join(name))?;
        }
        stats.segments.fetch_sub(1, Ordering::Relaxed);
        deleted += 1;
    }
    if deleted > 0 {
        disk.sync_dir(dir)?;
    }
    Ok(deleted)
}
