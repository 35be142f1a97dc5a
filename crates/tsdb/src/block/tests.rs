//! Blocks against a map of what was written to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use ferula_model::{Labels, MatchOp, Matcher, Range, TenantId, Timestamp, Ulid, stale_marker};
use ferula_objects::{Created, ObjectReader, ObjectWriter, Objects};
use ferula_storage::{Columns, HistogramPoint};
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::chunk::histogram::tests::histogram;

mod small;

/// Objects in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(pub(super) Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>);

#[derive(Debug)]
struct MemoryWriter {
    store: Memory,
    key: String,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct MemoryObject(Arc<[u8]>);

impl Objects for Memory {
    fn writer(&self, key: &str) -> io::Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            key: key.to_owned(),
            bytes: Vec::new(),
        }))
    }

    fn open(&self, key: &str) -> io::Result<Arc<dyn ObjectReader>> {
        let found = self.0.lock().get(key).cloned();
        let found = found.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryObject(found)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let inside = |key: &String| {
            let rest = key.strip_prefix(folder)?.strip_prefix('/')?;
            Some(rest.split('/').next()?.to_owned())
        };
        let names: BTreeSet<String> = self.0.lock().keys().filter_map(inside).collect();
        Ok(names.into_iter().collect())
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        self.0.lock().remove(key);
        Ok(())
    }
}

impl ObjectWriter for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Created> {
        let mut objects = self.store.0.lock();
        if objects.contains_key(&self.key) {
            return Ok(Created::Exists);
        }
        objects.insert(self.key, self.bytes.into());
        Ok(Created::New)
    }
}

impl ObjectReader for MemoryObject {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        let found = self.0.get(from..from + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What is written to a block.
type Model = BTreeMap<(TenantId, Labels), Columns>;

const ID: Ulid = Ulid(77 << 80 | 5);

const RANGE: Range = Range {
    start: -50_000,
    end: 1_000_000,
};

/// Writes a block; small objects and slices, so that there are many.
fn write(objects: &Arc<dyn Objects>, model: &Model, slice_ms: i64) -> Option<BlockMeta> {
    let spec = BlockSpec {
        slice_ms,
        ..BlockSpec::new(RANGE, 123)
    };
    let mut writer = BlockWriter::new(objects, ID, spec).unwrap();
    writer.set_chunks_bytes_max(5_000);
    for ((tenant, labels), columns) in model {
        writer.series(tenant, labels, columns).unwrap();
    }
    writer.finish().unwrap()
}

fn open(objects: &Arc<dyn Objects>, cache_bytes: u64) -> Block {
    Block::open(objects, ID, BlockCache::new(cache_bytes)).unwrap()
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0..5_000u32).prop_map(f64::from),
        1 => (-1_000_000..1_000_000i64, 0..15i32).prop_map(|(v, e)| v as f64 / 10f64.powi(e)),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(stale_marker()),
        1 => Just(-0.0),
        1 => Just(f64::INFINITY),
    ]
}

/// Up to a few thousand samples of one series.
fn columns() -> impl Strategy<Value = Columns> {
    let floats = vec((1..400i64, value(), 0..3i64), 0..2_000);
    let few = vec((1..100_000i64, value(), Just(0)), 1..4);
    let histograms = vec((1..50_000i64, histogram(), 0..3i64), 0..12);
    let none = vec((1..50_000i64, histogram(), 0..3i64), 0..1);
    let shape = (
        prop_oneof![1 => floats, 4 => few],
        prop_oneof![1 => histograms, 3 => none],
        prop_oneof![Just(0i64), Just(1i64)],
    );
    shape.prop_map(|(floats, histograms, with_starts)| {
        let mut columns = Columns::default();
        let mut at = RANGE.start - 1;
        for (step, value, start) in floats {
            at += step;
            if RANGE.contains(at) {
                columns.timestamps.push(at);
                columns.values.push(value);
                columns.start_timestamps.push(start * with_starts * 1_000);
            }
        }
        if columns.start_timestamps.iter().all(|&start| start == 0) {
            columns.start_timestamps.clear();
        }
        at = RANGE.start - 1;
        let taken: BTreeSet<Timestamp> = columns.timestamps.iter().copied().collect();
        for (step, histogram, start) in histograms {
            at += step;
            if RANGE.contains(at) && !taken.contains(&at) {
                columns.histograms.push(HistogramPoint {
                    timestamp: at,
                    start_timestamp: start * with_starts,
                    histogram: Arc::new(histogram),
                });
            }
        }
        columns
    })
}

