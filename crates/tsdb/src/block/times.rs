//! Columns of timestamps, each stored once however many series have it.
//!
//! Series that are scraped together have equal timestamps, so a chunk refers to its timestamps by
//! the number of a column. 64 columns are a page:
//!
//! ```text
//! page   := 64 x length uv | 64 x column          (the last page may have fewer: n uv in front)
//! column := n uv | ints
//! ```

use std::collections::HashMap;

use ferula_model::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::cache::Page;
use super::ints;
use crate::Damaged;
use crate::bytes::{Reader, put_uv};

/// Columns of a page.
pub(super) const PAGE_COLUMNS: u32 = 64;

/// So many columns are remembered twice over, to be found again.
const REMEMBERED_MAX: usize = 1 << 18;

/// Numbers columns, and keeps those of the page that is not full yet.
#[derive(Default)]
pub(super) struct TimesWriter {
    /// Those seen of late, by their hash; when there are too many, they become the older ones.
    recent: HashMap<u128, u32>,
    older: HashMap<u128, u32>,
    columns: Vec<u8>,
    lens: Vec<usize>,
    count: u32,
    hashed: Vec<u8>,
    /// The column that was numbered last, which is likely to come again.
    last: Vec<Timestamp>,
    last_number: u32,
}

impl TimesWriter {
    /// The number of a column.
    pub(super) fn number(&mut self, times: &[Timestamp]) -> u32 {
        if self.last != times {
            self.last_number = self.find(times);
            self.last.clear();
            self.last.extend_from_slice(times);
        }
        self.last_number
    }

    fn find(&mut self, times: &[Timestamp]) -> u32 {
        self.hashed.clear();
        for time in times {
            self.hashed.extend_from_slice(&time.to_le_bytes());
        }
        let hash = xxh3_128(&self.hashed);
        if let Some(&number) = self.recent.get(&hash) {
            return number;
        }
        let number = match self.older.get(&hash) {
            Some(&number) => number,
            None => self.add(times),
        };
        if self.recent.len() >= REMEMBERED_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(hash, number);
        number
    }

    fn add(&mut self, times: &[Timestamp]) -> u32 {
        let from = self.columns.len();
        put_uv(&mut self.columns, times.len() as u64);
        ints::put(times, &mut self.columns);
        self.lens.push(self.columns.len() - from);
        self.count += 1;
        self.count - 1
    }

    /// How many columns there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The body of a full page, each once; of what is left when this is the `end`.
    pub(super) fn take_page(&mut self, end: bool) -> Option<Vec<u8>> {
        let n = match self.lens.len() {
            0 => return None,
            n if n >= PAGE_COLUMNS as usize => PAGE_COLUMNS as usize,
            n if end => n,
            _ => return None,
        };
        let mut body = Vec::new();
        put_uv(&mut body, n as u64);
        let lens = self.lens.drain(..n);
        let len: usize = lens.inspect(|&len| put_uv(&mut body, len as u64)).sum();
        body.extend(self.columns.drain(..len));
        Some(body)
    }
}

/// A page of columns.
#[derive(Debug)]
pub(super) struct TimesPage {
    body: Vec<u8>,
    /// Where each column begins, and where the last one ends.
    bounds: Vec<u32>,
}

impl TimesPage {
    pub(super) fn parse(body: Vec<u8>) -> Result<Self, Damaged> {
        let mut r = Reader::new(&body);
        let n = r.uv()?;
        if n > PAGE_COLUMNS.into() {
            return Err(Damaged("a page has more columns of timestamps than it can"));
        }
        let lens = (0..n).map(|_| r.uv32()).collect::<Result<Vec<_>, _>>()?;
        let mut bounds = Vec::with_capacity(lens.len() + 1);
        bounds.push((body.len() - r.left()) as u32);
        for len in lens {
            r.slice(len as usize)?;
            bounds.push((body.len() - r.left()) as u32);
        }
        match r.is_empty() {
            true => Ok(Self { body, bounds }),
            false => Err(Damaged("a page of timestamps is longer than its columns")),
        }
    }

    /// The bytes of a column, by its number in the page.
    pub(super) fn column(&self, i: u32) -> Result<&[u8], Damaged> {
        match self.bounds.get(i as usize..i as usize + 2) {
            Some(&[from, to]) => Ok(&self.body[from as usize..to as usize]),
            _ => Err(Damaged("there is no such column of timestamps")),
        }
    }
}

impl Page for TimesPage {
    fn heap(&self) -> usize {
        self.body.capacity() + self.bounds.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(page: &TimesPage, i: u32) -> Vec<i64> {
        let mut r = Reader::new(page.column(i).unwrap());
        let (n, mut out) = (r.uv().unwrap() as usize, Vec::new());
        ints::take(&mut r, n, &mut out, |t| t).unwrap();
        out
    }

    #[test]
    fn equal_columns_are_stored_once() {
        let mut writer = TimesWriter::default();
        let column = |i: i64| -> Vec<i64> { (0..i % 7 + 1).map(|t| t * 15_000 + i).collect() };
        let mut pages = Vec::new();
        for _ in 0..2 {
            for i in 0..100 {
                assert_eq!(i64::from(writer.number(&column(i))), i);
            }
            pages.extend(writer.take_page(false));
        }
        pages.extend(writer.take_page(true));
        assert!(writer.take_page(true).is_none());
        let pages: Vec<_> = pages.into_iter().map(TimesPage::parse).collect();
        assert_eq!(pages.len(), 2);
        for i in 0..100 {
            let page = pages[i / 64].as_ref().unwrap();
            assert_eq!(decoded(page, i as u32 % 64), column(i as i64));
        }
        assert!(pages[1].as_ref().unwrap().column(36).is_err());
    }
}
