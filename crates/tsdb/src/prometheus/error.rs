//! What can go wrong with files of another program.

use std::io;

use crate::Damaged;

/// Why files of Prometheus cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Bytes are not what the format says.
    #[error("{file}, byte {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it the part begins that is wrong.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The bytes are in order, but of a kind that is not known here.
    #[error("{file}: {what}")]
    Unsupported {
        /// The file.
        file: String,
        /// What it is.
        what: String,
    },
    /// What was to be written has no place in the format.
    #[error("cannot be written as a Prometheus block: {0}")]
    Unwritable(String),
}

impl Error {
    /// Says where damage is.
    pub(crate) fn damaged(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            offset,
            what: what.into(),
        }
    }
}

/// Adds file and position to damage.
pub(crate) fn at<T>(file: &str, offset: u64, result: Result<T, Damaged>) -> Result<T, Error> {
    result.map_err(|Damaged(what)| Error::damaged(file, offset, what))
}
