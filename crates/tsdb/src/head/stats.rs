//! What the head holds, for those who run it.

use ferula_model::{METRIC_NAME, TenantId, Timestamp};

use super::Head;

/// What a head holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Series with samples.
    pub series: u64,
    /// Series whose labels are held, those without samples included.
    pub known: u64,
    /// Distinct labels.
    pub label_pairs: u64,
    /// Chunks, the open ones included.
    pub chunks: u64,
    /// Samples, those below the floor included as long as their chunks are held.
    pub samples: u64,
    /// The oldest timestamp, if there is a sample; after a truncation, not later than that.
    pub min_time: Option<Timestamp>,
    /// The newest timestamp, if there is a sample.
    pub max_time: Option<Timestamp>,
    /// Bytes of memory held.
    pub bytes: u64,
}

/// Where a tenant's series come from: the largest of each list, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series.
    pub series: u64,
    /// Distinct labels.
    pub label_pairs: u64,
    /// Series per metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Values per label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of the values of a label name, counted once per series.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series per label, as `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Head {
    /// What the head holds.
    pub fn stats(&self) -> HeadStats {
        let index = self.index.read();
        let label_pairs = index.tenants().iter().map(|t| t.pairs.len() as u64).sum();
        let data = self.data.read();
        HeadStats {
            series: data.live,
            known: data.len.into(),
            label_pairs,
            chunks: data.chunks,
            samples: data.samples,
            min_time: data.span.map(|(oldest, _)| oldest),
            max_time: data.span.map(|(_, newest)| newest),
            bytes: self.bytes_used(),
        }
    }

    /// Where a tenant's series come from, at most `limit` entries per list.
    pub fn cardinality(&self, tenant: &TenantId, limit: usize) -> Cardinality {
        let index = self.index.read();
        let Some(tenant) = index.tenant(tenant) else {
            return Cardinality::default();
        };
        let metric_name = index.symbols.find(METRIC_NAME);
        let mut metrics = Top::new(limit);
        let mut pairs = Top::new(limit);
        let mut values = Top::new(limit);
        let mut bytes = Top::new(limit);
        for name in tenant.names() {
            let text = index.symbols.get(name);
            let named = tenant.pairs_named(name);
            let mut held = 0;
            for &pair in named {
                let pair = &tenant.pairs[pair as usize];
                let (value, series) = (index.symbols.get(pair.value), pair.series.len() as u64);
                held += value.len() as u64 * series;
                pairs.offer(series, || format!("{text}={value}"));
                if Some(name) == metric_name {
                    metrics.offer(series, || value.to_owned());
                }
            }
            values.offer(named.len() as u64, || text.to_owned());
            bytes.offer(held, || text.to_owned());
        }
        Cardinality {
            series: tenant.all.len() as u64,
            label_pairs: tenant.pairs.len() as u64,
            series_by_metric: metrics.finish(),
            values_by_label: values.finish(),
            bytes_by_label: bytes.finish(),
            series_by_pair: pairs.finish(),
        }
    }
}

/// The largest few of many.
struct Top {
    limit: usize,
    entries: Vec<(String, u64)>,
    /// What an entry must exceed to matter, once there are enough.
    bar: u64,
}

impl Top {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: Vec::new(),
            bar: 0,
        }
    }

    fn offer(&mut self, count: u64, name: impl FnOnce() -> String) {
        if count < self.bar || self.limit == 0 {
            return;
        }
        self.entries.push((name(), count));
        if self.entries.len() >= 2 * self.limit {
            self.cut();
            self.bar = self.entries.last().map_or(0, |e| e.1);
        }
    }

    fn cut(&mut self) {
        self.entries
            .sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.entries.truncate(self.limit);
    }

    fn finish(mut self) -> Vec<(String, u64)> {
        self.cut();
        self.entries
    }
}
