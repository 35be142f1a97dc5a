//! `index`, versions 1 and 2: symbols, and series with their labels and chunks.
//!
//! Series are found through the list of all series, in the order of their labels. The other
//! postings and the obsolete label indices are not looked at: whoever copies a block reads all
//! of it.

use ferula_model::{LABEL_LEN_MAX, Labels, Timestamp};

use super::error::{Error, at};
use super::window::Window;
use crate::Damaged;
use crate::bytes::Reader;

/// The file's name in a block's folder.
pub(crate) const FILE: &str = "index";

/// What the file begins with; the version follows.
pub(crate) const MAGIC: [u8; 4] = [0xBA, 0xAA, 0xD7, 0x00];

/// Bytes of the table of contents: six offsets and a checksum.
pub(crate) const TOC_BYTES: u64 = 52;

/// Of the table of contents.
pub(crate) const SECTIONS: usize = 6;

/// A chunk as the index names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Timestamp of the first sample.
    pub min: Timestamp,
    /// Timestamp of the last sample.
    pub max: Timestamp,
    /// Segment (high half, counted from 0) and offset of the chunk.
    pub at: u64,
}

/// A series of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What tombstones call it.
    pub id: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks, in order of time.
    pub chunks: Vec<ChunkRef>,
}

/// An index, read series by series.
#[derive(Debug)]
pub struct Index {
    file: Window,
    symbols: Symbols,
    /// What a series number is multiplied with to give its offset.
    alignment: u64,
    series: Vec<u32>,
    next: usize,
    last: Option<Labels>,
}

/// All strings of a block.
#[derive(Debug)]
struct Symbols {
    bytes: Vec<u8>,
    /// Where in `bytes` each string is.
    places: Vec<(u32, u32)>,
    /// In version 1, where in the file `bytes` begins: strings are named by their offset.
    base: Option<u64>,
}

impl Index {
    /// Reads symbols and the list of series; everything else comes when it is asked for.
    pub fn open(mut file: Window) -> Result<Self, Error> {
        let [m0, m1, m2, m3, version] = *file.bytes(0, 5)? else {
            return Err(file.damaged(0, "too short for an index"));
        };
        if [m0, m1, m2, m3] != MAGIC {
            return Err(file.damaged(0, "no index: it begins with other bytes"));
        }
        let alignment = match version {
            1 => 1,
            2 => 16,
            version => {
                return Err(Error::Unsupported {
                    file: file.name().to_owned(),
                    what: format!("version {version} of indexes is not known here"),
                });
            }
        };
        let toc = table_of_contents(&mut file)?;
        let symbols = Symbols::read(&mut file, toc[0], version == 1)?;
        let all = all_series(&mut file, toc[5])?;
        let series = series_list(&mut file, all)?;
        file.forget();
        Ok(Self {
            file,
            symbols,
            alignment,
            series,
            next: 0,
            last: None,
        })
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// Starts at the first series again.
    pub(crate) fn rewind(&mut self) {
        (self.next, self.last) = (0, None);
    }

    /// The next series in order of labels.
    #[allow(
        clippy::should_implement_trait,
        reason = "the error belongs outside the option"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        let Some(&id) = self.series.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let entry = self.entry(id)?;
        if self.last.as_ref().is_some_and(|last| *last >= entry.labels) {
            let offset = u64::from(id) * self.alignment;
            let what = format!("series {} is out of order", entry.labels);
            return Err(self.file.damaged(offset, what));
        }
        self.last = Some(entry.labels.clone());
        Ok(Some(entry))
    }

    fn entry(&mut self, id: u32) -> Result<Entry, Error> {
        let offset = u64::from(id) * self.alignment;
        let head = self.file.up_to(offset, 10)?;
        let left = head.len();
        let mut r = Reader::new(head);
        let len = r.uv();
        let head = (left - r.left()) as u64;
        let len = at(self.file.name(), offset, len)?;
        let body = self.file.checked(offset + head, len)?;
        let decoded = self.symbols.decode_series(body);
        let (labels, chunks) = at(self.file.name(), offset, decoded)?;
        Ok(Entry {
            id: id.into(),
            labels,
            chunks,
        })
    }
}

