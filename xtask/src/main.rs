//! Repository tasks. `cargo xtask test` is what CI runs.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)] // a tool, not part of the product

mod bench;
mod check;
mod compat;
mod kernels;
mod peers;

use std::process::ExitCode;

use clap::Parser;

/// Repository tasks.
#[derive(Parser)]
enum Task {
    /// Check formatting and lints, then run every test.
    Test,
    /// Fetch the programs that tests and benchmarks run Ferula beside.
    Peers,
    /// Compare Ferula's answers to random queries with those of Prometheus.
    Compat(compat::Options),
    /// Measure Ferula beside Prometheus and VictoriaMetrics.
    Bench(bench::Options),
    /// Count the instructions of the hot kernels and compare them with those kept.
    Kernels(kernels::Options),
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Test => check::run(),
        Task::Peers => {
            peers::fetch_missing();
            Ok(())
        }
        Task::Compat(options) => {
            peers::fetch_missing();
            compat::run(&options)
        }
        Task::Bench(options) => {
            peers::fetch_missing();
            bench::run(&options)
        }
        Task::Kernels(options) => kernels::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
