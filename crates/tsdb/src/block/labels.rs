//! Labels by ordinal, and what names and values there are.

use std::sync::Arc;

use ferula_model::{Labels, TenantId};

use super::cache::Kind;
use super::directory::{Place, TenantEntry};
use super::files::Of;
use super::index::{SetPage, StringPage, TenantIndex};
use super::{Block, BlockError};
use crate::Damaged;

/// Reads labels of many series, remembering the pages of the one before.
pub struct LabelReader<'a> {
    block: &'a Block,
    tenant: Option<TenantReader<'a>>,
}

impl<'a> LabelReader<'a> {
    pub(super) fn new(block: &'a Block) -> Self {
        Self {
            block,
            tenant: None,
        }
    }

    /// The labels of a series.
    pub fn labels(&mut self, ordinal: u32) -> Result<Labels, BlockError> {
        self.tenant(ordinal)?.labels(ordinal, |_| true)
    }

    /// The labels of a series that have one of the names.
    pub fn labels_named(&mut self, ordinal: u32, names: &[String]) -> Result<Labels, BlockError> {
        let wanted = |name: &str| names.iter().any(|other| other == name);
        self.tenant(ordinal)?.labels(ordinal, wanted)
    }

    fn tenant(&mut self, ordinal: u32) -> Result<&mut TenantReader<'a>, BlockError> {
        let known = self.tenant.take_if(|reader| !reader.entry.has(ordinal));
        drop(known);
        match &mut self.tenant {
            Some(reader) => Ok(reader),
            slot => {
                let entry = self.block.tenant_of(ordinal)?;
                Ok(slot.insert(TenantReader::new(self.block, entry)?))
            }
        }
    }
}

impl TenantEntry {
    fn has(&self, ordinal: u32) -> bool {
        ordinal >= self.first && ordinal - self.first < self.series
    }
}

/// Reads a tenant's labels.
pub(super) struct TenantReader<'a> {
    block: &'a Block,
    pub(super) entry: &'a TenantEntry,
    pub(super) index: Arc<TenantIndex>,
    /// The page of label sets that was used last.
    sets: Option<(Place, Arc<SetPage>)>,
    /// Per name the page of values that was used last, and its first pair.
    strings: Vec<Option<(u32, Arc<StringPage>)>>,
}

impl<'a> TenantReader<'a> {
    pub(super) fn new(block: &'a Block, entry: &'a TenantEntry) -> Result<Self, BlockError> {
        let index = block.tenant_index(entry)?;
        Ok(Self {
            block,
            entry,
            strings: vec![None; index.names.len()],
            index,
            sets: None,
        })
    }

    pub(super) fn damaged(&self, what: &'static str) -> BlockError {
        let files = &self.block.files;
        files.damaged(Of::Index, self.entry.place, Damaged(what))
    }

