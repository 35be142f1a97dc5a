//! Sends each series of a batch to the shard that owns it, and makes one report of many.

use std::sync::Arc;

use ferula_storage::{
    Append, AppendError, Batch, REJECTIONS_MAX, Rejection, Report, SeriesKey, SeriesRef,
};
use futures::future::{BoxFuture, join_all};

use crate::placement::ShardMap;

/// The part of a [`SeriesRef`] that numbers the series inside its shard. The rest is the
/// shard's index in the map.
const SID_BITS: u32 = 52;

/// The write path's fan-out.
pub struct Router {
    map: ShardMap,
    shards: Vec<Arc<dyn Append>>,
}

impl Router {
    /// Routes by `map`, whose shards are given in the same order.
    ///
    /// # Panics
    /// If map and shards differ in number.
    pub fn new(map: ShardMap, shards: Vec<Arc<dyn Append>>) -> Self {
        assert_eq!(map.len(), shards.len(), "a shard for each entry of the map");
        Self { map, shards }
    }

    fn shard_of(&self, batch: &Batch, key: &SeriesKey) -> usize {
        match key {
            SeriesKey::Labels(labels) => self.map.shard_of(&batch.tenant, labels),
            // A reference of a shard that is gone goes to the first one, which will not know it.
            SeriesKey::Ref(SeriesRef(id)) => {
                let shard = (id >> SID_BITS) as usize;
                if shard < self.shards.len() { shard } else { 0 }
            }
        }
    }

    fn split(&self, batch: Batch) -> Vec<Part> {
        let mut parts: Vec<Part> = (0..self.shards.len())
            .map(|shard| Part {
                shard,
                batch: Batch::new(batch.tenant.clone(), batch.origin),
                original: Vec::new(),
            })
            .collect();
        // Where series i went: its shard, and its index there.
        let mut places = Vec::with_capacity(batch.series.len());
        for (i, key) in batch.series.iter().enumerate() {
            let shard = self.shard_of(&batch, key);
            let part = &mut parts[shard];
            places.push((shard, part.original.len() as u32));
            part.original.push(i as u32);
            part.batch.series.push(match key {
                SeriesKey::Ref(SeriesRef(id)) => {
                    SeriesKey::Ref(SeriesRef(id & ((1 << SID_BITS) - 1)))
                }
                SeriesKey::Labels(labels) => SeriesKey::Labels(labels.clone()),
            });
        }
        for (i, mut sample) in batch.samples.into_iter().enumerate() {
            let (shard, series) = places[sample.series as usize];
            sample.series = series;
            parts[shard].batch.samples.push(sample);
            if let Some(&start) = batch.start_timestamps.get(i) {
                parts[shard].batch.start_timestamps.push(start);
            }
        }
        for mut entry in batch.histograms {
            let (shard, series) = places[entry.series as usize];
            entry.series = series;
            parts[shard].batch.histograms.push(entry);
        }
        for mut entry in batch.exemplars {
            let (shard, series) = places[entry.series as usize];
            entry.series = series;
            parts[shard].batch.exemplars.push(entry);
        }
        parts.retain(|part| !part.original.is_empty());
        parts
    }
}

/// What goes to one shard.
struct Part {
    shard: usize,
    batch: Batch,
    /// For each series of `batch`, its index in the batch that was split.
    original: Vec<u32>,
}

/// Adds what one shard reported to the report of the whole batch.
fn merge(whole: &mut Report, part: Report, shard: usize, original: &[u32]) {
    whole.samples += part.samples;
    whole.histograms += part.histograms;
    whole.late += part.late;
    whole.duplicates += part.duplicates;
    whole.series_created += part.series_created;
    let of_shard = |SeriesRef(id)| SeriesRef(id | ((shard as u64) << SID_BITS));
    let renamed = part.renamed.into_iter();
    whole
        .renamed
        .extend(renamed.map(|(old, new)| (of_shard(old), of_shard(new))));
    for (word, n) in part.rejected {
        match whole.rejected.iter_mut().find(|(w, _)| *w == word) {
            Some((_, total)) => *total += n,
            None => whole.rejected.push((word, n)),
        }
    }
    let room = REJECTIONS_MAX.saturating_sub(whole.rejections.len());
    whole.rejections.extend(
        part.rejections
            .into_iter()
            .take(room)
            .map(|rejection| Rejection {
                series: original[rejection.series as usize],
                ..rejection
            }),
    );
    for (i, known) in part.refs.into_iter().enumerate() {
        whole.refs[original[i] as usize] = known.map(of_shard);
    }
}

