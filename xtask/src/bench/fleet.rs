//! A generated fleet: instances with a thousand series each, the same for every server and run.
//!
//! Mixed as exporters mix them: counters that grow irregularly, constants, noisy and whole gauges,
//! classic histograms; for queries that join, what is known of a pod besides. Instances restart now
//! and then. Values are functions of series and step, so nothing has to be remembered.

use std::fmt::Write as _;

use ferula_e2e::random::Random;

/// Series of one instance.
pub(crate) const SERIES_PER_INSTANCE: usize = 1_000;

/// Series that share a metric name within an instance.
pub(crate) const SERIES_PER_FAMILY: usize = 20;

/// Series of an instance that tell about it and are always 1, beyond [`SERIES_PER_INSTANCE`].
const INFO_NAMES: [&str; 2] = ["fleet_pod_info", "fleet_build_info"];

/// Steps from one restart of an instance to the next: 8 h 20 min at 15 s.
const RESTART_STEPS: u64 = 2_000;

/// Buckets of a histogram; a family holds two histograms.
const BOUNDS: [&str; 10] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf",
];

/// How a family's values move.
#[derive(Clone, Copy)]
enum Shape {
    Counter,
    Constant,
    Noise,
    Whole,
    Buckets,
    Info,
}

/// One series of one instance, by number.
#[derive(Clone, Copy)]
pub(crate) struct Series {
    pub(crate) instance: usize,
    index: usize,
}

/// The series of an instance.
pub(crate) fn series_of(instance: usize) -> impl Iterator<Item = Series> {
    (0..SERIES_PER_INSTANCE).map(move |index| Series { instance, index })
}

/// The metrics of an instance.
pub(crate) fn metrics() -> impl Iterator<Item = String> {
    series_of(0).step_by(SERIES_PER_FAMILY).map(Series::name)
}

/// The series that tell about an instance.
pub(crate) fn info_of(instance: usize) -> impl Iterator<Item = Series> {
    (0..INFO_NAMES.len()).map(move |info| Series {
        instance,
        index: SERIES_PER_INSTANCE + info,
    })
}

/// How many steps ago an instance started.
pub(crate) fn uptime(instance: usize, step: u64) -> u64 {
    (step + 1_000 + instance as u64 * 131) % RESTART_STEPS
}

/// How often an instance has been replaced: at every period but the first, one instance in four is.
pub(crate) fn generation(instance: usize, period: u64) -> u64 {
    (period + 3 - (instance as u64 + 3) % 4) / 4
}

impl Series {
    fn family(self) -> usize {
        self.index / SERIES_PER_FAMILY
    }

    fn member(self) -> usize {
        self.index % SERIES_PER_FAMILY
    }

    fn shape(self) -> Shape {
        match self.family() % 10 {
            _ if self.index >= SERIES_PER_INSTANCE => Shape::Info,
            0..4 => Shape::Counter,
            4 => Shape::Constant,
            5 | 6 => Shape::Noise,
            7 => Shape::Whole,
            _ => Shape::Buckets,
        }
    }

    fn name(self) -> String {
        let family = self.family();
        match self.shape() {
            Shape::Counter => format!("fleet_operations_{family}_total"),
            Shape::Constant => format!("fleet_limit_{family}_bytes"),
            Shape::Noise => format!("fleet_load_{family}_ratio"),
            Shape::Whole => format!("fleet_queue_{family}_length"),
            Shape::Buckets => format!("fleet_latency_{family}_seconds_bucket"),
            Shape::Info => INFO_NAMES[self.index - SERIES_PER_INSTANCE].to_owned(),
        }
    }

    /// The labels a target exposes, sorted by name, without the metric's name.
    fn own_labels(self) -> Vec<(&'static str, String)> {
        let member = self.member();
        match self.shape() {
            Shape::Counter => vec![
                ("code", ["200", "204", "404", "500"][member % 4].to_owned()),
                ("handler", format!("/api/v1/resource_{}", member / 4)),
                ("method", ["GET", "POST"][member % 2].to_owned()),
            ],
            Shape::Constant | Shape::Whole => vec![("pool", format!("pool-{member}"))],
            Shape::Noise => vec![
                ("device", format!("nvme{member}n1")),
                ("mountpoint", format!("/data/volume-{member}")),
            ],
            Shape::Buckets => vec![
                (
                    "handler",
                    format!("/api/v1/resource_{}", member / BOUNDS.len()),
                ),
                ("le", BOUNDS[member % BOUNDS.len()].to_owned()),
            ],
            Shape::Info => vec![
                ("node", format!("node-{}", self.instance % 12)),
                ("version", format!("1.{}.0", self.instance % 5)),
            ],
        }
    }

    /// All labels as a sender writes them, sorted by name.
    pub(crate) fn labels(self) -> Vec<(&'static str, String)> {
        let mut labels = self.own_labels();
        labels.push(("__name__", self.name()));
        labels.extend(instance_labels(self.instance));
        labels.sort_unstable();
        labels
    }