    fn labels(
        &mut self,
        ordinal: u32,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Labels, BlockError> {
        let (page, i) = self.set_page(ordinal)?;
        let mut pairs = Vec::with_capacity(page.columns());
        for column in 0..page.columns() {
            let name = page.name(column);
            let text = self.index.names.get(name as usize).map(|n| &*n.text);
            let text = text.ok_or_else(|| self.damaged("there is no such name"))?;
            if wanted(text)
                && let Some(value) = self.value_in(&page, column, i)?
            {
                pairs.push((name, value));
            }
        }
        // First all pages are at hand, then the texts can be borrowed of them.
        for (name, value) in &mut pairs {
            *value = self.find(*name, *value)? as u32;
        }
        let text = |&(name, i): &(u32, u32)| {
            let name_text = &*self.index.names.get(name as usize)?.text;
            Some((name_text, self.found(name, i as usize)?))
        };
        let texts: Option<Vec<_>> = pairs.iter().map(text).collect();
        let texts = texts.ok_or_else(|| self.damaged("there is no such value"))?;
        Ok(Labels::from_sorted(texts))
    }

    fn value_in(&self, page: &SetPage, column: usize, i: usize) -> Result<Option<u32>, BlockError> {
        let value = page.value(column, i);
        value.map_err(|what| self.damaged(what.0))
    }

    /// The number, within the name, of the value that a series has.
    pub(super) fn value(&mut self, ordinal: u32, name: u32) -> Result<Option<u32>, BlockError> {
        let (page, i) = self.set_page(ordinal)?;
        match page.find(name) {
            Some(column) => self.value_in(&page, column, i),
            None => Ok(None),
        }
    }

    /// The page with the label set of a series, and its number in that.
    pub(super) fn set_page(&mut self, ordinal: u32) -> Result<(Arc<SetPage>, usize), BlockError> {
        let (place, i) = self.block.set_place(self.entry, &self.index, ordinal)?;
        if let Some((known, page)) = &self.sets
            && *known == place
        {
            return Ok((page.clone(), i as usize));
        }
        let files = &self.block.files;
        let page = files.page(Kind::Series, Of::Index, place, SetPage::parse)?;
        self.sets = Some((place, page.clone()));
        Ok((page, i as usize))
    }

    /// The text of a value of a name.
    pub(super) fn text(&mut self, name: u32, value: u32) -> Result<&str, BlockError> {
        let i = self.find(name, value)?;
        let found = self.found(name, i);
        found.ok_or_else(|| self.damaged("there is no such value"))
    }

    /// Remembers the page with a value of a name; returns its number in that.
    fn find(&mut self, name: u32, value: u32) -> Result<usize, BlockError> {
        let missing = || self.damaged("there is no such value");
        let of_name = self.index.names.get(name as usize);
        let of_name = of_name.filter(|n| value < n.values).ok_or_else(missing)?;
        let pair = of_name.first + value;
        if let Some((from, page)) = &self.strings[name as usize]
            && pair >= *from
            && ((pair - from) as usize) < page.len()
        {
            return Ok((pair - from) as usize);
        }
        let entry = self.index.strings_of(pair).ok_or_else(missing)?;
        let (from, place) = (entry.first, entry.place);
        self.strings[name as usize] = Some((from, self.block.string_page(place)?));
        Ok((pair - from) as usize)
    }

    /// The text in the page of values that is remembered for a name.
    fn found(&self, name: u32, i: usize) -> Option<&str> {
        self.strings[name as usize].as_ref()?.1.get(i)
    }
}

impl Block {
    pub(super) fn string_page(&self, place: Place) -> Result<Arc<StringPage>, BlockError> {
        self.files.page(Kind::Strings, Of::Index, place, |body| {
            StringPage::parse(&body)
        })
    }

    /// Label names of a tenant's series, or of some of them, sorted.
    pub fn label_names(
        &self,
        tenant: &TenantId,
        ordinals: Option<&[u32]>,
    ) -> Result<Vec<String>, BlockError> {
        let Some(entry) = self.find_tenant(tenant) else {
            return Ok(Vec::new());
        };
        let mut reader = TenantReader::new(self, entry)?;
        let mut used = vec![ordinals.is_none(); reader.index.names.len()];
        for &ordinal in ordinals.unwrap_or_default() {
            let (page, i) = reader.set_page(ordinal)?;
            for column in 0..page.columns() {
                let used = used.get_mut(page.name(column) as usize);
                if let Some(used) = used
                    && !*used
                {
                    *used = reader.value_in(&page, column, i)?.is_some();
                }
            }
        }
        let names = reader.index.names.iter().zip(used);
        let used = names.filter(|(_, used)| *used);
        Ok(used.map(|(name, _)| name.text.to_string()).collect())
    }

    /// Values of a label of a tenant's series, or of some of them, sorted; at most `limit`.
    pub fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        ordinals: Option<&[u32]>,
        limit: usize,
    ) -> Result<Vec<String>, BlockError> {
        let Some(entry) = self.find_tenant(tenant) else {
            return Ok(Vec::new());
        };
        let mut reader = TenantReader::new(self, entry)?;
        let Some(name) = reader.index.name(name) else {
            return Ok(Vec::new());
        };
        let numbers: Vec<u32> = match ordinals {
            None => (0..reader.index.names[name as usize].values)
                .take(limit)
                .collect(),
            Some(ordinals) => {
                let mut numbers = Vec::new();
                for &ordinal in ordinals {
                    numbers.extend(reader.value(ordinal, name)?);
                }
                numbers.sort_unstable();
                numbers.dedup();
                numbers.truncate(limit);
                numbers
            }
        };
        let texts = numbers
            .into_iter()
            .map(|value| Ok(reader.text(name, value)?.to_owned()));
        texts.collect()
    }
}
