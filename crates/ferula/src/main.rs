//! The `ferula` command: reads the command line, builds the parts, runs them, ends them in
//! order. Start with [`serve::run`].

mod flags;
mod host;
mod journal;
mod late;
mod logging;
mod metrics;
mod process;
mod reload;
mod retention;
mod serve;
mod settings;
mod tsdb;

use std::process::ExitCode;

use clap::Command;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Freed memory goes back to the operating system within half a second, from a thread beside
/// the work: buffers of a burst should not stay resident until the next one.
// SAFETY: jemalloc reads a zero-terminated text through this symbol; the name is taken by
// nothing else, and the first word of a slice reference is the pointer it expects.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8] =
    b"background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0\0";

const ABOUT: &str = "A Prometheus-class metrics monitoring platform in one binary";

const SERVE_HELP: &str = "\
Examples:
  ferula serve
      Stores in ./ferula-data, listens on 127.0.0.1:9090, scrapes itself every 15 s.
  ferula serve --config.file prometheus.yml --storage.path /var/lib/ferula
      Runs a Prometheus configuration.

Prometheus's own flags are accepted; those without effect here are named in the log.
SIGHUP reads the configuration again, SIGTERM and Ctrl-C end the server in order.";

fn command() -> Command {
    let serve = Command::new("serve")
        .about("Run the server: scrape, receive, store, answer")
        .after_help(SERVE_HELP);
    Command::new("ferula")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(flags::add_to(serve))
        .subcommand(tsdb::command())
}

fn main() -> ExitCode {
    // A wrong command line ends here, with exit code 2 and clap's words.
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("serve", given)) => serve::run(flags::Given::new(given.clone())),
        Some(("tsdb", given)) => tsdb::run(given),
        _ => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
