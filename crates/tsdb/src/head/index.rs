//! Which series there are: their labels, found by label set or by label.

use std::collections::HashMap;

use ferula_model::{Labels, TenantId};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::postings::Postings;
use super::symbols::{Slot, Symbols};
use crate::bytes::{Reader, put_uv};

/// Series numbers need 31 bits: postings use the highest for themselves.
pub(crate) const SERIES_MAX: u32 = 1 << 31;

/// Label sets are kept in pages that never move. A set starts below this offset in its page.
const PAGE_BYTES: usize = 64 * 1024;

/// 4 GiB of label sets: page numbers have 16 bits.
const PAGES_MAX: usize = 1 << 16;

/// The label sets of one shard. Grows only.
///
/// A series is a number (its *sid*), given in order of creation. Of its labels only the numbers
/// of the pairs are kept; a pair holds the series that have it.
#[derive(Debug)]
pub(crate) struct Index {
    seed: u64,
    /// How often series were renumbered.
    pub(crate) generation: u32,
    pub(crate) symbols: Symbols,
    tenants: Vec<TenantIndex>,
    tenant_numbers: HashMap<TenantId, u32>,
    /// Numbers that stand for no tenant: their record was lost.
    lost_tenants: Vec<u32>,
    /// Numbers that stand for no series: their record was lost.
    lost_series: Vec<u32>,
    /// Label sets as bytes: tenant, how many pairs, the pairs' numbers; all as varints.
    pages: Vec<Vec<u8>>,
    /// Page (high half) and offset of each series' label set.
    sets: Vec<u32>,
    identity: HashTable<Slot>,
    scratch: Vec<u8>,
    heap: u64,
}

/// The series of one tenant.
#[derive(Debug)]
pub(crate) struct TenantIndex {
    pub(crate) id: TenantId,
    pub(crate) pairs: Vec<Pair>,
    table: HashTable<Slot>,
    /// Pairs by the symbol of their name.
    names: HashMap<u32, Vec<u32>>,
    /// All series of the tenant.
    pub(crate) all: Postings,
}

/// A label, and the series that have it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) name: u32,
    pub(crate) value: u32,
    pub(crate) series: Postings,
}

