//! Bits that turn over on the disk: whatever is read is an error or what was written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use ferula_env::{Disk, SimDisk};
use ferula_model::{Labels, MatchOp, Matcher, Range, TenantId, Ulid};
use ferula_objects::{LocalObjects, Objects};
use ferula_storage::{Columns, HistogramPoint};
use ferula_tsdb::block::{Block, BlockCache, BlockError, BlockSpec, BlockWriter};
use ferula_tsdb::manifest::{BlockEntry, Manifest, Manifests};

const RANGE: Range = Range {
    start: 0,
    end: 10_000_000,
};

fn id() -> Ulid {
    Ulid::new(1, 1)
}

fn store() -> (Arc<SimDisk>, Arc<dyn Objects>) {
    let disk = SimDisk::new();
    let objects = LocalObjects::open(disk.clone(), Path::new("/data")).unwrap();
    (disk, Arc::new(objects))
}

/// Series of two tenants: counters, constants, floats without a pattern, histograms.
fn write_block(objects: &Arc<dyn Objects>) {
    let mut writer = BlockWriter::new(objects, id(), BlockSpec::new(RANGE, 7)).unwrap();
    for tenant in ["a", "b"] {
        let tenant = TenantId::new(tenant).unwrap();
        for i in 0..36 {
            let labels = Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:02}"))]);
            let mut columns = Columns::default();
            for t in 0..12 + i % 8 {
                let timestamp = 1_000 + t * 15_000 + i % 3;
                match i % 4 {
                    0 => columns.values.push((t * t + i) as f64),
                    1 => columns.values.push(i as f64),
                    2 => columns.values.push(((t * 7 + i) as f64).sin()),
                    _ => {
                        let histogram = ferula_model::Histogram {
                            sum: t as f64,
                            ..ferula_model::Histogram::stale()
                        };
                        columns.histograms.push(HistogramPoint {
                            timestamp,
                            start_timestamp: 0,
                            histogram: Arc::new(histogram),
                        });
                        continue;
                    }
                }
                columns.timestamps.push(timestamp);
            }
            writer.series(&tenant, &labels, &columns).unwrap();
        }
    }
    writer.finish().unwrap().unwrap();
}

/// Everything a block says, as text that tells bits apart.
type Told = Vec<String>;

/// Reads a part of a block; a part that is damaged is left out.
fn tell(objects: &Arc<dyn Objects>) -> Result<Vec<Result<Told, BlockError>>, BlockError> {
    let block = Block::open(objects, id(), BlockCache::new(1 << 20))?;
    let mut parts = Vec::new();
    for tenant in ["a", "b"] {
        let tenant = TenantId::new(tenant).unwrap();
        for matcher in [
            Matcher::new(MatchOp::Regex, "i", "1.").unwrap(),
            Matcher::new(MatchOp::NotEqual, "i", "03").unwrap(),
        ] {
            let found = block.select(&tenant, &[matcher], Range::ALL);
            parts.push(found.map(|ordinals| vec![format!("{ordinals:?}")]));
        }
        let values = block.label_values(&tenant, "i", None, 100);
        parts.push(values.map(|values| values.into_iter().collect()));
    }
    for ordinal in 0..block.meta().series as u32 {
        let labels = block.labels(ordinal);
        parts.push(labels.map(|labels| vec![labels.to_string()]));
        let mut columns = Columns::default();
        let decoded = block.decode(ordinal, Range::ALL, &mut columns);
        parts.push(decoded.map(|()| {
            let floats = columns.timestamps.iter().zip(&columns.values);
            let floats = floats.map(|(t, v)| format!("{t} {:x}", v.to_bits()));
            let histograms = columns.histograms.iter().map(|h| format!("{h:?}"));
            floats.chain(histograms).collect()
        }));
    }
    Ok(parts)
}

#[test]
fn st_8_a_flipped_bit_of_a_block_is_never_a_wrong_value() {
    let (disk, objects) = store();
    write_block(&objects);
    let truth: Vec<Told> = tell(&objects)
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let (mut refused, mut partly, mut flips) = (0, 0, 0);
    for file in disk.files() {
        for byte in 0..disk.stat(&file).unwrap().len {
            let bit = byte * 8 + byte % 8;
            disk.flip_bit(&file, bit).unwrap();
            flips += 1;
            match tell(&objects) {
                Err(_) => refused += 1,
                Ok(parts) => {
                    assert_eq!(parts.len(), truth.len());
                    let mut damaged = 0;
                    for (told, truth) in parts.iter().zip(&truth) {
                        match told {
                            Ok(told) => {
                                assert_eq!(told, truth, "{}, bit {bit}", file.display());
                            }
                            Err(_) => damaged += 1,
                        }
                    }
                    partly += usize::from(damaged > 0);
                }
            }
            disk.flip_bit(&file, bit).unwrap();
        }
    }
    // Every byte matters, and damage to one part leaves the others readable.
    assert_eq!(refused + partly, flips);
    assert!(refused > 100 && partly > 500, "{refused} {partly}");
}

#[test]
fn st_8_a_flipped_bit_of_a_manifest_is_noticed() {
    let (disk, objects) = store();
    let mut manifests = Manifests::open(objects.clone(), [3; 16], 0).unwrap();
    let block = BlockEntry {
        id: id(),
        level: 1,
        range: RANGE,
        rank: 4,
        series: 5,
        samples: 6,
        bytes: 7,
        sources: vec![id()],
        deletes: vec![],
    };
    let next = Manifest {
        floor: Some(12_345),
        blocks: vec![block],
        ..manifests.newest().clone()
    };
    manifests.commit(next, 9).unwrap();
    let file = disk
        .files()
        .into_iter()
        .find(|file| file.ends_with("00000000000000000001.mf"));
    let file = file.unwrap();
    for bit in 0..disk.stat(&file).unwrap().len * 8 {
        disk.flip_bit(&file, bit).unwrap();
        assert!(
            Manifests::open(objects.clone(), [3; 16], 0).is_err(),
            "{bit}"
        );
        disk.flip_bit(&file, bit).unwrap();
    }
    let again = Manifests::open(objects, [3; 16], 0).unwrap();
    assert_eq!(again.newest(), manifests.newest());
}
