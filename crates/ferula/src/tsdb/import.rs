//! `ferula tsdb import`: what a Prometheus has stored.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ArgMatches;
use ferula_env::{Disk, DiskLock};
use ferula_model::{Range, Ulid};
use ferula_tsdb::import::{Cursor, LogCursor, PrometheusCursor, plan};
use ferula_tsdb::prometheus::{Block, DataDir, WalHead};

use super::open::{Opened, tenant};
use super::progress::{Progress, shown};
use super::required;
use super::target::{Done, import};

/// The file a running Prometheus holds a lock on.
const LOCK: &str = "lock";

/// Something to import.
struct Source {
    /// What it is remembered as.
    id: Ulid,
    range: Range,
    content: Content,
}

enum Content {
    Block(PathBuf),
    /// Gone through once.
    Log(Option<Box<WalHead>>),
}

/// Imports what has not been imported.
pub(crate) fn run(given: &ArgMatches) -> anyhow::Result<String> {
    let (from, to): (&PathBuf, &PathBuf) = (required(given, "from"), required(given, "to"));
    let tenant = tenant(given)?;
    let to = Opened::open(to, given)?;
    let mut progress = Progress::start(to.clock.clone());
    let _held = hold(&*to.disk, from)?;
    let found = DataDir::read(&*to.disk, from)?;
    if found.blocks.is_empty() && found.log.is_none() {
        bail!(
            "{} holds neither blocks nor a log of a Prometheus",
            from.display()
        );
    }
    let imported: HashSet<Ulid> = to
        .shard
        .blocks()
        .into_iter()
        .flat_map(|b| b.sources)
        .collect();
    let is_new = |id: &Ulid| !imported.contains(id);
    let mut sources = Vec::new();
    for (folder, meta) in &found.blocks {
        if is_new(&meta.ulid) {
            sources.push(Source {
                id: meta.ulid,
                range: meta.range,
                content: Content::Block(folder.clone()),
            });
        }
    }
    let known = found.blocks.len() - sources.len();
    if known > 0 {
        progress.say(&format!("{known} blocks have been imported before"));
    }
    match found.log {
        Some(id) if is_new(&id) => {
            sources.extend(log(&*to.disk, from, id, found.blocks_end(), &mut progress)?);
        }
        Some(_) => progress.say("the write-ahead log has been imported before"),
        None => {}
    }
    let ranges: Vec<Range> = sources.iter().map(|source| source.range).collect();
    let groups = plan(&ranges);
    let mut done = Done::default();
    for (i, group) in groups.iter().enumerate() {
        let origins: Vec<Ulid> = group.sources.iter().map(|&s| sources[s].id).collect();
        let members = group
            .sources
            .iter()
            .map(|&s| cursor(&*to.disk, &mut sources[s]));
        let mut cursors = members.collect::<anyhow::Result<Vec<_>>>()?;
        let names: Vec<String> = cursors.iter().map(|cursor| cursor.name()).collect();
        let (names, from) = (names.join(", "), group.blocks.first().map(|b| b.start));
        progress.say(&format!(
            "{} of {}: {names}, from {}",
            i + 1,
            groups.len(),
            shown(from.unwrap_or_default())
        ));
        let (cursors, blocks) = (cursors.as_mut_slice(), &group.blocks);
        import(
            &to,
            &tenant,
            cursors,
            blocks,
            &origins,
            &mut progress,
            &mut done,
        )
        .with_context(|| format!("importing {names}"))?;
    }
    to.shard.close();
    if groups.is_empty() {
        return Ok("there is nothing new to import".to_owned());
    }
    Ok(done.said(&progress))
}

/// Reads a log; `None` if it has no samples.
fn log(
    disk: &dyn Disk,
    from: &Path,
    id: Ulid,
    blocks_end: i64,
    progress: &mut Progress,
) -> anyhow::Result<Option<Source>> {
    let mut tick = |done: u64, total: u64| {
        progress.tick(|_| format!("reading the write-ahead log, segment {done} of {total}"));
    };
    let head = WalHead::read(disk, from, blocks_end, &mut tick)?;
    if let Some(torn) = head.torn() {
        progress.say(&format!(
            "{torn}; what follows was not complete and is left out"
        ));
    }
    if head.undefined() > 0 {
        let n = head.undefined();
        progress.say(&format!(
            "{n} samples of the log belong to no series it names; left out"
        ));
    }
    Ok(head.bounds().map(|(min, max)| Source {
        id,
        range: Range::closed(min, max),
        content: Content::Log(Some(Box::new(head))),
    }))
}

fn cursor(disk: &dyn Disk, source: &mut Source) -> anyhow::Result<Box<dyn Cursor>> {
    Ok(match &mut source.content {
        Content::Block(folder) => Box::new(PrometheusCursor::new(Block::open(disk, folder)?)),
        Content::Log(head) => {
            let head = head.take().context("the log is gone through once")?;
            Box::new(LogCursor::new(*head))
        }
    })
}

/// Makes sure that no Prometheus runs on the folder, and that none is started meanwhile.
fn hold(disk: &dyn Disk, from: &Path) -> anyhow::Result<Option<DiskLock>> {
    if !disk.list(from)?.iter().any(|name| name == LOCK) {
        return Ok(None);
    }
    match disk.lock(&from.join(LOCK)) {
        Ok(lock) => Ok(Some(lock)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => bail!(
            "a Prometheus runs on {}: stop it, or have it make a snapshot (POST \
             /api/v1/admin/tsdb/snapshot) and import that folder",
            from.display()
        ),
        // Nobody runs on a folder in which nothing can be written.
        Err(_) => Ok(None),
    }
}
