//! Looking at a data directory from outside.
//!
//! What only reads takes no lock: it may run beside a server, on what the newest manifest says
//! at that moment. What changes something takes the directory, so that no server has it.

mod analyze;
mod data;
mod dump;
mod list;
mod log;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// Exit code of a directory that is not as it should be.
const EXIT_DAMAGED: u8 = 1;

/// The commands.
pub(super) fn commands() -> [Command; 5] {
    [
        list::command(),
        analyze::command(),
        verify::verify_command(),
        verify::repair_command(),
        dump::command(),
    ]
    .map(with_directory)
}

/// Runs a command; `None` if it is none of these.
pub(super) fn run(name: &str, given: &ArgMatches) -> Option<anyhow::Result<ExitCode>> {
    Some(match name {
        "list" => list::run(given),
        "analyze" => analyze::run(given),
        "verify" => verify::verify(given),
        "repair" => verify::repair(given),
        "dump" => dump::run(given),
        _ => return None,
    })
}

fn with_directory(command: Command) -> Command {
    let directory = Arg::new("DATA_DIR")
        .default_value("ferula-data")
        .value_parser(value_parser!(PathBuf))
        .help("The data directory");
    let blocks = super::option(
        "storage.blocks-path",
        "DIR",
        "Where blocks are, if the server is started with this flag",
    );
    command
        .arg(directory)
        .arg(blocks.value_parser(value_parser!(PathBuf)))
}

/// `-r`, for commands that print numbers.
fn human_readable() -> Arg {
    Arg::new("human-readable")
        .short('r')
        .long("human-readable")
        .action(ArgAction::SetTrue)
        .help("Print dates and units instead of milliseconds and bytes")
}

/// Prints what a command found.
#[allow(clippy::print_stdout)] // this is what the commands are for
fn say(text: &str) {
    print!("{text}");
}
