//! Blocks are written of what is imported, and shown.

use anyhow::{bail, ensure};
use ferula_model::{Range, TenantId, Ulid};
use ferula_shard::Adopted;
use ferula_tsdb::block::{Block, BlockSpec, BlockWriter};
use ferula_tsdb::import::{Cursor, Tally, write};

use super::open::Opened;
use super::progress::{Progress, shown};

/// What was imported so far.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) blocks: usize,
    pub(crate) written: u64,
    pub(crate) repeated: u64,
    pub(crate) conflicts: u64,
    pub(crate) deleted: u64,
}

/// Writes blocks of all that `sources` have, checks that nothing is missing, and shows them: all
/// or none. `origins` are remembered as imported.
pub(crate) fn import(
    to: &Opened,
    tenant: &TenantId,
    sources: &mut [Box<dyn Cursor>],
    blocks: &[Range],
    origins: &[Ulid],
    progress: &mut Progress,
    done: &mut Done,
) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let mut adopted = Vec::new();
    for &range in blocks {
        let id = to.new_ulid();
        let spec = BlockSpec::new(range, to.clock.now_ms());
        let writer = BlockWriter::new(&to.objects, id, spec)?;
        let before = done.written + tally.written;
        let mut tick = |written: u64| {
            progress.tick(|seconds| {
                let samples = before + written;
                let rate = samples as f64 / seconds.max(0.001) / 1e6;
                let from = shown(range.start);
                format!("at {from}: {samples} samples written, {rate:.1} million a second")
            });
        };
        match write(sources, tenant, range, writer, &mut tick) {
            Ok((meta, found)) => {
                tally.add(&found);
                adopted.extend(meta.map(|meta| Adopted {
                    id: meta.id,
                    sources: origins.to_vec(),
                }));
            }
            Err(error) => {
                // What stays of it is removed when the directory is opened again.
                let _ = Block::delete(&*to.objects, id);
                bail!(error);
            }
        }
    }
    for (source, read) in sources.iter().zip(&tally.read) {
        let promised = source.promised().unwrap_or(*read);
        let name = source.name();
        ensure!(
            promised == *read,
            "{name} says it has {promised} samples, but {read} were found; nothing of it has been \
             imported"
        );
    }
    // Every block is read back there: samples are counted, and their hashes added up.
    to.shard.adopt(&adopted)?;
    done.blocks += adopted.len();
    done.written += tally.written;
    done.repeated += tally.repeated();
    done.conflicts += tally.conflicts;
    done.deleted += tally.deleted;
    Ok(())
}

impl Done {
    /// What was done, for people.
    pub(crate) fn said(&self, progress: &Progress) -> String {
        let mut said = format!(
            "imported {} samples into {} blocks in {:.1} s; all were read back and compared",
            self.written,
            self.blocks,
            progress.seconds()
        );
        let mut add = |n: u64, what: &str| {
            if n > 0 {
                said += &format!("\n{n} samples {what}");
            }
        };
        add(
            self.repeated,
            "were there several times, with the same value",
        );
        add(
            self.conflicts,
            "had another value than an earlier one of their time, which stays",
        );
        add(self.deleted, "were left out, because they are deleted");
        said
    }
}
