//! Churn: a quarter of the series is replaced by others at every step, as when deployments roll.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferula_e2e::remote_write::{EncodedLabels, WriteRequest};
use ferula_e2e::server::{Server, now_ms};
use ferula_e2e::wait_for;

use super::fleet::{self, Series};
use super::report::Figure;
use super::{disk_use, samples_before, send, settle, write};

const STEP_MS: i64 = 15_000;

/// How old the newest sample is at the start: some servers do not answer with the newest data.
const NEWEST_AGE_MS: i64 = 60_000;

/// How long written samples may take until queries find them.
const VISIBLE_MAX: Duration = Duration::from_secs(60);

/// How much is written.
pub(crate) struct Size {
    instances: usize,
    steps: u64,
}

impl Size {
    /// The full or the quick amount.
    pub(crate) fn of(quick: bool) -> Self {
        Self {
            instances: if quick { 10 } else { 100 },
            steps: 12,
        }
    }

    fn active(&self) -> usize {
        self.instances * fleet::SERIES_PER_INSTANCE
    }

    /// Series over all steps.
    fn seen(&self) -> u64 {
        let of_one = |instance| 1 + fleet::generation(instance, self.steps - 1);
        let generations: u64 = (0..self.instances).map(of_one).sum();
        generations * fleet::SERIES_PER_INSTANCE as u64
    }
}

/// Writes everything to one server and measures it.
#[expect(clippy::cast_precision_loss)] // far below 2^53
pub(crate) fn measure(start: &dyn Fn() -> Result<Server>, size: &Size) -> Result<Vec<Figure>> {
    let mut server = start()?;
    server.start()?;
    settle(server.process())?;
    let idle = server.process().memory()?.resident;
    let cpu = server.process().cpu()?;
    let newest = (now_ms() - NEWEST_AGE_MS) / STEP_MS * STEP_MS;
    let first = newest - (size.steps.cast_signed() - 1) * STEP_MS;

    let clock = Instant::now();
    let all: Vec<Series> = (0..size.instances).flat_map(fleet::series_of).collect();
    let parts: Vec<&[Series]> = all.chunks(send::SAMPLES_PER_REQUEST).collect();
    send::in_steps(&server, 0..size.steps, |connection, step, send| {
        let time = first + step.cast_signed() * STEP_MS;
        for part in parts.iter().skip(connection).step_by(send::CONNECTIONS) {
            send(&request(part, time, step, step))?;
        }
        Ok(())
    })?;
    let took = clock.elapsed();
    std::thread::sleep(write::PUT_OFF_MAX);
    settle(server.process())?;
    let cpu = server.process().cpu()? - cpu;
    let memory = server.process().memory()?;
    check(&server, size, newest)?;
    std::thread::sleep(write::BEFORE_KILL);
    let (_, disk) = disk_use(&server.data_path())?;

    let samples = (size.active() as u64 * size.steps) as f64;
    let seen = size.seen() as f64;
    let per_series = |bytes: u64| bytes.saturating_sub(idle) as f64 / seen;
    let work = "churn";
    Ok(vec![
        Figure::new(
            work,
            "CPU-s per 1 M samples, until quiet",
            cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(
            work,
            "peak RSS per series seen over idle, B",
            per_series(memory.peak),
        ),
        Figure::new(
            work,
            "RSS per series seen over idle when quiet, B",
            per_series(memory.resident),
        ),
        Figure::new(work, "disk B/sample, log included", disk as f64 / samples),
        Figure::new(work, "wall time of sending, s", took.as_secs_f64()),
    ])
}

/// One sample for each of the series, as they are called in a period.
pub(crate) fn request(part: &[Series], time: i64, step: u64, period: u64) -> WriteRequest {
    let mut request = WriteRequest::default();
    for series in part {
        let labels = series.labels_of(fleet::generation(series.instance, period));
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
        request.push(&EncodedLabels::new(labels), [(time, series.value(step))]);
    }
    request
}

/// Checks that all samples are found, those of series that are gone too.
#[expect(clippy::cast_precision_loss)] // far below 2^53
fn check(server: &Server, size: &Size, newest: i64) -> Result<()> {
    let window = Duration::from_millis(size.steps * STEP_MS.unsigned_abs());
    let wanted = (size.active() as u64 * size.steps) as f64;
    wait_for("all samples", VISIBLE_MAX, || {
        let found = samples_before(server, newest, window)?;
        ensure!(found == wanted, "{found} samples found of {wanted}");
        Ok(())
    })
}
