//! The head's oldest samples become a block.

use ferula_model::{Range, Timestamp};

use super::CompactError;
use crate::Head;
use crate::block::{BlockMeta, BlockWriter};

/// What is to be cut from a head whose samples lie in `oldest ..= newest`: an aligned range of
/// `block_ms`, once the head holds one and a half, and no sample of the range can come any more
/// because they are at most `behind_ms` behind the newest.
pub fn due(oldest: Timestamp, newest: Timestamp, block_ms: i64, behind_ms: i64) -> Option<Range> {
    let start = oldest.div_euclid(block_ms).saturating_mul(block_ms);
    let end = start.saturating_add(block_ms);
    let held = newest.saturating_sub(oldest);
    let ripe = held > block_ms + block_ms / 2 && end <= newest.saturating_sub(behind_ms);
    ripe.then_some(Range { start, end })
}

/// Writes the head's samples of a range to a block; none if there are none.
pub fn cut(
    head: &Head,
    range: Range,
    mut writer: BlockWriter,
    stop: &dyn Fn() -> bool,
) -> Result<Option<BlockMeta>, CompactError> {
    head.scan(range, |tenant, labels, samples| {
        if stop() {
            return Err(CompactError::Stopped);
        }
        Ok(writer.series(tenant, labels, samples)?)
    })?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_once_it_is_over() {
        let due = |oldest, newest| due(oldest, newest, 100, 50).map(|r| (r.start, r.end));
        assert_eq!(due(0, 150), None);
        assert_eq!(due(0, 151), Some((0, 100)));
        // Half of the range is held, so it is a while before it is worth a block.
        assert_eq!(due(90, 240), None);
        assert_eq!(due(90, 241), Some((0, 100)));
        assert_eq!(due(-1, 200), Some((-100, 0)));
        assert_eq!(due(0, 1_000_000), Some((0, 100)));
        let first = due(i64::MIN, i64::MAX).unwrap();
        assert_eq!(first.0, i64::MIN);
    }
}
