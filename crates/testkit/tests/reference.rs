//! Runs the reference's own scripts, where they are at hand: all must pass whole.
//!
//! They are looked for in `../shared/promqltest` beside the repository, or where the variable
//! `FERULA_PROMQLTEST` says.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)] // reads files, prints counts

use std::path::PathBuf;

use ferula_testkit::{OnOracle, Report, ScriptOptions, run_script, run_script_on};

/// What the oracle knows nothing of.
const NOT_ON_THE_ORACLE: [&str; 1] = ["start_timestamps"];

fn scripts() -> Option<PathBuf> {
    let folder = match std::env::var_os("FERULA_PROMQLTEST") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest"),
    };
    folder.is_dir().then_some(folder)
}

#[test]
fn on_the_engine() {
    reference_scripts(&[], |name, text| {
        run_script(name, text, ScriptOptions::reference()).unwrap()
    });
}

/// What the engine is compared with must know the answers itself.
#[test]
fn on_the_oracle() {
    reference_scripts(&NOT_ON_THE_ORACLE, |name, text| {
        let mut oracle = OnOracle::new(ScriptOptions::reference());
        run_script_on(name, text, &mut oracle).unwrap()
    });
}

fn reference_scripts(excused: &[&str], run: fn(&str, &str) -> Report) {
    let Some(folder) = scripts() else {
        println!(
            "skipped: no ../shared/promqltest beside the repository, and FERULA_PROMQLTEST is not set"
        );
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scripts");
    let mut wrong = Vec::new();
    println!("{:24} {:>6} {:>7}", "script", "evals", "passed");
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        if excused.contains(&&*name) {
            continue;
        }
        let report = run(&name, &text);
        println!("{name:24} {:>6} {:>7}", report.evals, report.passed);
        wrong.extend(report.failure_lines());
    }
    assert!(
        wrong.is_empty(),
        "{} evals failed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
