//! Which blocks are merged next. Pure.

use ferula_model::{Range, Timestamp, Ulid};

use crate::manifest::BlockEntry;

/// A block with so many deletions is written anew, so that they are not applied for ever.
const DELETES_MAX: usize = 64;

/// Blocks that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which ones, in order of time.
    pub sources: Vec<Ulid>,
    /// What the result covers.
    pub range: Range,
}

/// The next job, if there is one.
///
/// `blocks` are in order of time; `ranges_ms` are the sizes blocks grow to, each a multiple of
/// the one before. Blocks that overlap come first, since each costs every query that reads them;
/// then neighbours that fill a larger aligned range behind which nothing can be cut any more
/// (`floor`); then a block with many deletions.
pub fn plan(blocks: &[BlockEntry], ranges_ms: &[i64], floor: Timestamp) -> Option<Job> {
    overlapping(blocks)
        .or_else(|| {
            ranges_ms
                .iter()
                .skip(1)
                .find_map(|&size| neighbours(blocks, size, floor))
        })
        .or_else(|| deleted(blocks, DELETES_MAX))
}

/// The first block with at least so many deletions, to be written anew without what they hide.
pub fn deleted(blocks: &[BlockEntry], deletes_min: usize) -> Option<Job> {
    let block = blocks
        .iter()
        .find(|b| !b.deletes.is_empty() && b.deletes.len() >= deletes_min)?;
    Some(job(std::slice::from_ref(block)))
}

/// The first blocks that share some time.
fn overlapping(blocks: &[BlockEntry]) -> Option<Job> {
    for (first, block) in blocks.iter().enumerate() {
        let mut end = block.range.end;
        let rest = blocks[first + 1..].iter();
        let more = rest
            .take_while(|next| {
                let shares = next.range.start < end;
                end = end.max(next.range.end);
                shares
            })
            .count();
        if more > 0 {
            return Some(job(&blocks[first..=first + more]));
        }
    }
    None
}

/// The first blocks, at least two, that lie in one aligned range of this size.
fn neighbours(blocks: &[BlockEntry], size: i64, floor: Timestamp) -> Option<Job> {
    let mut rest = blocks;
    while let Some((first, _)) = rest.split_first() {
        let start = first.range.start.div_euclid(size).saturating_mul(size);
        let end = start.saturating_add(size);
        let inside = |b: &&BlockEntry| b.range.end <= end;
        let len = rest.iter().take_while(inside).count();
        let covered = rest.get(len).is_none_or(|next| next.range.start >= end);
        if len > 1 && covered && end <= floor {
            return Some(job(&rest[..len]));
        }
        rest = &rest[len.max(1)..];
    }
    None
}

fn job(blocks: &[BlockEntry]) -> Job {
    let start = blocks.iter().map(|b| b.range.start).min();
    let end = blocks.iter().map(|b| b.range.end).max();
    Job {
        sources: blocks.iter().map(|b| b.id).collect(),
        range: Range {
            start: start.unwrap_or_default(),
            end: end.unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZES: [i64; 3] = [2, 6, 18];

    pub(crate) fn block(id: u128, start: i64, end: i64) -> BlockEntry {
        BlockEntry {
            id: Ulid(id),
            level: 1,
            range: Range { start, end },
            rank: 0,
            series: 1,
            samples: 1,
            bytes: 1,
            sources: Vec::new(),
            deletes: Vec::new(),
        }
    }

    fn planned(ranges: &[(i64, i64)], floor: i64) -> Option<Vec<u128>> {
        let blocks: Vec<_> = (0..).zip(ranges).map(|(i, r)| block(i, r.0, r.1)).collect();
        let job = plan(&blocks, &SIZES, floor)?;
        Some(job.sources.iter().map(|s| s.0).collect())
    }

    #[test]
    fn neighbours_fill_an_aligned_range() {
        assert_eq!(planned(&[(0, 2), (2, 4)], 4), None);
        assert_eq!(planned(&[(0, 2), (2, 4), (4, 6)], 6), Some(vec![0, 1, 2]));
        // A gap fills the range as well, once nothing can come into it.
        assert_eq!(planned(&[(0, 2), (4, 6)], 6), Some(vec![0, 1]));
        assert_eq!(planned(&[(4, 6), (6, 8)], 8), None);
        assert_eq!(
            planned(&[(0, 6), (6, 12), (12, 18)], 18),
            Some(vec![0, 1, 2])
        );
        assert_eq!(planned(&[(-6, -4), (-2, 0)], 0), Some(vec![0, 1]));
        // A block that reaches out of the range belongs to a larger one.
        assert_eq!(planned(&[(0, 2), (2, 8)], 18), Some(vec![0, 1]));
        assert_eq!(planned(&[(0, 2), (2, 8)], 12), None);
    }

    #[test]
    fn what_overlaps_comes_first() {
        let ranges = [(0, 2), (2, 4), (4, 6), (6, 9), (8, 10), (9, 12)];
        assert_eq!(planned(&ranges, 12), Some(vec![3, 4, 5]));
        assert_eq!(planned(&[(0, 9), (1, 2), (8, 10)], 10), Some(vec![0, 1, 2]));
    }

    #[test]
    fn many_deletions_are_made_true() {
        let mut blocks = [block(0, 0, 2)];
        let delete = crate::manifest::Delete {
            tenant: ferula_model::TenantId::anonymous(),
            matchers: Vec::new(),
            range: Range::ALL,
        };
        blocks[0].deletes = vec![delete.clone(); DELETES_MAX - 1];
        assert_eq!(plan(&blocks, &SIZES, 0), None);
        assert!(deleted(&blocks, 1).is_some());
        blocks[0].deletes.push(delete);
        assert!(plan(&blocks, &SIZES, 0).is_some());
    }

    proptest! {
        /// Merging as planned ends, and ends with blocks that do not overlap.
        #[test]
        fn planning_ends(ranges in proptest::collection::vec((0..60i64, 1..8i64), 0..30)) {
            let mut blocks: Vec<_> = (0..).zip(ranges).map(|(i, r)| block(i, r.0, r.0 + r.1)).collect();
            for round in 0..200u128 {
                blocks.sort_by_key(|b| (b.range.start, b.range.end));
                let Some(job) = plan(&blocks, &SIZES, 60) else {
                    let apart = blocks.is_sorted_by(|a, b| a.range.end <= b.range.start);
                    prop_assert!(apart);
                    return Ok(());
                };
                prop_assert!(job.sources.len() > 1);
                blocks.retain(|b| !job.sources.contains(&b.id));
                blocks.push(block(1_000 + round, job.range.start, job.range.end));
            }
            prop_assert!(false, "no end");
        }
    }
}