fn label() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        ("[ab]", "[xyz]{0,2}"),
        ("__name__", "[xyz]{1,2}"),
        ("c", "[a-z]{1,3}"),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let tenant = || prop_oneof![3 => Just("a"), 1 => Just("b"), 1 => Just("c-d")];
    let series = || (tenant(), vec(label(), 0..4));
    let few = proptest::collection::btree_map(series(), columns(), 0..12);
    let many = (
        proptest::collection::btree_set(series(), 50..200),
        columns(),
    )
        .prop_map(|(series, columns)| series.into_iter().map(|s| (s, columns.clone())).collect());
    prop_oneof![3 => few, 1 => many].prop_map(|series| {
        let series = series.into_iter().map(|((tenant, labels), columns)| {
            let tenant = TenantId::new(tenant).unwrap();
            ((tenant, Labels::from_pairs(labels)), columns)
        });
        series.filter(|(_, columns)| !columns.is_empty()).collect()
    })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    let patterns = [
        "x.*", ".+", ".*", "x|yy", "", "(x|)", "[yz]{2}", ".*y.*", "[a-k]+",
    ];
    let value = prop_oneof![
        proptest::sample::select(patterns.map(str::to_owned).to_vec()),
        "[xyz]{0,2}"
    ];
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d"), Just("__name__")];
    (op, name, value).prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap())
}

/// Equal bit for bit.
fn assert_same(a: &Columns, b: &Columns) {
    assert_eq!(a.timestamps, b.timestamps);
    let bits = |c: &Columns| c.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(a), bits(b));
    assert_eq!(a.start_timestamps, b.start_timestamps);
    assert_eq!(a.histograms, b.histograms);
}

/// What lies in a range.
fn within(columns: &Columns, range: Range) -> (Vec<(i64, u64, i64)>, Vec<HistogramPoint>) {
    let floats = columns.timestamps.iter().zip(&columns.values).enumerate();
    let floats = floats.map(|(i, (t, v))| {
        let start = columns.start_timestamps.get(i).copied().unwrap_or(0);
        (*t, v.to_bits(), start)
    });
    let histograms = columns
        .histograms
        .iter()
        .filter(|p| range.contains(p.timestamp));
    (
        floats.filter(|f| range.contains(f.0)).collect(),
        histograms.cloned().collect(),
    )
}

