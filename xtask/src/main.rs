//! Repository tasks. `cargo xtask test` is what CI runs.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // a tool, not part of the product

use std::process::Command;

use anyhow::{Result, ensure};
use clap::Parser;

/// Repository tasks.
#[derive(Parser)]
enum Task {
    /// Check formatting and lints, then run every test.
    Test,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Test => {
            cargo(&["fmt", "--all", "--check"])?;
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])?;
            cargo(&["test", "--workspace"])
        }
    }
}

fn cargo(args: &[&str]) -> Result<()> {
    println!("$ cargo {}", args.join(" "));
    let status = Command::new("cargo").args(args).status()?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}
