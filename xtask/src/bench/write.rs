//! Remote write: every request brings one sample for each of its series, as a sender that keeps up
//! does. Then kill -9, and how long until all series are back. With many series and few samples of
//! each it is what cardinality costs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferula_e2e::remote_write::{EncodedLabels, WriteRequest};
use ferula_e2e::server::{Server, now_ms};

use super::fleet::{self, Series};
use super::report::Figure;
use super::{disk_use, send, settle, value_at};

const STEP_MS: i64 = 15_000;

/// How old the newest sample is at the start. Older than the half minute for which VictoriaMetrics
/// by default does not answer with the newest data.
const NEWEST_AGE_MS: i64 = 60_000;

/// Work that a server puts off for less than this counts: VictoriaMetrics keeps what it acknowledged
/// in memory for five seconds before it writes files.
pub(crate) const PUT_OFF_MAX: Duration = Duration::from_secs(8);

/// From then until the kill, so that the restart is measured with everything on disk: its index
/// takes longer still.
pub(crate) const BEFORE_KILL: Duration = Duration::from_secs(20);

/// How long a server may take until all series are back.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How much is written.
pub(crate) struct Size {
    work: &'static str,
    instances: usize,
    steps: u64,
}

impl Size {
    /// The full or the quick amount of a sender that keeps up.
    pub(crate) fn of(quick: bool) -> Self {
        let (instances, steps) = if quick { (10, 30) } else { (100, 120) };
        Self {
            work: "write",
            instances,
            steps,
        }
    }

    /// The full or the quick amount of series that have few samples each.
    pub(crate) fn of_cardinality(quick: bool) -> Self {
        Self {
            work: "cardinality",
            instances: if quick { 100 } else { 1_000 },
            steps: 4,
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
    let work = size.work;
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
    for part in all.chunks(send::SAMPLES_PER_REQUEST) {
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
    send::in_steps(server, 0..steps, |connection, step, send| {
        let time = first + step.cast_signed() * STEP_MS;
        for block in blocks.iter().skip(connection).step_by(send::CONNECTIONS) {
            let mut request = WriteRequest::default();
            for (series, labels) in &block.series {
                request.push(labels, [(time, series.value(step))]);
            }
            send(&request)?;
        }
        Ok(())
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