    /// All labels after its instance was replaced so many times: its pod has another name.
    pub(crate) fn labels_of(self, generation: u64) -> Vec<(&'static str, String)> {
        let mut labels = self.labels();
        for (_, value) in labels.iter_mut().filter(|(name, _)| *name == "pod") {
            *value = format!("{value}-{generation}");
        }
        labels
    }

    /// The value at a step.
    pub(crate) fn value(self, step: u64) -> f64 {
        let id = (self.instance * SERIES_PER_INSTANCE + self.index) as u64;
        let noise = |bound: u64| Random::new(id.wrapping_mul(0x9e37) ^ step << 32).below(bound);
        let uptime = uptime(self.instance, step);
        #[expect(clippy::cast_precision_loss)] // far below 2^53
        match self.shape() {
            // A third of the counters stands still.
            Shape::Counter if id.is_multiple_of(3) => (id % 1000) as f64,
            Shape::Counter => (uptime * (id % 500 + 1) + noise(id % 500 + 1)) as f64,
            Shape::Constant => ((id + 1) * 4096) as f64,
            Shape::Noise => noise(100_000) as f64 / 1000.0,
            Shape::Whole => noise(50) as f64,
            Shape::Buckets => {
                let rank = (self.member() % BOUNDS.len()) as u64 + 1;
                // Cumulative: each bucket holds the ones below it.
                ((uptime * 3 + noise(3)) * rank * rank) as f64
            }
            Shape::Info => 1.0,
        }
    }
}

/// What says where a series comes from, sorted by name.
pub(crate) fn instance_labels(instance: usize) -> [(&'static str, String); 6] {
    let service = instance % 20;
    [
        ("cluster", "eu-west-1a".to_owned()),
        ("container", format!("service-{service}")),
        (
            "instance",
            format!("10.0.{}.{}:9100", instance / 250, instance % 250),
        ),
        ("job", format!("default/service-{service}")),
        ("namespace", "default".to_owned()),
        ("pod", format!("service-{service}-7d4b9c6f5-{instance:05x}")),
    ]
}

/// What a target exposes, with all but the values written once.
pub(crate) struct Page {
    /// Text before a value, and the series whose value follows.
    parts: Vec<(String, Series)>,
}

impl Page {
    /// The page of one instance.
    pub(crate) fn new(instance: usize) -> Self {
        let mut parts = Vec::new();
        for series in series_of(instance) {
            let (mut text, name) = (String::new(), series.name());
            if series.member() == 0 {
                let (family, kind) = match series.shape() {
                    Shape::Counter => (name.as_str(), "counter"),
                    Shape::Buckets => (name.trim_end_matches("_bucket"), "histogram"),
                    Shape::Constant | Shape::Noise | Shape::Whole | Shape::Info => {
                        (name.as_str(), "gauge")
                    }
                };
                let _ = writeln!(text, "# HELP {family} Something a service counts.");
                let _ = writeln!(text, "# TYPE {family} {kind}");
            }
            let labels = series.own_labels();
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            let _ = write!(text, "{name}{{{}}} ", labels.join(","));
            parts.push((text, series));
        }
        Self { parts }
    }

    /// The page at a step.
    pub(crate) fn at(&self, step: u64) -> String {
        let mut page = String::with_capacity(self.parts.len() * 100);
        for (text, series) in &self.parts {
            let _ = writeln!(page, "{text}{}", series.value(step));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn series_differ_and_have_as_many_labels_as_real_ones() {
        let mut seen = BTreeSet::new();
        let all = [7, 8].map(|instance| series_of(instance).chain(info_of(instance)));
        for series in all.into_iter().flatten() {
            let labels = series.labels();
            assert!((6..=12).contains(&labels.len()), "{labels:?}");
            assert!(labels.is_sorted(), "{labels:?}");
            assert!(seen.insert(labels.clone()), "twice: {labels:?}");
        }
        assert_eq!(seen.len(), 2 * (SERIES_PER_INSTANCE + INFO_NAMES.len()));
    }

    #[test]
    fn a_quarter_is_replaced_every_period() {
        assert!((0..8).all(|instance| generation(instance, 0) == 0));
        for period in 1..9 {
            let replaced = |&i: &usize| generation(i, period) == generation(i, period - 1) + 1;
            assert_eq!((0..8).filter(replaced).count(), 2, "period {period}");
        }
        let series = series_of(1).next().expect("it has some");
        assert_ne!(series.labels_of(0), series.labels_of(1));
    }

    #[test]
    fn counters_and_buckets_fall_only_when_their_instance_restarts() {
        let instance = 3;
        let restart = (0..).find(|&step| uptime(instance, step) == 0);
        let restart = restart.expect("instances restart");
        for series in series_of(instance) {
            if matches!(series.shape(), Shape::Counter | Shape::Buckets) {
                let values = |steps: std::ops::Range<u64>| -> Vec<f64> {
                    steps.map(|step| series.value(step)).collect()
                };
                let before = values(restart - 50..restart);
                let after = values(restart..restart + 50);
                assert!(before.is_sorted(), "{}: {before:?}", series.name());
                assert!(after.is_sorted(), "{}: {after:?}", series.name());
                let stands_still = before[0] == before[49];
                assert!(after[0] < before[49] || stands_still, "{}", series.name());
            }
        }
    }
}
