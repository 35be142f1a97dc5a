//! Series of a scenario: which metrics there are, with which labels, and their samples.

use ferula_model::{Counts, Histogram, Labels, METRIC_NAME, Timestamp, stale_marker};

use super::histograms::{CustomWalk, ExponentialWalk};
use super::seed::Random;
use super::walks::{CounterWalk, GaugeWalk, special};
use crate::MemStore;

/// When the earliest scenario starts. No scenario spans more than [`SPAN_MS`], and all lie within
/// an hour, so that one server takes many of them in any order.
const EPOCH_MS: i64 = 1_764_000_000_000;

/// How long the samples of a scenario go on.
const SPAN_MS: i64 = 40 * 60_000;

/// A sample's value.
#[derive(Clone, Debug)]
pub enum RandomSample {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Histogram),
}

/// The value of a series at its next sample.
type Walk = Box<dyn FnMut(Timestamp, &mut Random) -> RandomSample>;

/// A series with its samples in order of time.
#[derive(Clone, Debug)]
pub struct RandomSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub samples: Vec<(Timestamp, RandomSample)>,
}

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A float counter.
    Counter,
    /// A float that goes up and down.
    Gauge,
    /// A gauge with NaN, infinities and other values that arithmetic treats specially.
    Special,
    /// A time in seconds since 1970.
    Time,
    /// The buckets of a classic histogram.
    Buckets,
    /// A native histogram with exponential buckets that only grows.
    Exponential,
    /// A native histogram that may shrink, marked so.
    ExponentialGauge,
    /// A native histogram with custom buckets.
    Custom,
    /// Floats and histograms of all kinds under one name.
    Mixed,
    /// A constant 1 with labels that describe something.
    Info,
}

/// A metric of a scenario.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub kind: Kind,
    /// The labels its series have, sorted.
    pub labels: &'static [&'static str],
}

/// Series for queries to ask about.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it was made from.
    pub seed: u64,
    /// The time of the first samples.
    pub start_ms: Timestamp,
    /// The time no sample is later than.
    pub end_ms: Timestamp,
    /// How far apart samples are, about.
    pub interval_ms: i64,
    /// Its metrics.
    pub metrics: Vec<Metric>,
    /// Its series, sorted by labels.
    pub series: Vec<RandomSeries>,
    prefix: String,
}

/// Name without prefix, kind and labels of each metric.
const METRICS: &[(&str, Kind, &[&str])] = &[
    (
        "requests_total",
        Kind::Counter,
        &["code", "instance", "job"],
    ),
    ("errors_total", Kind::Counter, &["code", "instance", "job"]),
    ("bytes_total", Kind::Counter, &["instance", "job"]),
    ("usage", Kind::Gauge, &["instance", "job", "path"]),
    ("limit", Kind::Gauge, &["instance", "job", "path"]),
    ("temperature", Kind::Gauge, &["instance", "job"]),
    ("odd", Kind::Special, &["instance", "job", "path"]),
    ("started_seconds", Kind::Time, &["instance", "job"]),
    (
        "latency_seconds_bucket",
        Kind::Buckets,
        &["instance", "job", "le"],
    ),
    ("latency_seconds_count", Kind::Counter, &["instance", "job"]),
    ("latency_seconds_sum", Kind::Counter, &["instance", "job"]),
    ("size_bytes", Kind::Exponential, &["instance", "job"]),
    ("depth", Kind::ExponentialGauge, &["instance", "job"]),
    ("cost", Kind::Custom, &["instance", "job"]),
    ("mixed", Kind::Mixed, &["instance", "job"]),
    ("build_info", Kind::Info, &["instance", "job", "revision"]),
    ("target_info", Kind::Info, &["instance", "job", "version"]),
];

const JOBS: [&str; 2] = ["api", "web"];
const CODES: [&str; 3] = ["200", "404", "500"];
const PATHS: [&str; 2] = ["/a", "/b"];
const VERSIONS: [&str; 3] = ["1.2.3", "1.10.0", "2.0"];

/// Upper bounds of classic buckets; some instances write 1 as `1.0`, or leave one out.
const BOUNDS: [&str; 5] = ["0.1", "0.5", "1", "2.5", "+Inf"];

