//! What the shard's tests share.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub(crate) mod history;
pub(crate) mod model;

use std::path::Path;
use std::sync::Arc;

use ferula_coord::LocalCoord;
use ferula_env::{Disk, SystemClock, SystemDisk};
use ferula_model::{Labels, Matcher, Range, TenantId};
use ferula_objects::{LocalObjects, Objects};
use ferula_shard::{Ack, Shard, ShardError, ShardParts, ShardSettings, UpkeepSettings};
use ferula_storage::{
    Append, AppendError, Batch, Columns, Hints, LabelQuery, Origin, Report, SampleEntry, Select,
    SelectRequest, SeriesKey, SeriesRef,
};
use ferula_tsdb::compact::Retention;
use ferula_tsdb::log::Progress;
use ferula_tsdb::manifest::delete_unnamed_blocks;
use futures::executor::block_on;

pub(crate) const HOUR: i64 = 60 * 60 * 1_000;

/// Small segments, so that tests see several.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;

pub(crate) fn settings(dir: &Path) -> ShardSettings {
    ShardSettings {
        dir: dir.into(),
        number: 0,
        ack: Ack::Durable,
        head_bytes_max: 1 << 30,
        queue_bytes_max: 1 << 24,
        segment_bytes: SEGMENT_BYTES,
        upkeep: UpkeepSettings {
            ranges_ms: vec![2 * HOUR, 12 * HOUR],
            checkpoint_log_bytes: 1 << 20,
            retention: Retention::default(),
            cache_bytes: 1 << 20,
        },
        keeper: false,
    }
}

/// Opens the one shard of a data directory, as the server does.
pub(crate) fn try_open_on(
    disk: Arc<dyn Disk>,
    settings: ShardSettings,
) -> Result<Shard, ShardError> {
    let coord = Arc::new(LocalCoord::open(disk.clone(), &settings.dir)?);
    let objects =
        LocalObjects::open(disk.clone(), &settings.dir).map_err(ferula_coord::CoordError::from)?;
    let objects: Arc<dyn Objects> = Arc::new(objects);
    let shard = settings.number;
    delete_unnamed_blocks(&objects).map_err(|source| ShardError::Block { shard, source })?;
    let parts = ShardParts {
        clock: SystemClock::shared(),
        disk,
        objects,
        coord,
    };
    Shard::open(settings, parts, &Progress::default())
}

pub(crate) fn open(dir: &Path) -> Shard {
    try_open_on(SystemDisk::shared(), settings(dir)).unwrap()
}

pub(crate) fn labels(name: &str, i: usize) -> Labels {
    Labels::from_pairs([("__name__", name), ("i", &i.to_string())])
}

/// A batch of one sample per series.
pub(crate) fn batch(keys: impl IntoIterator<Item = SeriesKey>, t: i64, v: f64) -> Batch {
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
    for (i, key) in keys.into_iter().enumerate() {
        batch.series.push(key);
        batch.samples.push(SampleEntry {
            series: i as u32,
            timestamp: t,
            value: v,
        });
    }
    batch
}

pub(crate) fn by_labels(labels: Labels) -> [SeriesKey; 1] {
    [SeriesKey::Labels(labels)]
}

pub(crate) fn by_refs(refs: &[Option<SeriesRef>]) -> Vec<SeriesKey> {
    refs.iter().map(|r| SeriesKey::Ref(r.unwrap())).collect()
}

pub(crate) fn append(shard: &Shard, batch: Batch) -> Result<Report, AppendError> {
    block_on(shard.append(batch))
}

/// A series' samples as (timestamp, bits of a float).
pub(crate) type Floats = Vec<(i64, u64)>;

/// Everything that is stored, floats only.
pub(crate) fn dump(shard: &Shard) -> Vec<(Labels, Floats)> {
    select(shard, vec![], Range::ALL)
}

pub(crate) fn select(shard: &Shard, matchers: Vec<Matcher>, range: Range) -> Vec<(Labels, Floats)> {
    let mut out = Vec::new();
    for (labels, columns) in select_columns(shard, matchers, range) {
        assert!(columns.histograms.is_empty());
        let values = columns.values.iter().map(|v| v.to_bits());
        out.push((labels, columns.timestamps.into_iter().zip(values).collect()));
    }
    out
}

pub(crate) fn select_columns(
    shard: &Shard,
    matchers: Vec<Matcher>,
    range: Range,
) -> Vec<(Labels, Columns)> {
    let selected = block_on(shard.select(select_request(matchers, range))).unwrap();
    let decoded = selected.series.into_iter().map(|series| {
        let mut columns = Columns::default();
        series.source.decode(range, &mut columns).unwrap();
        (series.labels, columns)
    });
    decoded.collect()
}

pub(crate) fn select_request(matchers: Vec<Matcher>, range: Range) -> SelectRequest {
    SelectRequest {
        tenant: TenantId::anonymous(),
        matchers,
        range,
        hints: Hints::default(),
    }
}

pub(crate) fn all() -> LabelQuery {
    LabelQuery {
        tenant: TenantId::anonymous(),
        matchers: vec![],
        range: Range::ALL,
        limit: 0,
    }
}
