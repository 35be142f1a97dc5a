//! Which series have a label: sorted series numbers, neighbours as one run.

/// Marks the first of a run; the number after it is the run's last. Series numbers are below.
const RUN: u32 = 1 << 31;

/// Sorted series numbers. A target's series get consecutive numbers, so a list that holds all
/// of them is a few runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Postings {
    /// A lone number as it is; a run as its first number, marked, and its last.
    words: Vec<u32>,
    len: u32,
}

impl Postings {
    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Adds a number larger than all that are in.
    pub(crate) fn push(&mut self, id: u32) {
        debug_assert!(id < RUN && self.last().is_none_or(|last| last < id));
        self.len += 1;
        match self.words.as_mut_slice() {
            [.., first, last] if *first & RUN != 0 && *last + 1 == id => *last = id,
            [.., lone] if *lone + 1 == id => {
                *lone |= RUN;
                self.push_word(id);
            }
            _ => self.push_word(id),
        }
    }

    fn push_word(&mut self, word: u32) {
        // Most lists stay short: doubling from 4 would waste more than the lists hold.
        if self.words.len() == self.words.capacity() {
            self.words.reserve_exact((self.words.len() / 2).max(1));
        }
        self.words.push(word);
    }

    fn last(&self) -> Option<u32> {
        self.words.last().copied()
    }

    /// The smallest number.
    pub(crate) fn first(&self) -> Option<u32> {
        self.words.first().map(|w| w & !RUN)
    }

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> u64 {
        (self.words.capacity() * 4) as u64
    }

    /// Runs as (first, last), in order.
    fn runs(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut words = self.words.iter();
        std::iter::from_fn(move || {
            let word = *words.next()?;
            match word & RUN {
                0 => Some((word, word)),
                _ => Some((word & !RUN, *words.next()?)),
            }
        })
    }

    /// All numbers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.runs().flat_map(|(first, last)| first..=last)
    }

    /// Keeps of `ids`, which are sorted, those in this list (`inside`) or those not in it.
    pub(crate) fn filter(&self, ids: &mut Vec<u32>, inside: bool) {
        let mut runs = self.runs();
        let mut run = runs.next();
        ids.retain(|&id| {
            while run.is_some_and(|(_, last)| last < id) {
                run = runs.next();
            }
            run.is_some_and(|(first, _)| first <= id) == inside
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn is_a_sorted_set(set: BTreeSet<u8>, other: BTreeSet<u8>) {
            let mut postings = Postings::default();
            set.iter().for_each(|&id| postings.push(id.into()));
            let wide = |s: &BTreeSet<u8>| s.iter().map(|&id| u32::from(id)).collect::<Vec<_>>();
            prop_assert_eq!(postings.iter().collect::<Vec<_>>(), wide(&set));
            prop_assert_eq!(postings.len(), set.len());
            prop_assert_eq!(postings.first(), wide(&set).first().copied());
            for inside in [true, false] {
                let mut ids = wide(&other);
                postings.filter(&mut ids, inside);
                let expected = other.iter().filter(|id| set.contains(id) == inside);
                prop_assert_eq!(ids, expected.map(|&id| u32::from(id)).collect::<Vec<_>>());
            }
        }
    }
}
