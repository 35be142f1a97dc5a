//! `meta.json`: what a block says of itself.

use std::path::Path;

use ferula_env::Disk;
use ferula_model::{Range, Timestamp, Ulid};
use serde::{Deserialize, Serialize};

use super::error::Error;

/// The file's name in a block's folder.
pub(crate) const FILE: &str = "meta.json";

/// Far above what a block of very many sources takes.
const BYTES_MAX: u64 = 64 << 20;

/// The only version there is.
const VERSION: u32 = 1;

/// The hint of blocks that were made of samples that came late.
const OUT_OF_ORDER: &str = "from-out-of-order";

/// What a block says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Its name.
    pub ulid: Ulid,
    /// All its samples are in here.
    pub range: Range,
    /// What it has.
    pub stats: Stats,
    /// How often its samples have been merged.
    pub level: u32,
    /// The blocks it was first written as.
    pub sources: Vec<Ulid>,
    /// The blocks it was made of, which it stands for.
    pub parents: Vec<Ulid>,
    /// Whether it holds samples that came late, so that others may overlap it.
    pub out_of_order: bool,
}

/// Counts in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Samples of all kinds.
    pub num_samples: u64,
    /// Floats; 0 in blocks of older versions.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Native histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    pub num_series: u64,
    /// Chunks.
    pub num_chunks: u64,
    /// Deleted intervals.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    ulid: String,
    min_time: Timestamp,
    max_time: Timestamp,
    #[serde(default)]
    stats: Stats,
    #[serde(default)]
    compaction: Compaction,
    version: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct Compaction {
    #[serde(default)]
    level: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<Parent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Parent {
    ulid: String,
}

impl Meta {
    /// Reads it from a block's folder.
    pub fn read(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let file = path.display().to_string();
        let bytes = disk.read(&path, BYTES_MAX)?;
        let text: Text = serde_json::from_slice(&bytes)
            .map_err(|e| Error::damaged(&file, 0, format!("no block's description: {e}")))?;
        if text.version != VERSION {
            let what = format!("version {} of blocks is not known here", text.version);
            return Err(Error::Unsupported { file, what });
        }
        let ulid = |text: &String| {
            text.parse()
                .map_err(|e| Error::damaged(&file, 0, format!("{e}")))
        };
        let ulids = |texts: &[String]| texts.iter().map(ulid).collect::<Result<_, Error>>();
        let parents = text.compaction.parents.iter().map(|p| ulid(&p.ulid));
        Ok(Self {
            ulid: ulid(&text.ulid)?,
            range: Range {
                start: text.min_time,
                end: text.max_time,
            },
            stats: text.stats,
            level: text.compaction.level,
            sources: ulids(&text.compaction.sources)?,
            parents: parents.collect::<Result<_, _>>()?,
            out_of_order: text.compaction.hints.iter().any(|h| h == OUT_OF_ORDER),
        })
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let text = Text {
            ulid: self.ulid.to_string(),
            min_time: self.range.start,
            max_time: self.range.end,
            stats: self.stats,
            compaction: Compaction {
                level: self.level,
                sources: self.sources.iter().map(Ulid::to_string).collect(),
                parents: Vec::new(),
                hints: Vec::new(),
            },
            version: VERSION,
        };
        let mut bytes = serde_json::to_vec_pretty(&text).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
