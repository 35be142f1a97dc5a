//! The contract between those who write or read series and those who keep them.
//!
//! Front doors (scraping, remote write) speak [`Append`]; PromQL and the HTTP API speak
//! [`Select`]. A shard implements both, the cluster's router and fan-out implement both over
//! many shards; nobody above can tell which one it talks to. Operators speak [`Admin`]. Holds no
//! implementation.

mod admin;
mod append;
mod select;

pub use admin::{Admin, AdminError, BlockInfo, Deletion, SeriesInfo, SeriesQuery, Stretch};
pub use append::{
    Append, AppendError, Batch, ExemplarEntry, HistogramEntry, Origin, REJECTIONS_MAX, Reason,
    Rejection, Report, SampleEntry, SeriesKey, SeriesRef,
};
pub use select::{
    Columns, Hints, HistogramPoint, LabelQuery, Select, SelectError, SelectRequest, Selected,
    SelectedSeries, SeriesSource,
};
