//! The targets that read files of Prometheus.

use std::sync::Arc;

use ferula_model::{Histogram, LABEL_LEN_MAX, Labels, Timestamp};
use ferula_storage::Columns;
use ferula_tsdb::prometheus::{
    Index, Records, Segment, Times, Tombstones, Window, decode_chunk, decode_record,
};

/// Larger files make fuzzing slow and find nothing more.
const BYTES_MAX: usize = 1 << 14;

/// An encoding byte and a chunk's data: what is decoded is no more than the bits allow.
pub fn prometheus_chunk(data: &[u8]) {
    let Some((encoding, data)) = data.split_first() else {
        return;
    };
    if data.len() > BYTES_MAX {
        return;
    }
    let mut columns = Columns::default();
    if decode_chunk(*encoding, data, &mut columns).is_ok() {
        assert_eq!(columns.timestamps.len(), columns.values.len());
        assert!(columns.len() <= data.len() * 8, "samples of no bits");
        for point in &columns.histograms {
            let buckets = point.histogram.positive_spans.iter();
            let buckets = buckets.chain(&point.histogram.negative_spans);
            let buckets: u64 = buckets.map(|span| u64::from(span.length)).sum();
            assert!(buckets <= 2 * data.len() as u64 * 8, "buckets of no bits");
        }
    }
}

/// An index, whose checksums are not looked at: labels and chunks come out in order or not at
/// all.
pub fn prometheus_index(data: &[u8]) {
    if data.len() > BYTES_MAX {
        return;
    }
    let file = Window::of_bytes("index", data.to_vec());
    let Ok(mut index) = Index::open(file.without_checksums()) else {
        return;
    };
    let (series, mut found, mut last) = (index.series(), 0, None);
    assert!(series * 4 <= data.len(), "series of no bytes");
    while let Ok(Some(entry)) = index.next() {
        found += 1;
        assert!(entry.labels.iter().all(|(_, v)| v.len() <= LABEL_LEN_MAX));
        assert!(entry.chunks.len() <= data.len());
        assert!(last.as_ref() < Some(&entry.labels), "in order of labels");
        last = Some(entry.labels);
    }
    assert!(found <= series, "no series comes twice");
}

/// Tombstones, whose checksum is not looked at.
pub fn prometheus_tombstones(data: &[u8]) {
    let file = Window::of_bytes("tombstones", data.to_vec());
    if let Ok(tombstones) = Tombstones::decode(file.without_checksums()) {
        assert!(
            tombstones.intervals() * 3 <= data.len(),
            "intervals of no bytes"
        );
    }
}

/// A segment of a write-ahead log, whose checksums are not looked at.
pub fn prometheus_wal(data: &[u8]) {
    if data.len() > BYTES_MAX {
        return;
    }
    let file = Window::of_bytes("00000000", data.to_vec());
    let mut segment = Segment::new(file.without_checksums());
    let mut last = None;
    while let Ok(Some((offset, record))) = segment.next() {
        assert!(last < Some(offset), "records come one after the other");
        last = Some(offset);
        let mut found = Found::default();
        let _ = decode_record(record, &mut found);
        assert!(found.0 * 9 <= record.len(), "samples of no bytes");
    }
}

/// Counts what records say.
#[derive(Default)]
struct Found(usize);

impl Records for Found {
    fn series(&mut self, _: u64, labels: Labels) {
        assert!(labels.iter().all(|(_, v)| v.len() <= LABEL_LEN_MAX));
    }
    fn float(&mut self, _: u64, _: Times, _: f64) {
        self.0 += 1;
    }
    fn histogram(&mut self, _: u64, _: Times, histogram: Arc<Histogram>) {
        assert_eq!(histogram.validate(), Ok(()));
        self.0 += 1;
    }
    fn tombstone(&mut self, _: u64, _: Timestamp, _: Timestamp) {}
    fn min_valid(&mut self, _: Timestamp) {}
}
