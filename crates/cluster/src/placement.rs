//! Which shard a series belongs to: the one place that decides, the same for ever.

use ferula_model::{Labels, TenantId};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// The shards there are, by id. Ids are never used twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    ids: Vec<u32>,
}

impl ShardMap {
    /// A map of these shards.
    ///
    /// # Panics
    /// If there is none: a map routes every series somewhere.
    pub fn new(ids: Vec<u32>) -> Self {
        assert!(!ids.is_empty(), "a shard map without shards");
        Self { ids }
    }

    /// How many shards there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Always false: a map has at least one shard.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The index of the shard that owns the series: rendezvous hashing, so that a shard more or
    /// less moves only the series that must move.
    pub fn shard_of(&self, tenant: &TenantId, labels: &Labels) -> usize {
        if let [_] = self.ids[..] {
            return 0;
        }
        let hash = series_hash(tenant, labels);
        let weight = |id: u32| xxh3_64_with_seed(&id.to_le_bytes(), hash);
        (0..self.ids.len())
            .max_by_key(|&i| (weight(self.ids[i]), self.ids[i]))
            .unwrap_or(0)
    }
}

/// The high half of XXH3-128 over the tenant, with its length before it, and the labels' bytes.
fn series_hash(tenant: &TenantId, labels: &Labels) -> u64 {
    let tenant = tenant.as_str().as_bytes();
    let mut input = Vec::with_capacity(1 + tenant.len() + labels.as_bytes().len());
    input.push(tenant.len() as u8); // a tenant id has at most 64 bytes
    input.extend_from_slice(tenant);
    input.extend_from_slice(labels.as_bytes());
    (xxh3_128(&input) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())])
    }

    #[test]
    fn a_shard_more_moves_only_its_share() {
        let (four, five) = (
            ShardMap::new(vec![1, 2, 3, 4]),
            ShardMap::new(vec![1, 2, 3, 4, 5]),
        );
        let tenant = TenantId::anonymous();
        let mut counts = [0; 5];
        for i in 0..10_000 {
            let (before, after) = (
                four.shard_of(&tenant, &series(i)),
                five.shard_of(&tenant, &series(i)),
            );
            assert!(
                before == after || after == 4,
                "series {i} moved from {before} to {after}"
            );
            counts[after] += 1;
        }
        assert!(
            counts.iter().all(|n| (1_700..2_300).contains(n)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_same_for_ever() {
        let map = ShardMap::new((0..16).collect());
        let at = |i| map.shard_of(&TenantId::anonymous(), &series(i));
        assert_eq!((0..8).map(at).collect::<Vec<_>>(), GOLDEN);
    }

    /// Series on disk are found by these numbers: they must never change.
    const GOLDEN: [usize; 8] = [9, 6, 1, 13, 6, 6, 15, 2];
}
