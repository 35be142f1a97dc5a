//! A world to scrape in: a page served on the loopback, a store in memory, a clock that moves
//! when told.
#![allow(clippy::unwrap_used, dead_code)] // helpers, and each test file uses its own part

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferula_config::{Config, GlobalConfig, ScrapeConfig};
use ferula_discovery::{TargetGroup, Targets};
use ferula_env::{Clock, ManualClock, net, spawn};
use ferula_model::{Labels, TenantId, Value, is_stale};
use ferula_scrape::{Alignment, Manager, Options};
use ferula_storage::{
    Append, AppendError, Batch, Origin, Reason, Rejection, Report, SeriesKey, SeriesRef,
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, watch};

/// What the page answers.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) status: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// A server with one page.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) page: Arc<Mutex<Page>>,
    pub(crate) requests: Arc<AtomicUsize>,
    /// Every answer takes a permit; there are plenty until a test takes them.
    pub(crate) gate: Arc<Semaphore>,
}

pub(crate) async fn serve(body: &str) -> Server {
    let listener = net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let server = Server {
        addr: listener.local_addr().unwrap(),
        page: Arc::new(Mutex::new(Page {
            status: "200 OK",
            content_type: "text/plain; version=0.0.4",
            body: body.to_owned(),
        })),
        requests: Arc::default(),
        gate: Arc::new(Semaphore::new(1_000_000)),
    };
    let (page, requests) = (Arc::clone(&server.page), Arc::clone(&server.requests));
    let gate = Arc::clone(&server.gate);
    spawn::task(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (page, requests) = (Arc::clone(&page), Arc::clone(&requests));
            let gate = Arc::clone(&gate);
            spawn::task(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
                    if !seen.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    seen.clear();
                    requests.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.unwrap().forget();
                    let page = page.lock().clone();
                    let out = format!(
                        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}",
                        page.status,
                        page.content_type,
                        page.body.len(),
                        page.body
                    );
                    stream.write_all(out.as_bytes()).await.unwrap();
                }
            });
        }
    });
    server
}

/// A store that judges samples as a shard does.
#[derive(Default)]
pub(crate) struct Store {
    state: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    refs: HashMap<Labels, u64>,
    series: BTreeMap<u64, (Labels, BTreeMap<i64, f64>)>,
    next: u64,
    /// References that are getting old, with today's.
    renamed: HashMap<u64, u64>,
    /// Batches taken.
    batches: usize,
    /// Series that came by their labels.
    by_labels: usize,
    refuse: bool,
}

impl Append for Store {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        Box::pin(async move { self.take(batch) })
    }
}

