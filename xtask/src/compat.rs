//! `cargo xtask compat`: random queries to Ferula and to Prometheus, seed by seed.
//!
//! Prints every difference that no listed cause explains, with the smallest query that shows it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use ferula_e2e::differential::{Options as Run, Setup, run as compare};
use ferula_e2e::peers::{Peer, repository};
use ferula_e2e::server::{SERVER_ENV, SERVER_PACKAGE};

/// Options of `cargo xtask compat`.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds to run; each makes samples and queries of its own.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many queries to ask about each seed's samples.
    #[arg(long, default_value_t = 100)]
    queries: u64,
    /// End after this many unexplained differences.
    #[arg(long, default_value_t = 20)]
    stop_after: usize,
}

/// Runs the seeds.
pub(crate) fn run(options: &Options) -> Result<()> {
    let run = Run {
        first: options.first,
        seeds: options.seeds,
        queries: options.queries,
        time_max: Duration::from_secs(24 * 3600),
        unexplained_max: options.stop_after,
        setup: Setup {
            ferula: binary()?,
            ferula_arguments: Vec::new(),
        },
    };
    let mut shown = 0;
    let report = compare(&run, &mut |report| {
        for found in &report.found[shown..] {
            println!("{found}");
        }
        shown = report.found.len();
    })?;
    println!("prometheus {}", Peer::Prometheus.version());
    println!("{report}");
    let functions: Vec<&str> = report.covered.iter().map(String::as_str).collect();
    println!("covered: {}", functions.join(" "));
    ensure!(report.found.is_empty(), "unexplained differences");
    Ok(())
}

/// The server program, built first unless the environment names one.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(SERVER_ENV) {
        return Ok(path.into());
    }
    let status = Command::new(env!("CARGO"))
        .args(["build", "--package", SERVER_PACKAGE])
        .current_dir(repository())
        .status()?;
    ensure!(status.success(), "ferula does not build");
    Ok(crate::check::target_folder()?.join("debug").join("ferula"))
}
