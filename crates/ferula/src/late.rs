//! The shards, before and after they are open: HTTP is served from the first moment, so that
//! progress can be asked for while the log is replayed.

use std::sync::{Arc, OnceLock};

use ferula_model::Labels;
use ferula_storage::{
    Admin, AdminError, Append, AppendError, Batch, BlockInfo, Deletion, LabelQuery, Report, Select,
    SelectError, SelectRequest, Selected, SeriesInfo, SeriesQuery,
};
use futures::future::BoxFuture;

const WHY: &str = "the server is starting: its log is being replayed";

/// The ways to the shards.
pub(crate) struct Parts {
    pub(crate) append: Arc<dyn Append>,
    pub(crate) select: Arc<dyn Select>,
    pub(crate) admin: Arc<dyn Admin>,
}

/// Stands for parts that come later; says so until they are there.
#[derive(Default)]
pub(crate) struct Late {
    parts: OnceLock<Parts>,
}

impl Late {
    /// The parts are there. Only the first call counts.
    pub(crate) fn open(&self, parts: Parts) {
        let _ = self.parts.set(parts);
    }

    fn select_part(&self) -> Result<&Arc<dyn Select>, SelectError> {
        match self.parts.get() {
            Some(parts) => Ok(&parts.select),
            None => Err(SelectError::Unavailable {
                why: WHY.to_owned(),
            }),
        }
    }

    fn admin_part(&self) -> Result<&Arc<dyn Admin>, AdminError> {
        match self.parts.get() {
            Some(parts) => Ok(&parts.admin),
            None => Err(AdminError::Unavailable {
                why: WHY.to_owned(),
            }),
        }
    }
}

impl Append for Late {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        match self.parts.get() {
            Some(parts) => parts.append.append(batch),
            None => Box::pin(async {
                Err(AppendError::Unavailable {
                    why: WHY.to_owned(),
                })
            }),
        }
    }
}

impl Select for Late {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        Box::pin(async move { self.select_part()?.select(request).await })
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        Box::pin(async move { self.select_part()?.series(query).await })
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        Box::pin(async move { self.select_part()?.label_names(query).await })
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        Box::pin(async move { self.select_part()?.label_values(name, query).await })
    }
}

impl Admin for Late {
    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move { self.admin_part()?.delete(deletion).await })
    }

    fn clean(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move { self.admin_part()?.clean().await })
    }

    fn snapshot(&self, name: String, skip_head: bool) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move { self.admin_part()?.snapshot(name, skip_head).await })
    }

    fn blocks(&self) -> BoxFuture<'_, Result<Vec<BlockInfo>, AdminError>> {
        Box::pin(async move { self.admin_part()?.blocks().await })
    }

    fn where_is(&self, query: SeriesQuery) -> BoxFuture<'_, Result<Vec<SeriesInfo>, AdminError>> {
        Box::pin(async move { self.admin_part()?.where_is(query).await })
    }
}
