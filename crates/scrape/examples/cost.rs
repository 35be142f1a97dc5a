//! What scraping costs: `cargo run --release -p ferula-scrape --example cost -- [targets] [gzip]`.
//!
//! Serves pages of 1,000 series on one thread and scrapes them on another into a store that
//! only hands out references, and prints the CPU time the scraping thread took per million
//! samples: HTTP, parsing, finding series, building batches; not storing.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)] // a tool

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferula_config::{Config, GlobalConfig, ScrapeConfig};
use ferula_discovery::{TargetGroup, Targets};
use ferula_env::{SystemClock, net, spawn};
use ferula_model::{Labels, TenantId};
use ferula_scrape::{Alignment, Manager, Options};
use ferula_storage::{Append, AppendError, Batch, Report, SeriesKey, SeriesRef};
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

const SERIES: usize = 1_000;
const RUN_SECS: u64 = 10;

#[derive(Default)]
struct Sink {
    next: AtomicU64,
    samples: AtomicU64,
}

impl Append for Sink {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        self.samples
            .fetch_add(batch.samples.len() as u64, Ordering::Relaxed);
        let mut report = Report::default();
        if batch
            .series
            .iter()
            .any(|key| matches!(key, SeriesKey::Labels(_)))
        {
            let name = |key: &SeriesKey| match key {
                SeriesKey::Ref(known) => Some(*known),
                SeriesKey::Labels(_) => Some(SeriesRef(self.next.fetch_add(1, Ordering::Relaxed))),
            };
            report.refs = batch.series.iter().map(name).collect();
        }
        Box::pin(async move { Ok(report) })
    }
}

fn page(tick: usize) -> String {
    let mut out = String::new();
    for family in 0..SERIES / 10 {
        out.push_str(&format!(
            "# HELP http_requests_{family}_total Requests served so far.\n"
        ));
        out.push_str(&format!("# TYPE http_requests_{family}_total counter\n"));
        for i in 0..10 {
            let value = tick * 37 + i * 1_013 + family;
            out.push_str(&format!(
                "http_requests_{family}_total{{method=\"GET\",path=\"/api/v1/things/{i}\",code=\"200\",zone=\"eu-west-1a\",pod=\"front-5d8f7c9b64-x{i}z\"}} {value}\n"
            ));
        }
    }
    out
}

async fn serve(targets: usize, gzip: bool, found: std::sync::mpsc::Sender<Vec<String>>) {
    let pages: Vec<Vec<u8>> = (0..8).map(|tick| answer(&page(tick), gzip)).collect();
    let pages = Arc::new(pages);
    let mut addresses = Vec::new();
    for _ in 0..targets {
        let listener = net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        addresses.push(listener.local_addr().unwrap().to_string());
        let pages = Arc::clone(&pages);
        spawn::task(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut tick = 0;
                while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        tick += 1;
                        stream.write_all(&pages[tick % pages.len()]).await.unwrap();
                    }
                }
            }
        });
    }
    found.send(addresses).unwrap();
    futures::future::pending().await
}

fn answer(body: &str, gzip: bool) -> Vec<u8> {
    let mut body = body.as_bytes().to_vec();
    let mut encoding = "";
    if gzip {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
        encoding = "Content-Encoding: gzip\r\n";
    }
    let len = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{encoding}Content-Length: {len}\r\n\r\n"
    );
    let mut out = head.into_bytes();
    out.append(&mut body);
    out
}

/// CPU time of the calling thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let targets: usize = args.next().map_or(200, |n| n.parse().unwrap());
    let gzip = args.next().is_some_and(|word| word == "gzip");
    let (send, found) = std::sync::mpsc::channel();
    spawn::thread("server", move || {
        runtime().block_on(serve(targets, gzip, send))
    })
    .unwrap();
    let addresses = found.recv().unwrap();
    runtime().block_on(scrape(addresses));
}

async fn scrape(addresses: Vec<String>) {
    let sink = Arc::<Sink>::default();
    let options = Options {
        tenant: TenantId::anonymous(),
        user_agent: "Ferula/cost".to_owned(),
        offset_seed: 0,
        alignment: Alignment {
            tolerance: Duration::from_millis(2),
        },
        discovery_reload_interval: Duration::from_secs(5),
    };
    let manager = Arc::new(Manager::new(SystemClock::shared(), sink.clone(), options));
    let mut job = ScrapeConfig::inheriting(&GlobalConfig::default(), "cost");
    job.scrape_interval = Duration::from_secs(1);
    job.scrape_timeout = Duration::from_secs(1);
    manager.apply(&Config {
        scrape_configs: vec![job],
        ..Config::default()
    });
    let own = addresses
        .iter()
        .map(|a| Labels::from_pairs([("__address__", a)]))
        .collect();
    let group = TargetGroup {
        source: "0".to_owned(),
        targets: own,
        labels: Labels::empty(),
    };
    let targets: Targets = Arc::new(HashMap::from([("cost".to_owned(), vec![group])]));
    let (_discovery, found) = watch::channel(targets);
    let following = Arc::clone(&manager);
    spawn::task(async move { following.follow(found).await });
    let clock = SystemClock::shared();
    clock.sleep(Duration::from_secs(3)).await;
    let (before, start) = (sink.samples.load(Ordering::Relaxed), cpu());
    clock.sleep(Duration::from_secs(RUN_SECS)).await;
    let samples = sink.samples.load(Ordering::Relaxed) - before;
    let took = (cpu() - start).as_secs_f64();
    println!(
        "{} targets, {samples} samples, {took:.3} CPU-s: {:.3} CPU-s per million samples",
        addresses.len(),
        took * 1e6 / samples as f64
    );
    manager.shutdown().await;
}
