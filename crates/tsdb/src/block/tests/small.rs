//! A small block with something of every kind: its bytes, damaged ones, and rules of writing.

use ferula_model::{Counts, Histogram, Span};

use super::*;

/// A small block with something of every kind.
fn small() -> Model {
    let floats = |values: &[f64]| Columns {
        timestamps: (0..values.len() as i64).map(|i| i * 15_000).collect(),
        values: values.to_vec(),
        ..Columns::default()
    };
    let histogram = |i: i64| HistogramPoint {
        timestamp: 200_000 + i * 15_000,
        start_timestamp: 7,
        histogram: Arc::new(Histogram {
            sum: 1.5 * i as f64,
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            counts: Counts::Integer {
                count: 3 + i as u64,
                zero: 0,
                positive: vec![1, 1, 1 + i as u64],
                negative: vec![],
            },
            ..Histogram::stale()
        }),
    };
    let walk: Vec<f64> = (0..40).map(|i| f64::from(i * i * 37 % 101)).collect();
    let mut model = Model::new();
    for (tenant, name, device) in [("a", "up", ""), ("a", "load", "x"), ("a", "load", "y")] {
        let labels = Labels::from_pairs([("__name__", name), ("device", device), ("job", "node")]);
        model.insert((TenantId::new(tenant).unwrap(), labels), floats(&walk));
    }
    let tenant = TenantId::new("b").unwrap();
    let mut set = |name: &str, columns| {
        let labels = Labels::from_pairs([("__name__", name), ("instance", "localhost:9100")]);
        model.insert((tenant.clone(), labels), columns)
    };
    set("constant", floats(&[1.0, 1.0, 1.0]));
    set("decimal", floats(&[0.5, 0.25, stale_marker(), 7.0, -0.0]));
    let mut started = floats(&[3.0, 5.0, 4.0]);
    started.start_timestamps = vec![1, 1, 29_000];
    set("started", started);
    let mut both = floats(&[1e300, 1.0 / 3.0, f64::NAN]);
    both.histograms = (0..3).map(histogram).collect();
    set("both", both);
    let many = Columns {
        histograms: (0..20).map(histogram).collect(),
        ..Columns::default()
    };
    set("many", many);
    model
}

/// What a reader sees: samples and labels of every series, and a selection.
fn seen(objects: &Arc<dyn Objects>) -> Result<Vec<(Labels, Columns)>, BlockError> {
    let block = Block::open(objects, ID, BlockCache::new(1 << 20))?;
    let mut all = Vec::new();
    let matcher = Matcher::new(MatchOp::Regex, "__name__", ".*o.*").unwrap();
    for tenant in ["a", "b"] {
        let tenant = TenantId::new(tenant).unwrap();
        for ordinal in block.select(&tenant, std::slice::from_ref(&matcher), Range::ALL)? {
            let mut columns = Columns::default();
            block.decode(ordinal, Range::ALL, &mut columns)?;
            all.push((block.labels(ordinal)?, columns));
        }
    }
    Ok(all)
}

#[test]
fn any_flipped_bit_is_noticed() {
    let memory = Memory::default();
    let objects: Arc<dyn Objects> = Arc::new(memory.clone());
    write(&objects, &small(), 7_200_000).unwrap();
    let expected = seen(&objects).unwrap();
    assert_eq!(expected.len(), 4);
    let stored = memory.0.lock().clone();
    for (key, bytes) in stored {
        let set = |bytes: Vec<u8>| memory.0.lock().insert(key.clone(), bytes.into());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            set(flipped);
            if let Ok(found) = seen(&objects) {
                for ((labels, columns), (other_labels, other)) in found.iter().zip(&expected) {
                    assert_eq!(labels, other_labels, "{key}: bit {bit}");
                    assert_same(columns, other);
                }
                assert_eq!(found.len(), expected.len());
            }
            let verified = Block::open(&objects, ID, BlockCache::new(0)).and_then(|b| b.verify());
            assert!(verified.is_err(), "{key}: bit {bit}");
        }
        for len in 0..bytes.len() {
            set(bytes[..len].to_vec());
            let opened = Block::open(&objects, ID, BlockCache::new(0));
            assert!(opened.is_err(), "{key}: cut at {len}");
        }
        set(bytes.to_vec());
    }
}

/// The bytes of a block, kept in the repository: what was written once stays readable, and the
/// same is written again. `FERULA_BLESS=1` keeps what is written; if only a newer zstd makes other
/// bytes, keep the block that is there as well, and have it read, too.
#[test]
#[expect(clippy::disallowed_methods, reason = "files of the repository")]
fn the_golden_block_reads_back() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/block/golden");
    let written = Memory::default();
    let objects: Arc<dyn Objects> = Arc::new(written.clone());
    write(&objects, &small(), 7_200_000).unwrap();
    let golden = Memory::default();
    for (key, bytes) in &*written.0.lock() {
        let path = dir.join(key.rsplit('/').next().unwrap());
        if std::env::var_os("FERULA_BLESS").is_some() {
            std::fs::write(&path, bytes).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        golden.0.lock().insert(key.clone(), bytes.into());
    }
    let objects: Arc<dyn Objects> = Arc::new(golden.clone());
    let block = open(&objects, 1 << 20);
    block.verify().unwrap();
    for (ordinal, ((_, labels), columns)) in small().iter().enumerate() {
        let mut decoded = Columns::default();
        block
            .decode(ordinal as u32, Range::ALL, &mut decoded)
            .unwrap();
        assert_same(&decoded, columns);
        assert_eq!(block.labels(ordinal as u32).unwrap(), *labels);
    }
    assert!(
        *written.0.lock() == *golden.0.lock(),
        "other bytes are written"
    );
}