impl Append for Router {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        if let [shard] = &self.shards[..] {
            // All of the batch goes to the one shard: nothing to take apart.
            return shard.append(batch);
        }
        Box::pin(async move {
            let mut whole = Report::default();
            let series = batch.series.len();
            let parts = self.split(batch);
            let reports = join_all(parts.into_iter().map(|part| async move {
                let report = self.shards[part.shard].append(part.batch).await;
                (part.shard, part.original, report)
            }))
            .await;
            for (shard, original, report) in reports {
                let report = report?;
                if !report.refs.is_empty() {
                    whole.refs.resize(series, None);
                }
                merge(&mut whole, report, shard, &original);
            }
            Ok(whole)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_model::{Labels, TenantId};
    use ferula_storage::{Origin, Reason, SampleEntry};
    use futures::FutureExt as _;
    use parking_lot::Mutex;

    /// Takes everything but negative values; numbers series by arrival.
    #[derive(Default)]
    struct Fake {
        seen: Mutex<Vec<Batch>>,
    }

    impl Append for Fake {
        fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
            let mut report = Report::default();
            for sample in &batch.samples {
                if sample.value < 0.0 {
                    let rejection = || Rejection {
                        series: sample.series,
                        labels: Labels::empty(),
                        timestamp: sample.timestamp,
                        reason: Reason::OutOfOrder { newest: 0 },
                    };
                    report.reject(rejection, "out_of_order");
                } else {
                    report.samples += 1;
                }
            }
            report.refs = (0..batch.series.len())
                .map(|i| Some(SeriesRef(i as u64)))
                .collect();
            self.seen.lock().push(batch);
            Box::pin(async move { Ok(report) })
        }
    }

    #[test]
    fn splits_by_owner_and_reports_as_one() {
        let shards: Vec<Arc<Fake>> = (0..3).map(|_| Arc::default()).collect();
        let map = ShardMap::new(vec![10, 11, 12]);
        let handles = shards
            .iter()
            .map(|s| s.clone() as Arc<dyn Append>)
            .collect();
        let router = Router::new(map, handles);
        let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
        for i in 0..90u32 {
            let labels = Labels::from_pairs([("i", i.to_string())]);
            batch.series.push(SeriesKey::Labels(labels));
            let value = if i == 7 { -1.0 } else { f64::from(i) };
            batch.samples.push(SampleEntry {
                series: i,
                timestamp: 5,
                value,
            });
        }
        let report = router
            .append(batch.clone())
            .now_or_never()
            .unwrap()
            .unwrap();
        assert_eq!((report.samples, report.rejected_total()), (89, 1));
        assert_eq!(report.rejections[0].series, 7);
        let counts: Vec<_> = shards
            .iter()
            .map(|s| s.seen.lock()[0].samples.len())
            .collect();
        assert!(
            counts.iter().all(|&n| n > 15) && counts.iter().sum::<usize>() == 90,
            "{counts:?}"
        );

        // By reference, each series reaches the shard that knows it, under its number there.
        batch.series = report
            .refs
            .iter()
            .map(|r| SeriesKey::Ref(r.unwrap()))
            .collect();
        router.append(batch).now_or_never().unwrap().unwrap();
        for shard in &shards {
            let seen = shard.seen.lock();
            let values = |b: &Batch| b.samples.iter().map(|s| s.value).collect::<Vec<_>>();
            assert_eq!(values(&seen[0]), values(&seen[1]));
            for (i, key) in seen[1].series.iter().enumerate() {
                assert!(matches!(key, SeriesKey::Ref(SeriesRef(id)) if *id == i as u64));
            }
        }
    }
}
