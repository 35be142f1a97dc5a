//! Series in order of their labels, without comparing labels for each query.
//!
//! Series are numbered as they come. Their place in the order of labels is kept beside that, and
//! brought up to date when a selection is so large that comparing labels would cost more.

use super::index::Index;

/// Moving a series to its new place costs about this part of a comparison of labels.
const MOVES_PER_COMPARISON: usize = 8;

/// Being brought up to date may cost so many times what the selection at hand would save: the
/// next ones save it again. With 1, a head that filled without being asked would never be.
const SELECTIONS_SERVED: usize = 2;

/// The order of the series up to some number. Eight bytes for each.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Series by place.
    sorted: Vec<u32>,
    /// Places by series; those of series that were lost mean nothing.
    places: Vec<u32>,
}

impl Order {
    /// Sorts series by tenant, then by labels.
    pub(super) fn sort(&mut self, index: &Index, ids: &mut [u32]) {
        let all = index.len() as usize;
        let behind = all - self.places.len();
        if behind > 0 {
            let catching_up = behind * depth(all) + all / MOVES_PER_COMPARISON;
            if SELECTIONS_SERVED * ids.len() * depth(ids.len()) <= catching_up {
                return ids.sort_unstable_by(|&a, &b| index.cmp(a, b));
            }
            self.catch_up(index);
        }
        for id in ids.iter_mut() {
            *id = self.places[*id as usize];
        }
        ids.sort_unstable();
        for id in ids {
            *id = self.sorted[*id as usize];
        }
    }

    /// Puts the series that have come since into their places.
    fn catch_up(&mut self, index: &Index) {
        let known = |id: &u32| index.is_known(*id);
        let mut new: Vec<u32> = (self.places.len() as u32..index.len())
            .filter(known)
            .collect();
        new.sort_unstable_by(|&a, &b| index.cmp(a, b));
        let old = std::mem::take(&mut self.sorted);
        self.sorted.reserve_exact(old.len() + new.len());
        let mut rest = old.as_slice();
        for id in new {
            let before = rest.partition_point(|&other| index.cmp(other, id).is_lt());
            self.sorted.extend_from_slice(&rest[..before]);
            self.sorted.push(id);
            rest = &rest[before..];
        }
        self.sorted.extend_from_slice(rest);
        self.places.resize(index.len() as usize, 0);
        for (place, &id) in self.sorted.iter().enumerate() {
            self.places[id as usize] = place as u32;
        }
    }
}

/// How many comparisons find a place among `count`.
fn depth(count: usize) -> usize {
    count.max(2).ilog2() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::{Labels, TenantId};

    #[test]
    fn places_follow_labels_as_series_come() {
        let mut index = Index::new(1);
        let tenants: Vec<u32> = ["anonymous", "b"]
            .iter()
            .map(|name| index.intern_tenant(&TenantId::new(name).unwrap()))
            .collect();
        let mut order = Order::default();
        for i in 0..300u32 {
            let (x, y) = (i * 7_919 % 101, i % 3);
            let labels = Labels::from_pairs([("x", x.to_string()), ("y", y.to_string())]);
            let tenant = tenants[(i % 2) as usize];
            let hash = index.hash(tenant, &labels);
            if index.find(tenant, hash, &labels).is_none() {
                index.create(tenant, hash, &labels);
            }
            let mut ids: Vec<u32> = (0..index.len())
                .rev()
                .step_by(1 + (i as usize % 5))
                .collect();
            let mut expected = ids.clone();
            expected.sort_by(|&a, &b| index.cmp(a, b));
            order.sort(&index, &mut ids);
            assert_eq!(ids, expected, "after {i}");
        }
        assert!(
            !order.sorted.is_empty(),
            "large selections bring it up to date"
        );
    }
}
