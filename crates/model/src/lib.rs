//! The data model every other crate speaks: labels, samples, native histograms, matchers, time,
//! tenants, and how those are written as text.
//!
//! Never does I/O, never reads a clock, knows no wire or disk format but its own hash input.
//! Start with [`Labels`], then [`Matcher`].

mod bounds;
mod histogram;
mod labels;
mod matcher;
mod sample;
mod tenant;
pub mod text;
mod time;
mod ulid;

pub use bounds::exponential_bound;
pub use histogram::{
    BUCKETS_MAX, BucketSide, CounterReset, Counts, Histogram, HistogramError, SCHEMA_CUSTOM, Span,
};
pub use labels::{Builder, LABEL_LEN_MAX, Labels, METRIC_NAME};
pub use matcher::{MatchOp, Matcher};
pub use sample::{Exemplar, MetricKind, Value, is_stale, stale_marker};
pub use tenant::{TenantId, TenantIdError};
pub use time::{Range, Timestamp};
pub use ulid::{Ulid, UlidError};
