//! What leads to a tenant's names, values, lists and label sets.
//!
//! ```text
//! tenant := names uv | names x (len uv, name, values uv)
//!         | n uv | n x (values uv, len uv, first value, place)      pages of values
//!         | n uv | n x (lists uv, place)                            pages of lists
//!         | n uv | n x place                                        pages of label sets
//! ```
//!
//! There is a list for every pair, then one for every name: the series that have it.

use ferula_model::LABEL_LEN_MAX;

use super::strings::PAGE_VALUES;
use crate::Damaged;
use crate::block::cache::Page;
use crate::block::directory::{Place, PlaceReader, PlaceWriter, Places, at_end, count};
use crate::bytes::{Reader, put_uv};

/// A tenant's names, and where the rest is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::block) struct TenantIndex {
    pub(in crate::block) names: Vec<Name>,
    pub(in crate::block) strings: Vec<StringEntry>,
    pub(in crate::block) postings: Vec<PostingsEntry>,
    pub(in crate::block) sets: Vec<Place>,
}

/// A label name.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::block) struct Name {
    pub(in crate::block) text: Box<str>,
    /// Its first pair.
    pub(in crate::block) first: u32,
    pub(in crate::block) values: u32,
}

/// A page of values.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::block) struct StringEntry {
    /// Its first pair.
    pub(in crate::block) first: u32,
    /// The value of that.
    pub(in crate::block) value: Box<str>,
    pub(in crate::block) place: Place,
}

/// A page of lists.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::block) struct PostingsEntry {
    /// Its first list.
    pub(in crate::block) first: u32,
    pub(in crate::block) place: Place,
}

impl TenantIndex {
    pub(super) fn put(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uv(&mut out, self.names.len() as u64);
        for name in &self.names {
            put_str(&name.text, &mut out);
            put_uv(&mut out, name.values.into());
        }
        put_uv(&mut out, self.strings.len() as u64);
        let (mut places, mut before) = (PlaceWriter::default(), 0);
        for page in &self.strings {
            put_uv(&mut out, u64::from(page.first - before));
            before = page.first;
            put_str(&page.value, &mut out);
            places.put(page.place, &mut out);
        }
        put_uv(&mut out, self.postings.len() as u64);
        let (mut places, mut before) = (PlaceWriter::default(), 0);
        for page in &self.postings {
            put_uv(&mut out, u64::from(page.first - before));
            before = page.first;
            places.put(page.place, &mut out);
        }
        Places::put(&self.sets, &mut out);
        out
    }

    pub(in crate::block) fn parse(body: &[u8]) -> Result<Self, Damaged> {
        let mut r = Reader::new(body);
        let mut index = Self::default();
        let mut first = 0u32;
        for _ in 0..count(&mut r, 2)? {
            let (text, values) = (r.str()?, r.uv32()?);
            if text.len() > LABEL_LEN_MAX {
                return Err(Damaged("a name is longer than a label can be"));
            }
            index.names.push(Name {
                text: text.into(),
                first,
                values,
            });
            first = first
                .checked_add(values)
                .ok_or(Damaged("too many values"))?;
        }
        let (mut places, mut first) = (PlaceReader::default(), 0);
        for _ in 0..count(&mut r, 4)? {
            first = next(first, &mut r)?;
            index.strings.push(StringEntry {
                first,
                value: r.str()?.into(),
                place: places.take(&mut r)?,
            });
        }
        let (mut places, mut first) = (PlaceReader::default(), 0);
        for _ in 0..count(&mut r, 3)? {
            first = next(first, &mut r)?;
            let place = places.take(&mut r)?;
            index.postings.push(PostingsEntry { first, place });
        }
        if index.pairs() as usize > index.strings.len() * PAGE_VALUES {
            return Err(Damaged("there are more values than pages have"));
        }
        index.sets = Places::take(&mut r)?.0;
        at_end(&r)?;
        match index.names.is_sorted_by(|a, b| a.text < b.text) {
            true => Ok(index),
            false => Err(Damaged("label names are out of order")),
        }
    }

    /// The number of a name.
    pub(in crate::block) fn name(&self, text: &str) -> Option<u32> {
        let found = self.names.binary_search_by(|name| (*name.text).cmp(text));
        found.ok().map(|i| i as u32)
    }

    /// How many pairs there are.
    pub(in crate::block) fn pairs(&self) -> u32 {
        self.names.last().map_or(0, |name| name.first + name.values)
    }

    /// The page with the value of a pair.
    pub(in crate::block) fn strings_of(&self, pair: u32) -> Option<&StringEntry> {
        let after = self.strings.partition_point(|page| page.first <= pair);
        self.strings.get(after.checked_sub(1)?)
    }

    /// The page with a list.
    pub(in crate::block) fn postings_of(&self, list: u32) -> Option<&PostingsEntry> {
        let after = self.postings.partition_point(|page| page.first <= list);
        self.postings.get(after.checked_sub(1)?)
    }
}

/// A first one of many, given as the difference to the one before.
fn next(before: u32, r: &mut Reader<'_>) -> Result<u32, Damaged> {
    let next = before.checked_add(r.uv32()?);
    next.ok_or(Damaged("a page begins beyond all"))
}

fn put_str(text: &str, out: &mut Vec<u8>) {
    put_uv(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

impl Page for TenantIndex {
    fn heap(&self) -> usize {
        let names = self.names.iter().map(|name| name.text.len() + 16);
        let values = self.strings.iter().map(|page| page.value.len() + 16);
        names.chain(values).sum::<usize>()
            + self.names.capacity() * size_of::<Name>()
            + self.strings.capacity() * size_of::<StringEntry>()
            + self.postings.capacity() * size_of::<PostingsEntry>()
            + self.sets.capacity() * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back() {
        let place = |offset| Place { offset, len: 5 };
        let name = |text: &str, first, values| Name {
            text: text.into(),
            first,
            values,
        };
        let index = TenantIndex {
            names: vec![name("a", 0, 2), name("b", 2, 300)],
            strings: vec![
                StringEntry {
                    first: 0,
                    value: "x".into(),
                    place: place(32),
                },
                StringEntry {
                    first: 256,
                    value: "y".into(),
                    place: place(40),
                },
            ],
            postings: vec![PostingsEntry {
                first: 0,
                place: place(50),
            }],
            sets: vec![place(60), place(65)],
        };
        let body = index.put();
        assert_eq!(TenantIndex::parse(&body).unwrap(), index);
        for len in 0..body.len() {
            assert!(TenantIndex::parse(&body[..len]).is_err());
        }
        assert_eq!(
            (index.name("b"), index.name("c"), index.pairs()),
            (Some(1), None, 302)
        );
        assert_eq!(index.strings_of(255).unwrap().first, 0);
        assert_eq!(index.strings_of(256).unwrap().first, 256);
    }
}
