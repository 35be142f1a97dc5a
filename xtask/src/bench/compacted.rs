//! What samples take on disk once a server has sorted them away for good.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ferula_e2e::files;
use ferula_e2e::server::{Kind, Server};

use super::report::Figure;
use super::{accepted, disk_use, settle};

/// A server whose folder has not changed for this long has finished.
const STILL_FOR: Duration = Duration::from_secs(15);

/// Prometheus looks once a minute whether there is something to compact.
const STILL_FOR_PROMETHEUS: Duration = Duration::from_secs(75);

/// A server that goes on is measured after this long anyway.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Lets a server finish its files, then measures them.
#[expect(clippy::cast_precision_loss)] // far below 2^53
pub(crate) fn measure(
    work: &'static str,
    server: &mut Server,
    samples: f64,
) -> Result<Vec<Figure>> {
    if server.kind() == Kind::VictoriaMetrics {
        for path in ["/internal/force_flush", "/internal/force_merge"] {
            accepted(&server.client().get(path)?)?;
        }
    }
    wait_still(server)?;
    settle(server.process())?;
    let (_, disk) = disk_use(&server.data_path())?;
    let mut figures = vec![Figure::new(
        work,
        "disk B/sample after compaction, log included",
        disk as f64 / samples,
    )];
    let blocks = match server.kind() {
        Kind::Ferula => ferula_blocks(&server.data_path())?,
        Kind::Prometheus => prometheus_blocks(&server.data_path())?,
        Kind::VictoriaMetrics => Some((disk, samples)),
    };
    if let Some((bytes, samples)) = blocks {
        let name = "disk B/sample in blocks, index included";
        figures.push(Figure::new(work, name, bytes as f64 / samples));
    }
    Ok(figures)
}

/// Waits until no file grows, comes or goes.
fn wait_still(server: &Server) -> Result<()> {
    let still_for = match server.kind() {
        Kind::Prometheus => STILL_FOR_PROMETHEUS,
        Kind::Ferula | Kind::VictoriaMetrics => STILL_FOR,
    };
    let begun = Instant::now();
    let (mut seen, mut since) = (state(&server.data_path()), begun);
    while begun.elapsed() < WAIT_MAX && since.elapsed() < still_for {
        std::thread::sleep(Duration::from_secs(1));
        let now = state(&server.data_path());
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// How many files there are and what they take; what comes and goes while it is looked at is left
/// out.
fn state(folder: &Path) -> (usize, u64) {
    let files = files::below(folder).unwrap_or_default();
    let sizes = files.iter().filter_map(|(file, _)| fs::metadata(file).ok());
    (files.len(), sizes.map(|file| file.blocks()).sum())
}

/// Bytes and samples of the blocks that the newest manifest of each shard names.
fn ferula_blocks(data: &Path) -> Result<Option<(u64, f64)>> {
    let (mut bytes, mut samples) = (0, 0.0);
    for shard in folders(&data.join("s"))? {
        let mut manifests = files::below(&shard.join("manifest")).unwrap_or_default();
        manifests.sort();
        let Some((newest, _)) = manifests.pop() else {
            continue;
        };
        // A line that says what it is, JSON, a line with a checksum.
        let text = fs::read_to_string(&newest)?;
        let json = text.find('{').zip(text.rfind('}'));
        let json = json.and_then(|(from, to)| serde_json::from_str(&text[from..=to]).ok());
        let json: serde_json::Value = json.context("a manifest without JSON")?;
        for block in json["blocks"].as_array().into_iter().flatten() {
            let id = block["id"].as_str().context("a block without an id")?;
            bytes += size(&data.join("b").join(id))?;
            samples += block["samples"].as_f64().unwrap_or(0.0);
        }
    }
    Ok((samples > 0.0).then_some((bytes, samples)))
}

/// Bytes and samples of all blocks.
fn prometheus_blocks(data: &Path) -> Result<Option<(u64, f64)>> {
    let (mut bytes, mut samples) = (0, 0.0);
    for folder in folders(data)? {
        let Ok(meta) = fs::read_to_string(folder.join("meta.json")) else {
            continue;
        };
        let meta: serde_json::Value = serde_json::from_str(&meta)?;
        bytes += size(&folder)?;
        samples += meta["stats"]["numSamples"].as_f64().unwrap_or(0.0);
    }
    Ok((samples > 0.0).then_some((bytes, samples)))
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).into_iter().flatten() {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

fn size(folder: &Path) -> Result<u64> {
    let files = files::below(folder)?;
    let sizes = files.iter().map(|(file, _)| Ok(fs::metadata(file)?.len()));
    sizes.sum()
}