/// The offsets of the sections.
fn table_of_contents(file: &mut Window) -> Result<[u64; SECTIONS], Error> {
    let Some(offset) = file.len().checked_sub(TOC_BYTES) else {
        return Err(file.damaged(0, "too short for an index"));
    };
    let toc = file.checked(offset, TOC_BYTES - 4)?;
    let mut sections = [0; SECTIONS];
    for (section, bytes) in sections.iter_mut().zip(toc.chunks_exact(8)) {
        *section = bytes.iter().fold(0, |all, b| all << 8 | u64::from(*b));
    }
    match sections[5] {
        0 => Err(file.damaged(offset, "there is no table of postings")),
        _ => Ok(sections),
    }
}

/// Where the list of all series is.
fn all_series(file: &mut Window, offset: u64) -> Result<u64, Error> {
    let (at_byte, body) = file.section(offset)?;
    let find = |body| {
        let mut r = Reader::new(body);
        for _ in 0..u32::from_be_bytes(r.array()?) {
            if r.uv()? != 2 {
                return Err(Damaged(
                    "an entry of the table of postings has no name and value",
                ));
            }
            let name = r.uv()?;
            take_bytes(&mut r, name)?;
            let value = r.uv()?;
            take_bytes(&mut r, value)?;
            let list = r.uv()?;
            if name == 0 && value == 0 {
                return Ok(list);
            }
        }
        Err(Damaged("the table of postings has no list of all series"))
    };
    let found = find(body);
    at(file.name(), at_byte, found)
}

fn take_bytes<'a>(r: &mut Reader<'a>, len: u64) -> Result<&'a [u8], Damaged> {
    r.slice(usize::try_from(len).map_err(|_| Damaged("too short"))?)
}

fn series_list(file: &mut Window, offset: u64) -> Result<Vec<u32>, Error> {
    let (at_byte, body) = file.section(offset)?;
    let whole = body.len() >= 4 && body.len() % 4 == 0;
    let mut numbers = body
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let count = numbers.next();
    let list: Vec<u32> = numbers.collect();
    if !whole || count != u32::try_from(list.len()).ok() {
        return Err(file.damaged(at_byte, "the list of series is not as long as it says"));
    }
    Ok(list)
}

impl Symbols {
    fn read(file: &mut Window, offset: u64, by_offset: bool) -> Result<Self, Error> {
        let (at_byte, body) = file.section(offset)?;
        let bytes = body.to_vec();
        let places = Self::places(&bytes);
        Ok(Self {
            places: at(file.name(), at_byte, places)?,
            bytes,
            base: by_offset.then_some(at_byte),
        })
    }

    fn places(bytes: &[u8]) -> Result<Vec<(u32, u32)>, Damaged> {
        let mut r = Reader::new(bytes);
        let count = u32::from_be_bytes(r.array()?);
        if count as usize > r.left() {
            return Err(Damaged("there are fewer symbols than said"));
        }
        let mut places = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let text = r.str()?;
            if text.len() > LABEL_LEN_MAX {
                return Err(Damaged("a label name or value is longer than 16 MiB"));
            }
            let start = bytes.len() - r.left() - text.len();
            places.push((start as u32, text.len() as u32));
        }
        Ok(places)
    }

    fn get(&self, number: u64) -> Result<&str, Damaged> {
        let place = match self.base {
            None => self
                .places
                .get(usize::try_from(number).unwrap_or(usize::MAX)),
            // The offset is that of the length before the string.
            Some(base) => number.checked_sub(base).and_then(|offset| {
                let next = self.places.partition_point(|p| u64::from(p.0) <= offset);
                let place = self.places.get(next)?;
                let before = match next {
                    0 => 4,
                    _ => self.places[next - 1].0 + self.places[next - 1].1,
                };
                (u64::from(before) == offset).then_some(place)
            }),
        };
        let &(start, len) = place.ok_or(Damaged("a label refers to a symbol that is not there"))?;
        let bytes = &self.bytes[start as usize..(start + len) as usize];
        std::str::from_utf8(bytes).map_err(|_| Damaged("text is not UTF-8"))
    }

    fn decode_series(&self, body: &[u8]) -> Result<(Labels, Vec<ChunkRef>), Damaged> {
        let mut r = Reader::new(body);
        let labels = r.uv()?;
        if labels > r.left() as u64 {
            return Err(Damaged("a series has fewer labels than said"));
        }
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(labels as usize);
        for _ in 0..labels {
            let pair = (self.get(r.uv()?)?, self.get(r.uv()?)?);
            if pairs.last().is_some_and(|last| last.0 >= pair.0) {
                return Err(Damaged("a series' labels are out of order"));
            }
            pairs.push(pair);
        }
        Ok((Labels::from_sorted(pairs), decode_chunks(&mut r)?))
    }
}

