//! Values as text, in order of their pairs.
//!
//! ```text
//! page  := values uv | values x (shared uv, len uv, bytes)
//! ```
//!
//! `shared` is how many bytes are those of the value before.

use ferula_model::LABEL_LEN_MAX;

use crate::Damaged;
use crate::block::cache::Page;
use crate::block::directory::{at_end, count};
use crate::bytes::{Reader, put_uv};

/// A page has at most so many values.
pub(super) const PAGE_VALUES: usize = 256;

/// A page of more than one value is at most so long, with all values written out.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// Puts values into pages.
#[derive(Default)]
pub(super) struct StringPacker {
    body: Vec<u8>,
    previous: String,
    count: usize,
    /// Bytes of all values, written out.
    bytes: usize,
}

impl StringPacker {
    /// Whether a value of this length begins a page: what is in the page before is to be taken.
    pub(super) fn is_full(&self, len: usize) -> bool {
        self.count == PAGE_VALUES || self.count > 0 && self.bytes + len > PAGE_BYTES_MAX
    }

    pub(super) fn add(&mut self, value: &str) {
        let both = self.previous.bytes().zip(value.bytes());
        let shared = both.take_while(|(a, b)| a == b).count();
        put_uv(&mut self.body, shared as u64);
        put_uv(&mut self.body, (value.len() - shared) as u64);
        self.body.extend_from_slice(&value.as_bytes()[shared..]);
        self.previous.clear();
        self.previous.push_str(value);
        self.count += 1;
        self.bytes += value.len();
    }

    /// The body of a page.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let Self { body, count, .. } = std::mem::take(self);
        let mut page = Vec::with_capacity(body.len() + 3);
        put_uv(&mut page, count as u64);
        page.extend_from_slice(&body);
        (count > 0).then_some(page)
    }
}

/// A page of values.
#[derive(Debug)]
pub(in crate::block) struct StringPage {
    text: String,
    /// Where each value ends.
    ends: Vec<u32>,
}

impl StringPage {
    pub(in crate::block) fn parse(body: &[u8]) -> Result<Self, Damaged> {
        let mut r = Reader::new(body);
        let n = count(&mut r, 2)?;
        if n > PAGE_VALUES {
            return Err(Damaged("a page has more values than it can"));
        }
        let (mut text, mut ends) = (Vec::<u8>::new(), Vec::with_capacity(n));
        let mut previous = 0;
        for _ in 0..n {
            let shared = r.uv32()? as usize;
            let suffix = r.uv32()? as usize;
            let suffix = r.slice(suffix)?;
            let from = text.len();
            if shared > from - previous {
                return Err(Damaged("a value shares more than the one before has"));
            }
            if n > 1 && from + shared + suffix.len() > PAGE_BYTES_MAX {
                return Err(Damaged("a page of values is longer than it can be"));
            }
            if shared + suffix.len() > LABEL_LEN_MAX {
                return Err(Damaged("a value is longer than a label can be"));
            }
            text.extend_from_within(previous..previous + shared);
            text.extend_from_slice(suffix);
            previous = from;
            ends.push(text.len() as u32);
        }
        at_end(&r)?;
        let text = String::from_utf8(text).map_err(|_| Damaged("text is not UTF-8"))?;
        match ends.iter().all(|&end| text.is_char_boundary(end as usize)) {
            true => Ok(Self { text, ends }),
            false => Err(Damaged("text is not UTF-8")),
        }
    }

    /// How many values there are.
    pub(in crate::block) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Value `i` of the page.
    pub(in crate::block) fn get(&self, i: usize) -> Option<&str> {
        let to = *self.ends.get(i)? as usize;
        let from = i
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        self.text.get(from..to)
    }
}

impl Page for StringPage {
    fn heap(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let mut packer = StringPacker::default();
        for value in ["node-1", "node-12", "é", "ê"] {
            packer.add(value);
        }
        let mut expected = vec![4, 0, 6];
        expected.extend(b"node-1\x06\x012\x00\x02\xc3\xa9\x01\x01\xaa");
        assert_eq!(packer.finish().unwrap(), expected);
        assert!(packer.finish().is_none());
        let page = StringPage::parse(&expected).unwrap();
        assert_eq!(
            (page.get(1), page.get(3), page.get(4)),
            (Some("node-12"), Some("ê"), None)
        );
    }

    #[test]
    fn values_that_repeat_do_not_fill_memory() {
        let mut body = vec![100, 0, 0xff, 0x7f];
        body.extend([b'x'; 0x3fff]);
        for _ in 1..100 {
            body.extend([0xff, 0x7f, 0]);
        }
        assert_eq!(
            StringPage::parse(&body).unwrap_err().0,
            "a page of values is longer than it can be"
        );
    }

    proptest! {
        #[test]
        fn values_read_back(values in proptest::collection::vec("[aé]{0,9}", 0..600)) {
            let (mut packer, mut pages) = (StringPacker::default(), Vec::new());
            for value in &values {
                if packer.is_full(value.len()) {
                    pages.extend(packer.finish());
                }
                packer.add(value);
            }
            pages.extend(packer.finish());
            let pages: Vec<_> = pages.iter().map(|body| StringPage::parse(body).unwrap()).collect();
            let found: Vec<_> = pages.iter().flat_map(|page| (0..page.len()).map(|i| page.get(i).unwrap())).collect();
            prop_assert_eq!(found, values);
        }
    }
}
