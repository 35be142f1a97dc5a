//! Reads from all shards that may hold a tenant's series, as if they were one.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferula_model::Labels;
use ferula_storage::{LabelQuery, Select, SelectError, SelectRequest, Selected};
use futures::future::{BoxFuture, try_join_all};

/// The read path's fan-out. A query fails if one of its legs does: part of the truth is none.
pub struct Fanout {
    shards: Vec<Arc<dyn Select>>,
}

impl Fanout {
    /// Reads from `shards`.
    pub fn new(shards: Vec<Arc<dyn Select>>) -> Self {
        Self { shards }
    }

    async fn merge_lists<T: Ord>(
        lists: impl Iterator<Item = BoxFuture<'_, Result<Vec<T>, SelectError>>>,
        limit: usize,
    ) -> Result<Vec<T>, SelectError> {
        let mut lists = try_join_all(lists).await?;
        let mut merged = match lists.len() {
            1 => lists.swap_remove(0),
            _ => lists
                .into_iter()
                .flatten()
                .collect::<BTreeSet<T>>()
                .into_iter()
                .collect(),
        };
        if limit > 0 {
            merged.truncate(limit);
        }
        Ok(merged)
    }
}

impl Select for Fanout {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        Box::pin(async move {
            let mut request = request;
            if self.shards.len() > 1 {
                // What the legs yield is merged by whole label sets.
                request.hints.labels = None;
            }
            let legs = self
                .shards
                .iter()
                .map(|shard| shard.select(request.clone()));
            let mut whole = Selected::default();
            for leg in try_join_all(legs).await? {
                whole.series.extend(leg.series);
                whole.warnings.extend(leg.warnings);
            }
            if self.shards.len() > 1 {
                // A label set lives in exactly one shard, so sorting is all the merge there is.
                whole.series.sort_by(|a, b| a.labels.cmp(&b.labels));
            }
            Ok(whole)
        })
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        let limit = query.limit;
        let legs = self
            .shards
            .iter()
            .map(move |shard| shard.series(query.clone()));
        Box::pin(Self::merge_lists(legs, limit))
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        let limit = query.limit;
        let legs = self
            .shards
            .iter()
            .map(move |shard| shard.label_names(query.clone()));
        Box::pin(Self::merge_lists(legs, limit))
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        let limit = query.limit;
        let legs = self
            .shards
            .iter()
            .map(move |s| s.label_values(name.clone(), query.clone()));
        Box::pin(Self::merge_lists(legs, limit))
    }
}
