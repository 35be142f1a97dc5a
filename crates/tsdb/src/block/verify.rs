//! Reading all of a block, to see that it is what was written.

use ferula_objects::ObjectReader;
use ferula_storage::Columns;
use xxhash_rust::xxh3::Xxh3;

use super::hash::{SampleHasher, identity};
use super::reader::HeldPages;
use super::{Block, BlockError};
use crate::Damaged;

/// Read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// What was found in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Series with their labels.
    pub series: u64,
    /// Samples, histograms included.
    pub samples: u64,
    /// The sum of the hashes of all samples.
    pub hash: u128,
    /// Bytes of all objects but the meta.
    pub bytes: u64,
}

impl Block {
    /// Reads every byte and decodes every sample; an error says what differs from the meta.
    pub fn verify(&self) -> Result<Verified, BlockError> {
        let mut found = Verified::default();
        let meta = self.meta();
        let expected = std::iter::once(meta.index).chain(meta.chunks.iter().copied());
        for ((key, object), expected) in self.files.objects().zip(expected) {
            let hash = object_hash(object).map_err(|error| BlockError::Io {
                key: key.to_owned(),
                error,
            })?;
            if hash != expected.xxh3 {
                return Err(BlockError::Damaged {
                    key: key.to_owned(),
                    offset: 0,
                    what: Damaged("its hash is not what the meta says"),
                });
            }
            found.bytes += object.len();
        }
        let mut columns = Columns::default();
        let mut reader = self.label_reader();
        let (mut held, mut copied) = (HeldPages::default(), Vec::new());
        for tenant in &self.root.tenants {
            let mut hasher = SampleHasher::new(&tenant.tenant);
            let mut before = None;
            for ordinal in tenant.first..tenant.first + tenant.series {
                let labels = reader.labels(ordinal)?;
                if before.as_ref().is_some_and(|before| *before >= labels) {
                    let what = Damaged("series are not in order of labels");
                    return Err(self
                        .files
                        .damaged(super::files::Of::Index, tenant.place, what));
                }
                columns.clear();
                copied.clear();
                self.copy(ordinal, &mut held, &mut columns, &mut copied)?;
                let sum = hasher.sum(identity(&labels), &columns);
                found.hash = found.hash.wrapping_add(sum);
                found.samples += columns.len() as u64;
                found.series += 1;
                before = Some(labels);
            }
        }
        self.compare("series", found.series.into(), meta.series.into())?;
        self.compare("samples", found.samples.into(), meta.samples.into())?;
        self.compare("hashes", found.hash, meta.hash)?;
        Ok(found)
    }

    fn compare(&self, what: &'static str, found: u128, written: u128) -> Result<(), BlockError> {
        match found == written {
            true => Ok(()),
            false => Err(BlockError::Differs {
                block: self.meta().id,
                what,
                found,
                written,
            }),
        }
    }
}

fn object_hash(object: &dyn ObjectReader) -> std::io::Result<u64> {
    let (mut hash, mut at) = (Xxh3::new(), 0);
    let mut piece = vec![0; PIECE_BYTES.min(object.len()) as usize];
    while at < object.len() {
        let len = PIECE_BYTES.min(object.len() - at) as usize;
        object.read_exact_at(&mut piece[..len], at)?;
        hash.update(&piece[..len]);
        at += len as u64;
    }
    Ok(hash.digest())
}
