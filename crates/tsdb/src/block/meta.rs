//! What a block says about itself: JSON that a person can read, and its checksum.

use ferula_model::{Range, TenantId, Timestamp, Ulid};
use ferula_objects::{Created, Objects, read_all};
use serde::{Deserialize, Serialize};

use super::{BlockError, META, key};
use crate::Damaged;

/// The format this release writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// No meta is larger.
const META_BYTES_MAX: u64 = 64 << 20;

/// Comes before the checksum in the last line.
const CHECKSUM: &str = "crc32c ";

/// What is known of a block without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMeta {
    /// Its name.
    pub id: Ulid,
    /// All samples lie inside.
    pub range: Range,
    /// How often its samples were moved from blocks to a larger one.
    pub level: u32,
    /// The blocks it was made of.
    pub sources: Vec<Ulid>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: Timestamp,
    /// How many series.
    pub series: u64,
    /// How many samples, histograms included.
    pub samples: u64,
    /// How many native histograms.
    pub histograms: u64,
    /// The time of the oldest and the newest sample.
    pub times: (Timestamp, Timestamp),
    /// The sum of the hashes of all samples.
    pub hash: u128,
    /// Whose series, in order.
    pub tenants: Vec<TenantMeta>,
    /// The object with the labels.
    pub index: ObjectMeta,
    /// The objects with samples, in order.
    pub chunks: Vec<ObjectMeta>,
    /// Where in the index its root is, and its length.
    pub(super) root: (u64, u32),
}

/// What a block holds of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantMeta {
    /// Who.
    pub tenant: TenantId,
    /// How many series.
    pub series: u64,
    /// How many samples.
    pub samples: u64,
}

/// An object of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its length.
    pub bytes: u64,
    /// XXH3-64 of all of it.
    pub xxh3: u64,
}

/// The JSON. What is longer than 53 bits is text.
#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    id: String,
    min_ms: i64,
    max_ms: i64,
    level: u32,
    sources: Vec<String>,
    created_ms: i64,
    series: u64,
    samples: u64,
    histograms: u64,
    oldest_ms: i64,
    newest_ms: i64,
    hash: String,
    tenants: Vec<TenantText>,
    index: ObjectText,
    chunks: Vec<ObjectText>,
    root_offset: u64,
    root_bytes: u32,
}

#[derive(Serialize, Deserialize)]
struct TenantText {
    tenant: String,
    series: u64,
    samples: u64,
}

#[derive(Serialize, Deserialize)]
struct ObjectText {
    bytes: u64,
    xxh3: String,
}

impl From<&ObjectMeta> for ObjectText {
    fn from(object: &ObjectMeta) -> Self {
        Self {
            bytes: object.bytes,
            xxh3: format!("{:016x}", object.xxh3),
        }
    }
}

impl ObjectText {
    fn read(&self) -> Option<ObjectMeta> {
        Some(ObjectMeta {
            bytes: self.bytes,
            xxh3: u64::from_str_radix(&self.xxh3, 16).ok()?,
        })
    }
}

