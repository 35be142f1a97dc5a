//! What finding series in a block costs: a million series with a sample each, of a thousand
//! instances. Bytes of index per series, time to write, to select, to put labels together. Times
//! are those of this machine and minute.
//!
//!     cargo run --release -p ferula-tsdb --example block_index
#![allow(clippy::print_stdout, reason = "a table for who runs it")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferula_env::{SystemClock, SystemDisk};
use ferula_model::{Labels, MatchOp, Matcher, Range, TenantId, Ulid};
use ferula_objects::{LocalObjects, Objects};
use ferula_storage::Columns;
use ferula_tsdb::block::{Block, BlockCache, BlockSpec, BlockWriter};

const INSTANCES: u64 = 1_000;
const SERIES_PER_INSTANCE: u64 = 1_000;

fn labels(instance: u64, series: u64) -> Labels {
    let (family, member) = (series / 20, series % 20);
    let service = instance % 20;
    let mut labels = vec![
        ("__name__", format!("fleet_{family}_total")),
        ("cluster", "eu-west-1a".to_owned()),
        ("container", format!("service-{service}")),
        (
            "instance",
            format!("10.0.{}.{}:9100", instance / 250, instance % 250),
        ),
        ("job", format!("default/service-{service}")),
        ("namespace", "default".to_owned()),
        ("pod", format!("service-{service}-7d4b9c6f5-{instance:05x}")),
    ];
    match family % 10 {
        0..4 => labels.extend([
            ("code", format!("{}", 200 + member % 4)),
            ("handler", format!("/api/v1/resource_{}", member / 4)),
        ]),
        8.. => labels.extend([
            ("handler", format!("/api/v1/resource_{}", member / 10)),
            ("le", format!("{}", member % 10)),
        ]),
        _ => labels.push(("device", format!("nvme{member}n1"))),
    }
    Labels::from_pairs(labels)
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let objects = LocalObjects::open(SystemDisk::shared(), dir.path()).unwrap();
    let objects: Arc<dyn Objects> = Arc::new(objects);
    let clock = SystemClock::shared();
    let tenant = TenantId::anonymous();
    let all = (0..INSTANCES).flat_map(|i| (0..SERIES_PER_INSTANCE).map(move |s| labels(i, s)));
    let all: BTreeSet<Labels> = all.collect();
    let samples = Columns {
        timestamps: vec![1],
        values: vec![1.0],
        ..Columns::default()
    };
    let timed = |what: &mut dyn FnMut()| {
        let begin = clock.monotonic();
        what();
        clock.monotonic().saturating_sub(begin)
    };
    let micros = |took: Duration| took.as_nanos() as f64 / 1e3;

    let took = timed(&mut || {
        let mut writer =
            BlockWriter::new(&objects, Ulid(1), BlockSpec::new(Range::ALL, 0)).unwrap();
        for labels in &all {
            writer.series(&tenant, labels, &samples).unwrap();
        }
        writer.finish().unwrap();
    });
    let open = || Block::open(&objects, Ulid(1), BlockCache::new(1 << 28)).unwrap();
    let block = open();
    let series = all.len() as f64;
    println!(
        "{} series: {:.2} B of index and {:.2} B in all for each, written in {:.2} µs each\n",
        all.len(),
        block.meta().index.bytes as f64 / series,
        block.meta().bytes() as f64 / series,
        micros(took) / series,
    );
    println!("| Selection | series | first time, µs | then, µs |");
    println!("|---|---|---|---|");
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
    let equal = |name: &str, value: &str| matcher(MatchOp::Equal, name, value);
    let name = equal("__name__", "fleet_20_total");
    let sets = [
        vec![name.clone()],
        vec![
            name.clone(),
            equal("code", "201"),
            equal("container", "service-3"),
        ],
        vec![equal("instance", "10.0.2.77:9100")],
        vec![name.clone(), equal("instance", "10.0.2.77:9100")],
        vec![name.clone(), matcher(MatchOp::NotEqual, "code", "200")],
        vec![matcher(MatchOp::Regex, "pod", "service-3-.*")],
        vec![
            name.clone(),
            matcher(MatchOp::Regex, "pod", ".*-7d4b9c6f5-000f.*"),
        ],
        vec![matcher(MatchOp::Regex, "instance", "10.0.1.(7|9):9100")],
        vec![matcher(MatchOp::Regex, "instance", ".+")],
        vec![matcher(MatchOp::NotRegex, "instance", ".*:9100")],
        vec![
            equal("le", ""),
            matcher(MatchOp::Regex, "device", "nvme1.n1"),
        ],
    ];
    for set in &sets {
        let select = |block: &Block| block.select(&tenant, set, Range::ALL).unwrap();
        let fresh = open();
        let first = timed(&mut || drop(select(&fresh)));
        let then = (0..20)
            .map(|_| timed(&mut || drop(select(&block))))
            .min()
            .unwrap();
        let text: Vec<String> = set.iter().map(Matcher::to_string).collect();
        println!(
            "| `{{{}}}` | {} | {:.0} | {:.1} |",
            text.join(", "),
            select(&block).len(),
            micros(first),
            micros(then)
        );
    }
    println!("\n| Of 20,000 neighbours | each, ns |");
    println!("|---|---|");
    let few = 20_000..40_000u32;
    let each = |what: &mut dyn FnMut(u32)| {
        let mut took = || timed(&mut || few.clone().for_each(&mut *what));
        took();
        took().min(took()).as_nanos() / 20_000
    };
    let mut reader = block.label_reader();
    println!(
        "| labels | {} |",
        each(&mut |i| drop(reader.labels(i).unwrap()))
    );
    let by = ["instance".to_owned()];
    println!(
        "| one label | {} |",
        each(&mut |i| drop(reader.labels_named(i, &by).unwrap()))
    );
    println!(
        "| identity | {} |",
        each(&mut |i| assert_ne!(block.identity(i).unwrap(), 0))
    );
    let mut columns = Columns::default();
    println!(
        "| its one sample | {} |",
        each(&mut |i| {
            columns.clear();
            block.decode(i, Range::ALL, &mut columns).unwrap();
        })
    );
    let took = timed(&mut || {
        drop(
            block
                .label_values(&tenant, "pod", None, usize::MAX)
                .unwrap(),
        )
    });
    println!(
        "\nvalues of a label with a thousand: {:.0} µs",
        micros(took)
    );
}