impl Store {
    fn take(&self, batch: Batch) -> Result<Report, AppendError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        assert_eq!(batch.origin, Origin::Scrape);
        if state.refuse {
            let why = "the test says so".to_owned();
            return Err(AppendError::Overloaded { why });
        }
        state.batches += 1;
        let mut report = Report::default();
        let mut ids = Vec::new();
        for key in &batch.series {
            let id = match key {
                SeriesKey::Ref(old) => match state.renamed.get(&old.0) {
                    Some(&id) => {
                        report.renamed.push((*old, SeriesRef(id)));
                        id
                    }
                    None => old.0,
                },
                SeriesKey::Labels(labels) => {
                    assert!(!labels.metric_name().is_empty(), "{labels}");
                    state.by_labels += 1;
                    *state.refs.entry(labels.clone()).or_insert_with(|| {
                        state.next += 1;
                        state
                            .series
                            .insert(state.next, (labels.clone(), BTreeMap::new()));
                        state.next
                    })
                }
            };
            ids.push(id);
            report.refs.push(Some(SeriesRef(id)));
        }
        for sample in &batch.samples {
            let id = ids[sample.series as usize];
            let reason = match state.series.get_mut(&id) {
                None => Some((Labels::empty(), Reason::UnknownRef)),
                Some((labels, samples)) => match judge(samples, sample.timestamp, sample.value) {
                    Ok(true) => {
                        samples.insert(sample.timestamp, sample.value);
                        report.samples += 1;
                        None
                    }
                    Ok(false) => {
                        report.duplicates += 1;
                        None
                    }
                    Err(reason) => Some((labels.clone(), reason)),
                },
            };
            if let Some((labels, reason)) = reason {
                let word = reason.word();
                let (series, timestamp) = (sample.series, sample.timestamp);
                report.reject(
                    || Rejection {
                        series,
                        labels,
                        timestamp,
                        reason,
                    },
                    word,
                );
            }
        }
        Ok(report)
    }

    /// The samples of a series as `value@second`, `stale@second`; empty if there is no series.
    pub(crate) fn samples(&self, labels: &str) -> String {
        let state = self.state.lock();
        let found = state.series.values().find(|(l, _)| l.to_string() == labels);
        let text = |(t, v): (&i64, &f64)| {
            let value = if is_stale(*v) {
                "stale".to_owned()
            } else {
                v.to_string()
            };
            format!("{value}@{}", *t as f64 / 1_000.0)
        };
        let Some((_, samples)) = found else {
            return String::new();
        };
        samples.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// Every series, as [`Store::samples`] names it.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.state.lock();
        let mut names: Vec<_> = state.series.values().map(|(l, _)| l.to_string()).collect();
        names.sort();
        names
    }

    /// Series that came by their labels, in all batches so far.
    pub(crate) fn by_labels(&self) -> usize {
        self.state.lock().by_labels
    }

    pub(crate) fn batches(&self) -> usize {
        self.state.lock().batches
    }

    /// Takes nothing from here on, or takes batches again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.state.lock().refuse = refuse;
    }

    /// Gives every series another reference; the old ones still do until the next time.
    pub(crate) fn rename(&self) {
        let base = self.state.lock().next;
        self.renumber();
        let mut state = self.state.lock();
        state.renamed = state.series.keys().map(|id| (id - base, *id)).collect();
    }

    /// Gives every series another reference.
    pub(crate) fn renumber(&self) {
        let mut state = self.state.lock();
        let base = state.next;
        state.next += base;
        state.refs.values_mut().for_each(|id| *id += base);
        let old = std::mem::take(&mut state.series);
        state.series = old
            .into_iter()
            .map(|(id, series)| (id + base, series))
            .collect();
    }
}

/// Whether the sample is taken (`true`), there already, or refused.
fn judge(samples: &BTreeMap<i64, f64>, timestamp: i64, value: f64) -> Result<bool, Reason> {
    if let Some(existing) = samples.get(&timestamp) {
        if existing.to_bits() == value.to_bits() {
            return Ok(false);
        }
        let (existing, new) = (Value::Float(*existing), Value::Float(value));
        return Err(Reason::DuplicateConflict { existing, new });
    }
    match samples.last_key_value() {
        Some((newest, _)) if *newest > timestamp => Err(Reason::OutOfOrder { newest: *newest }),
        _ => Ok(true),
    }
}

/// The test's second zero, divisible by every interval used.
pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// Scrapes happen every ten seconds unless a test says otherwise.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Far more turns than anything on the loopback takes: minutes.
const YIELDS_MAX: usize = 100_000_000;

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<Store>,
    pub(crate) manager: Arc<Manager>,
    pub(crate) targets: watch::Sender<Targets>,
}

