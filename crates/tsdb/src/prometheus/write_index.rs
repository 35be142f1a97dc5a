//! `index`, version 2, is written.
//!
//! Symbols come first in the file and are complete only after the last series. So series are
//! kept as bytes, about 60 of them each, until then.

use std::collections::HashMap;
use std::path::Path;

use ferula_env::Disk;
use ferula_model::Labels;

use super::cut::Chunk;
use super::error::Error;
use super::index::{FILE, MAGIC, SECTIONS};
use super::write_file::WriteFile;
use crate::Damaged;
use crate::bytes::{Reader, put_uv, put_zz};

/// What series numbers are multiplied with.
const ALIGNMENT: u64 = 16;

/// Series and their labels, until they are written.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    /// Symbols, numbered as they came.
    symbols: HashMap<Box<str>, u32>,
    /// Per series: how many labels, pairs of symbols, length of its chunks, its chunks.
    spool: Vec<u8>,
    series: u64,
}

impl IndexWriter {
    /// Adds a series, with its chunks and where they are.
    pub(crate) fn add(&mut self, labels: &Labels, chunks: &[(u64, Chunk)]) -> Result<(), Error> {
        put_uv(&mut self.spool, labels.len() as u64);
        for (name, value) in labels {
            for text in [name, value] {
                let number = self.symbol(text)?;
                put_uv(&mut self.spool, number.into());
            }
        }
        let encoded = encode_chunks(chunks);
        put_uv(&mut self.spool, encoded.len() as u64);
        self.spool.extend_from_slice(&encoded);
        self.series += 1;
        Ok(())
    }

    fn symbol(&mut self, text: &str) -> Result<u32, Error> {
        if let Some(&number) = self.symbols.get(text) {
            return Ok(number);
        }
        let number = u32::try_from(self.symbols.len())
            .map_err(|_| Error::Unwritable("it has too many label names and values".to_owned()))?;
        self.symbols.insert(text.into(), number);
        Ok(number)
    }

    pub(crate) fn series(&self) -> u64 {
        self.series
    }

    /// Writes the file into a block's folder.
    pub(crate) fn finish(mut self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        // The reference lists it, though no label has it.
        self.symbol("")?;
        let mut sorted: Vec<(&str, u32)> =
            self.symbols.iter().map(|(text, n)| (&**text, *n)).collect();
        sorted.sort_unstable();
        let mut file = WriteFile::create(disk, &folder.join(FILE))?;
        file.put(&MAGIC)?;
        file.put(&[2])?;
        let mut toc = [0; SECTIONS];
        toc[0] = file.len();
        put_symbols(&mut file, &sorted)?;
        toc[1] = file.len();
        let mut numbers = vec![0; sorted.len()];
        for (number, (_, as_it_came)) in sorted.iter().enumerate() {
            numbers[*as_it_came as usize] = number as u32;
        }
        let postings = put_series(&mut file, &self.spool, &numbers)?;
        file.pad(4)?;
        // Label indices are obsolete: the reference's newest version leaves them out as well.
        (toc[2], toc[4]) = (file.len(), file.len());
        let table = put_postings(&mut file, postings, &sorted)?;
        (toc[3], toc[5]) = (file.len(), file.len());
        file.put_section(&table)?;
        let toc: Vec<u8> = toc
            .iter()
            .flat_map(|section| section.to_be_bytes())
            .collect();
        file.put(&toc)?;
        file.put(&crc32c::crc32c(&toc).to_be_bytes())?;
        file.finish()?;
        Ok(())
    }
}

fn encode_chunks(chunks: &[(u64, Chunk)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_uv(&mut out, chunks.len() as u64);
    let mut before: Option<&(u64, Chunk)> = None;
    for this in chunks {
        let (at, chunk) = this;
        let length = chunk.max.wrapping_sub(chunk.min) as u64;
        match before {
            None => {
                put_zz(&mut out, chunk.min);
                put_uv(&mut out, length);
                put_uv(&mut out, *at);
            }
            Some((before_at, before)) => {
                put_uv(&mut out, chunk.min.wrapping_sub(before.max) as u64);
                put_uv(&mut out, length);
                put_zz(&mut out, at.wrapping_sub(*before_at) as i64);
            }
        }
        before = Some(this);
    }
    out
}

fn put_symbols(file: &mut WriteFile, sorted: &[(&str, u32)]) -> Result<(), Error> {
    let mut body = (sorted.len() as u32).to_be_bytes().to_vec();
    for (text, _) in sorted {
        put_uv(&mut body, text.len() as u64);
        body.extend_from_slice(text.as_bytes());
    }
    file.put_section(&body)
}

/// Series by pair of symbols.
#[derive(Default)]
struct Postings {
    all: Vec<u32>,
    pairs: HashMap<(u32, u32), Vec<u32>>,
}

/// Writes the series; `numbers` turns symbols as they came into symbols as they are written.
fn put_series(file: &mut WriteFile, spool: &[u8], numbers: &[u32]) -> Result<Postings, Error> {
    let mut postings = Postings::default();
    let mut r = Reader::new(spool);
    let mut body = Vec::new();
    while !r.is_empty() {
        file.pad(ALIGNMENT)?;
        let id = u32::try_from(file.len() / ALIGNMENT)
            .map_err(|_| Error::Unwritable("its index would be larger than 64 GiB".to_owned()))?;
        body.clear();
        let unspool = (|| {
            let labels = r.uv()?;
            put_uv(&mut body, labels);
            for _ in 0..labels {
                let name = numbers[r.uv()? as usize];
                let value = numbers[r.uv()? as usize];
                put_uv(&mut body, name.into());
                put_uv(&mut body, value.into());
                postings.pairs.entry((name, value)).or_default().push(id);
            }
            let chunks = r.uv()? as usize;
            body.extend_from_slice(r.slice(chunks)?);
            Ok::<_, Damaged>(())
        })();
        unspool.expect("the spool is written by this module");
        postings.all.push(id);
        let mut head = Vec::new();
        put_uv(&mut head, body.len() as u64);
        file.put(&head)?;
        file.put(&body)?;
        file.put(&crc32c::crc32c(&body).to_be_bytes())?;
    }
    Ok(postings)
}

/// Writes the lists of series; returns the table that says where they are.
fn put_postings(
    file: &mut WriteFile,
    postings: Postings,
    sorted: &[(&str, u32)],
) -> Result<Vec<u8>, Error> {
    let mut pairs: Vec<_> = postings.pairs.into_iter().collect();
    pairs.sort_unstable_by_key(|(pair, _)| *pair);
    let text = |number: u32| sorted[number as usize].0;
    let named = pairs
        .into_iter()
        .map(|((name, value), ids)| (text(name), text(value), ids));
    let lists = std::iter::once(("", "", postings.all)).chain(named);
    let mut table = vec![0; 4];
    let mut count = 0u32;
    for (name, value, ids) in lists {
        file.pad(4)?;
        put_uv(&mut table, 2);
        for text in [name, value] {
            put_uv(&mut table, text.len() as u64);
            table.extend_from_slice(text.as_bytes());
        }
        put_uv(&mut table, file.len());
        count += 1;
        let mut body = (ids.len() as u32).to_be_bytes().to_vec();
        body.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
        file.put_section(&body)?;
    }
    table[..4].copy_from_slice(&count.to_be_bytes());
    Ok(table)
}
