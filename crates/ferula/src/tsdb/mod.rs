//! `ferula tsdb`: what is done to a data directory from outside of a server.

mod backfill;
mod export;
mod import;
mod look;
mod open;
mod progress;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

const IMPORT_HELP: &str = "\
The Prometheus must not be running: stop it, or make a snapshot and import that. What has been \
imported is remembered: run the command again after it was stopped, or when there is more.

Example:
  ferula tsdb import --from /var/lib/prometheus --to /var/lib/ferula";

const EXPORT_HELP: &str = "\
The server must not be running. The blocks can be moved into the data folder of a Prometheus; \
they show up there within a minute.

Example:
  ferula tsdb export --from /var/lib/ferula --to /tmp/blocks --match '{job=\"node\"}'";

const BACKFILL_HELP: &str = "\
Every sample needs a timestamp. Neither the order of lines nor that of samples matters; of two \
values for one series and timestamp the first one stays.

Example:
  ferula tsdb create-blocks-from openmetrics history.om /var/lib/ferula";

/// The command's arguments.
pub(crate) fn command() -> Command {
    Command::new("tsdb")
        .about("Look at a data directory, move samples in and out of it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(look::commands())
        .subcommand(
            shared(Command::new("import"))
                .about("Copy everything a Prometheus has stored into a data directory")
                .after_help(IMPORT_HELP)
                .arg(path(
                    "from",
                    "PROMETHEUS_DATA",
                    "The Prometheus's data folder",
                ))
                .arg(path("to", "DATA_DIR", "Ferula's data directory")),
        )
        .subcommand(
            shared(Command::new("export"))
                .about("Write the samples of a data directory as blocks of Prometheus")
                .after_help(EXPORT_HELP)
                .arg(path("from", "DATA_DIR", "Ferula's data directory"))
                .arg(path(
                    "to",
                    "DIR",
                    "Where to write the blocks; must not exist or be empty",
                ))
                .arg(
                    option(
                        "match",
                        "SELECTOR",
                        "Only series that match; several add up",
                    )
                    .action(ArgAction::Append),
                )
                .arg(option(
                    "min-time",
                    "TIME",
                    "No earlier samples (RFC 3339 or Unix seconds)",
                ))
                .arg(option("max-time", "TIME", "No later samples")),
        )
        .subcommand(
            Command::new("create-blocks-from")
                .about("Turn a text into blocks of a data directory")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(
                    shared(Command::new("openmetrics"))
                        .about("Import samples from a text in the OpenMetrics format")
                        .after_help(BACKFILL_HELP)
                        .arg(place("file", "FILE", "The text"))
                        .arg(place("data", "DATA_DIR", "Ferula's data directory"))
                        .arg(
                            option("label", "NAME=VALUE", "A label to add to every series")
                                .action(ArgAction::Append),
                        ),
                ),
        )
}

fn shared(command: Command) -> Command {
    command
        .arg(option("tenant", "TENANT", "Whose samples these are").default_value("anonymous"))
        .arg(
            option(
                "storage.blocks-path",
                "DIR",
                "Where Ferula's blocks are, if the server is started with this flag",
            )
            .value_parser(value_parser!(PathBuf)),
        )
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help)
        .required(true)
        .value_parser(value_parser!(PathBuf))
}

fn place(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name(value)
        .help(help)
        .required(true)
        .value_parser(value_parser!(PathBuf))
}

/// Runs what was asked for; the result is said on stdout, how it goes on stderr.
#[allow(clippy::print_stdout, clippy::print_stderr)] // a command speaks with its caller
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let looked = matches.subcommand();
    if let Some(done) = looked.and_then(|(name, given)| look::run(name, given)) {
        return done.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        });
    }
    let done = match matches.subcommand() {
        Some(("import", given)) => import::run(given),
        Some(("export", given)) => export::run(given),
        Some(("create-blocks-from", given)) => match given.subcommand() {
            Some((_, given)) => backfill::run(given),
            None => return ExitCode::from(2),
        },
        _ => return ExitCode::from(2),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An argument that clap requires, or gives a default.
fn required<'a, T: Clone + Send + Sync + 'static>(given: &'a ArgMatches, name: &str) -> &'a T {
    given.get_one(name).expect("clap requires it")
}
