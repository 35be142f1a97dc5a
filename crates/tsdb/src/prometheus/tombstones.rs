//! `tombstones`: which samples of a block are deleted.

use std::collections::HashMap;
use std::path::Path;

use ferula_env::Disk;
use ferula_model::Timestamp;

use super::error::{Error, at};
use super::window::Window;
use crate::bytes::Reader;

/// The file's name in a block's folder.
pub(crate) const FILE: &str = "tombstones";

/// Magic number and version, which the checksum does not cover.
const HEADER: [u8; 5] = [0x01, 0x30, 0xBA, 0x30, 1];

/// Deleted intervals by series, both ends inside.
#[derive(Debug, Default)]
pub struct Tombstones {
    intervals: HashMap<u64, Vec<(Timestamp, Timestamp)>>,
}

impl Tombstones {
    /// Reads them from a block's folder; without a file, nothing is deleted.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        if !disk.list(folder)?.iter().any(|name| name == FILE) {
            return Ok(Self::default());
        }
        Self::decode(Window::open(disk, &folder.join(FILE))?)
    }

    /// Reads a file's bytes.
    pub fn decode(mut file: Window) -> Result<Self, Error> {
        if *file.up_to(0, 5)? != HEADER {
            return Err(file.damaged(0, "no tombstones, or of a version that is not known"));
        }
        let (name, len) = (file.name().to_owned(), file.len());
        let Some(stones) = len.checked_sub(9) else {
            return Err(file.damaged(5, "the checksum is missing"));
        };
        let mut r = Reader::new(file.checked(5, stones)?);
        let mut tombstones = Self::default();
        while !r.is_empty() {
            let offset = 5 + stones - r.left() as u64;
            let stone = (|| Ok((r.uv()?, r.zz()?, r.zz()?)))();
            let (series, min, max) = at(&name, offset, stone)?;
            tombstones.add(series, min, max);
        }
        Ok(tombstones)
    }

    /// Adds an interval.
    pub(crate) fn add(&mut self, series: u64, min: Timestamp, max: Timestamp) {
        self.intervals.entry(series).or_default().push((min, max));
    }

    /// The bytes of a file without tombstones.
    pub(crate) fn encode_none() -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        bytes.extend(crc32c::crc32c(&[]).to_be_bytes());
        bytes
    }

    /// How many intervals there are.
    pub fn intervals(&self) -> usize {
        self.intervals.values().map(Vec::len).sum()
    }

    /// What is deleted of a series.
    pub fn of(&self, series: u64) -> &[(Timestamp, Timestamp)] {
        self.intervals.get(&series).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{put_uv, put_zz};

    fn decode(bytes: Vec<u8>) -> Result<Tombstones, Error> {
        Tombstones::decode(Window::of_bytes("tombstones", bytes))
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(
            Tombstones::encode_none(),
            [1, 0x30, 0xBA, 0x30, 1, 0, 0, 0, 0]
        );
        assert!(
            decode(Tombstones::encode_none())
                .unwrap()
                .intervals
                .is_empty()
        );
    }

    #[test]
    fn intervals_are_read_and_damage_is_noticed() {
        let mut stones = Vec::new();
        for (series, min, max) in [(3, -5, 7), (200, 0, i64::MAX), (3, 9, 9)] {
            put_uv(&mut stones, series);
            put_zz(&mut stones, min);
            put_zz(&mut stones, max);
        }
        let mut bytes = HEADER.to_vec();
        bytes.extend(&stones);
        bytes.extend(crc32c::crc32c(&stones).to_be_bytes());
        let read = decode(bytes.clone()).unwrap();
        assert_eq!(read.of(3), [(-5, 7), (9, 9)]);
        assert_eq!(read.of(200), [(0, i64::MAX)]);
        assert!(read.of(4).is_empty());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(damaged).is_err(), "byte {at}");
            assert!(decode(bytes[..at].to_vec()).is_err(), "cut at {at}");
        }
    }
}
