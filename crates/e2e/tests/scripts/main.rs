//! PromQL scripts against a running server: loaded by remote write, asked over HTTP, answers read
//! back from JSON. The reference's scripts are read from `../shared/promqltest` beside the
//! repository, where they are at hand; the project's own lie in `testkit`.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // reads files, prints counts

mod server;

use std::path::{Path, PathBuf};

use ferula_e2e::peers::repository;
use ferula_testkit::{Report, run_script_on};

use server::OnServer;

/// What the reference turns on for its scripts, but for what [`check`] is told.
const FEATURES: &str = "promql-experimental-functions,promql-duration-expr,\
    promql-extended-range-selectors,promql-binop-fill-modifiers,st-storage,use-start-timestamps,\
    xor2-encoding,histograms-st-encoding";

/// Scripts, by folder and name, that some of their evals cannot pass, and why.
const NOT_WHOLE: [(&str, &str); 2] = [
    ("promqltest/start_timestamps", NO_STARTS),
    ("start_timestamps/counters", NO_STARTS),
];

const NO_STARTS: &str = "remote write 1.0 carries no start timestamps";

#[test]
fn the_references_scripts() {
    let folder = repository().join("../shared/promqltest");
    if !folder.is_dir() {
        ferula_e2e::skip(
            "the reference's scripts",
            "there is no ../shared/promqltest",
        );
        return;
    }
    check(&folder, "promql-delayed-name-removal");
}

#[test]
fn the_projects_scripts() {
    let own = repository().join("crates/testkit/scripts");
    check(&own, "promql-delayed-name-removal");
    check(&own.join("names_dropped_at_once"), "");
    for (folder, features) in [
        ("start_timestamps", "promql-delayed-name-removal"),
        (
            "type_and_unit_labels",
            "promql-delayed-name-removal,type-and-unit-labels",
        ),
    ] {
        check(&own.join(folder), features);
    }
}

/// Runs all scripts of a folder with these features in addition to those all scripts have.
fn check(folder: &Path, features: &str) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scripts");
    let folder = folder.file_name().expect("a name").to_string_lossy();
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy();
        let text = std::fs::read_to_string(&file).expect("a script");
        let report = run(&name, &text, features);
        println!("{name}: {} of {} evals", report.passed, report.evals);
        let path = format!("{folder}/{name}");
        match NOT_WHOLE.iter().find(|(script, _)| *script == path) {
            None => wrong.extend(report.failure_lines()),
            Some((_, why)) if report.failures.is_empty() => {
                wrong.push(format!("{path} passes whole, although {why}"));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(name: &str, text: &str, features: &str) -> Report {
    let mut server = OnServer::new(format!("--enable-feature={FEATURES},{features}"));
    run_script_on(name, text, &mut server).expect("a script")
}

#[test]
fn wrong_expectations_fail() {
    let script = "load 1m
    a 1 2
    h {{schema:1 count:3 sum:5 buckets:[1 2]}} {{schema:1 count:3 sum:5 buckets:[1 2]}}

eval instant at 0 a
    a 2

eval instant at 0 a
    b 1

eval instant at 0 a + 1
    expect info
    {} 2

eval instant at 0 h
    h {{schema:1 count:3 sum:5 buckets:[2 1]}}

eval instant at 0 h
    h {{schema:2 count:3 sum:5 buckets:[1 2]}}

eval range from 0 to 1m step 1m a
    a 1

eval range from 0 to 1m step 1m h
    h {{schema:1 count:3 sum:5 buckets:[1 2]}} {{schema:1 count:3 sum:6 buckets:[1 2]}}

eval instant at 0 a
    expect fail

eval instant at 0 sum(
    expect fail msg: no such text

eval instant at 0 1
    2

eval instant at 0 \"x\"
    expect string \"y\"

eval instant at 0 a
    a 1

eval instant at 1m h
    h {{schema:1 count:3 sum:5 buckets:[1 2]}}
";
    let report = run("wrong", script, "");
    let failed: Vec<usize> = report.failures.iter().map(|f| f.line).collect();
    assert_eq!(report.passed, 2, "passed but two: {failed:?}");
}