impl Index {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            generation: 0,
            symbols: Symbols::new(seed),
            tenants: Vec::new(),
            tenant_numbers: HashMap::new(),
            lost_tenants: Vec::new(),
            lost_series: Vec::new(),
            pages: Vec::new(),
            sets: Vec::new(),
            identity: HashTable::new(),
            scratch: Vec::new(),
            heap: 0,
        }
    }

    /// An empty index of the next generation, with the same tenants.
    pub(crate) fn successor(&self) -> Self {
        let mut new = Self::new(self.seed);
        new.generation = self.generation.wrapping_add(1);
        new.follow_tenants(self);
        new
    }

    /// Adds the tenants that another index has beyond this one's.
    pub(crate) fn follow_tenants(&mut self, other: &Self) {
        for number in self.tenants.len() as u32..other.tenants.len() as u32 {
            match other.is_known_tenant(number) {
                true => {
                    self.intern_tenant(&other.tenants[number as usize].id);
                }
                false => self.lose_tenants_until(number + 1),
            }
        }
    }

    /// How many series there are, those not yet published included.
    pub(crate) fn len(&self) -> u32 {
        self.sets.len() as u32
    }

    /// Whether one more series can be numbered.
    pub(crate) fn has_room(&self) -> bool {
        self.len() < SERIES_MAX && self.pages.len() < PAGES_MAX
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> u64 {
        let tables = self.sets.capacity() * 4 + self.identity.allocation_size();
        let tenants: usize = self.tenants.iter().map(TenantIndex::tables).sum();
        self.heap + self.symbols.bytes() + (tables + tenants) as u64
    }

    pub(crate) fn tenants(&self) -> &[TenantIndex] {
        &self.tenants
    }

    pub(crate) fn tenant_number(&self, id: &TenantId) -> Option<u32> {
        self.tenant_numbers.get(id).copied()
    }

    pub(crate) fn tenant(&self, id: &TenantId) -> Option<&TenantIndex> {
        Some(&self.tenants[self.tenant_number(id)? as usize])
    }

    /// The tenant's number; it gets the next one if it is new.
    pub(crate) fn intern_tenant(&mut self, id: &TenantId) -> u32 {
        if let Some(number) = self.tenant_number(id) {
            return number;
        }
        let number = self.tenants.len() as u32;
        self.tenants.push(TenantIndex::new(id.clone()));
        self.tenant_numbers.insert(id.clone(), number);
        number
    }

    /// Skips tenants' numbers up to `number`: what they stood for is lost.
    pub(crate) fn lose_tenants_until(&mut self, number: u32) {
        while (self.tenants.len() as u32) < number {
            // Not filed under its name, so that no query finds it.
            self.lost_tenants.push(self.tenants.len() as u32);
            self.tenants.push(TenantIndex::new(TenantId::anonymous()));
        }
    }

    /// Whether the number stands for a tenant.
    pub(crate) fn is_known_tenant(&self, number: u32) -> bool {
        (number as usize) < self.tenants.len() && self.lost_tenants.binary_search(&number).is_err()
    }

    /// What a label set of a tenant is filed under.
    pub(crate) fn hash(&self, tenant: u32, labels: &Labels) -> u64 {
        xxh3_64_with_seed(labels.as_bytes(), self.seed ^ u64::from(tenant))
    }

    /// The series with these labels.
    pub(crate) fn find(&self, tenant: u32, hash: u64, labels: &Labels) -> Option<u32> {
        let same = |slot: &Slot| slot.is(hash) && self.has_labels(slot.id, tenant, labels);
        self.identity.find(Slot::spread(hash), same).map(|s| s.id)
    }

    fn has_labels(&self, sid: u32, tenant: u32, labels: &Labels) -> bool {
        let (owner, mut pairs) = self.pairs_of(sid);
        owner == tenant
            && labels
                .iter()
                .all(|label| pairs.next().map(|p| self.pair_text(tenant, p)) == Some(label))
            && pairs.next().is_none()
    }

    /// Creates the series; the caller has looked for it and found it missing.
    pub(crate) fn create(&mut self, tenant: u32, hash: u64, labels: &Labels) -> u32 {
        let sid = self.len();
        let mut set = std::mem::take(&mut self.scratch);
        set.clear();
        put_uv(&mut set, tenant.into());
        put_uv(&mut set, labels.len() as u64);
        let index = &mut self.tenants[tenant as usize];
        for (name, value) in labels {
            let pair = index.intern_pair(&mut self.symbols, self.seed, &mut self.heap, name, value);
            index.post(&mut self.heap, pair, sid);
            put_uv(&mut set, pair.into());
        }
        self.finish_series(tenant, hash, sid, &set);
        self.scratch = set;
        sid
    }

    /// Makes room for `count` more series.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.sets.reserve_exact(count);
        self.identity
            .reserve(count, |slot| Slot::spread(slot.filed_under()));
    }

    /// Gives a tenant's next pair number to a name and a value, which no pair of it has.
    pub(crate) fn push_pair(&mut self, tenant: u32, name: u32, value: u32) {
        let (name_text, value_text) = (self.symbols.get(name), self.symbols.get(value));
        let hash = pair_hash(self.seed, name_text, value_text);
        self.tenants[tenant as usize].push_pair(&mut self.heap, hash, name, value);
    }

    /// Creates the series of a tenant's pairs, which are in order of name; there is none yet.
    pub(crate) fn push_series(&mut self, tenant: u32, pairs: &[u32]) {
        let all = &self.tenants[tenant as usize].pairs;
        let text = |&pair: &u32| {
            let pair = &all[pair as usize];
            (self.symbols.get(pair.name), self.symbols.get(pair.value))
        };
        let labels = Labels::from_sorted(pairs.iter().map(text));
        let hash = self.hash(tenant, &labels);
        let sid = self.len();
        let mut set = std::mem::take(&mut self.scratch);
        set.clear();
        put_uv(&mut set, tenant.into());
        put_uv(&mut set, pairs.len() as u64);
        for &pair in pairs {
            self.tenants[tenant as usize].post(&mut self.heap, pair, sid);
            put_uv(&mut set, pair.into());
        }
        self.finish_series(tenant, hash, sid, &set);
        self.scratch = set;
    }

    /// Files a series whose pairs are posted under its number and its labels' hash.
    fn finish_series(&mut self, tenant: u32, hash: u64, sid: u32, set: &[u8]) {
        let all = &mut self.tenants[tenant as usize].all;
        let before = all.heap();
        all.push(sid);
        self.heap += all.heap() - before;
        self.push_set(set);
        Slot::insert(&mut self.identity, hash, sid);
    }

    /// Skips series numbers up to `sid`: what they stood for is lost.
    pub(crate) fn lose_until(&mut self, sid: u32) {
        while self.len() < sid {
            // In no postings, so that no query finds it.
            self.lost_series.push(self.len());
            self.push_set(&[0, 0]);
        }
    }

    /// How many series' numbers stand for nothing.
    pub(crate) fn lost(&self) -> u32 {
        self.lost_series.len() as u32
    }

    /// Whether the series' labels are known.
    pub(crate) fn is_known(&self, sid: u32) -> bool {
        sid < self.len()
            && (self.lost_series.is_empty() || self.lost_series.binary_search(&sid).is_err())
    }

    fn push_set(&mut self, set: &[u8]) {
        let room = self.pages.last().map_or(0, |p| p.capacity() - p.len());
        if set.len() > room {
            let capacity = PAGE_BYTES.max(set.len());
            self.pages.push(Vec::with_capacity(capacity));
            self.heap += capacity as u64;
        }
        let page = self.pages.len() - 1;
        self.sets.push((page << 16 | self.pages[page].len()) as u32);
        self.pages[page].extend_from_slice(set);
    }

    /// The tenant of a series and the numbers of its pairs, in order of name.
    pub(crate) fn pairs_of(&self, sid: u32) -> (u32, impl Iterator<Item = u32>) {
        let (page, at) = (
            self.sets[sid as usize] >> 16,
            self.sets[sid as usize] & 0xFFFF,
        );
        let mut r = Reader::new(&self.pages[page as usize][at as usize..]);
        let mut next = move || r.uv().expect("label sets are written by `create` alone");
        let tenant = next() as u32;
        let pairs = next();
        (tenant, (0..pairs).map(move |_| next() as u32))
    }

    fn pair_text(&self, tenant: u32, pair: u32) -> (&str, &str) {
        let pair = &self.tenants[tenant as usize].pairs[pair as usize];
        (self.symbols.get(pair.name), self.symbols.get(pair.value))
    }

    /// A series' labels, put together.
    pub(crate) fn labels(&self, sid: u32) -> Labels {
        let (tenant, pairs) = self.pairs_of(sid);
        Labels::from_sorted(pairs.map(|p| self.pair_text(tenant, p)))
    }

    /// The value a series has for the label named by symbol `name`.
    pub(crate) fn value(&self, sid: u32, name: u32) -> Option<u32> {
        let (tenant, mut pairs) = self.pairs_of(sid);
        let all = &self.tenants[tenant as usize].pairs;
        pairs
            .find(|&p| all[p as usize].name == name)
            .map(|p| all[p as usize].value)
    }

    /// A series' labels named by the symbols `names` alone, put together.
    pub(crate) fn labels_named(&self, sid: u32, names: &[u32]) -> Labels {
        let (tenant, pairs) = self.pairs_of(sid);
        let all = &self.tenants[tenant as usize].pairs;
        let named = pairs.filter(|&p| names.contains(&all[p as usize].name));
        Labels::from_sorted(named.map(|p| self.pair_text(tenant, p)))
    }

    /// Compares two series by tenant, then by their labels.
    pub(crate) fn cmp(&self, a: u32, b: u32) -> std::cmp::Ordering {
        let (tenant, a) = self.pairs_of(a);
        let (other_tenant, mut b) = self.pairs_of(b);
        if tenant != other_tenant {
            return tenant.cmp(&other_tenant);
        }
        for a in a {
            match b.next() {
                Some(b) if a == b => {}
                Some(b) => return self.pair_text(tenant, a).cmp(&self.pair_text(tenant, b)),
                None => return std::cmp::Ordering::Greater,
            }
        }
        match b.next() {
            Some(_) => std::cmp::Ordering::Less,
            None => std::cmp::Ordering::Equal,
        }
    }
}

