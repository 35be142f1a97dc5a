//! Administering: what an operator asks for beside reading and writing.

use ferula_model::{Labels, Matcher, Range, TenantId, Timestamp, Ulid};
use futures::future::BoxFuture;

/// A deletion: the samples of a range, of series that match. It covers what was stored before
/// it; what is written to the range afterwards is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Whose series.
    pub tenant: TenantId,
    /// Series for which all matchers of any set hold.
    pub matchers: Vec<Vec<Matcher>>,
    /// Which of their samples.
    pub range: Range,
}

/// A block, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Which one.
    pub id: Ulid,
    /// All its samples are in here.
    pub range: Range,
    /// How often its samples have been merged: 1 as cut from the head.
    pub level: u32,
    /// Series it has.
    pub series: u64,
    /// Samples it has, deleted ones included.
    pub samples: u64,
    /// Bytes it takes.
    pub bytes: u64,
    /// The blocks it was first cut as.
    pub sources: Vec<Ulid>,
    /// Deletions that its bytes do not reflect yet.
    pub deletes: u64,
}

/// A question about where series are.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// Whose series.
    pub tenant: TenantId,
    /// Series for which all matchers of any set hold.
    pub matchers: Vec<Vec<Matcher>>,
    /// At most this many.
    pub limit: usize,
}

/// Where some of a series' samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Samples there.
    pub samples: u64,
    /// The first one's timestamp.
    pub first: Timestamp,
    /// The last one's timestamp.
    pub last: Timestamp,
}

/// One series, and where its samples are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesInfo {
    /// Its labels.
    pub labels: Labels,
    /// Samples in the head.
    pub head: Option<Stretch>,
    /// Samples in blocks, oldest block first.
    pub blocks: Vec<(Ulid, Stretch)>,
    /// Whether it has samples in the head, and the newest is no staleness marker.
    pub active: bool,
}

impl SeriesInfo {
    /// All its samples as one stretch, those that lie in two places counted twice.
    pub fn whole(&self) -> Option<Stretch> {
        let places = self.blocks.iter().map(|(_, stretch)| *stretch);
        places.chain(self.head).reduce(|a, b| Stretch {
            samples: a.samples + b.samples,
            first: a.first.min(b.first),
            last: a.last.max(b.last),
        })
    }
}

/// Why something was not done, or not all of it. Asking again is always safe.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// Not now: starting, stopping, or the store cannot be written.
    #[error("not possible now: {why}")]
    Unavailable {
        /// What stands in the way.
        why: String,
    },
    /// It was tried.
    #[error("{0}")]
    Failed(String),
}

/// Does what operators ask for. A request whose future was dropped may or may not be done.
pub trait Admin: Send + Sync {
    /// Deletes samples: once it returns, they are gone from all answers, also after a crash.
    fn delete(&self, deletion: Deletion) -> BoxFuture<'_, Result<(), AdminError>>;

    /// Gives the disk space of deleted samples back.
    fn clean(&self) -> BoxFuture<'_, Result<(), AdminError>>;

    /// Makes a data directory of this name below `snapshots/` of the own one, with what is stored
    /// at some instant of the call; of what is in the head nothing, if `skip_head`.
    fn snapshot(&self, name: String, skip_head: bool) -> BoxFuture<'_, Result<(), AdminError>>;

    /// All blocks, oldest first.
    fn blocks(&self) -> BoxFuture<'_, Result<Vec<BlockInfo>, AdminError>>;

    /// Where series are, in order of labels.
    fn where_is(&self, query: SeriesQuery) -> BoxFuture<'_, Result<Vec<SeriesInfo>, AdminError>>;
}
