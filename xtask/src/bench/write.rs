//! Remote write: every request brings one sample for each of its series, as a sender that keeps up
//! does. Then kill -9, and how long until all series are back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferula_e2e::http::{Client, Request};
use ferula_e2e::remote_write::{self, EncodedLabels, WriteRequest};
use ferula_e2e::server::{Server, now_ms};

use super::fleet::{self, Series};
use super::report::Figure;
use super::{accepted, disk_use, settle, value_at};

const CONNECTIONS: usize = 8;

/// Prometheus sends this many samples per request by default.
const SERIES_PER_REQUEST: usize = 2_000;

const STEP_MS: i64 = 15_000;

/// How old the newest sample is at the start. Older than the half minute for which VictoriaMetrics
/// by default does not answer with the newest data.
const NEWEST_AGE_MS: i64 = 60_000;

/// Work that a server puts off for less than this counts: VictoriaMetrics keeps what it acknowledged
/// in memory for five seconds before it writes files.
const PUT_OFF_MAX: Duration = Duration::from_secs(8);

/// From then until the kill, so that the restart is measured with everything on disk: its index
/// takes longer still.
const BEFORE_KILL: Duration = Duration::from_secs(20);

/// How long a server may take until all series are back.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How much is written.
pub(crate) struct Size {
    instances: usize,
    steps: u64,
}

impl Size {
    /// The full or the quick amount.
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            Self {
                instances: 10,
                steps: 30,
            }
        } else {
            Self {
                instances: 100,
                steps: 120,
            }
        }
    }
}

/// A request's series, in wire form.
struct Block {
    series: Vec<(Series, EncodedLabels)>,
}

/// Writes everything to one server and measures it.
pub(crate) fn measure(start: &dyn Fn() -> Result<Server>, size: &Size) -> Result<Vec<Figure>> {
    let blocks = blocks(size);
    let series: usize = blocks.iter().map(|block| block.series.len()).sum();
    #[expect(clippy::cast_precision_loss)] // far below 2^53
    let (series_f, samples) = (series as f64, (series as u64 * size.steps) as f64);

    let mut server = start()?;
    server.start()?;
    settle(server.process())?;
    let idle = server.process().memory()?.resident;
    let cpu = server.process().cpu()?;
    let steps = i64::try_from(size.steps)?;
    let newest = (now_ms() - NEWEST_AGE_MS) / STEP_MS * STEP_MS;
    let first = newest - (steps - 1) * STEP_MS;

    let clock = Instant::now();
    send_all(&server, &blocks, first, size.steps)?;
    let took = clock.elapsed();
    let sent_cpu = server.process().cpu()? - cpu;
    std::thread::sleep(PUT_OFF_MAX);
    settle(server.process())?;
    let cpu = server.process().cpu()? - cpu;
    let memory = server.process().memory()?;
    ensure!(
        count(&server, newest)? == series_f,
        "not all series are there after loading"
    );

    std::thread::sleep(BEFORE_KILL);
    server.kill();
    let (log, disk) = disk_use(&server.data_path())?;
    let (ready, full) = recover(&mut server, newest, series_f)?;

    let per_series = |bytes: u64| bytes.saturating_sub(idle) as f64 / series_f;
    let work = "write";
    Ok(vec![
        Figure::new(
            work,
            "CPU-s per 1 M samples, until quiet",
            cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(
            work,
            "CPU-s per 1 M samples, while sending",
            sent_cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(
            work,
            "peak RSS per series over idle, B",
            per_series(memory.peak),
        ),
        Figure::new(
            work,
            "RSS per series over idle when quiet, B",
            per_series(memory.resident),
        ),
        Figure::new(work, "log B/sample", log as f64 / samples),
        Figure::new(work, "disk B/sample, log included", disk as f64 / samples),
        Figure::new(work, "kill -9 → ready, s", ready),
        Figure::new(work, "kill -9 → first full count, s", full),
        Figure::new(work, "wall time of sending, s", took.as_secs_f64()),
    ])
}

fn blocks(size: &Size) -> Vec<Block> {
    let mut blocks = Vec::new();
    let all: Vec<Series> = (0..size.instances).flat_map(fleet::series_of).collect();
    for part in all.chunks(SERIES_PER_REQUEST) {
        let series = part.iter().map(|&series| {
            let labels = series.labels();
            let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
            (series, EncodedLabels::new(labels))
        });
        blocks.push(Block {
            series: series.collect(),
        });
    }
    blocks
}

/// Each connection has series of its own and sends them step by step.
fn send_all(server: &Server, blocks: &[Block], first: i64, steps: u64) -> Result<()> {
    let address = server.address();
    let send = |connection: usize| -> Result<()> {
        let mut client = Client::new(address);
        for (step, time) in (0..steps).zip((first..).step_by(STEP_MS as usize)) {
            for block in blocks.iter().skip(connection).step_by(CONNECTIONS) {
                let mut request = WriteRequest::default();
                for (series, labels) in &block.series {
                    request.push(labels, [(time, series.value(step))]);
                }
                let response = client.send(&Request {
                    method: "POST",
                    path: remote_write::PATH,
                    headers: &remote_write::HEADERS,
                    body: &request.body(),
                })?;
                accepted(&response)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|connection| scope.spawn(move || send(connection)))
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().expect("no sender panics"))
    })
}

/// Starts a killed server; seconds until it is ready, and until it counts all series.
fn recover(server: &mut Server, newest: i64, series: f64) -> Result<(f64, f64)> {
    let clock = Instant::now();
    let ready = server.start()?;
    loop {
        let count = count(server, newest);
        if count.as_ref().is_ok_and(|&count| count == series) {
            return Ok((ready.as_secs_f64(), clock.elapsed().as_secs_f64()));
        }
        if clock.elapsed() >= RECOVERY_MAX {
            eprintln!("{count:?} of {series} series are back after {RECOVERY_MAX:?}");
            return Ok((ready.as_secs_f64(), f64::INFINITY));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many series of the fleet have a sample at `time`.
fn count(server: &Server, time: i64) -> Result<f64> {
    value_at(server, r#"count({__name__=~"fleet_.+"})"#, time)
}