impl TenantIndex {
    fn new(id: TenantId) -> Self {
        Self {
            id,
            pairs: Vec::new(),
            table: HashTable::new(),
            names: HashMap::new(),
            all: Postings::default(),
        }
    }

    fn tables(&self) -> usize {
        self.pairs.capacity() * size_of::<Pair>() + self.table.allocation_size()
    }

    /// The pairs whose name is the symbol `name`.
    pub(crate) fn pairs_named(&self, name: u32) -> &[u32] {
        self.names.get(&name).map_or(&[], Vec::as_slice)
    }

    /// The symbols of all label names.
    pub(crate) fn names(&self) -> impl Iterator<Item = u32> {
        self.names.keys().copied()
    }

    pub(crate) fn find_pair(
        &self,
        symbols: &Symbols,
        seed: u64,
        name: &str,
        value: &str,
    ) -> Option<u32> {
        self.find_pair_hashed(symbols, pair_hash(seed, name, value), name, value)
    }

    fn find_pair_hashed(
        &self,
        symbols: &Symbols,
        hash: u64,
        name: &str,
        value: &str,
    ) -> Option<u32> {
        let same = |slot: &Slot| {
            let pair = &self.pairs[slot.id as usize];
            slot.is(hash) && symbols.get(pair.name) == name && symbols.get(pair.value) == value
        };
        self.table.find(Slot::spread(hash), same).map(|s| s.id)
    }

