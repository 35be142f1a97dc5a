//! Runs the reference's own scripts, where they are at hand.
//!
//! They are looked for in `../shared/promqltest` beside the repository, or where the variable
//! `FERULA_PROMQLTEST` says. Those in [`WHOLE`] must pass. `FERULA_PROMQLTEST_LIST=histograms` names every eval
//! of that script that does not pass.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)] // reads files, prints counts

use std::path::PathBuf;

use ferula_testkit::{OnOracle, Report, ScriptOptions, run_script, run_script_on};

/// These pass whole.
const WHOLE: [&str; 17] = [
    "duration_expression",
    "literals",
    "selectors",
    "staleness",
    "collision",
    "range_queries",
    "trig_functions",
    "operators",
    "aggregators",
    "functions",
    "histograms",
    "native_histograms",
    "limit",
    "type_and_unit",
    "fill-modifier",
    "info",
    "extended_vectors",
];

fn scripts() -> Option<PathBuf> {
    let folder = match std::env::var_os("FERULA_PROMQLTEST") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest"),
    };
    folder.is_dir().then_some(folder)
}

#[test]
fn on_the_engine() {
    reference_scripts(|name, text| run_script(name, text, ScriptOptions::reference()).unwrap());
}

/// What the engine is compared with must know the answers itself.
#[test]
fn on_the_oracle() {
    reference_scripts(|name, text| {
        let mut oracle = OnOracle::new(ScriptOptions::reference());
        run_script_on(name, text, &mut oracle).unwrap()
    });
}

fn reference_scripts(run: fn(&str, &str) -> Report) {
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
    let mut wrong = Vec::new();
    println!(
        "{:24} {:>6} {:>7} {:>7}",
        "script", "evals", "passed", "failed"
    );
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let report = run(&name, &text);
        print_counts(&report);
        if std::env::var_os("FERULA_PROMQLTEST_LIST").is_some_and(|list| list == name.as_str()) {
            report.failure_lines().for_each(|line| println!("{line}"));
        }
        if WHOLE.contains(&name.as_str()) {
            wrong.extend(report.failure_lines());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} evals failed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn print_counts(report: &Report) {
    let failed = report.failures.len();
    println!(
        "{:24} {:>6} {:>7} {:>7}",
        report.script, report.evals, report.passed, failed
    );
}
