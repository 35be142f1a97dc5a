//! Deleting samples: from the head first, then from blocks.

use ferula_model::Matcher;
use ferula_storage::Deletion;
use ferula_tsdb::HeadWriter;
use ferula_tsdb::block::BlockError;
use ferula_tsdb::log::frame::FrameBuf;
use ferula_tsdb::log::{Log, LogError};
use ferula_tsdb::manifest::Delete;
use ferula_tsdb::view::Shown;

use crate::upkeep::{Upkeep, UpkeepError};
use crate::writer::log_frame;

impl Upkeep {
    /// Deletes samples. The head's are gone from the log's next commit on; what has been cut from
    /// the head before is in blocks by then, whose samples are hidden by the next manifest and
    /// left out when the block is merged.
    pub(crate) fn delete(&mut self, deletion: &Deletion) -> Result<(), UpkeepError> {
        self.settle()?;
        let asked = deletion.clone();
        self.ask_writer(move |head, log| delete_from_head(head, log, &asked))??;
        let mut next = self.newest().clone();
        let mut hit = false;
        for shown in self.view().blocks() {
            let Some(entry) = next.blocks.iter_mut().find(|b| b.id == shown.entry().id) else {
                continue;
            };
            for matchers in &deletion.matchers {
                let delete = Delete {
                    tenant: deletion.tenant.clone(),
                    matchers: matchers.clone(),
                    range: deletion.range,
                };
                if !entry.deletes.contains(&delete) && hits(shown, deletion, matchers)? {
                    entry.deletes.push(delete);
                    hit = true;
                }
            }
        }
        match hit {
            true => self.publish(next, &[]),
            false => Ok(()),
        }
    }
}

/// Whether a block has samples that a deletion is about.
fn hits(shown: &Shown, deletion: &Deletion, matchers: &[Matcher]) -> Result<bool, BlockError> {
    let block = shown.block();
    if !block.meta().range.overlaps(deletion.range) {
        return Ok(false);
    }
    let series = block.select(&deletion.tenant, matchers, deletion.range)?;
    Ok(!series.is_empty())
}

/// Deletes samples from the head, once the log says so for good.
fn delete_from_head(
    head: &mut HeadWriter,
    log: &mut Log,
    deletion: &Deletion,
) -> Result<u64, LogError> {
    let what = head.to_delete(deletion);
    if what.is_empty() {
        return Ok(0);
    }
    let mut frame = FrameBuf::default();
    log_frame(head, log, &mut frame, |head, out| {
        head.encode_deletion(&what, deletion, out);
    })?;
    log.sync()?;
    Ok(head.delete(&what))
}