/// Writes what comes before and after `cut` as blocks of their own, copies both to a third one.
fn copy_in_two(model: &Model, meta: &BlockMeta, slice_ms: i64, cut: Timestamp) {
    let halves = [(Ulid(1), RANGE.start..cut), (Ulid(2), cut..RANGE.end)];
    let objects: Arc<dyn Objects> = Arc::new(Memory::default());
    let mut blocks = Vec::new();
    let spec = BlockSpec {
        slice_ms,
        ..BlockSpec::new(RANGE, 123)
    };
    for (id, range) in halves {
        let mut writer = BlockWriter::new(&objects, id, spec.clone()).unwrap();
        for ((tenant, labels), columns) in model {
            let mut part = columns.clone();
            let inside = |t: &i64| range.contains(t);
            let floats = columns.timestamps.iter().map(inside);
            let mut keep = floats.clone();
            part.values.retain(|_| keep.next().unwrap());
            let mut keep = floats;
            part.start_timestamps.retain(|_| keep.next().unwrap());
            part.timestamps.retain(inside);
            part.histograms.retain(|p| inside(&p.timestamp));
            writer.series(tenant, labels, &part).unwrap();
        }
        if let Some(meta) = writer.finish().unwrap() {
            let cache = BlockCache::new(1 << 24);
            blocks.push(Block::open(&objects, meta.id, cache).unwrap());
        }
    }
    let mut writer = BlockWriter::new(&objects, ID, spec).unwrap();
    for (tenant, labels) in model.keys() {
        let matchers: Vec<_> = labels.iter().map(|(n, v)| Matcher::equal(n, v)).collect();
        let find = |block: &Block| {
            let found = block.select(tenant, &matchers, Range::ALL).unwrap();
            found
                .into_iter()
                .find(|&i| block.labels(i).unwrap() == *labels)
        };
        let found = blocks
            .iter()
            .filter_map(|block| Some((block, find(block)?)));
        writer
            .copy(tenant, labels, &found.collect::<Vec<_>>())
            .unwrap();
    }
    let copied = writer.finish().unwrap().unwrap();
    assert_eq!((copied.samples, copied.hash), (meta.samples, meta.hash));
    open(&objects, 1 << 24).verify().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_block_gives_back_what_was_written(
        model in model(),
        slice_ms in prop_oneof![Just(100_000i64), Just(7_200_000)],
        matchers in vec(vec(matcher(), 0..4), 8),
        range in (RANGE.start..RANGE.end, RANGE.start..RANGE.end),
        cache_bytes in prop_oneof![Just(0u64), Just(1 << 24)],
    ) {
        let objects: Arc<dyn Objects> = Arc::new(Memory::default());
        let Some(meta) = write(&objects, &model, slice_ms) else {
            prop_assert!(model.is_empty());
            prop_assert_eq!(objects.list("b").unwrap().len(), 0);
            return Ok(());
        };
        let block = open(&objects, cache_bytes);
        prop_assert_eq!(block.meta(), &meta);
        prop_assert_eq!(meta.series as usize, model.len());
        let verified = block.verify().unwrap();
        prop_assert_eq!((verified.samples, verified.hash), (meta.samples, meta.hash));
        prop_assert_eq!(verified.bytes, meta.bytes());

        let all: Vec<_> = model.iter().collect();
        let range = Range::closed(range.0.min(range.1), range.0.max(range.1));
        let mut reader = block.label_reader();
        for (ordinal, ((tenant, labels), columns)) in all.iter().enumerate() {
            let ordinal = ordinal as u32;
            prop_assert_eq!(&reader.labels(ordinal).unwrap(), labels);
            prop_assert_eq!(block.tenant(ordinal).unwrap(), tenant);
            prop_assert_eq!(block.identity(ordinal).unwrap(), identity(labels));
            let names = ["a".to_owned(), "c".to_owned()];
            let named = labels.filter(|n| names.iter().any(|name| name == n));
            prop_assert_eq!(block.labels_named(ordinal, &names).unwrap(), named);
            let mut decoded = Columns::default();
            block.decode(ordinal, Range::ALL, &mut decoded).unwrap();
            assert_same(&decoded, columns);
            decoded.clear();
            block.decode(ordinal, range, &mut decoded).unwrap();
            prop_assert!(decoded.timestamps.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(within(&decoded, range), within(columns, range));
        }
        prop_assert!(block.identity(all.len() as u32).is_err());
        prop_assert!(block.identities(&[]).unwrap().is_empty());
        prop_assert!(block.decode(all.len() as u32, Range::ALL, &mut Columns::default()).is_err());

        // Two blocks of it, cut at a time, make the same one again.
        copy_in_two(&model, &meta, slice_ms, range.start);

        for (matchers, tenant) in matchers.iter().zip(["a", "b", "c-d", "e"].iter().cycle()) {
            let tenant = TenantId::new(tenant).unwrap();
            let expected: Vec<u32> = (0..all.len() as u32)
                .filter(|&i| {
                    let (owner, labels) = all[i as usize].0;
                    *owner == tenant && matchers.iter().all(|m| m.matches(labels.value(m.name())))
                })
                .collect();
            let found = block.select(&tenant, matchers, Range::ALL).unwrap();
            prop_assert_eq!(&found, &expected, "{:?}", matchers);
            let identities = block.identities(&found).unwrap();
            prop_assert!(identities.into_iter().eq(expected.iter().map(|&i| identity(&all[i as usize].0.1))));
            let labels = || expected.iter().map(|&i| &all[i as usize].0.1);
            let names: BTreeSet<&str> = labels().flat_map(|l| l.iter().map(|(n, _)| n)).collect();
            let values: BTreeSet<&str> = labels().filter_map(|l| l.get("c")).collect();
            prop_assert!(block.label_names(&tenant, Some(&found)).unwrap().iter().eq(names));
            let found = block.label_values(&tenant, "c", Some(&found), 3).unwrap();
            prop_assert!(found.iter().eq(values.iter().take(3)));
            if matchers.is_empty() {
                let names = block.label_names(&tenant, None).unwrap();
                prop_assert!(names.iter().eq(labels().flat_map(|l| l.iter().map(|(n, _)| n)).collect::<BTreeSet<_>>()));
                let found = block.label_values(&tenant, "c", None, 500).unwrap();
                prop_assert!(found.iter().eq(values));
            }
        }
    }
}
