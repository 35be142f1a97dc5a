//! The hot kernels of storage and engine over a small fleet, each run once in a function of its
//! own: `cargo xtask kernels` counts their instructions, by the names printed here.
#![allow(clippy::print_stdout, reason = "the names are for its caller")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::sync::Arc;

use ferula_env::SystemClock;
use ferula_model::{
    CounterReset, Counts, Histogram, Labels, MatchOp, Matcher, Range, Span, TenantId,
};
use ferula_promql::{Engine, EngineOptions, QueryParams, QueryValue};
use ferula_storage::{
    Batch, Columns, Hints, HistogramEntry, LabelQuery, Origin, SampleEntry, Select, SelectError,
    SelectRequest, Selected, SeriesKey,
};
use ferula_tsdb::{Head, HeadSettings, HeadWriter};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

const STEP_MS: i64 = 15_000;

/// An hour of queries and the window before it.
const STEPS: i64 = 260;

const PODS: usize = 20;

/// Series of one pod with the same metric.
const MEMBERS: usize = 20;

const BOUNDS: [&str; 10] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf",
];

/// Queries for an hour at each step of 15 s.
const QUERIES: [(&str, &str); 9] = [
    ("rate", "rate(operations_total[5m])"),
    ("sum by", "sum by (job) (load_ratio)"),
    (
        "sum by of rate",
        "sum by (job) (rate(operations_total[5m]))",
    ),
    ("topk", "topk(3, load_ratio)"),
    (
        "join, one to one",
        "operations_total / on (pod, member) load_ratio",
    ),
    (
        "join, group_left",
        "load_ratio * on (pod) group_left (node) pod_info",
    ),
    (
        "classic histogram_quantile",
        "histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))",
    ),
    (
        "native histogram_quantile",
        "histogram_quantile(0.9, sum(rate(duration_seconds[5m])))",
    ),
    (
        "quantile_over_time",
        "quantile_over_time(0.9, load_ratio[10m])",
    ),
];

/// The head as the engine sees it.
struct Store(Arc<Head>);

impl Select for Store {
    fn select(&self, request: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        ready(Ok(self.0.select(&request, || ()).0)).boxed()
    }

    fn series(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        ready(Ok(self.0.series(&query))).boxed()
    }

    fn label_names(&self, query: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        ready(Ok(self.0.label_names(&query))).boxed()
    }

    fn label_values(
        &self,
        name: String,
        query: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        ready(Ok(self.0.label_values(&name, &query))).boxed()
    }
}

fn main() {
    let (head, mut writer) = Head::new(HeadSettings {
        bytes_max: 1 << 30,
        hash_seed: 1,
    });
    let mut keys: Vec<SeriesKey> = labels().into_iter().map(SeriesKey::Labels).collect();
    for step in 0..STEPS {
        let report = append(&mut writer, &keys, step);
        if step == 0 {
            keys = report
                .refs
                .into_iter()
                .flatten()
                .map(SeriesKey::Ref)
                .collect();
        }
    }
    measure("append", || {
        append(&mut writer, &keys, STEPS).samples + append(&mut writer, &keys, STEPS + 1).samples
    });

    measure("select by regex", || {
        let pods = Matcher::new(MatchOp::Regex, "pod", "service-.*1").unwrap();
        head.select(&selection(pods), || ()).0.series.len() as u64
    });
    for (name, metric) in [
        ("decode floats", "load_ratio"),
        ("decode counters", "operations_total"),
        ("decode native histograms", "duration_seconds"),
    ] {
        let selected = head
            .select(&selection(Matcher::equal("__name__", metric)), || ())
            .0;
        measure(name, || decode(&selected));
    }

    measure_plain();

    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let engine = Engine::new(EngineOptions::prometheus(), SystemClock::shared());
    let store = Store(head);
    for (name, query) in QUERIES {
        measure(name, || runtime.block_on(points(&engine, &store, query)));
    }
}

/// Samples of a finished chunk.
const CHUNK: i64 = 120;

/// A value made of noise.
type Value = fn(u64) -> f64;

/// A hundred series of gauges each, beside the fleet: those that are integers, and those of
/// which nothing is short.
const PLAIN: [(&str, Value); 2] = [
    ("integer gauges", |noise| (noise % 50) as f64),
    ("noisy floats", |noise| (noise as f64).sqrt()),
];

/// Chunks that the fleet has not, and what finishing one takes.
fn measure_plain() {
    for (name, value) in PLAIN {
        let (head, ..) = plain(value);
        let selected = head
            .select(&selection(Matcher::equal("__name__", "plain")), || ())
            .0;
        measure(&format!("decode {name}"), || decode(&selected));
        // Each run finishes a chunk of every series.
        let mut heads = [plain(value), plain(value)].into_iter();
        measure(&format!("finish chunks of {name}"), || {
            let (_, mut writer, keys) = heads.next().unwrap();
            append_plain(&mut writer, &keys, 2 * CHUNK, value);
            keys.len() as u64
        });
    }
}

fn plain(value: Value) -> (Arc<Head>, HeadWriter, Vec<SeriesKey>) {
    let (head, mut writer) = Head::new(HeadSettings {
        bytes_max: 1 << 30,
        hash_seed: 1,
    });
    let labels = |member: usize| {
        Labels::from_pairs([
            ("__name__", "plain".to_owned()),
            ("member", member.to_string()),
        ])
    };
    let mut keys: Vec<_> = (0..100).map(|m| SeriesKey::Labels(labels(m))).collect();
    for step in 0..2 * CHUNK {
        let refs = append_plain(&mut writer, &keys, step, value);
        if step == 0 {
            keys = refs.into_iter().flatten().map(SeriesKey::Ref).collect();
        }
    }
    (head, writer, keys)
}

