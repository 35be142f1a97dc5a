//! A data folder as a whole.

use std::path::{Path, PathBuf};

use ferula_env::Disk;
use ferula_model::{Timestamp, Ulid};
use xxhash_rust::xxh3::xxh3_128;

use super::error::Error;
use super::meta::{self, Meta};
use super::wal;

/// What is in a data folder.
#[derive(Clone, Debug, Default)]
pub struct DataDir {
    /// The blocks and their folders: those in order of time, then those of samples that came
    /// late. Blocks that others stand for are not among them.
    pub blocks: Vec<(PathBuf, Meta)>,
    /// A name for the write-ahead log as it is, if there is one: it is another one as soon as
    /// anything is written to the log.
    pub log: Option<Ulid>,
}

impl DataDir {
    /// Looks what there is.
    pub fn read(disk: &dyn Disk, data: &Path) -> Result<Self, Error> {
        let mut blocks = Vec::new();
        for name in disk.list(data)? {
            let folder = data.join(&name);
            // Folders that are being written or deleted have longer names.
            if name.parse::<Ulid>().is_err() {
                continue;
            }
            if disk.list(&folder)?.iter().any(|file| file == meta::FILE) {
                blocks.push((folder.clone(), Meta::read(disk, &folder)?));
            }
        }
        let replaced: Vec<Ulid> = blocks.iter().flat_map(|b| b.1.parents.clone()).collect();
        blocks.retain(|(_, meta)| !replaced.contains(&meta.ulid));
        blocks.sort_by_key(|(_, m)| (m.out_of_order, m.range.start, m.range.end, m.ulid));
        Ok(Self {
            blocks,
            log: log_name(disk, data)?,
        })
    }

    /// Where the blocks end: the log's samples before this are in blocks, but for those that
    /// came late.
    pub fn blocks_end(&self) -> Timestamp {
        let in_order = self.blocks.iter().filter(|(_, meta)| !meta.out_of_order);
        in_order
            .map(|(_, meta)| meta.range.end)
            .max()
            .unwrap_or(Timestamp::MIN)
    }
}

/// Names the log by its files and their lengths.
fn log_name(disk: &dyn Disk, data: &Path) -> Result<Option<Ulid>, Error> {
    let mut text = String::new();
    for path in wal::files(disk, data)?.all() {
        let stat = disk.stat(path)?;
        let (name, len) = (path.display(), stat.len);
        text += &format!("{name} {len} {}\n", stat.modified_ns);
    }
    let name = Ulid(xxh3_128(text.as_bytes()));
    Ok((!text.is_empty()).then_some(name))
}