#[test]
fn rules_of_writing() {
    let objects: Arc<dyn Objects> = Arc::new(Memory::default());
    let writer = || BlockWriter::new(&objects, ID, BlockSpec::new(RANGE, 0)).unwrap();
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let labels = |name: &str| Labels::from_pairs([("__name__", name)]);
    let at = |timestamps: &[i64]| Columns {
        timestamps: timestamps.to_vec(),
        values: vec![1.0; timestamps.len()],
        ..Columns::default()
    };
    let refused = |result: Result<(), BlockError>| matches!(result, Err(BlockError::Refused(_)));
    let mut w = writer();
    w.series(&tenant("b"), &labels("x"), &at(&[1, 2])).unwrap();
    assert!(refused(w.series(&tenant("b"), &labels("x"), &at(&[3]))));
    assert!(refused(w.series(&tenant("a"), &labels("z"), &at(&[3]))));
    assert!(refused(w.series(&tenant("b"), &labels("y"), &at(&[3, 3]))));
    assert!(refused(w.series(
        &tenant("b"),
        &labels("y"),
        &at(&[RANGE.end])
    )));
    assert!(refused(w.series(
        &tenant("b"),
        &labels("y"),
        &at(&[RANGE.start - 1])
    )));
    let mut uneven = at(&[1, 2]);
    uneven.start_timestamps.push(1);
    assert!(refused(w.series(&tenant("b"), &labels("y"), &uneven)));
    let mut twice = at(&[1, 2]);
    twice.histograms.push(HistogramPoint {
        timestamp: 2,
        start_timestamp: 0,
        histogram: Arc::new(Histogram::stale()),
    });
    assert!(refused(w.series(&tenant("b"), &labels("y"), &twice)));
    w.series(&tenant("b"), &labels("y"), &at(&[])).unwrap();
    w.series(&tenant("c"), &labels("a"), &at(&[1])).unwrap();
    let meta = w.finish().unwrap().unwrap();
    assert_eq!((meta.series, meta.samples, meta.times), (2, 3, (1, 2)));
    // One block of a name, until it is deleted.
    let mut w = writer();
    w.series(&tenant("b"), &labels("x"), &at(&[1])).unwrap();
    assert!(matches!(w.finish(), Err(BlockError::Exists { .. })));
    let open = Block::open(&objects, ID, BlockCache::new(1 << 20)).unwrap();
    Block::delete(&*objects, ID).unwrap();
    Block::delete(&*objects, ID).unwrap();
    assert!(objects.list("b").unwrap().is_empty());
    assert_eq!(open.verify().unwrap().samples, 3);
    assert!(writer().finish().unwrap().is_none());
}

/// More than a page of everything: of groups, of columns of timestamps and of their places, of
/// values, lists and label sets.
#[test]
fn a_block_of_many_series() {
    const SERIES: u32 = 70_000;
    let objects: Arc<dyn Objects> = Arc::new(Memory::default());
    let tenant = TenantId::anonymous();
    let labels = |i: u32| {
        let instance = format!("10.0.{}.{}:9100", i % 70 / 10, i % 70 % 10);
        let pairs = [("a", format!("{:05}", i / 7)), ("b", instance)];
        Labels::from_pairs(pairs)
    };
    let time = |i: u32| i64::from(i * 13 % 100_000);
    let all: BTreeMap<Labels, u32> = (0..SERIES).map(|i| (labels(i), i)).collect();
    let mut writer = BlockWriter::new(&objects, ID, BlockSpec::new(RANGE, 0)).unwrap();
    for (labels, &i) in &all {
        let columns = Columns {
            timestamps: vec![time(i), time(i) + 1 + i64::from(i)],
            values: vec![f64::from(i), 1.0],
            ..Columns::default()
        };
        writer.series(&tenant, labels, &columns).unwrap();
    }
    writer.finish().unwrap().unwrap();
    let block = open(&objects, 1 << 20);
    assert!(block.root.groups.len() > 1 && block.root.times.len() > 1);
    let index = block.tenant_index(&block.root.tenants[0]).unwrap();
    assert!(index.sets.len() > 1 && index.strings.len() > 1 && index.postings.len() > 1);
    let mut reader = block.label_reader();
    let mut columns = Columns::default();
    for (ordinal, (labels, &i)) in (0..).zip(&all) {
        columns.clear();
        block.decode(ordinal, Range::ALL, &mut columns).unwrap();
        assert_eq!(columns.timestamps, [time(i), time(i) + 1 + i64::from(i)]);
        assert_eq!(columns.values[0], f64::from(i));
        assert_eq!(reader.labels(ordinal).unwrap(), *labels);
    }
    for (op, name, value) in [
        (MatchOp::Equal, "a", "04321"),
        (MatchOp::Equal, "b", "10.0.3.7:9100"),
        (MatchOp::Regex, "a", "012.*"),
        (MatchOp::Regex, "a", ".*7"),
        (MatchOp::NotRegex, "b", ".*[1-9]:9100"),
        (MatchOp::NotEqual, "b", "10.0.0.0:9100"),
    ] {
        let matcher = Matcher::new(op, name, value).unwrap();
        let expected = all.keys().zip(0u32..);
        let expected = expected.filter(|(labels, _)| matcher.matches(labels.value(name)));
        let expected: Vec<u32> = expected.map(|(_, ordinal)| ordinal).collect();
        let found = block.select(&tenant, &[matcher], Range::ALL).unwrap();
        assert!(!found.is_empty() && found == expected, "{name} {value}");
    }
}
