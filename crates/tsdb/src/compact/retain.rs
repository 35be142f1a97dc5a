//! Which blocks are given up. Pure.

use ferula_model::Ulid;

use crate::manifest::BlockEntry;

/// How long and how much is kept. `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age in milliseconds, measured from the end of the newest block.
    pub time_ms: Option<i64>,
    /// Bytes of the shard on disk: blocks, log, checkpoints, and what a compaction is writing.
    pub bytes: Option<u64>,
}

/// Why a block is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is too old.
    Time,
    /// There is too much.
    Size,
}

/// The blocks to give up, which are whole blocks only: those that ended long enough before the
/// newest, and from the newest on those beyond which the bytes do not fit. `other_bytes` are
/// those of everything that is no block. The newest block is never too old.
pub fn expired(
    blocks: &[BlockEntry],
    retention: Retention,
    other_bytes: u64,
) -> Vec<(Ulid, Expiry)> {
    let mut newest_first: Vec<_> = blocks.iter().collect();
    newest_first.sort_by_key(|b| std::cmp::Reverse((b.range.end, b.range.start)));
    let Some(newest) = newest_first.first().map(|b| b.range.end) else {
        return Vec::new();
    };
    let mut bytes = other_bytes;
    let mut full = false;
    let mut gone = Vec::new();
    for block in newest_first {
        bytes = bytes.saturating_add(block.bytes);
        full |= retention.bytes.is_some_and(|max| bytes > max);
        let age = newest.saturating_sub(block.range.end);
        if retention.time_ms.is_some_and(|max| age > 0 && age >= max) {
            gone.push((block.id, Expiry::Time));
        } else if full {
            gone.push((block.id, Expiry::Size));
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::Range;

    fn blocks() -> Vec<BlockEntry> {
        let block = |i: i64| BlockEntry {
            id: Ulid(i as u128),
            level: 1,
            range: Range {
                start: i * 10,
                end: i * 10 + 10,
            },
            rank: 0,
            series: 1,
            samples: 1,
            bytes: 100,
            sources: Vec::new(),
            deletes: Vec::new(),
        };
        (0..4).map(block).collect()
    }

    fn gone(time_ms: Option<i64>, bytes: Option<u64>, other: u64) -> Vec<u128> {
        let retention = Retention { time_ms, bytes };
        let gone = expired(&blocks(), retention, other);
        gone.into_iter().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn by_time() {
        assert!(gone(None, None, 0).is_empty());
        assert!(gone(Some(31), None, 0).is_empty());
        assert_eq!(gone(Some(30), None, 0), [0]);
        assert_eq!(gone(Some(11), None, 0), [1, 0]);
        assert_eq!(gone(Some(1), None, 0), [2, 1, 0]);
        assert_eq!(gone(Some(0), None, 0), [2, 1, 0]);
        assert!(expired(&[], Retention::default(), 0).is_empty());
    }

    #[test]
    fn by_size() {
        assert!(gone(None, Some(400), 0).is_empty());
        assert_eq!(gone(None, Some(399), 0), [0]);
        assert_eq!(gone(None, Some(400), 200), [1, 0]);
        // The log alone may be too much.
        assert_eq!(gone(None, Some(400), 500), [3, 2, 1, 0]);
    }
}