impl World {
    /// A manager that follows discovery, with nothing configured.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at(START_MS);
        let store = Arc::<Store>::default();
        let options = Options {
            tenant: TenantId::anonymous(),
            user_agent: "Ferula/test".to_owned(),
            offset_seed: 7,
            alignment: Alignment {
                tolerance: Duration::from_millis(2),
            },
            discovery_reload_interval: Duration::ZERO,
        };
        let manager = Arc::new(Manager::new(clock.clone(), store.clone(), options));
        let (targets, found) = watch::channel(Targets::default());
        let following = Arc::clone(&manager);
        spawn::task(async move { following.follow(found).await });
        Self {
            clock,
            store,
            manager,
            targets,
        }
    }

    /// Configures one job with one target, and scrapes it once, at second 10.
    pub(crate) async fn with_target(
        server: &Server,
        change: impl FnOnce(&mut ScrapeConfig),
    ) -> Self {
        let world = Self::new();
        world.configure(&[job(change)]).await;
        world.find(&[&server.addr.to_string()]).await;
        world.tick().await;
        world
    }

    /// Replaces the configuration, and lets every loop take note.
    pub(crate) async fn configure(&self, jobs: &[ScrapeConfig]) {
        let config = Config {
            scrape_configs: jobs.to_vec(),
            ..Config::default()
        };
        self.manager.apply(&config);
        self.settle().await;
    }

    /// Discovers these addresses for job `j`, and waits until they are what is scraped.
    pub(crate) async fn find(&self, addresses: &[&str]) {
        let own = addresses
            .iter()
            .map(|a| Labels::from_pairs([("__address__", a)]))
            .collect();
        let group = TargetGroup {
            source: "0".to_owned(),
            targets: own,
            labels: Labels::empty(),
        };
        self.targets
            .send_replace(Arc::new(HashMap::from([("j".to_owned(), vec![group])])));
        let mut urls: Vec<_> = addresses
            .iter()
            .map(|a| format!("http://{a}/metrics"))
            .collect();
        urls.sort();
        let active = || {
            let active = self.manager.active_targets().into_iter();
            let mut active: Vec<_> = active.map(|t| t.scrape_url).collect();
            active.sort();
            active
        };
        self.until(|| active() == urls).await;
        self.settle().await;
    }

    /// Waits until `holds`; time stands still.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        for _ in 0..YIELDS_MAX {
            if holds() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("what the test waits for never came");
    }

    /// Moves on by an interval and waits until every target has been scraped once more.
    pub(crate) async fn tick(&self) {
        let targets = self.manager.active_targets().len() as u64;
        let before = self.manager.metrics().scrapes.get();
        self.clock.advance(INTERVAL);
        self.until(|| self.manager.metrics().scrapes.get() >= before + targets)
            .await;
    }

    /// Moves on by an interval in which nothing is scraped, and lets every task run that can.
    pub(crate) async fn pass(&self) {
        self.clock.advance(INTERVAL);
        self.settle().await;
    }

    /// Lets every task run that can without the clock or the network.
    pub(crate) async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// The clock in seconds since the start.
    pub(crate) fn second(&self) -> i64 {
        (self.clock.now_ms() - START_MS) / 1_000
    }

    /// The samples of `metric` of job `j`, with seconds counted from the start.
    pub(crate) fn samples(&self, server: &Server, metric: &str) -> String {
        let labels = Labels::from_pairs([
            ("__name__", metric),
            ("instance", &server.addr.to_string()),
            ("job", "j"),
        ]);
        self.samples_of(&labels)
    }

    pub(crate) fn samples_of(&self, labels: &Labels) -> String {
        let text = self.store.samples(&labels.to_string());
        let relative = |sample: &str| {
            let (value, at) = sample.split_once('@').unwrap();
            let at = at.parse::<f64>().unwrap() - START_MS as f64 / 1_000.0;
            format!("{value}@{at}")
        };
        text.split_whitespace()
            .map(relative)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The only target's last error.
    pub(crate) fn last_error(&self) -> String {
        self.manager.active_targets()[0].last_error.clone()
    }
}

pub(crate) fn job(change: impl FnOnce(&mut ScrapeConfig)) -> ScrapeConfig {
    let mut job = ScrapeConfig::inheriting(&GlobalConfig::default(), "j");
    job.scrape_interval = INTERVAL;
    change(&mut job);
    job
}

impl Server {
    pub(crate) fn show(&self, body: &str) {
        self.page.lock().body = body.to_owned();
    }
}