/// What a text of any format begins with.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl BlockMeta {
    /// Bytes of all objects but the meta itself.
    pub fn bytes(&self) -> u64 {
        let chunks = self.chunks.iter().map(|o| o.bytes);
        self.index.bytes + chunks.sum::<u64>()
    }

    /// Makes the block exist.
    pub(super) fn create(&self, objects: &dyn Objects) -> Result<(), BlockError> {
        let key = key(self.id, META);
        match objects.create(&key, self.to_text().as_bytes()) {
            Ok(Created::New) => Ok(()),
            Ok(Created::Exists) => Err(BlockError::Exists { key }),
            Err(error) => Err(BlockError::Io { key, error }),
        }
    }

    /// Reads a block's meta.
    pub(super) fn read(objects: &dyn Objects, id: Ulid) -> Result<Self, BlockError> {
        let key = key(id, META);
        let bytes = match read_all(objects, &key, META_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => return Err(BlockError::Io { key, error }),
        };
        let damaged = |what| BlockError::Damaged {
            key: key.clone(),
            offset: 0,
            what,
        };
        let json = checked(&bytes).map_err(damaged)?;
        let bad = Damaged("it does not say what a meta says");
        let Format { format } = serde_json::from_str(json).map_err(|_| damaged(bad))?;
        if format > FORMAT {
            let max = FORMAT;
            return Err(BlockError::Newer { key, format, max });
        }
        let meta = Self::from_json(json).ok_or(bad).map_err(damaged)?;
        match meta.id == id {
            true => Ok(meta),
            false => Err(damaged(Damaged("it is that of another block"))),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let tenant = |t: &TenantMeta| TenantText {
            tenant: t.tenant.to_string(),
            series: t.series,
            samples: t.samples,
        };
        let text = Text {
            format: FORMAT,
            id: self.id.to_string(),
            min_ms: self.range.start,
            max_ms: self.range.end,
            level: self.level,
            sources: self.sources.iter().map(Ulid::to_string).collect(),
            created_ms: self.created_ms,
            series: self.series,
            samples: self.samples,
            histograms: self.histograms,
            oldest_ms: self.times.0,
            newest_ms: self.times.1,
            hash: format!("{:032x}", self.hash),
            tenants: self.tenants.iter().map(tenant).collect(),
            index: (&self.index).into(),
            chunks: self.chunks.iter().map(ObjectText::from).collect(),
            root_offset: self.root.0,
            root_bytes: self.root.1,
        };
        let mut json = serde_json::to_string_pretty(&text).expect("strings and numbers alone");
        json.push('\n');
        let checksum = crc32c::crc32c(json.as_bytes());
        json.push_str(&format!("{CHECKSUM}{checksum:08x}\n"));
        json
    }

    fn from_json(json: &str) -> Option<Self> {
        let text: Text = serde_json::from_str(json).ok()?;
        let tenant = |t: TenantText| {
            Some(TenantMeta {
                tenant: TenantId::new(&t.tenant).ok()?,
                series: t.series,
                samples: t.samples,
            })
        };
        let sources = text.sources.iter().map(|id| id.parse().ok());
        Some(Self {
            id: text.id.parse().ok()?,
            range: Range {
                start: text.min_ms,
                end: text.max_ms,
            },
            level: text.level,
            sources: sources.collect::<Option<_>>()?,
            created_ms: text.created_ms,
            series: text.series,
            samples: text.samples,
            histograms: text.histograms,
            times: (text.oldest_ms, text.newest_ms),
            hash: u128::from_str_radix(&text.hash, 16).ok()?,
            tenants: text
                .tenants
                .into_iter()
                .map(tenant)
                .collect::<Option<_>>()?,
            index: text.index.read()?,
            chunks: text
                .chunks
                .iter()
                .map(ObjectText::read)
                .collect::<Option<_>>()?,
            root: (text.root_offset, text.root_bytes),
        })
    }
}

/// What a meta says.
pub(super) fn parse(json: &str) -> Option<BlockMeta> {
    BlockMeta::from_json(json)
}

/// The JSON of a meta, if the checksum behind it is right.
fn checked(bytes: &[u8]) -> Result<&str, Damaged> {
    let wrong = Damaged("the checksum is wrong");
    let text = std::str::from_utf8(bytes).map_err(|_| wrong)?;
    let (json, checksum) = text.rsplit_once(CHECKSUM).ok_or(wrong)?;
    let expected = format!("{:08x}\n", crc32c::crc32c(json.as_bytes()));
    match checksum == expected {
        true => Ok(json),
        false => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> BlockMeta {
        BlockMeta {
            id: Ulid(7 << 80),
            range: Range { start: -5, end: 70 },
            level: 1,
            sources: vec![Ulid(1), Ulid(2)],
            created_ms: 99,
            series: 2,
            samples: 3,
            histograms: 1,
            times: (-5, 69),
            hash: u128::MAX - 1,
            tenants: vec![TenantMeta {
                tenant: TenantId::anonymous(),
                series: 2,
                samples: 3,
            }],
            index: ObjectMeta {
                bytes: 100,
                xxh3: u64::MAX,
            },
            chunks: vec![],
            root: (64, 36),
        }
    }

    #[test]
    fn reads_back_and_notices_every_flipped_bit() {
        let text = meta().to_text();
        let json = checked(text.as_bytes()).unwrap();
        assert_eq!(BlockMeta::from_json(json), Some(meta()));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(checked(&bytes).is_err(), "bit {bit}");
        }
    }
}
