//! Tenants, symbols, pairs and series: what the log has defined, in the order of their numbers.
//!
//! Series are kept as the index keeps them, by the numbers of their pairs, so that loading one
//! looks no text up.

use ferula_model::{LABEL_LEN_MAX, TenantId};

use super::contents::Kind;
use crate::Damaged;
use crate::bytes::{Reader, put_uv};
use crate::head::index::{Index, PairRanks, SERIES_MAX};
use crate::log::Dictionary;

/// How much of a dictionary has been written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    tenants: u32,
    symbols: u32,
    /// Tenants whose pairs are written, and pairs of the next one.
    pairs: (u32, u32),
    series: u32,
}

impl Position {
    /// What comes next; `None` at the end.
    pub(super) fn kind(&mut self, index: &Index, to: Dictionary) -> Option<Kind> {
        if self.tenants < to.tenants {
            return Some(Kind::Tenants);
        }
        if self.symbols < to.symbols {
            return Some(Kind::Symbols);
        }
        while self.pairs.0 < to.tenants {
            if self.has_pair(index, to) {
                return Some(Kind::Pairs);
            }
            self.pairs = (self.pairs.0 + 1, 0);
        }
        (self.series < to.series).then_some(Kind::Series)
    }

    /// Whether the current tenant has a next pair. Pairs come with the first series that has
    /// them, so those of series the log defines come first.
    fn has_pair(&self, index: &Index, to: Dictionary) -> bool {
        let (tenant, next) = self.pairs;
        let pair = index.tenants()[tenant as usize].pairs.get(next as usize);
        let first = pair.and_then(|pair| pair.series.first());
        first.is_some_and(|first| first < to.series)
    }

    /// Appends what comes next, all of one kind, until `out` has about `bytes_max` bytes.
    pub(super) fn put(
        &mut self,
        index: &Index,
        to: Dictionary,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) {
        let kind = self.kind(index, to);
        while self.kind(index, to) == kind && out.len() < bytes_max {
            match kind {
                Some(Kind::Tenants) => self.put_tenant(index, out),
                Some(Kind::Symbols) => self.put_symbol(index, out),
                Some(Kind::Pairs) => self.put_pair(index, out),
                Some(Kind::Series) => self.put_series(index, out),
                Some(Kind::Samples | Kind::Late) | None => return,
            }
        }
    }

