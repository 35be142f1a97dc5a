//! Lists of series.
//!
//! ```text
//! page  := lists uv | lists x (bytes uv, series uv) | lists
//! list  := run*
//! run   := gap << 1 uv                       one series, `gap` behind the run before
//!        | gap << 1 | 1 uv, length - 2 uv    several neighbours
//! ```

use super::runs::Run;
use crate::Damaged;
use crate::block::cache::Page;
use crate::block::directory::{at_end, count};
use crate::bytes::{Reader, put_uv};

/// A page is full at this length.
const PAGE_BYTES: usize = 16 << 10;

/// A list that grows.
#[derive(Debug, Default)]
pub(super) struct PostingsWriter {
    bytes: Vec<u8>,
    /// Where the last written run ends.
    written: u32,
    /// The run that may grow.
    run: Run,
    count: u32,
}

impl PostingsWriter {
    /// Adds a series behind all others.
    pub(super) fn push(&mut self, series: u32) {
        self.count += 1;
        if self.run.1 != series || self.run.0 == self.run.1 {
            self.flush();
            self.run = (series, series);
        }
        self.run.1 = series + 1;
    }

    fn flush(&mut self) {
        let (from, to) = self.run;
        let gap = u64::from(from - self.written) << 1;
        match to - from {
            0 => return,
            1 => put_uv(&mut self.bytes, gap),
            len => {
                put_uv(&mut self.bytes, gap | 1);
                put_uv(&mut self.bytes, u64::from(len) - 2);
            }
        }
        self.written = to;
        self.run = (to, to);
    }
}

/// Puts lists into pages.
#[derive(Default)]
pub(super) struct PostingsPacker {
    heads: Vec<u8>,
    lists: Vec<u8>,
    count: u32,
}

impl PostingsPacker {
    /// Adds a list; returns the body of a page, and how many lists it has, when one is full.
    pub(super) fn add(&mut self, mut list: PostingsWriter) -> Option<(Vec<u8>, u32)> {
        list.flush();
        put_uv(&mut self.heads, list.bytes.len() as u64);
        put_uv(&mut self.heads, list.count.into());
        self.lists.extend_from_slice(&list.bytes);
        self.count += 1;
        let full = self.heads.len() + self.lists.len() >= PAGE_BYTES;
        full.then(|| self.finish()).flatten()
    }

    /// What is left.
    pub(super) fn finish(&mut self) -> Option<(Vec<u8>, u32)> {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return None;
        }
        let mut body = Vec::new();
        put_uv(&mut body, count.into());
        body.append(&mut self.heads);
        body.append(&mut self.lists);
        Some((body, count))
    }
}

/// A page of lists.
#[derive(Debug)]
pub(in crate::block) struct PostingsPage {
    body: Vec<u8>,
    /// Where each list begins, and how many series it has.
    lists: Vec<(u32, u32)>,
}

impl PostingsPage {
    pub(in crate::block) fn parse(body: Vec<u8>) -> Result<Self, Damaged> {
        let mut r = Reader::new(&body);
        let n = count(&mut r, 2)?;
        let mut lists = Vec::with_capacity(n);
        for _ in 0..n {
            lists.push((r.uv32()?, r.uv32()?));
        }
        let mut places = Vec::with_capacity(n);
        for (bytes, series) in lists {
            places.push(((body.len() - r.left()) as u32, series));
            r.slice(bytes as usize)?;
        }
        at_end(&r)?;
        Ok(Self {
            body,
            lists: places,
        })
    }

    /// How many lists there are.
    pub(in crate::block) fn lists(&self) -> u32 {
        self.lists.len() as u32
    }

    /// How many series list `i` has.
    pub(in crate::block) fn series(&self, i: u32) -> Result<u32, Damaged> {
        let list = self.lists.get(i as usize);
        list.map(|l| l.1).ok_or(Damaged("there is no such list"))
    }

    /// Appends list `i`, of series below `end`.
    pub(in crate::block) fn list(
        &self,
        i: u32,
        end: u32,
        out: &mut Vec<Run>,
    ) -> Result<(), Damaged> {
        let i = i as usize;
        let &(from, _) = self.lists.get(i).ok_or(Damaged("there is no such list"))?;
        let to = self
            .lists
            .get(i + 1)
            .map_or(self.body.len(), |l| l.0 as usize);
        let mut r = Reader::new(&self.body[from as usize..to]);
        let mut at = 0u64;
        while !r.is_empty() {
            let token = r.uv()?;
            let from = at.saturating_add(token >> 1);
            let len = if token & 1 == 0 {
                1
            } else {
                r.uv()?.saturating_add(2)
            };
            at = from.saturating_add(len);
            if at > end.into() {
                return Err(Damaged("a list has a series that is not there"));
            }
            out.push((from as u32, at as u32));
        }
        Ok(())
    }
}

impl Page for PostingsPage {
    fn heap(&self) -> usize {
        self.body.capacity() + self.lists.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn writer<'a>(list: impl IntoIterator<Item = &'a u32>) -> PostingsWriter {
        let mut writer = PostingsWriter::default();
        list.into_iter().for_each(|&series| writer.push(series));
        writer
    }

    #[test]
    fn golden_bytes() {
        let mut packer = PostingsPacker::default();
        assert!(packer.add(writer(&[0, 3, 4, 5, 300])).is_none());
        assert!(packer.add(writer(&[1])).is_none());
        let (body, lists) = packer.finish().unwrap();
        let expected = [2, 5, 5, 1, 1, 0, 2 << 1 | 1, 1, 0xcc, 4, 2];
        assert_eq!((body, lists), (expected.to_vec(), 2));
        assert!(packer.finish().is_none());
    }

    proptest! {
        #[test]
        fn lists_read_back(lists in proptest::collection::vec(proptest::collection::btree_set(0..9_000u32, 0..3_000), 1..9)) {
            let lists: Vec<BTreeSet<u32>> = lists;
            let mut packer = PostingsPacker::default();
            let mut pages: Vec<_> = lists.iter().filter_map(|list| packer.add(writer(list))).collect();
            pages.extend(packer.finish());
            let mut expected = lists.iter();
            for (body, n) in pages {
                let page = PostingsPage::parse(body).unwrap();
                for i in 0..n {
                    let (list, mut found) = (expected.next().unwrap(), Vec::new());
                    page.list(i, 9_000, &mut found).unwrap();
                    prop_assert_eq!(page.series(i).unwrap() as usize, list.len());
                    prop_assert_eq!(found, runs::of_numbers(list.iter().copied()));
                    if let Some(&last) = list.last() {
                        prop_assert!(page.list(i, last, &mut Vec::new()).is_err());
                    }
                }
                prop_assert!(page.series(n).is_err());
            }
            prop_assert!(expected.next().is_none());
        }
    }
}