fn append_plain(
    writer: &mut HeadWriter,
    keys: &[SeriesKey],
    step: i64,
    value: Value,
) -> Vec<Option<ferula_storage::SeriesRef>> {
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
    batch.series = keys.to_vec();
    let samples = (0..keys.len() as u32).map(|series| SampleEntry {
        series,
        timestamp: time(step),
        value: value(noise(series.into(), step) % 1_000_000),
    });
    batch.samples = samples.collect();
    let report = writer.stage(&batch).unwrap();
    writer.apply();
    report.refs
}

/// Runs a kernel once to warm it up and once to be counted.
fn measure(name: &str, mut kernel: impl FnMut() -> u64) {
    assert!(kernel() > 0, "{name} does nothing");
    println!("{name}");
    count_instructions_of(&mut kernel);
}

/// Counting begins and ends with this function.
#[inline(never)]
fn count_instructions_of(kernel: &mut dyn FnMut() -> u64) {
    std::hint::black_box(kernel());
}

/// How many points a query gives.
async fn points(engine: &Engine, store: &Store, query: &str) -> u64 {
    let (start, end) = (time(STEPS - 241), time(STEPS - 1));
    let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
    let result = engine
        .range(store, &tenant, query, start, end, STEP_MS, &params)
        .await
        .unwrap();
    match result.value {
        QueryValue::Matrix(series) => series.iter().map(|one| one.columns.len() as u64).sum(),
        _ => 0,
    }
}

/// How many samples a selection has.
fn decode(selected: &Selected) -> u64 {
    let mut columns = Columns::default();
    let mut samples = 0;
    for series in &selected.series {
        columns.clear();
        series.source.decode(Range::ALL, &mut columns).unwrap();
        samples += columns.len() as u64;
    }
    samples
}

fn selection(matcher: Matcher) -> SelectRequest {
    SelectRequest {
        tenant: TenantId::anonymous(),
        matchers: vec![matcher],
        range: Range::ALL,
        hints: Hints::default(),
    }
}

fn time(step: i64) -> i64 {
    step * STEP_MS
}

/// What a series of the fleet holds.
#[derive(Clone, Copy)]
enum Kind {
    Counter(usize),
    Gauge(usize),
    Bucket(usize),
    Info,
    Native,
}

/// The series of one pod.
fn kinds() -> impl Iterator<Item = Kind> {
    let members = (0..MEMBERS).flat_map(|member| [Kind::Counter(member), Kind::Gauge(member)]);
    let buckets = (0..BOUNDS.len()).map(Kind::Bucket);
    members.chain(buckets).chain([Kind::Info, Kind::Native])
}

fn labels() -> Vec<Labels> {
    let mut all = Vec::new();
    for pod in 0..PODS {
        for kind in kinds() {
            let (name, own) = match kind {
                Kind::Counter(member) => ("operations_total", ("member", member.to_string())),
                Kind::Gauge(member) => ("load_ratio", ("member", member.to_string())),
                Kind::Bucket(bound) => ("latency_seconds_bucket", ("le", BOUNDS[bound].to_owned())),
                Kind::Info => ("pod_info", ("node", format!("node-{}", pod % 3))),
                Kind::Native => ("duration_seconds", ("handler", "/api".to_owned())),
            };
            all.push(Labels::from_pairs([
                ("__name__", name.to_owned()),
                ("instance", format!("10.0.0.{pod}:9100")),
                ("job", format!("default/service-{}", pod % 5)),
                ("pod", format!("service-{}-7d4b9c6f5-{pod:05}", pod % 5)),
                own,
            ]));
        }
    }
    all
}

/// Appends one sample of each series, as one batch.
fn append(writer: &mut HeadWriter, keys: &[SeriesKey], step: i64) -> ferula_storage::Report {
    let mut batch = Batch::new(TenantId::anonymous(), Origin::Push);
    batch.series = keys.to_vec();
    let kinds = (0..PODS).flat_map(|_| kinds());
    for (series, kind) in (0u32..).zip(kinds) {
        let noise = noise(u64::from(series), step);
        let (timestamp, grown) = (time(step), step as f64 * 7.0);
        let value = match kind {
            Kind::Counter(member) => grown * member as f64 + (noise % 7) as f64,
            Kind::Gauge(_) => (noise % 100_000) as f64 / 1000.0,
            Kind::Bucket(bound) => (grown + (noise % 3) as f64) * (bound + 1) as f64,
            Kind::Info => 1.0,
            Kind::Native => {
                batch.histograms.push(HistogramEntry {
                    series,
                    timestamp,
                    histogram: Arc::new(histogram(step, noise)),
                });
                continue;
            }
        };
        batch.samples.push(SampleEntry {
            series,
            timestamp,
            value,
        });
    }
    let report = writer.stage(&batch).unwrap();
    writer.apply();
    assert_eq!(report.rejected_total(), 0);
    report
}

/// Twenty buckets that grow.
fn histogram(step: i64, noise: u64) -> Histogram {
    let positive: Vec<u64> = (0..20)
        .map(|bucket| step as u64 * (20 - bucket) + (noise >> bucket) % 8)
        .collect();
    Histogram {
        reset: CounterReset::Unknown,
        schema: 3,
        zero_threshold: 1e-128,
        sum: step as f64 * 12.5,
        positive_spans: vec![Span {
            offset: -40,
            length: 20,
        }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Integer {
            count: positive.iter().sum(),
            zero: 0,
            positive,
            negative: Vec::new(),
        },
    }
}

/// The same for the same series and step, and without a pattern between them.
fn noise(series: u64, step: i64) -> u64 {
    let mut bits = (series << 32 ^ step.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 31)
}