    fn put_tenant(&mut self, index: &Index, out: &mut Vec<u8>) {
        let name = match index.is_known_tenant(self.tenants) {
            true => index.tenants()[self.tenants as usize].id.as_str(),
            false => "",
        };
        put_uv(out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        self.tenants += 1;
    }

    fn put_symbol(&mut self, index: &Index, out: &mut Vec<u8>) {
        if index.symbols.is_known(self.symbols) {
            let text = index.symbols.get(self.symbols);
            put_uv(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        } else {
            out.push(0);
        }
        self.symbols += 1;
    }

    fn put_pair(&mut self, index: &Index, out: &mut Vec<u8>) {
        let (tenant, next) = self.pairs;
        let pair = &index.tenants()[tenant as usize].pairs[next as usize];
        put_uv(out, tenant.into());
        put_uv(out, pair.name.into());
        put_uv(out, pair.value.into());
        self.pairs.1 += 1;
    }

    fn put_series(&mut self, index: &Index, out: &mut Vec<u8>) {
        if index.is_known(self.series) {
            let (tenant, pairs) = index.pairs_of(self.series);
            put_uv(out, pairs.size_hint().0 as u64 + 1);
            put_uv(out, tenant.into());
            pairs.for_each(|pair| put_uv(out, pair.into()));
        } else {
            out.push(0);
        }
        self.series += 1;
    }
}

/// Fills an empty index from sections, in their order.
pub(super) struct Filling<'a> {
    index: &'a mut Index,
    to: Dictionary,
    ranks: Option<PairRanks>,
    set: Vec<u32>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(index: &'a mut Index, to: Dictionary) -> Self {
        Self {
            index,
            to,
            ranks: None,
            set: Vec::new(),
        }
    }

    /// Takes all of one section.
    pub(super) fn section(&mut self, kind: Kind, r: &mut Reader<'_>) -> Result<(), Damaged> {
        if kind != Kind::Series && self.ranks.is_some() {
            return Err(Damaged("its sections are out of order"));
        }
        while !r.is_empty() {
            match kind {
                Kind::Tenants => self.tenant(r)?,
                Kind::Symbols => self.symbol(r)?,
                Kind::Pairs => self.pair(r)?,
                Kind::Series => self.series(r)?,
                Kind::Samples | Kind::Late => {
                    return Err(Damaged("samples are no part of a dictionary"));
                }
            }
        }
        Ok(())
    }

    /// To be called at the end: whether everything was there.
    pub(super) fn finish(self) -> Result<(), Damaged> {
        match Dictionary::of(self.index) == self.to {
            true => Ok(()),
            false => Err(Damaged("its dictionary is not as long as it says")),
        }
    }

    fn tenant(&mut self, r: &mut Reader<'_>) -> Result<(), Damaged> {
        let number = self.index.tenants().len() as u32;
        let name = r.str()?;
        if name.is_empty() {
            self.index.lose_tenants_until(number + 1);
            return Ok(());
        }
        let name = TenantId::new(name).map_err(|_| Damaged("a tenant's name is none"))?;
        match self.index.intern_tenant(&name) == number {
            true => Ok(()),
            false => Err(Damaged("a tenant is there twice")),
        }
    }

    fn symbol(&mut self, r: &mut Reader<'_>) -> Result<(), Damaged> {
        let len = r.uv()?;
        if len == 0 {
            let next = self.index.symbols.len() + 1;
            self.index.symbols.lose_until(next);
            return Ok(());
        }
        if len - 1 > LABEL_LEN_MAX as u64 {
            return Err(Damaged("a label is too long"));
        }
        let text = std::str::from_utf8(r.slice(len as usize - 1)?)
            .map_err(|_| Damaged("text is not UTF-8"))?;
        self.index.symbols.push_logged(text);
        Ok(())
    }

    fn pair(&mut self, r: &mut Reader<'_>) -> Result<(), Damaged> {
        let (tenant, name, value) = (r.uv32()?, r.uv32()?, r.uv32()?);
        let symbols = &self.index.symbols;
        let known = symbols.is_known(name) && symbols.is_known(value);
        if !self.index.is_known_tenant(tenant) || !known || symbols.get(value).is_empty() {
            return Err(Damaged("a label of no known name, value or tenant"));
        }
        self.index.push_pair(tenant, name, value);
        Ok(())
    }

    fn series(&mut self, r: &mut Reader<'_>) -> Result<(), Damaged> {
        let ranks = self.ranks.get_or_insert_with(|| {
            // A series takes a byte or more.
            let room = (self.to.series as usize).min(SERIES_MAX as usize);
            self.index.reserve(room.min(r.left()));
            PairRanks::of(self.index)
        });
        let sid = self.index.len();
        if sid >= SERIES_MAX - 1 || !self.index.has_room() {
            return Err(Damaged("more series than can be numbered"));
        }
        let count = r.uv()?;
        if count == 0 {
            self.index.lose_until(sid + 1);
            return Ok(());
        }
        let tenant = r.uv32()?;
        if count - 1 > r.left() as u64 {
            return Err(Damaged("too short"));
        }
        self.set.clear();
        for _ in 1..count {
            self.set.push(r.uv32()?);
        }
        if !self.index.is_known_tenant(tenant) || !ranks.are_sorted(tenant, &self.set) {
            return Err(Damaged("a series of unknown labels, or out of order"));
        }
        self.index.push_series(tenant, &self.set);
        Ok(())
    }
}
