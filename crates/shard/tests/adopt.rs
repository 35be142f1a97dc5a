//! Blocks of samples from elsewhere lie beside those of the shard and beside its head.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use ferula_env::SystemDisk;
use ferula_model::{Range, TenantId, Ulid};
use ferula_objects::{LocalObjects, Objects};
use ferula_shard::{Adopted, Shard};
use ferula_storage::Columns;
use ferula_tsdb::block::{BlockSpec, BlockWriter};

const MINUTE: i64 = 60_000;

/// Writes a block of the first two hours, as an import does.
fn written(dir: &Path, id: u128, series: &[(usize, &[(i64, f64)])]) -> Adopted {
    let objects = LocalObjects::open(SystemDisk::shared(), dir).unwrap();
    let objects: Arc<dyn Objects> = Arc::new(objects);
    let range = Range {
        start: 0,
        end: 2 * HOUR,
    };
    let spec = BlockSpec::new(range, 0);
    let mut writer = BlockWriter::new(&objects, Ulid(id), spec).unwrap();
    for (i, samples) in series {
        let columns = Columns {
            timestamps: samples.iter().map(|s| s.0 * MINUTE).collect(),
            values: samples.iter().map(|s| s.1).collect(),
            ..Columns::default()
        };
        let tenant = TenantId::anonymous();
        writer.series(&tenant, &labels("m", *i), &columns).unwrap();
    }
    writer.finish().unwrap().unwrap();
    Adopted {
        id: Ulid(id),
        sources: vec![Ulid(id + 1_000)],
    }
}

fn push(shard: &Shard, minute: i64, value: f64) {
    let one = batch(by_labels(labels("m", 0)), minute * MINUTE, value);
    let report = append(shard, one).unwrap();
    assert_eq!(report.rejected_total(), 0, "{:?}", report.rejections);
}

/// The samples of series 0 up to an hour, as minutes and values.
fn first_hour(shard: &Shard) -> Vec<(i64, f64)> {
    let all = dump(shard);
    let (_, samples) = all.iter().find(|s| s.0 == labels("m", 0)).unwrap();
    assert!(samples.is_sorted_by(|a, b| a.0 < b.0), "{samples:?}");
    let floats = samples.iter().filter(|(t, _)| *t < HOUR);
    floats
        .map(|(t, v)| (t / MINUTE, f64::from_bits(*v)))
        .collect()
}

#[test]
fn adopted_blocks_lie_beside_the_head_and_change_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    push(&shard, 10, 1.0);
    push(&shard, 20, 2.0);
    let imported: &[(i64, f64)] = &[(5, 9.0), (10, 9.0), (15, 9.0), (20, 2.0), (30, 9.0)];
    let first = written(dir.path(), 1, &[(0, imported), (7, &[(1, 7.0)])]);
    shard.adopt(&[first]).unwrap();
    let mut expected = vec![(5, 9.0), (10, 1.0), (15, 9.0), (20, 2.0), (30, 9.0)];
    assert_eq!(first_hour(&shard), expected);
    // What comes later is judged by what the head holds, and stands before what was imported.
    push(&shard, 25, 3.0);
    push(&shard, 30, 4.0);
    expected.splice(4.., [(25, 3.0), (30, 4.0)]);
    assert_eq!(first_hour(&shard), expected);
    assert_eq!(shard.blocks()[0].sources, [Ulid(1_001)]);

    // A second import of the same time: the earlier one stays.
    let second = written(dir.path(), 2, &[(0, &[(5, 8.0), (6, 8.0)])]);
    shard.adopt(&[second]).unwrap();
    expected.insert(1, (6, 8.0));
    assert_eq!(first_hour(&shard), expected);
    shard.close();
    drop(shard);
    let shard = open(dir.path());
    assert_eq!(first_hour(&shard), expected);

    // The head's samples become a block, and all become one.
    for minute in (60..6 * 60).step_by(5) {
        push(&shard, minute, 0.0);
    }
    shard.upkeep().unwrap();
    assert_eq!(first_hour(&shard), expected);
    let blocks = shard.blocks();
    assert!(
        blocks
            .iter()
            .all(|b| b.range.start >= blocks[0].range.start)
    );
    let first = &blocks[0];
    for source in [Ulid(1_001), Ulid(1_002)] {
        assert!(first.sources.contains(&source), "{:?}", first.sources);
    }
}

#[test]
fn a_block_that_is_not_whole_is_not_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let shard = open(dir.path());
    push(&shard, 10, 1.0);
    let good = written(dir.path(), 1, &[(0, &[(5, 9.0)])]);
    let bad = written(dir.path(), 2, &[(1, &[(5, 9.0)])]);
    let chunks = dir.path().join(format!("b/{}/chunks-000", bad.id));
    let disk = SystemDisk::shared();
    let file = disk.open(&chunks).unwrap();
    let at = file.len().unwrap() / 2;
    let mut byte = [0];
    file.read_at(&mut byte, at).unwrap();
    file.write_at(&[byte[0] ^ 1], at).unwrap();
    shard.adopt(&[good, bad]).unwrap_err();
    assert!(shard.blocks().is_empty());
    assert_eq!(first_hour(&shard), [(10, 1.0)]);
}
