//! What the API shows of a target.

use std::sync::Arc;
use std::time::Duration;

use ferula_model::{Labels, Timestamp};
use parking_lot::Mutex;

use crate::metadata::MetadataCache;

/// How the last scrape went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There was none yet.
    #[default]
    Unknown,
    /// Well.
    Up,
    /// Badly.
    Down,
}

impl Health {
    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The last scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LastScrape {
    pub(crate) health: Health,
    pub(crate) error: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) took: Duration,
}

/// What a loop lets others see.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) last: Mutex<LastScrape>,
    pub(crate) metadata: Mutex<MetadataCache>,
}

/// A target that is scraped.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// Its job.
    pub scrape_pool: Arc<str>,
    /// The labels before relabelling.
    pub discovered_labels: Labels,
    /// The labels its samples get.
    pub labels: Labels,
    /// Where it is scraped.
    pub scrape_url: String,
    /// Why the last scrape failed, empty if it did not.
    pub last_error: String,
    /// When the last scrape began.
    pub last_scrape: Option<Timestamp>,
    /// How long it took.
    pub last_scrape_duration: Duration,
    /// How it went.
    pub health: Health,
    /// From one scrape to the next.
    pub scrape_interval: Duration,
    /// How long a scrape may take.
    pub scrape_timeout: Duration,
}

/// A target that relabelling drops.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedTarget {
    /// Its job.
    pub scrape_pool: Arc<str>,
    /// The labels before relabelling.
    pub discovered_labels: Labels,
}

/// One job in numbers.
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// The job.
    pub scrape_pool: Arc<str>,
    /// Targets scraped.
    pub active: usize,
    /// Targets dropped, those among them that are not remembered.
    pub dropped: u64,
    /// `target_limit`, 0 for none.
    pub target_limit: u64,
    /// Times its targets were set anew.
    pub syncs: u64,
    /// Targets that could not be made.
    pub sync_failed: u64,
    /// Metric families whose metadata is remembered, over all targets.
    pub metadata_families: usize,
    /// Bytes of their names and texts.
    pub metadata_bytes: usize,
}
