//! `queries.active`: the queries that compute at this moment, in the reference's format.
//!
//! A JSON array with a slot of fixed size for each turn: `[`, then slots of 1000 bytes, each
//! either zeros or an object `{"query":…,"timestamp_sec":…}`, zeros, and a comma at its end. So
//! that a query costs two small writes, nothing is synced: the file survives the process, which
//! is what it is for, not the machine.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ferula_env::{Disk, DiskFile};
use tracing::warn;

const NAME: &str = "queries.active";

/// Bytes of a slot, its comma included.
const SLOT_BYTES: usize = 1_000;

/// Slots that the file has at most: it stays below 1 MiB, whatever `--query.max-concurrency` is.
const SLOTS_MAX: usize = 1_024;

/// The largest file of an earlier run that is read: one of this size's making.
const EARLIER_BYTES_MAX: u64 = 1 + (SLOTS_MAX * SLOT_BYTES) as u64;

/// The open file.
#[derive(Debug)]
pub(crate) struct ActiveFile {
    file: Box<dyn DiskFile>,
    slots: usize,
    /// Whether a failed write was told of.
    failed: AtomicBool,
}

impl ActiveFile {
    /// Makes the file anew in `dir`, which no other process may use meanwhile. What an earlier
    /// process left in it, if anything, is the second value: the array's text.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        turns: usize,
    ) -> io::Result<(Self, Option<String>)> {
        let path = dir.join(NAME);
        let (file, left) = match disk.open(&path) {
            Ok(file) => {
                let left = disk.read(&path, EARLIER_BYTES_MAX).ok();
                (file, left.and_then(|bytes| unfinished(&bytes)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (disk.create_new(&path)?, None)
            }
            Err(error) => return Err(error),
        };
        let slots = turns.min(SLOTS_MAX);
        file.set_len(0)?;
        file.preallocate(1 + (slots * SLOT_BYTES) as u64)?;
        file.write_at(b"[", 0)?;
        let active = Self {
            file,
            slots,
            failed: AtomicBool::new(false),
        };
        Ok((active, left))
    }

    /// Notes a query.
    pub(crate) fn begin(&self, turn: usize, query: &str, timestamp_sec: i64) {
        self.write(turn, &slot(query, timestamp_sec));
    }

    /// The query that was noted for this turn is over.
    pub(crate) fn end(&self, turn: usize) {
        self.write(turn, &[0; SLOT_BYTES]);
    }

    fn write(&self, turn: usize, slot: &[u8; SLOT_BYTES]) {
        if turn >= self.slots {
            return;
        }
        let offset = 1 + (turn * SLOT_BYTES) as u64;
        if let Err(error) = self.file.write_at(slot, offset)
            && !self.failed.swap(true, Relaxed)
        {
            warn!(%error, "cannot note active queries; a crash may not name them");
        }
    }
}

/// The bytes of a query's slot. A text too long is cut between two characters.
fn slot(query: &str, timestamp_sec: i64) -> [u8; SLOT_BYTES] {
    let tail = format!("\",\"timestamp_sec\":{timestamp_sec}}}");
    let room = SLOT_BYTES - 1 - tail.len();
    let mut entry = String::from("{\"query\":\"");
    for c in query.chars() {
        let length = entry.len();
        match c {
            '"' | '\\' => entry.extend(['\\', c]),
            // Zeros above all, which mean nothing in the file.
            c if c < ' ' => entry.push_str(&format!("\\u{:04x}", c as u32)),
            c => entry.push(c),
        }
        if entry.len() > room {
            entry.truncate(length);
            break;
        }
    }
    entry.push_str(&tail);
    let mut slot = [0; SLOT_BYTES];
    slot[..entry.len()].copy_from_slice(entry.as_bytes());
    slot[SLOT_BYTES - 1] = b',';
    slot
}

/// The queries in a file's bytes as the text of an array; none if there are none, or if the file
/// is of another kind.
fn unfinished(bytes: &[u8]) -> Option<String> {
    let entries: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != 0).collect();
    let entries = String::from_utf8_lossy(&entries);
    let entries = entries.strip_prefix('[')?.trim_end_matches(',');
    (!entries.is_empty()).then(|| format!("[{entries}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::{FaultyDisk, SystemDisk};

    fn open(dir: &Path) -> (ActiveFile, Option<String>) {
        ActiveFile::open(&*SystemDisk::shared(), dir, 3).unwrap()
    }

    #[test]
    fn what_was_not_finished_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (file, left) = open(dir.path());
        assert_eq!(left, None);
        for turn in 0..4 {
            file.begin(turn, &format!("up{{a=\"\u{0}\n{turn}\"}}"), 7);
        }
        file.end(1);
        drop(file);
        let (file, left) = open(dir.path());
        let left = left.unwrap();
        let json: serde_json::Value = serde_json::from_str(&left).unwrap();
        let wanted = [0, 2].map(|turn| {
            serde_json::json!({"query": format!("up{{a=\"\u{0}\n{turn}\"}}"), "timestamp_sec": 7})
        });
        assert_eq!(json, serde_json::Value::from(wanted.to_vec()));
        drop(file);
        assert_eq!(open(dir.path()).1, None, "they are told of once");
        let bytes = SystemDisk.stat(&dir.path().join(NAME)).unwrap().len;
        assert_eq!(bytes, 3_001);
    }

    #[test]
    fn long_queries_are_cut_between_characters() {
        for query in ["ä".repeat(2_000), "\"".repeat(999), "\u{1}x".repeat(500)] {
            let slot = slot(&query, 1_795_861_016);
            assert_eq!(slot[SLOT_BYTES - 1], b',');
            let mut file = b"[".to_vec();
            file.extend(slot);
            let json: serde_json::Value =
                serde_json::from_str(&unfinished(&file).unwrap()).unwrap();
            let kept = json[0]["query"].as_str().unwrap();
            assert!(query.starts_with(kept) && kept.len() > 100, "{kept}");
            let zeros = slot.iter().filter(|&&byte| byte == 0).count();
            assert!(zeros < 6, "{zeros} bytes of the slot are not used");
        }
    }

    #[test]
    fn other_bytes_are_no_queries() {
        for bytes in [&b""[..], b"[", b"[\0\0\0", b"\0\0", b"garbage,", b"[,,"] {
            assert_eq!(unfinished(bytes), None, "{bytes:?}");
        }
        assert_eq!(unfinished(b"[{\xff,").unwrap(), "[{\u{fffd}]");
    }

    #[test]
    fn a_failing_disk_fails_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = FaultyDisk::over(SystemDisk::shared());
        faults.set_no_space(true);
        assert!(ActiveFile::open(&*disk, dir.path(), 3).is_err());
        faults.set_no_space(false);
        let (file, _) = ActiveFile::open(&*disk, dir.path(), 3).unwrap();
        faults.set_write_bytes(Some(0));
        file.begin(0, "up", 1);
        file.end(0);
        assert!(file.failed.load(Relaxed));
    }
}
