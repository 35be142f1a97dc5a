//! The shards, before and after they are open: HTTP is served from the first moment, so that
//! progress can be asked for while the log is replayed.

use std::sync::{Arc, OnceLock};

use ferula_model::Labels;
use ferula_storage::{
    Append, AppendError, Batch, LabelQuery, Report, Select, SelectError, SelectRequest, Selected,
};
use futures::future::BoxFuture;

const WHY: &str = "the server is starting: its log is being replayed";

/// Stands for parts that come later; says so until they are there.
#[derive(Default)]
pub(crate) struct Late {
    parts: OnceLock<(Arc<dyn Append>, Arc<dyn Select>)>,
}

impl Late {
    /// The parts are there. Only the first call counts.
    pub(crate) fn open(&self, append: Arc<dyn Append>, select: Arc<dyn Select>) {
        let _ = self.parts.set((append, select));
    }

    fn select_part(&self) -> Result<&Arc<dyn Select>, SelectError> {
        match self.parts.get() {
            Some((_, select)) => Ok(select),
            None => Err(SelectError::Unavailable {
                why: WHY.to_owned(),
            }),
        }
    }
}

impl Append for Late {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        match self.parts.get() {
            Some((append, _)) => append.append(batch),
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
