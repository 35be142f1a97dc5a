//! `cargo xtask test`: everything that must hold before a change lands, in one command.
//!
//! Formatting, lints with warnings denied, then all tests in one build profile. What could not run
//! on this machine is listed at the end with its reason.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ferula_e2e::SKIPPED;
use ferula_e2e::peers::repository;
use ferula_e2e::server::{SERVER_ENV, SERVER_PACKAGE};

/// Runs all checks and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    cargo(&["fmt", "--all", "--check"]).run()?;
    // `--locked`: what is committed must be what is tested.
    let lints = ["clippy", "--locked", "--workspace", "--all-targets"];
    cargo(&[&lints[..], &["--", "-D", "warnings"]].concat()).run()?;

    crate::peers::fetch_missing();
    cargo(&["build", "--locked", "--package", SERVER_PACKAGE]).run()?;
    // `--no-fail-fast`: one run shows every test that fails, not the first crate's.
    let mut tests = cargo(&["test", "--locked", "--workspace", "--no-fail-fast", "--"]);
    tests.0.arg("--show-output");
    tests
        .0
        .env(SERVER_ENV, target_folder()?.join("debug").join("ferula"));
    let (passed, skipped) = tests.run_noting_skips()?;

    let verdict = if passed { "passed" } else { "failed" };
    println!("\n{verdict} after {} s", start.elapsed().as_secs());
    if skipped.is_empty() {
        println!("nothing was skipped");
    }
    for line in skipped {
        println!("{line}");
    }
    ensure!(passed, "some tests failed");
    Ok(())
}

/// A cargo command in the repository, with its output shown.
struct Cargo(Command);

fn cargo(args: &[&str]) -> Cargo {
    let mut command = Command::new(env!("CARGO"));
    command.args(args).current_dir(repository());
    Cargo(command)
}

impl Cargo {
    fn run(mut self) -> Result<()> {
        println!("$ {:?}", self.0);
        ensure!(self.0.status()?.success(), "{:?} failed", self.0);
        Ok(())
    }

    /// Whether it succeeded, and what the tests said they skipped.
    fn run_noting_skips(mut self) -> Result<(bool, Vec<String>)> {
        println!("$ {:?}", self.0);
        let mut child = self.0.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("stdout is piped")?;
        let mut skipped = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            if line.starts_with(SKIPPED) {
                skipped.push(line);
            }
        }
        Ok((child.wait()?.success(), skipped))
    }
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
