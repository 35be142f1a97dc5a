//! Manifests as text: a line that says what it is, JSON, a line with the checksum of both.

use ferula_model::{Matcher, Range, TenantId, Ulid};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{BlockEntry, CheckpointRef, Delete, Manifest, OPS};

/// The first line.
const HEADER: &str = "ferula manifest 1";

/// What the last line begins with.
const CHECKSUM: &str = "xxh3 ";

/// A manifest of a hundred thousand blocks is smaller.
pub(super) const BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u64,
    cluster: String,
    shard: u32,
    epoch: u64,
    nonce: String,
    parent: String,
    written_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<CheckpointText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<i64>,
    blocks: Vec<BlockText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointText {
    key: String,
    bytes: u64,
    hash: String,
    epoch: u64,
    commit: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockText {
    id: String,
    level: u32,
    min: i64,
    end: i64,
    rank: u64,
    series: u64,
    samples: u64,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deletes: Vec<DeleteText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteText {
    tenant: String,
    /// Name, operator, value.
    matchers: Vec<[String; 3]>,
    min: i64,
    end: i64,
}

impl Manifest {
    /// The bytes of the object.
    pub(super) fn encode(&self) -> Vec<u8> {
        let text = Text {
            version: self.version,
            cluster: format!("{:032x}", u128::from_be_bytes(self.cluster)),
            shard: self.shard,
            epoch: self.epoch,
            nonce: format!("{:016x}", self.nonce),
            parent: format!("{:016x}", self.parent),
            written_ms: self.written_ms,
            checkpoint: self.checkpoint.as_ref().map(|c| CheckpointText {
                key: c.key.clone(),
                bytes: c.bytes,
                hash: format!("{:016x}", c.hash),
                epoch: c.epoch,
                commit: c.commit,
            }),
            floor: self.floor,
            blocks: self.blocks.iter().map(block_text).collect(),
        };
        let json = serde_json::to_string_pretty(&text).expect("strings and numbers alone");
        let body = format!("{HEADER}\n{json}\n");
        format!("{body}{CHECKSUM}{:016x}\n", xxh3_64(body.as_bytes())).into_bytes()
    }

    /// Reads the bytes of an object; says what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not text")?;
        let body_len = text
            .trim_end_matches('\n')
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let (body, checksum) = text.split_at(body_len);
        let Some(json) = body.strip_prefix(HEADER) else {
            return Err(format!("does not begin with `{HEADER}`"));
        };
        if checksum != format!("{CHECKSUM}{:016x}\n", xxh3_64(body.as_bytes())) {
            return Err("its checksum is wrong: bytes were changed or lost".to_owned());
        }
        let text: Text = serde_json::from_str(json).map_err(|e| e.to_string())?;
        Ok(Self {
            version: text.version,
            cluster: hex(&text.cluster, "cluster")?.to_be_bytes(),
            shard: text.shard,
            epoch: text.epoch,
            nonce: hex(&text.nonce, "nonce")? as u64,
            parent: hex(&text.parent, "parent")? as u64,
            written_ms: text.written_ms,
            checkpoint: text.checkpoint.map(checkpoint).transpose()?,
            floor: text.floor,
            blocks: text
                .blocks
                .into_iter()
                .map(block)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn hex(text: &str, what: &str) -> Result<u128, String> {
    u128::from_str_radix(text, 16).map_err(|_| format!("{what} `{text}` is no number"))
}

fn checkpoint(text: CheckpointText) -> Result<CheckpointRef, String> {
    Ok(CheckpointRef {
        hash: hex(&text.hash, "hash")? as u64,
        key: text.key,
        bytes: text.bytes,
        epoch: text.epoch,
        commit: text.commit,
    })
}

fn block_text(entry: &BlockEntry) -> BlockText {
    BlockText {
        id: entry.id.to_string(),
        level: entry.level,
        min: entry.range.start,
        end: entry.range.end,
        rank: entry.rank,
        series: entry.series,
        samples: entry.samples,
        bytes: entry.bytes,
        sources: entry.sources.iter().map(Ulid::to_string).collect(),
        deletes: entry.deletes.iter().map(delete_text).collect(),
    }
}

fn block(text: BlockText) -> Result<BlockEntry, String> {
    let ulid = |text: &str| text.parse::<Ulid>().map_err(|e| e.to_string());
    Ok(BlockEntry {
        id: ulid(&text.id)?,
        level: text.level,
        range: Range {
            start: text.min,
            end: text.end,
        },
        rank: text.rank,
        series: text.series,
        samples: text.samples,
        bytes: text.bytes,
        sources: text
            .sources
            .iter()
            .map(|s| ulid(s))
            .collect::<Result<_, _>>()?,
        deletes: text
            .deletes
            .into_iter()
            .map(delete)
            .collect::<Result<_, _>>()?,
    })
}

fn delete_text(delete: &Delete) -> DeleteText {
    let op = |m: &Matcher| {
        let known = OPS.iter().find(|(op, _)| *op == m.op());
        known.map_or("", |(_, text)| text).to_owned()
    };
    let triple = |m: &Matcher| [m.name().to_owned(), op(m), m.value().to_owned()];
    DeleteText {
        tenant: delete.tenant.as_str().to_owned(),
        matchers: delete.matchers.iter().map(triple).collect(),
        min: delete.range.start,
        end: delete.range.end,
    }
}

fn delete(text: DeleteText) -> Result<Delete, String> {
    let matcher = |[name, op, value]: [String; 3]| {
        let known = OPS.iter().find(|(_, text)| *text == op);
        let (op, _) = known.ok_or_else(|| format!("`{op}` is no operator of a matcher"))?;
        Matcher::new(*op, name, value).map_err(|e| e.to_string())
    };
    Ok(Delete {
        tenant: TenantId::new(&text.tenant).map_err(|e| e.to_string())?,
        matchers: text
            .matchers
            .into_iter()
            .map(matcher)
            .collect::<Result<_, _>>()?,
        range: Range {
            start: text.min,
            end: text.end,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::MatchOp;

    fn manifest() -> Manifest {
        let delete = Delete {
            tenant: TenantId::anonymous(),
            matchers: vec![
                Matcher::equal("__name__", "a\"\n"),
                Matcher::new(MatchOp::NotRegex, "x", "y.*").unwrap(),
            ],
            range: Range { start: -5, end: 9 },
        };
        let block = BlockEntry {
            id: Ulid(1 << 90),
            level: 2,
            range: Range {
                start: i64::MIN,
                end: i64::MAX,
            },
            rank: u64::MAX,
            series: 3,
            samples: 4,
            bytes: 5,
            sources: vec![Ulid(7), Ulid(8)],
            deletes: vec![delete],
        };
        Manifest {
            version: 3,
            epoch: 2,
            nonce: u64::MAX,
            parent: 1,
            written_ms: 1_700_000_000_000,
            checkpoint: Some(CheckpointRef {
                key: "s/7/ckpt/1".to_owned(),
                bytes: 10,
                hash: 12,
                epoch: 2,
                commit: 11,
            }),
            floor: Some(7_200_000),
            blocks: vec![block],
            ..Manifest::empty([9; 16], 7)
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        for manifest in [manifest(), Manifest::empty([0; 16], 0)] {
            assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let bytes = manifest().encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Manifest::decode(&changed).is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
