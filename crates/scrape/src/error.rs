//! Why a scrape fails: the text is the target's last error.

use std::sync::Arc;

use ferula_exposition::FormatError;
use ferula_storage::AppendError;

use crate::content::ContentError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    /// There is no body.
    #[error(transparent)]
    Fetch(#[from] ferula_httpclient::Error),
    /// The body's format is not known.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The body cannot be used.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The job's targets are not to be scraped.
    #[error("{0}")]
    Forced(Arc<str>),
    /// The storage took nothing.
    #[error("the scrape was not stored: {0}")]
    Append(#[from] AppendError),
    /// A defect of this program.
    #[error("reading the body failed: {0}")]
    Panicked(String),
}
