//! What an operator asks for, done on all shards.

use std::sync::Arc;

use ferula_storage::{Admin, AdminError, BlockInfo, Deletion, SeriesInfo, SeriesQuery};
use futures::future::{BoxFuture, try_join_all};

/// All shards, as if they were one. A request fails if one of them does; others may have done
/// their part, and asking again does the rest.
pub struct Admins {
    shards: Vec<Arc<dyn Admin>>,
}

impl Admins {
    /// Administers `shards`.
    pub fn new(shards: Vec<Arc<dyn Admin>>) -> Self {
        Self { shards }
    }
}

impl Admin for Admins {
    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<(), AdminError>> {
        let legs = self.shards.iter().map(move |s| s.delete(deletion.clone()));
        Box::pin(async move { try_join_all(legs).await.map(|_| ()) })
    }

    fn clean(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        let legs = self.shards.iter().map(|shard| shard.clean());
        Box::pin(async move { try_join_all(legs).await.map(|_| ()) })
    }

    fn snapshot(&self, name: String, skip_head: bool) -> BoxFuture<'_, Result<(), AdminError>> {
        let shards = self.shards.iter();
        let legs = shards.map(move |shard| shard.snapshot(name.clone(), skip_head));
        Box::pin(async move { try_join_all(legs).await.map(|_| ()) })
    }

    fn blocks(&self) -> BoxFuture<'_, Result<Vec<BlockInfo>, AdminError>> {
        let legs = self.shards.iter().map(|shard| shard.blocks());
        Box::pin(async move {
            let mut blocks = try_join_all(legs).await?.concat();
            blocks.sort_by_key(|block| (block.range.start, block.range.end, block.id));
            Ok(blocks)
        })
    }

    fn where_is(&self, query: SeriesQuery) -> BoxFuture<'_, Result<Vec<SeriesInfo>, AdminError>> {
        let limit = query.limit;
        let legs = self.shards.iter().map(move |s| s.where_is(query.clone()));
        Box::pin(async move {
            let mut series = try_join_all(legs).await?.concat();
            // A label set lives in exactly one shard, so sorting is all the merge there is.
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            series.truncate(limit);
            Ok(series)
        })
    }
}