    fn intern_pair(
        &mut self,
        symbols: &mut Symbols,
        seed: u64,
        heap: &mut u64,
        name: &str,
        value: &str,
    ) -> u32 {
        let hash = pair_hash(seed, name, value);
        if let Some(id) = self.find_pair_hashed(symbols, hash, name, value) {
            return id;
        }
        let (name, value) = (symbols.intern(name), symbols.intern(value));
        self.push_pair(heap, hash, name, value)
    }

    /// Notes that a series has a pair.
    fn post(&mut self, heap: &mut u64, pair: u32, sid: u32) {
        let series = &mut self.pairs[pair as usize].series;
        let before = series.heap();
        series.push(sid);
        *heap += series.heap() - before;
    }

    fn push_pair(&mut self, heap: &mut u64, hash: u64, name: u32, value: u32) -> u32 {
        let id = self.pairs.len() as u32;
        let series = Postings::default();
        self.pairs.push(Pair {
            name,
            value,
            series,
        });
        self.names.entry(name).or_default().push(id);
        // A list of numbers grows by doubling: on average three quarters are in use.
        *heap += 6;
        Slot::insert(&mut self.table, hash, id);
        id
    }
}

/// The order of label names, by pair: to check that label sets are sorted without their texts.
#[derive(Debug)]
pub(crate) struct PairRanks {
    /// Ranks of each tenant's pairs.
    tenants: Vec<Vec<u32>>,
}

impl PairRanks {
    pub(crate) fn of(index: &Index) -> Self {
        let text = |name: &u32| index.symbols.get(*name);
        let mut names: Vec<u32> = index.tenants.iter().flat_map(TenantIndex::names).collect();
        names.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        let mut ranks = HashMap::new();
        // Numbers of one text have one rank.
        for (rank, same) in names.chunk_by(|a, b| text(a) == text(b)).enumerate() {
            ranks.extend(same.iter().map(|name| (*name, rank as u32)));
        }
        let rank = |pair: &Pair| ranks[&pair.name];
        let of_tenant = |tenant: &TenantIndex| tenant.pairs.iter().map(rank).collect();
        Self {
            tenants: index.tenants.iter().map(of_tenant).collect(),
        }
    }

    /// Whether the numbers are those of pairs, in order of their names.
    pub(crate) fn are_sorted(&self, tenant: u32, pairs: &[u32]) -> bool {
        let ranks = &self.tenants[tenant as usize];
        pairs.iter().all(|&pair| (pair as usize) < ranks.len())
            && pairs.is_sorted_by(|&a, &b| ranks[a as usize] < ranks[b as usize])
    }
}

impl Index {
    /// The pair of a tenant with this name and value.
    pub(crate) fn find_pair(&self, tenant: &TenantIndex, name: &str, value: &str) -> Option<u32> {
        tenant.find_pair(&self.symbols, self.seed, name, value)
    }
}

fn pair_hash(seed: u64, name: &str, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), xxh3_64_with_seed(name.as_bytes(), seed))
}