fn decode_chunks(r: &mut Reader<'_>) -> Result<Vec<ChunkRef>, Damaged> {
    let count = r.uv()?;
    if count > r.left() as u64 {
        return Err(Damaged("a series has fewer chunks than said"));
    }
    let mut chunks: Vec<ChunkRef> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let chunk = match chunks.last() {
            None => {
                let min = r.zz()?;
                let max = min.wrapping_add(r.uv()? as i64);
                let at = r.uv()?;
                ChunkRef { min, max, at }
            }
            Some(last) => {
                let min = last.max.wrapping_add(r.uv()? as i64);
                let max = min.wrapping_add(r.uv()? as i64);
                let at = last.at.wrapping_add(r.zz()? as u64);
                ChunkRef { min, max, at }
            }
        };
        chunks.push(chunk);
    }
    match r.is_empty() {
        true => Ok(chunks),
        false => Err(Damaged("a series is longer than its chunks")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{put_uv, put_zz};

    fn put_section(out: &mut Vec<u8>, body: &[u8]) -> u64 {
        let at = out.len() as u64;
        out.extend((body.len() as u32).to_be_bytes());
        out.extend(body);
        out.extend(crc32c::crc32c(body).to_be_bytes());
        at
    }

    /// Version 1, as the first releases wrote it: symbols and series are named by their offsets.
    fn version_1() -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(1);
        let mut body = 4u32.to_be_bytes().to_vec();
        let mut symbols = Vec::new();
        for text in ["__name__", "job", "node", "up"] {
            symbols.push(out.len() as u64 + 4 + body.len() as u64);
            put_uv(&mut body, text.len() as u64);
            body.extend(text.bytes());
        }
        let symbols_at = put_section(&mut out, &body);
        let series_at = out.len() as u64;
        let mut ids = Vec::new();
        for pairs in [vec![(0, 3)], vec![(0, 3), (1, 2)]] {
            let mut body = Vec::new();
            put_uv(&mut body, pairs.len() as u64);
            for (name, value) in pairs {
                put_uv(&mut body, symbols[name]);
                put_uv(&mut body, symbols[value]);
            }
            put_uv(&mut body, 2);
            put_zz(&mut body, -50);
            for n in [10, 8, 5, 20] {
                put_uv(&mut body, n);
            }
            put_zz(&mut body, 100);
            ids.push(out.len() as u32);
            put_uv(&mut out, body.len() as u64);
            out.extend(&body);
            out.extend(crc32c::crc32c(&body).to_be_bytes());
        }
        let mut list = (ids.len() as u32).to_be_bytes().to_vec();
        list.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
        let list_at = put_section(&mut out, &list);
        let mut table = 1u32.to_be_bytes().to_vec();
        for n in [2, 0, 0, list_at] {
            put_uv(&mut table, n);
        }
        let table_at = put_section(&mut out, &table);
        let toc = [symbols_at, series_at, 0, 0, list_at, table_at];
        let toc: Vec<u8> = toc.iter().flat_map(|at| at.to_be_bytes()).collect();
        out.extend(&toc);
        out.extend(crc32c::crc32c(&toc).to_be_bytes());
        out
    }

    #[test]
    fn version_1_is_read() {
        let mut index = Index::open(Window::of_bytes("index", version_1())).unwrap();
        assert_eq!(index.series(), 2);
        let first = index.next().unwrap().unwrap();
        assert_eq!(first.labels.to_string(), r#"{__name__="up"}"#);
        let second = index.next().unwrap().unwrap();
        assert_eq!(second.labels.to_string(), r#"{__name__="up", job="node"}"#);
        let chunk = |min, max, at| ChunkRef { min, max, at };
        assert_eq!(second.chunks, [chunk(-50, -40, 8), chunk(-35, -15, 108)]);
        assert_eq!(index.next().unwrap(), None);
    }

    #[test]
    fn a_cut_or_newer_index_is_refused() {
        let whole = version_1();
        for cut in 0..whole.len() {
            let file = Window::of_bytes("index", whole[..cut].to_vec());
            assert!(Index::open(file).is_err(), "cut at {cut}");
        }
        let mut newer = whole;
        newer[4] = 9;
        let error = Index::open(Window::of_bytes("index", newer)).unwrap_err();
        assert!(error.to_string().contains("version 9"), "{error}");
    }
}
