//! `ferula tsdb list`: the blocks of a data directory.

use std::process::ExitCode;

use clap::{ArgMatches, Command};
use ferula_model::text::duration;

use super::data::DataDir;
use super::table::{Table, bytes, time};

pub(super) fn command() -> Command {
    Command::new("list")
        .about("List the blocks")
        .arg(super::human_readable())
}

pub(super) fn run(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let human = given.get_flag("human-readable");
    let data = DataDir::read(given)?;
    let mut table = Table::new(&[
        "BLOCK ULID",
        "SHARD",
        "MIN TIME",
        "MAX TIME",
        "DURATION",
        "NUM SAMPLES",
        "NUM SERIES",
        "SIZE",
        "LEVEL",
        "DELETES",
    ]);
    for shard in data.shards()? {
        for block in data.manifest(shard)?.blocks {
            table.row(vec![
                block.id.to_string(),
                shard.to_string(),
                time(block.range.start, human),
                time(block.range.end, human),
                duration::shown(block.range.end.saturating_sub(block.range.start)).to_string(),
                block.samples.to_string(),
                block.series.to_string(),
                bytes(block.bytes, human),
                block.level.to_string(),
                block.deletes.len().to_string(),
            ]);
        }
    }
    super::say(&table.print());
    Ok(ExitCode::SUCCESS)
}
