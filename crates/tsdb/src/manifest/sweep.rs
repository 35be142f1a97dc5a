//! Objects that a crash left without a name.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferula_model::Ulid;
use ferula_objects::{Objects, read_all};

use super::commit::{key, version};
use super::text::BYTES_MAX;
use super::{Manifest, ManifestError};
use crate::block::{Block, BlockError};

/// Deletes the blocks that no shard's newest manifest names. Only for the one owner of all
/// shards there are, before any of them is opened. Returns how many there were.
pub fn delete_unnamed_blocks(objects: &Arc<dyn Objects>) -> Result<usize, BlockError> {
    let named = named(&**objects).map_err(|error| BlockError::Io {
        key: "s".to_owned(),
        error: std::io::Error::other(error),
    })?;
    let unnamed = |id: &Ulid| !named.contains(id);
    let blocks = Block::list(&**objects)?;
    let unnamed: Vec<Ulid> = blocks.into_iter().filter(unnamed).collect();
    for id in &unnamed {
        Block::delete(&**objects, *id)?;
    }
    Ok(unnamed.len())
}

fn named(objects: &dyn Objects) -> Result<BTreeSet<Ulid>, ManifestError> {
    let mut named = BTreeSet::new();
    for shard in objects.list("s")? {
        let folder = format!("s/{shard}/manifest");
        let versions = objects.list(&folder)?;
        let Some(newest) = versions.iter().filter_map(|name| version(name)).max() else {
            continue;
        };
        let key = key(&folder, newest);
        let bytes = read_all(objects, &key, BYTES_MAX)?;
        let manifest =
            Manifest::decode(&bytes).map_err(|what| ManifestError::Damaged { key, what })?;
        named.extend(manifest.blocks.iter().map(|block| block.id));
    }
    Ok(named)
}
