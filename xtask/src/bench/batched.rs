//! Remote write of a sender that catches up: many samples of each series per request. What it costs,
//! and what the samples take on disk in the end.

use anyhow::Result;
use ferula_e2e::server::Server;

use super::history::{History, Size};
use super::report::Figure;
use super::{compacted, settle};

/// The full amount, or as much as makes blocks.
pub(crate) fn size(quick: bool, instances: Option<usize>) -> Size {
    Size {
        instances: instances.unwrap_or(if quick { 2 } else { 36 }),
        hours: if quick { 8 } else { 24 },
    }
}

/// Writes everything to one server and measures it.
#[expect(clippy::cast_precision_loss)] // far below 2^53
pub(crate) fn measure(start: &dyn Fn() -> Result<Server>, size: Size) -> Result<Vec<Figure>> {
    let history = History::of_floats(size)?;
    let mut server = start()?;
    server.start()?;
    settle(server.process())?;
    let cpu = server.process().cpu()?;
    let took = history.send(&server)?;
    settle(server.process())?;
    let sent_cpu = server.process().cpu()? - cpu;
    history.check(&server)?;
    let samples = history.samples(server.kind());
    let before = server.process().cpu()?;
    let disk = compacted::measure("batched", &mut server, samples)?;
    let cpu = sent_cpu + (server.process().cpu()? - before);
    let peak = server.process().memory()?.peak;
    let work = "batched";
    let mut figures = vec![
        Figure::new(
            work,
            "CPU-s per 1 M samples, until quiet",
            sent_cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(
            work,
            "CPU-s per 1 M samples, through compaction",
            cpu.as_secs_f64() / samples * 1e6,
        ),
        Figure::new(work, "peak RSS, MiB", peak as f64 / f64::from(1 << 20)),
        Figure::new(work, "wall time of sending, s", took.as_secs_f64()),
    ];
    figures.extend(disk);
    Ok(figures)
}
