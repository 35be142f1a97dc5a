//! From the bytes a sender writes its labels in to the series they mean, without reading the
//! labels: what makes a known series cheap to push.

use ferula_model::TenantId;
use ferula_storage::SeriesRef;
use hashbrown::HashTable;
use parking_lot::RwLock;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// Parts with a lock each, so that connections do not wait for one another.
const STRIPES: usize = 64;

/// Entries per part: 64 × 64 Ki × 24 B is 100 MiB at the most. A full part starts anew.
const STRIPE_ENTRIES_MAX: usize = 65_536;

/// The identity of some bytes of some tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefKey(u128);

/// Remembers which series raw label bytes mean. Forgetting is always safe.
pub struct RefCache {
    /// Unknown outside the process, so that nobody can craft two label sets with one key.
    seed: u64,
    stripes: Vec<RwLock<HashTable<(u128, SeriesRef)>>>,
}

impl RefCache {
    /// An empty cache with a secret seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            stripes: (0..STRIPES).map(|_| RwLock::default()).collect(),
        }
    }

    /// The part of a key that is the tenant's; compute it once per request.
    pub fn tenant_seed(&self, tenant: &TenantId) -> u64 {
        self.seed ^ xxh3_64(tenant.as_str().as_bytes())
    }

    /// The key of `raw` label bytes; `tenant_seed` is that of [`Self::tenant_seed`].
    #[inline]
    pub fn key(tenant_seed: u64, raw: &[u8]) -> RefKey {
        RefKey(xxh3_128_with_seed(raw, tenant_seed))
    }

    /// The series `key` was last known to mean.
    #[inline]
    pub fn get(&self, key: RefKey) -> Option<SeriesRef> {
        let stripe = self.stripe(key).read();
        stripe
            .find(hash(key), |(k, _)| *k == key.0)
            .map(|(_, series)| *series)
    }

    /// Remembers what `key` means.
    pub fn put(&self, key: RefKey, series: SeriesRef) {
        let mut stripe = self.stripe(key).write();
        if let Some((_, known)) = stripe.find_mut(hash(key), |(k, _)| *k == key.0) {
            *known = series;
            return;
        }
        if stripe.len() >= STRIPE_ENTRIES_MAX {
            stripe.clear();
        }
        stripe.insert_unique(hash(key), (key.0, series), |(k, _)| hash(RefKey(*k)));
    }

    /// Forgets what `key` means.
    pub fn forget(&self, key: RefKey) {
        let mut stripe = self.stripe(key).write();
        if let Ok(entry) = stripe.find_entry(hash(key), |(k, _)| *k == key.0) {
            entry.remove();
        }
    }

    fn stripe(&self, key: RefKey) -> &RwLock<HashTable<(u128, SeriesRef)>> {
        &self.stripes[(key.0 >> 64) as usize % STRIPES]
    }
}

/// The key is a hash already; its low half picks the place, its high half the stripe.
fn hash(key: RefKey) -> u64 {
    key.0 as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_do_not_share_keys() {
        let cache = RefCache::new(7);
        let key = |tenant: &str| {
            RefCache::key(cache.tenant_seed(&TenantId::new(tenant).unwrap()), b"raw")
        };
        cache.put(key("a"), SeriesRef(1));
        assert_eq!(cache.get(key("a")), Some(SeriesRef(1)));
        assert_eq!(cache.get(key("b")), None);
        cache.put(key("a"), SeriesRef(2));
        assert_eq!(cache.get(key("a")), Some(SeriesRef(2)));
        cache.forget(key("a"));
        assert_eq!(cache.get(key("a")), None);
    }

    #[test]
    fn never_grows_past_its_bound() {
        let cache = RefCache::new(7);
        for i in 0..(STRIPES * STRIPE_ENTRIES_MAX * 5 / 4) as u64 {
            cache.put(RefCache::key(0, &i.to_le_bytes()), SeriesRef(i));
        }
        assert!(
            cache
                .stripes
                .iter()
                .all(|s| s.read().len() <= STRIPE_ENTRIES_MAX)
        );
    }
}
