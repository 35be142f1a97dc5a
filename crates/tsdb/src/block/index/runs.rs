//! Sorted sets of numbers as runs: what a label shared by neighbours needs little memory for.

/// Numbers from the first up to, not including, the second.
pub(in crate::block) type Run = (u32, u32);

/// How many numbers there are.
pub(in crate::block) fn len(runs: &[Run]) -> usize {
    runs.iter().map(|(from, to)| (to - from) as usize).sum()
}

/// The numbers, one by one.
pub(in crate::block) fn numbers(runs: &[Run]) -> impl Iterator<Item = u32> {
    runs.iter().flat_map(|&(from, to)| from..to)
}

/// The numbers below `end` that are not in `runs`.
pub(in crate::block) fn complement(runs: &[Run], end: u32) -> Vec<Run> {
    let mut out = Vec::with_capacity(runs.len() + 1);
    let mut at = 0;
    for &(from, to) in runs {
        push(&mut out, (at, from));
        at = to;
    }
    push(&mut out, (at, end));
    out
}

/// The numbers in both.
pub(in crate::block) fn intersection(a: &[Run], b: &[Run]) -> Vec<Run> {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let mut out = Vec::with_capacity(few.len());
    let mut rest = many;
    for &(from, to) in few {
        rest = &rest[ending_before(rest, from)..];
        let inside = rest.iter().take_while(|run| run.0 < to);
        for &(other_from, other_to) in inside {
            push(&mut out, (from.max(other_from), to.min(other_to)));
        }
    }
    out
}

/// How many runs end at or before `at`: looked for at growing distances, then between the last
/// two.
fn ending_before(runs: &[Run], at: u32) -> usize {
    let (mut low, mut step) = (0, 1);
    while low + step <= runs.len() && runs[low + step - 1].1 <= at {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(runs.len());
    low + runs[low..high].partition_point(|run| run.1 <= at)
}

/// Sorts runs of numbers below `end`, which may overlap, and joins those that touch.
pub(in crate::block) fn normalise(runs: &mut Vec<Run>, end: u32) {
    let words = end as usize / 64 + 1;
    if runs.len() > 64 && runs.len() * RUNS_PER_WORD > words {
        return normalise_marked(runs, words);
    }
    runs.sort_unstable();
    let mut kept = 0;
    for i in 0..runs.len() {
        let (from, to) = runs[i];
        if kept > 0 && from <= runs[kept - 1].1 {
            runs[kept - 1].1 = runs[kept - 1].1.max(to);
        } else {
            runs[kept] = (from, to);
            kept += 1;
        }
    }
    runs.truncate(kept);
}

/// Sorting a run costs about as much as reading so many words of marks.
const RUNS_PER_WORD: usize = 16;

/// The same, by marking the numbers in a set of bits and reading it back: no comparisons.
fn normalise_marked(runs: &mut Vec<Run>, words: usize) {
    let mut marks = vec![0u64; words];
    for (from, to) in runs.drain(..) {
        let (first, last) = (from as usize / 64, to as usize / 64);
        let (low, high) = (!0 << (from % 64), (1 << (to % 64)) - 1);
        if first == last {
            marks[first] |= low & high;
        } else {
            marks[first] |= low;
            marks[first + 1..last].fill(!0);
            marks[last] |= high;
        }
    }
    for (word, mut left) in marks.into_iter().enumerate() {
        let base = word as u32 * 64;
        while left != 0 {
            let from = left.trailing_zeros();
            let len = (left >> from).trailing_ones();
            push(runs, (base + from, base + from + len));
            left &= (!0u64).checked_shl(from + len).unwrap_or(0);
        }
    }
}

/// Adds a run behind all others; an empty one is left out.
fn push(runs: &mut Vec<Run>, (from, to): Run) {
    match runs.last_mut() {
        _ if from >= to => {}
        Some(last) if last.1 == from => last.1 = to,
        _ => runs.push((from, to)),
    }
}

/// The runs of numbers that are sorted.
pub(in crate::block) fn of_numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<Run> {
    let mut runs = Vec::new();
    for number in numbers {
        push(&mut runs, (number, number + 1));
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set() -> impl Strategy<Value = BTreeSet<u32>> {
        prop_oneof![
            proptest::collection::btree_set(0..128u32, 0..100),
            proptest::collection::btree_set(0..128u32, 0..4)
        ]
    }

    fn runs(set: &BTreeSet<u32>) -> Vec<Run> {
        of_numbers(set.iter().copied())
    }

    proptest! {
        #[test]
        fn runs_are_sets(a in set(), b in set()) {
            let (x, y) = (runs(&a), runs(&b));
            prop_assert_eq!(len(&x), a.len());
            prop_assert!(numbers(&x).eq(a.iter().copied()));
            prop_assert_eq!(intersection(&x, &y), runs(&(&a & &b)));
            prop_assert_eq!(complement(&x, 128), runs(&(0..128).filter(|n| !a.contains(n)).collect()));
            let mut all = [x, y].concat();
            let mut marked = all.clone();
            normalise(&mut all, 128);
            prop_assert_eq!(&all, &runs(&(&a | &b)));
            normalise_marked(&mut marked, 3);
            prop_assert_eq!(marked, all);
        }
    }
}
