//! `cargo xtask compat`: random queries to Ferula and to Prometheus, seed by seed.
//!
//! Prints every difference that no listed cause explains, with the smallest query that shows it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use ferula_e2e::differential::{
    Options as Run, RandomQuery, Setup, Times, ask, differences, run as compare,
};
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
    /// Ask only this query about the samples of the first seed, and print both answers.
    #[arg(long)]
    ask: Option<String>,
    /// When that query is evaluated: an instant, or start, end and step, in milliseconds.
    #[arg(long, num_args = 1.., requires = "ask")]
    at: Vec<i64>,
    /// Compare the engine with the slow evaluator instead, which knows all of the language.
    #[arg(long, conflicts_with = "ask")]
    oracle: bool,
    /// End after this many unexplained differences.
    #[arg(long, default_value_t = 20)]
    stop_after: usize,
}

/// Runs the seeds.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.oracle {
        return with_oracle(options);
    }
    let setup = Setup {
        ferula: binary()?,
        ferula_arguments: Vec::new(),
    };
    if let Some(text) = &options.ask {
        return ask_once(&setup, options, text);
    }
    let run = Run {
        first: options.first,
        seeds: options.seeds,
        queries: options.queries,
        time_max: Duration::from_secs(24 * 3600),
        unexplained_max: options.stop_after,
        setup,
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

/// Runs the test that compares the engine with the slow evaluator, over more seeds.
fn with_oracle(options: &Options) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--package", "ferula-testkit", "--test", "oracle"])
        .args(["the_engine_agrees", "--", "--nocapture"])
        .env("FERULA_ORACLE_FIRST", options.first.to_string())
        .env("FERULA_ORACLE_SEEDS", options.seeds.to_string())
        .env("FERULA_ORACLE_QUERIES", options.queries.to_string())
        .current_dir(repository())
        .status()?;
    ensure!(status.success(), "the engine and the slow evaluator differ");
    Ok(())
}

fn ask_once(setup: &Setup, options: &Options, text: &str) -> Result<()> {
    let times = match options.at[..] {
        [instant] => Times::Instant(instant),
        [start, end, step_ms] => Times::Range {
            start,
            end,
            step_ms,
        },
        _ => bail!("--at takes an instant, or start, end and step"),
    };
    let text = text.to_owned();
    let case = ask(setup, options.first, &RandomQuery { text, times })?;
    println!("ferula {:#?}", case.ferula);
    println!("prometheus {:#?}", case.prometheus);
    for difference in differences(&case) {
        println!("{difference}");
    }
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
