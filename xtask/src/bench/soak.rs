//! A soak: a day of data time, faster than real time, in which a quarter of the series is replaced
//! every ten minutes, with queries beside. Memory must stay flat and no sample be missing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use ferula_e2e::server::{Kind, Server, now_ms, seconds};

use super::fleet::{self, Series};
use super::report::Figure;
use super::{accepted, churn, samples_before, send, settle};

const STEP_MS: i64 = 15_000;

/// Steps from one replacement to the next: ten minutes.
const PERIOD_STEPS: u64 = 40;

/// Steps of an hour, in which samples are counted.
const HOUR_STEPS: u64 = 240;

/// How old the newest sample is at the start.
const NEWEST_AGE_MS: i64 = 60_000;

/// Pause between two queries.
const QUERY_EVERY: Duration = Duration::from_millis(250);

/// How much is written.
pub(crate) struct Size {
    instances: usize,
    hours: u64,
}

impl Size {
    /// The full or the quick amount.
    pub(crate) fn of(quick: bool) -> Self {
        Self {
            instances: if quick { 4 } else { 20 },
            hours: if quick { 9 } else { 24 },
        }
    }

    fn steps(&self) -> u64 {
        self.hours * HOUR_STEPS
    }

    fn active(&self) -> usize {
        self.instances * fleet::SERIES_PER_INSTANCE
    }
}

/// Writes everything to one server and measures it.
#[expect(clippy::cast_precision_loss)] // far below 2^53
pub(crate) fn measure(start: &dyn Fn() -> Result<Server>, size: &Size) -> Result<Vec<Figure>> {
    let mut server = start()?;
    server.start()?;
    settle(server.process())?;
    let cpu = server.process().cpu()?;
    let newest = (now_ms() - NEWEST_AGE_MS) / STEP_MS * STEP_MS;
    let first = newest - (size.steps().cast_signed() - 1) * STEP_MS;
    let clock = Instant::now();
    let peaks = run(&mut server, size, first)?;
    let took = clock.elapsed();
    settle(server.process())?;
    let cpu = server.process().cpu()? - cpu;
    let missing = missing(&server, size, first)?;

    let third = peaks.len() / 3;
    let peak = |periods: &[u64]| periods.iter().copied().max().unwrap_or(0) as f64;
    // In the first third, memory fills up to what it takes.
    let (middle, late) = (peak(&peaks[third..2 * third]), peak(&peaks[2 * third..]));
    let samples = (size.active() as u64 * size.steps()) as f64;
    let work = "soak";
    Ok(vec![
        Figure::new(
            work,
            "CPU-s per 1 M samples, queries included",
            cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(work, "peak RSS, MiB", peak(&peaks) / f64::from(1 << 20)),
        Figure::new(
            work,
            "peak RSS of the last third ÷ of the second",
            late / middle,
        ),
        Figure::new(work, "samples missing", missing),
        Figure::new(work, "wall time, s", took.as_secs_f64()),
    ])
}

/// Sends everything with queries beside; the peak of memory in each period.
fn run(server: &mut Server, size: &Size, first: i64) -> Result<Vec<u64>> {
    let all: Vec<Series> = (0..size.instances).flat_map(fleet::series_of).collect();
    let parts: Vec<&[Series]> = all.chunks(send::SAMPLES_PER_REQUEST).collect();
    let mut peaks = Vec::new();
    for period in 0..size.steps() / PERIOD_STEPS {
        server.process().restart_peak()?;
        let steps = period * PERIOD_STEPS..(period + 1) * PERIOD_STEPS;
        let now = first + steps.start.cast_signed() * STEP_MS;
        let done = AtomicBool::new(false);
        let (server_ref, done) = (&*server, &done);
        std::thread::scope(|scope| -> Result<()> {
            let asking = scope.spawn(move || ask(server_ref, now, done));
            let sent = send::in_steps(server_ref, steps, |connection, step, send| {
                let time = first + step.cast_signed() * STEP_MS;
                for part in parts.iter().skip(connection).step_by(send::CONNECTIONS) {
                    send(&churn::request(part, time, step, period))?;
                }
                Ok(())
            });
            done.store(true, Ordering::Relaxed);
            asking.join().expect("the reader does not panic")?;
            sent
        })?;
        peaks.push(server.process().memory()?.peak);
    }
    Ok(peaks)
}

/// Asks for the hours before `now` until told to stop.
fn ask(server: &Server, now: i64, done: &AtomicBool) -> Result<()> {
    let mut client = server.client();
    let (start, end) = (seconds(now - 3 * 3_600_000), seconds(now));
    let query = "sum by (namespace) (rate(fleet_operations_0_total[5m]))";
    let mut form = vec![
        ("query", query),
        ("start", &start),
        ("end", &end),
        ("step", "60"),
    ];
    if server.kind() == Kind::VictoriaMetrics {
        form.push(("nocache", "1"));
    }
    while !done.load(Ordering::Relaxed) {
        accepted(&client.post_form("/api/v1/query_range", &form)?)?;
        std::thread::sleep(QUERY_EVERY);
    }
    Ok(())
}

/// Counts hour by hour how many samples are not found.
#[expect(clippy::cast_precision_loss)] // far below 2^53
fn missing(server: &Server, size: &Size, first: i64) -> Result<f64> {
    let wanted = (size.active() as u64 * HOUR_STEPS) as f64;
    let mut missing = 0.0;
    for hour in 1..=size.hours {
        let end = first + ((hour * HOUR_STEPS).cast_signed() - 1) * STEP_MS;
        let found = samples_before(server, end, Duration::from_secs(3_600))?;
        missing += (wanted - found).abs();
    }
    Ok(missing)
}
