//! Bits that turn over in any file of a shard: what is shown is right, or it is an error.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::model::{Stored, dump_all};
use common::*;
use ferula_env::{Crash, Disk, SimDisk};
use ferula_model::{Range, Value};
use ferula_shard::{Shard, ShardSettings};
use ferula_storage::{Columns, Select, SeriesKey};
use futures::executor::block_on;

fn settings_here() -> ShardSettings {
    let mut settings = settings(Path::new("/data"));
    settings.segment_bytes = 4 << 10;
    settings.upkeep.ranges_ms = vec![2 * HOUR, 4 * HOUR];
    settings
}

fn open_on(disk: &Arc<SimDisk>) -> Shard {
    try_open_on(disk.clone(), settings_here()).unwrap()
}

/// A disk with blocks, a checkpoint, manifests and some of the log.
fn stored() -> (Arc<SimDisk>, Stored) {
    let disk = SimDisk::new();
    let shard = open_on(&disk);
    for i in 0..23 {
        let t = i * HOUR / 2;
        let keys = (0..20).map(|i| SeriesKey::Labels(labels("m", i)));
        append(&shard, batch(keys, t, t as f64 / 7.0)).unwrap();
        if i % 10 == 9 {
            shard.upkeep().unwrap();
        }
    }
    let all = dump_all(&shard);
    drop(shard);
    (disk, all)
}

/// What a reader gets: samples, or how it failed.
fn read(disk: Arc<SimDisk>) -> Result<(Stored, bool), String> {
    let shard = try_open_on(disk, settings_here()).map_err(|e| e.to_string())?;
    let selected = block_on(shard.select(select_request(vec![], Range::ALL)));
    let mut found = Vec::new();
    for series in selected.map_err(|e| e.to_string())?.series {
        let mut columns = Columns::default();
        let decoded = series.source.decode(Range::ALL, &mut columns);
        decoded.map_err(|e| e.to_string())?;
        let floats = columns.timestamps.iter().zip(&columns.values);
        let samples = floats.map(|(t, v)| (*t, Value::Float(*v)));
        found.push((series.labels, samples.collect()));
    }
    Ok((found, shard.stats().log_corruptions > 0))
}

#[test]
fn st_8_a_flipped_bit_of_any_file_is_never_a_wrong_value() {
    let (disk, all) = stored();
    let (mut refused, mut reported, mut kinds) = (0, 0, std::collections::BTreeMap::new());
    for file in disk.files() {
        let len = disk.stat(&file).unwrap().len;
        let name = file.to_string_lossy().into_owned();
        let kind = ["/log/", "/ckpt/", "/manifest/", "/b/"];
        let kind = kind.into_iter().find(|k| name.contains(k)).unwrap_or("/");
        for byte in (0..len).step_by(3) {
            *kinds.entry(kind).or_insert(0) += 1;
            let flipped = disk.crash(Crash::Process);
            flipped.flip_bit(&file, byte * 8 + byte % 8).unwrap();
            let (found, damage) = match read(flipped) {
                Ok(found) => found,
                Err(_) => {
                    refused += 1;
                    continue;
                }
            };
            reported += usize::from(damage);
            let mut missing = false;
            for (labels, samples) in &all {
                let shown = found.iter().find(|(own, _)| own == labels);
                let shown = shown.map_or(&[][..], |(_, samples)| samples);
                let wrong = shown.iter().find(|sample| !samples.contains(sample));
                assert_eq!(wrong, None, "{name}, byte {byte}: {labels}");
                missing |= shown.len() < samples.len();
            }
            assert!(
                found
                    .iter()
                    .all(|(labels, _)| all.iter().any(|(own, _)| own == labels))
            );
            // Behind a frame that is not right the log ends: that is put aside as *.torn.
            assert!(!missing || damage || kind == "/log/", "{name}, byte {byte}");
        }
    }
    assert!(
        kinds.values().all(|n| *n > 3) && kinds.len() == 5,
        "{kinds:?}"
    );
    assert!(refused > 100, "{refused}, {reported}");
}
