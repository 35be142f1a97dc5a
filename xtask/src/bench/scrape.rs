//! Scraping: many targets with a thousand series each, whose values change with every scrape.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferula_e2e::exporter::Exporter;
use ferula_e2e::server::Server;
use ferula_e2e::wait_for;

use super::fleet::{self, Page, SERIES_PER_INSTANCE};
use super::report::Figure;
use super::settle;

const INTERVAL: Duration = Duration::from_secs(5);

/// Scrapes of every target before measuring, so that all series are known.
const WARM_UP_SCRAPES: u64 = 3;

/// How much is scraped.
pub(crate) struct Size {
    targets: usize,
    measured: Duration,
}

impl Size {
    /// The full or the quick amount.
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            Self {
                targets: 20,
                measured: Duration::from_secs(15),
            }
        } else {
            Self {
                targets: 200,
                measured: Duration::from_secs(60),
            }
        }
    }
}

/// Lets one server scrape all targets and measures it.
pub(crate) fn measure(start: &dyn Fn() -> Result<Server>, size: &Size) -> Result<Vec<Figure>> {
    let idle = {
        let mut server = start()?;
        server.start()?;
        settle(server.process())?;
        server.process().memory()?.resident
    };
    let targets = Targets::start(size.targets)?;
    let mut server = start()?;
    server.write_config(&targets.config())?;
    server.start()?;
    let warm = WARM_UP_SCRAPES * size.targets as u64;
    wait_for("all targets to be scraped", WARM_UP_LIMIT, || {
        let served = targets.served();
        ensure!(served >= warm, "{served} of {warm} scrapes");
        Ok(())
    })?;

    let (cpu, served, clock) = (server.process().cpu()?, targets.served(), Instant::now());
    while clock.elapsed() < size.measured {
        std::thread::sleep(Duration::from_millis(100));
    }
    let cpu = server.process().cpu()? - cpu;
    let served = targets.served() - served;
    let memory = server.process().memory()?;

    #[expect(clippy::cast_precision_loss)] // far below 2^53
    let samples = (served * SERIES_PER_INSTANCE as u64) as f64;
    let expected = size.targets as f64 * size.measured.as_secs_f64() / INTERVAL.as_secs_f64();
    let kept_up = served as f64 / expected;
    ensure!(
        kept_up > 0.9,
        "only {served} of {expected} scrapes happened"
    );
    let series = (size.targets * SERIES_PER_INSTANCE) as f64;
    let per_series = |bytes: u64| bytes.saturating_sub(idle) as f64 / series;
    let work = "scrape";
    Ok(vec![
        Figure::new(
            work,
            "CPU-s per 1 M samples",
            cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(
            work,
            "RSS per series over idle, B",
            per_series(memory.resident),
        ),
        Figure::new(
            work,
            "peak RSS per series over idle, B",
            per_series(memory.peak),
        ),
    ])
}

/// How long the warm-up scrapes may take.
const WARM_UP_LIMIT: Duration = Duration::from_secs(60);

/// All targets behind one port, each with a path of its own.
struct Targets {
    exporter: Exporter,
    count: usize,
    served: Arc<AtomicU64>,
}

impl Targets {
    fn start(count: usize) -> Result<Self> {
        let pages: Vec<(Page, AtomicU64)> = (0..count)
            .map(|instance| (Page::new(instance), AtomicU64::new(0)))
            .collect();
        let served = Arc::new(AtomicU64::new(0));
        let all = Arc::clone(&served);
        let exporter = Exporter::start(move |path| {
            let instance = path
                .rsplit('/')
                .next()
                .and_then(|number| number.parse::<usize>().ok());
            let Some((page, step)) = instance.and_then(|instance| pages.get(instance)) else {
                return String::new();
            };
            all.fetch_add(1, Ordering::Relaxed);
            page.at(step.fetch_add(1, Ordering::Relaxed))
        })?;
        Ok(Self {
            exporter,
            count,
            served,
        })
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn config(&self) -> String {
        let interval = INTERVAL.as_secs();
        let mut config = format!(
            "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}\n\
             scrape_configs:\n- job_name: fleet\n  static_configs:\n"
        );
        let address = self.exporter.address();
        for instance in 0..self.count {
            let _ = write!(config, "  - targets: ['{address}']\n    labels:\n");
            let _ = writeln!(config, "      __metrics_path__: /metrics/{instance}");
            for (name, value) in fleet::instance_labels(instance) {
                let _ = writeln!(config, "      {name}: '{value}'");
            }
        }
        config
    }
}