impl Scenario {
    /// The scenario of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::of(seed, 1);
        let interval_ms = random.weighted(&[(4, 15_000), (3, 30_000), (2, 20_000), (2, 60_000)]);
        let start_ms = EPOCH_MS + random.between(0, 600) * 1000 + random.pick(&[0, 0, 0, 123]);
        let prefix = format!("s{seed}_");
        let metrics = METRICS.iter().map(|&(name, kind, labels)| {
            // `info()` looks for this one by its name.
            let name = if name == "target_info" {
                name.to_owned()
            } else {
                format!("{prefix}{name}")
            };
            Metric { name, kind, labels }
        });
        let mut scenario = Self {
            seed,
            start_ms,
            end_ms: start_ms + SPAN_MS,
            interval_ms,
            metrics: metrics.collect(),
            series: Vec::new(),
            prefix,
        };
        scenario.series = scenario.make_series(&mut random);
        scenario.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        scenario
    }

    /// What the names of its metrics and instances start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The values a label takes in series of this scenario, sorted.
    pub fn values(&self, label: &str) -> Vec<&str> {
        let mut values: Vec<&str> = self
            .series
            .iter()
            .filter_map(|series| series.labels.get(label))
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The series in a store of their own.
    pub fn store(&self) -> MemStore {
        let mut store = MemStore::new();
        for series in &self.series {
            for (time, sample) in &series.samples {
                match sample {
                    RandomSample::Float(value) => store.push(&series.labels, *time, *value),
                    RandomSample::Histogram(histogram) => {
                        store.push_histogram(&series.labels, *time, histogram.clone());
                    }
                }
            }
        }
        store
    }

    fn make_series(&self, random: &mut Random) -> Vec<RandomSeries> {
        let instances: Vec<String> = (0..random.between(2, 3))
            .map(|i| format!("{}{}", self.prefix, char::from(b'a' + i as u8)))
            .collect();
        let mut series = Vec::new();
        for metric in &self.metrics {
            for instance in &instances {
                for job in JOBS {
                    if random.chance(12) {
                        continue;
                    }
                    let base = [(METRIC_NAME, metric.name.as_str()), ("job", job)];
                    let base = [&base[..], &[("instance", instance.as_str())]].concat();
                    self.one_target(metric, &base, random, &mut series);
                }
            }
        }
        series
    }

    /// The series of a metric on one target.
    fn one_target(
        &self,
        metric: &Metric,
        base: &[(&str, &str)],
        random: &mut Random,
        out: &mut Vec<RandomSeries>,
    ) {
        let mut add = |extra: &[(&str, &str)], samples: Vec<(Timestamp, RandomSample)>| {
            let labels = Labels::from_pairs([base, extra].concat());
            out.push(RandomSeries { labels, samples });
        };
        match metric.kind {
            Kind::Buckets => self.classic(base, random, out),
            Kind::Info => {
                let label = metric.labels[2];
                let first = random.below(3) as usize;
                for nth in 0..random.weighted(&[(5, 1), (1, 2)]) {
                    let mut times = self.times(random);
                    if random.chance(30) {
                        let (from, to) = (random.below(40) as usize, times.len() / 2);
                        times.drain(..from.min(to));
                    }
                    let ones = times.into_iter().map(|t| (t, RandomSample::Float(1.0)));
                    let value = VERSIONS[(first + nth) % VERSIONS.len()];
                    let samples = self.with_faults(ones.collect(), random);
                    add(&[(label, value)], samples);
                }
            }
            kind => {
                let values: &[&str] = match metric
                    .labels
                    .iter()
                    .find(|l| !["instance", "job"].contains(l))
                {
                    Some(&"code") => &CODES,
                    Some(_) => &PATHS,
                    None => &[""],
                };
                let label = metric
                    .labels
                    .iter()
                    .find(|l| !["instance", "job"].contains(l));
                for value in values {
                    if random.chance(8) {
                        continue;
                    }
                    let samples = self.samples(kind, random);
                    match label {
                        Some(label) => add(&[(label, value)], samples),
                        None => add(&[], samples),
                    }
                }
            }
        }
    }

    /// Buckets that count the same observations, at the same times.
    fn classic(&self, base: &[(&str, &str)], random: &mut Random, out: &mut Vec<RandomSeries>) {
        let times = self.times(random);
        let written_out = random.chance(30);
        let left_out = random.chance(10).then(|| random.below(5) as usize);
        let malformed = random.chance(6);
        let mut below = vec![0.0; times.len()];
        for (index, bound) in BOUNDS.iter().enumerate() {
            let mut walk = CounterWalk::new(random, 4.0);
            let mut samples = Vec::with_capacity(times.len());
            for (&time, below) in times.iter().zip(&mut below) {
                *below += walk.next(random);
                // Buckets read at slightly different moments do not always add up.
                let slip = if random.chance(1) { 3.0 } else { 0.0 };
                samples.push((time, RandomSample::Float(*below - slip)));
            }
            if left_out == Some(index) {
                continue;
            }
            let bound = match *bound {
                "1" if written_out => "1.0",
                "2.5" if malformed => "much",
                bound => bound,
            };
            let labels = Labels::from_pairs([base, &[("le", bound)]].concat());
            let samples = self.with_faults(samples, random);
            out.push(RandomSeries { labels, samples });
        }
    }

    fn samples(&self, kind: Kind, random: &mut Random) -> Vec<(Timestamp, RandomSample)> {
        let times = self.times(random);
        let mut values: Walk = match kind {
            Kind::Counter | Kind::Buckets => {
                let scale = random.pick(&[1.0, 10.0, 1e6]);
                let mut walk = CounterWalk::new(random, scale);
                Box::new(move |_, random| RandomSample::Float(walk.next(random)))
            }
            Kind::Gauge => {
                let mut walk = GaugeWalk::new(random);
                Box::new(move |_, random| RandomSample::Float(walk.next(random)))
            }
            Kind::Special => {
                let mut walk = GaugeWalk::new(random);
                Box::new(move |_, random| {
                    let plain = walk.next(random);
                    let value = if random.chance(35) {
                        special(random)
                    } else {
                        plain
                    };
                    RandomSample::Float(value)
                })
            }
            Kind::Time => {
                let past = random.between(0, 2_000_000_000) as f64 + random.pick(&[0.0, 0.25]);
                let moving = random.chance(50);
                Box::new(move |time, _| {
                    let now = time as f64 / 1000.0;
                    RandomSample::Float(if moving { now - 7.0 } else { past })
                })
            }
            Kind::Info => Box::new(|_, _| RandomSample::Float(1.0)),
            Kind::Exponential | Kind::ExponentialGauge => {
                let mut walk = ExponentialWalk::new(random, kind == Kind::ExponentialGauge);
                Box::new(move |_, random| RandomSample::Histogram(walk.next(random)))
            }
            Kind::Custom => {
                let mut walk = CustomWalk::new(random);
                Box::new(move |_, random| RandomSample::Histogram(walk.next(random)))
            }
            Kind::Mixed => mixed(random),
        };
        let samples = times
            .into_iter()
            .map(|time| (time, values(time, random)))
            .collect();
        self.with_faults(samples, random)
    }

    /// When a series is sampled: regularly or not, from start to end or not.
    fn times(&self, random: &mut Random) -> Vec<Timestamp> {
        let count = SPAN_MS / self.interval_ms;
        let jitter = random.weighted(&[(6, 0), (3, 5), (2, self.interval_ms * 2 / 5)]);
        let offset = if random.chance(50) {
            0
        } else {
            random.between(0, self.interval_ms - 1)
        };
        let first = if random.chance(12) {
            random.between(0, count / 2)
        } else {
            0
        };
        let last = if random.chance(12) {
            random.between(count / 2, count)
        } else {
            count
        };
        let mut times = Vec::new();
        for index in first..last {
            let regular = self.start_ms + index * self.interval_ms + offset;
            times.push(regular + random.between(0, jitter));
        }
        times
    }

    /// Leaves gaps, with and without a stale marker at their start.
    fn with_faults(
        &self,
        samples: Vec<(Timestamp, RandomSample)>,
        random: &mut Random,
    ) -> Vec<(Timestamp, RandomSample)> {
        let mut out = Vec::with_capacity(samples.len());
        let mut gap = 0;
        for (time, sample) in samples {
            if gap > 0 {
                gap -= 1;
                continue;
            }
            match random.below(200) {
                0..3 => gap = random.below(6),
                3 => gap = random.below(40),
                4 | 5 => {
                    gap = random.below(10);
                    out.push((time, stale_like(&sample)));
                }
                _ => out.push((time, sample)),
            }
        }
        out
    }
}

/// A stale marker of the kind the series has, as its sender would make it.
fn stale_like(sample: &RandomSample) -> RandomSample {
    let histogram = match sample {
        RandomSample::Float(_) => return RandomSample::Float(stale_marker()),
        RandomSample::Histogram(histogram) => histogram,
    };
    let stale = Histogram::stale();
    RandomSample::Histogram(match histogram.counts {
        Counts::Integer { .. } => stale,
        Counts::Float { .. } => stale.to_float(),
    })
}

/// Runs of floats, exponential and custom histograms in one series.
fn mixed(random: &mut Random) -> Walk {
    let mut floats = CounterWalk::new(random, 1.0);
    let mut exponential = ExponentialWalk::new(random, false);
    let mut custom = CustomWalk::new(random);
    let mut turn = random.below(3);
    let restless = random.pick(&[0, 3, 20]);
    Box::new(move |_, random| {
        if random.chance(restless) {
            turn = random.below(3);
        }
        match turn {
            0 => RandomSample::Float(floats.next(random)),
            1 => RandomSample::Histogram(exponential.next(random)),
            _ => RandomSample::Histogram(custom.next(random)),
        }
    })
}
