//! Runs the project's own scripts; all must pass whole.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // reads files; `check` is a test, too

use std::path::Path;

use ferula_testkit::{OnOracle, Report, ScriptOptions, run_script, run_script_on};

fn on_engine(name: &str, text: &str, options: ScriptOptions) -> Report {
    run_script(name, text, options).unwrap()
}

fn on_oracle(name: &str, text: &str, options: ScriptOptions) -> Report {
    run_script_on(name, text, &mut OnOracle::new(options)).unwrap()
}

fn check(folder: &str, options: ScriptOptions, run: fn(&str, &str, ScriptOptions) -> Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut evals = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let report = run(&path.display().to_string(), &text, options);
        evals += report.evals;
        wrong.extend(report.failure_lines());
    }
    assert!(evals > 0, "no scripts");
    assert!(
        wrong.is_empty(),
        "{} of {evals} evals failed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn names_dropped_at_the_end() {
    check("scripts", ScriptOptions::reference(), on_engine);
    check("scripts", ScriptOptions::reference(), on_oracle);
}

#[test]
fn names_dropped_at_once() {
    let options = ScriptOptions {
        delayed_name_removal: false,
        ..ScriptOptions::reference()
    };
    check("scripts/names_dropped_at_once", options, on_engine);
    check("scripts/names_dropped_at_once", options, on_oracle);
}

#[test]
fn counters_start_when_their_timestamps_say() {
    let options = ScriptOptions::reference();
    check("scripts/start_timestamps", options, on_engine);
    check("scripts/start_timestamps", options, on_oracle);
}

#[test]
fn labels_say_what_metrics_are() {
    let options = ScriptOptions {
        type_and_unit_labels: true,
        ..ScriptOptions::reference()
    };
    check("scripts/type_and_unit_labels", options, on_engine);
    check("scripts/type_and_unit_labels", options, on_oracle);
}

/// The runner itself must be able to fail.
#[test]
fn wrong_expectations_fail() {
    let script = "load 1m\n  a 1 2\n\n";
    for expectation in [
        "eval instant at 0 a\n  a 2",
        "eval instant at 0 a",
        "eval instant at 0 a\n  a 1\n  b 1",
        "eval instant at 0 a\n  expect warn\n  a 1",
        "eval instant at 0 a\n  expect fail",
        "eval instant at 0 sum(\n",
        "eval instant at 0 1\n  2",
        "eval instant at 0 time() + scalar(a)\n  5",
        "eval range from 0 to 1m step 1m a\n  a 1",
        "eval range from 0 to 1m step 1m a\n  a 1 2 3",
        "eval range from 0 to 1m step 1m rate(a[2m])\n  expect no_info\n  {} _ 0.016666666666666666",
    ] {
        let text = format!("{script}{expectation}\n");
        let report = run_script("wrong", &text, ScriptOptions::reference()).unwrap();
        assert_eq!(report.failures.len(), 1, "passes: {expectation}");
    }
}
