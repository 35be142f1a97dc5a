//! What an operator asks of a shard. All of it is done between two steps of the upkeep, on a
//! thread that may wait.

use ferula_storage::{
    Admin, AdminError, BlockInfo, Deletion, SelectError, SeriesInfo, SeriesQuery,
};
use ferula_tsdb::manifest::BlockEntry;
use futures::future::BoxFuture;

use crate::Shard;
use crate::upkeep::{Upkeep, UpkeepError};

impl Admin for Shard {
    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(self.between(move |upkeep, _| upkeep.delete(&deletion)))
    }

    fn clean(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(self.between(Upkeep::clean))
    }

    fn snapshot(&self, name: String, skip_head: bool) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(self.between(move |upkeep, stop| upkeep.snapshot(&name, skip_head, stop)))
    }

    fn blocks(&self) -> BoxFuture<'_, Result<Vec<BlockInfo>, AdminError>> {
        let blocks = Shard::blocks(self).into_iter().map(info).collect();
        Box::pin(async move { Ok(blocks) })
    }

    fn where_is(&self, query: SeriesQuery) -> BoxFuture<'_, Result<Vec<SeriesInfo>, AdminError>> {
        let samples = self.samples.clone();
        Box::pin(async move {
            let found = ferula_env::spawn::waiting(move || samples.where_is(&query)).await;
            found.map_err(stopped)?.map_err(|error| match error {
                SelectError::Unavailable { why } => AdminError::Unavailable { why },
                corrupt => AdminError::Failed(corrupt.to_string()),
            })
        })
    }
}

impl Shard {
    /// Does something between two steps of the upkeep.
    async fn between(
        &self,
        work: impl FnOnce(&mut Upkeep, &dyn Fn() -> bool) -> Result<(), UpkeepError> + Send + 'static,
    ) -> Result<(), AdminError> {
        let keeper = self.keeper.clone();
        let done = ferula_env::spawn::waiting(move || keeper.with(work)).await;
        done.map_err(stopped)?.map_err(|error| match error {
            UpkeepError::Stopping => stopped(error),
            _ if error.is_stopped() || error.is_fenced() => stopped(error),
            failed => AdminError::Failed(failed.to_string()),
        })
    }
}

fn stopped(error: impl ToString) -> AdminError {
    AdminError::Unavailable {
        why: error.to_string(),
    }
}

fn info(block: BlockEntry) -> BlockInfo {
    BlockInfo {
        id: block.id,
        range: block.range,
        level: block.level,
        series: block.series,
        samples: block.samples,
        bytes: block.bytes,
        sources: match block.sources.is_empty() {
            true => vec![block.id],
            false => block.sources,
        },
        deletes: block.deletes.len() as u64,
    }
}
