//! `cargo xtask test`: everything that must hold before a change lands, in one command.
//!
//! Formatting, lints with warnings denied, then all tests in one build profile. What could not run
//! on this machine is listed at the end with its reason.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ferula_e2e::SKIP_LIST_ENV;
use ferula_e2e::peers::repository;

/// Package and binary of the server that process-level tests start.
pub(crate) const SERVER_PACKAGE: &str = "ferula-ferula";

/// Runs all checks and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    cargo(&["fmt", "--all", "--check"], &[])?;
    let deny = ["--", "-D", "warnings"];
    cargo(
        &[&["clippy", "--workspace", "--all-targets"], &deny[..]].concat(),
        &[],
    )?;

    crate::peers::fetch_missing();
    cargo(&["build", "--package", SERVER_PACKAGE], &[])?;
    let server = target_folder()?.join("debug").join("ferula");
    let skipped = target_folder()?.join("skipped-tests");
    if skipped.exists() {
        std::fs::remove_file(&skipped)?;
    }
    let environment = [
        ("FERULA_BIN", server.into_os_string()),
        (SKIP_LIST_ENV, skipped.clone().into_os_string()),
    ];
    // `--no-fail-fast`: one run shows every test that fails, not the first crate's.
    let tests = cargo(&["test", "--workspace", "--no-fail-fast"], &environment);

    let skipped = std::fs::read_to_string(&skipped).unwrap_or_default();
    println!(
        "\n{} after {} s",
        if tests.is_ok() { "passed" } else { "failed" },
        start.elapsed().as_secs()
    );
    if skipped.is_empty() {
        println!("nothing was skipped");
    }
    for line in skipped.lines() {
        println!("skipped: {line}");
    }
    tests
}

/// Runs cargo in the repository with its output shown.
fn cargo(args: &[&str], environment: &[(&str, std::ffi::OsString)]) -> Result<()> {
    println!("$ cargo {}", args.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(args)
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .current_dir(repository())
        .status()?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}

/// Where cargo puts what it builds: this program lies in `<target>/<profile>/`.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own
        .ancestors()
        .nth(2)
        .context("xtask does not lie in a target folder")?;
    Ok(folder.to_owned())
}
