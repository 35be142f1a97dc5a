//! Which sources are written together, and to which blocks. Pure.

use ferula_model::{Range, Timestamp};

/// Blocks begin and end at multiples of this.
const SLOT_MS: Timestamp = 2 * 3_600_000;

/// No block is written that reaches beyond one multiple of this.
const DAY_MS: Timestamp = 12 * SLOT_MS;

/// Sources that share time, directly or through others: they are imported together or not at
/// all, so that a source that is named in a block has been imported whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which sources.
    pub sources: Vec<usize>,
    /// What the blocks cover, in order of time.
    pub blocks: Vec<Range>,
}

/// Plans the import of sources with samples in these ranges. A block covers the two hours that
/// a sample lies in, and more where a source does, but never more than a day.
pub fn plan(sources: &[Range]) -> Vec<Group> {
    let mut order: Vec<usize> = (0..sources.len())
        .filter(|&i| !sources[i].is_empty())
        .collect();
    order.sort_by_key(|&i| (sources[i].start, sources[i].end));
    let mut groups: Vec<(Timestamp, Vec<usize>)> = Vec::new();
    for i in order {
        let Range { start, end } = aligned(sources[i]);
        match groups.last_mut() {
            Some((reaches, group)) if start < *reaches => {
                *reaches = end.max(*reaches);
                group.push(i);
            }
            _ => groups.push((end, vec![i])),
        }
    }
    let group = |(_, members): (_, Vec<usize>)| Group {
        blocks: blocks(members.iter().map(|&i| aligned(sources[i]))),
        sources: members,
    };
    groups.into_iter().map(group).collect()
}

/// Out to the slots in which a range begins and ends.
fn aligned(range: Range) -> Range {
    Range {
        start: floor(range.start, SLOT_MS),
        end: floor(range.end.saturating_sub(1), SLOT_MS).saturating_add(SLOT_MS),
    }
}

fn floor(t: Timestamp, width: Timestamp) -> Timestamp {
    t.div_euclid(width).saturating_mul(width)
}

/// The pieces of days that sources, in order of their start, make up; those that share a slot
/// become one.
fn blocks(sources: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut pieces = Vec::new();
    for mut source in sources {
        while !source.is_empty() {
            let day = floor(source.start, DAY_MS).saturating_add(DAY_MS);
            let end = day.min(source.end);
            let start = source.start;
            pieces.push(Range { start, end });
            source.start = end;
        }
    }
    pieces.sort_by_key(|piece| (piece.start, piece.end));
    let mut blocks: Vec<Range> = Vec::new();
    for piece in pieces {
        match blocks.last_mut() {
            Some(last) if piece.start < last.end => last.end = last.end.max(piece.end),
            _ => blocks.push(piece),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const H: i64 = 3_600_000;

    /// Sources that go together, and the hours of their blocks.
    type Planned = (Vec<usize>, Vec<(i64, i64)>);

    fn planned(sources: &[(i64, i64)]) -> Vec<Planned> {
        let ranges: Vec<Range> = sources
            .iter()
            .map(|&(start, end)| Range { start, end })
            .collect();
        let hours = |r: &Range| (r.start / H, r.end / H);
        plan(&ranges)
            .into_iter()
            .map(|g| (g.sources, g.blocks.iter().map(hours).collect()))
            .collect()
    }

    #[test]
    fn neighbours_stay_apart_and_overlaps_go_together() {
        let two_hours = [(2 * H, 4 * H), (0, 2 * H)];
        assert_eq!(
            planned(&two_hours),
            [(vec![1], vec![(0, 2)]), (vec![0], vec![(2, 4)])]
        );
        // What came late lies in a larger block.
        let late = [(0, 18 * H), (18 * H, 20 * H), (H, 3 * H)];
        assert_eq!(
            planned(&late),
            [(vec![0, 2], vec![(0, 18)]), (vec![1], vec![(18, 20)])]
        );
    }

    #[test]
    fn a_long_source_is_cut_by_days() {
        let source = [(30 * H + 1, 75 * H)];
        assert_eq!(
            planned(&source),
            [(vec![0], vec![(30, 48), (48, 72), (72, 76)])]
        );
        assert_eq!(planned(&[(-1, 1)]), [(vec![0], vec![(-2, 0), (0, 2)])]);
        assert!(planned(&[(5, 5)]).is_empty());
    }

    proptest! {
        #[test]
        fn every_sample_is_in_one_block(ranges in proptest::collection::vec((-500..500i64, 1..200i64), 1..12)) {
            let ranges: Vec<Range> = ranges
                .iter()
                .map(|&(start, len)| Range { start: start * H, end: (start + len) * H })
                .collect();
            let groups = plan(&ranges);
            let mut blocks: Vec<Range> = groups.iter().flat_map(|g| g.blocks.clone()).collect();
            for block in &blocks {
                prop_assert!(block.start % SLOT_MS == 0 && block.end % SLOT_MS == 0);
                prop_assert_eq!(block.start.div_euclid(DAY_MS), (block.end - 1).div_euclid(DAY_MS));
            }
            blocks.sort_by_key(|b| b.start);
            prop_assert!(blocks.windows(2).all(|w| w[0].end <= w[1].start), "no overlap");
            let mut seen: Vec<usize> = groups.iter().flat_map(|g| g.sources.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..ranges.len()).collect::<Vec<_>>());
            for group in &groups {
                for &source in &group.sources {
                    let Range { start, end } = ranges[source];
                    for t in (start..end).step_by(H as usize / 2) {
                        let inside = group.blocks.iter().filter(|b| b.contains(t)).count();
                        prop_assert_eq!(inside, 1);
                    }
                }
            }
        }
    }
}
