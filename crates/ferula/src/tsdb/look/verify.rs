//! `ferula tsdb verify` and `repair`: reads everything, and takes out what is damaged.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use ferula_model::Ulid;
use ferula_tsdb::manifest::{BlockEntry, Manifest};

use super::data::DataDir;
use super::{EXIT_DAMAGED, log};

/// Where blocks are put that are damaged.
const QUARANTINE: &str = "quarantine";

/// The folder of all blocks.
const BLOCKS: &str = "b";

const GIVE_UP: &str = "give-up-damaged-blocks";

const REPAIR_HELP: &str = "\
Without the flag it only says what it would do. Blocks that are given up are moved to the folder
`quarantine` of the data directory; answers then lack their samples. A backup that still has
them is the better way: put the folder b/<ULID> back as it was.";

pub(super) fn verify_command() -> Command {
    Command::new("verify").about(
        "Read everything: checksums, counts, hashes of samples, manifests against files, the log",
    )
}

pub(super) fn repair_command() -> Command {
    let flag = Arg::new(GIVE_UP)
        .long(GIVE_UP)
        .action(ArgAction::SetTrue)
        .help("Take blocks that are damaged out of the manifest");
    Command::new("repair")
        .about("Take damaged blocks out, so that the server starts and answers from the rest")
        .after_help(REPAIR_HELP)
        .arg(flag)
}

pub(super) fn verify(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let data = DataDir::read(given)?;
    let mut sound = true;
    let mut named = BTreeSet::new();
    for shard in data.shards()? {
        let manifest = match data.manifest(shard) {
            Ok(manifest) => manifest,
            Err(error) => {
                sound = false;
                super::say(&format!("DAMAGED  {error:#}\n"));
                continue;
            }
        };
        super::say(&format!(
            "ok       shard {shard}, manifest {}: {} blocks\n",
            manifest.version,
            manifest.blocks.len()
        ));
        named.extend(manifest.blocks.iter().map(|block| block.id));
        let bad = bad_blocks(&data, &manifest);
        for id in &bad {
            super::say(&format!(
                "         put {BLOCKS}/{id} back from a backup, or give its samples up: ferula tsdb repair --{GIVE_UP}\n"
            ));
        }
        sound &= bad.is_empty();
        sound &= log::verify(&data, shard);
    }
    for name in data.objects.list(BLOCKS)? {
        if !name.parse().is_ok_and(|id| named.contains(&id)) {
            super::say(&format!(
                "unused   {BLOCKS}/{name}: no manifest names it; the server deletes it\n"
            ));
        }
    }
    Ok(match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_DAMAGED),
    })
}

pub(super) fn repair(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let give_up = given.get_flag(GIVE_UP);
    let data = match give_up {
        true => DataDir::change(given)?,
        false => DataDir::read(given)?,
    };
    for shard in data.shards()? {
        let mut manifests = data.manifests(shard)?;
        let mut next = manifests.newest().clone();
        let bad = bad_blocks(&data, &next);
        if bad.is_empty() {
            super::say(&format!("shard {shard}: nothing to repair\n"));
            continue;
        }
        if !give_up {
            let count = bad.len();
            super::say(&format!(
                "shard {shard}: --{GIVE_UP} takes {count} blocks out\n"
            ));
            continue;
        }
        // Moved first: what no manifest names is deleted by the next start.
        for id in &bad {
            quarantine(&data, *id)?;
        }
        next.blocks.retain(|b| !bad.contains(&b.id));
        manifests.commit(next, ferula_env::random_u64())?;
        for id in bad {
            super::say(&format!(
                "shard {shard}: {id} is in {QUARANTINE}/{id} now\n"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The blocks of a manifest that are damaged, each printed with what is wrong.
fn bad_blocks(data: &DataDir, manifest: &Manifest) -> Vec<Ulid> {
    let mut bad = Vec::new();
    for entry in &manifest.blocks {
        let id = entry.id;
        match check(data, entry) {
            Ok(samples) => super::say(&format!("ok       {BLOCKS}/{id}: {samples} samples\n")),
            Err(error) => {
                super::say(&format!("DAMAGED  {BLOCKS}/{id}: {error:#}\n"));
                bad.push(id);
            }
        }
    }
    bad
}

/// Reads all of a block; the number of its samples.
fn check(data: &DataDir, entry: &BlockEntry) -> anyhow::Result<u64> {
    let block = data.block(entry.id)?;
    let meta = block.meta();
    let told = (meta.range, meta.series, meta.samples);
    anyhow::ensure!(
        told == (entry.range, entry.series, entry.samples),
        "its meta says {told:?}, the manifest something else"
    );
    Ok(block.verify()?.samples)
}

/// Moves a block, or what there is of it, out of the way.
fn quarantine(data: &DataDir, id: Ulid) -> anyhow::Result<()> {
    let from = data.blocks.join(BLOCKS).join(id.to_string());
    let folder = data.blocks.join(QUARANTINE);
    let to = folder.join(id.to_string());
    data.disk.create_dir_all(&folder)?;
    if data.disk.list(&from)?.is_empty() {
        return Ok(());
    }
    let moved = data.disk.rename(&from, &to);
    moved.with_context(|| format!("moving {} to {}", from.display(), to.display()))?;
    data.disk.sync_dir(&folder)?;
    data.disk.sync_dir(&data.blocks.join(BLOCKS))?;
    data.disk.sync_dir(&data.blocks)?;
    Ok(())
}
