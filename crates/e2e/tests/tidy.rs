//! Rules of the repository that no compiler checks.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ferula_e2e::peers::repository;
use serde_json::Value;

/// Past this many lines a source file surely holds a second thought.
const FILE_LINES_MAX: usize = 900;

/// The rung of crates that are never shipped; they may depend on anything.
const RUNG_DEV: i64 = 99;

#[test]
fn crates_depend_on_lower_rungs_only() {
    let packages = packages();
    let rungs: BTreeMap<&str, i64> = packages
        .iter()
        .map(|p| (name(p), rung(p).unwrap_or_else(|e| panic!("{e}"))))
        .collect();
    let faults = rung_faults(&packages, &rungs);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_rung_check_can_fail() {
    let package = |text: &str| serde_json::from_str::<Value>(text).expect("valid JSON");
    let packages = [
        package(
            r#"{"name": "low", "dependencies": [
                {"name": "high", "kind": null}, {"name": "tool", "kind": "dev"}]}"#,
        ),
        package(r#"{"name": "high", "dependencies": [{"name": "peer", "kind": "build"}]}"#),
        package(r#"{"name": "tool", "dependencies": [{"name": "high", "kind": null}]}"#),
    ];
    let rungs = BTreeMap::from([("low", 0), ("high", 3), ("peer", 3), ("tool", RUNG_DEV)]);
    let expected = [
        "low (rung 0) depends on high (rung 3)",
        "high (rung 3) depends on peer (rung 3)",
    ];
    assert_eq!(rung_faults(&packages, &rungs), expected);
}

#[test]
fn every_crate_opens_with_what_it_is() {
    for package in packages() {
        for target in package["targets"].as_array().expect("a list of targets") {
            let path = target["src_path"].as_str().expect("a path");
            let first = read(Path::new(path));
            assert!(
                first.starts_with("//! "),
                "{path} does not open with a `//!` head"
            );
        }
    }
}

#[test]
fn no_source_file_is_a_giant() {
    for (path, text) in tracked().filter(|(path, _)| path.ends_with(".rs")) {
        let lines = text.lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{path} has {lines} lines (at most {FILE_LINES_MAX}): where is the second thought?"
        );
    }
}

#[test]
fn tracked_files_name_no_machine() {
    // Put together here, so that this file does not name them either.
    let forbidden = ["work", "farm", "root", "tmp/bash_jobs"].map(|folder| format!("/{folder}/"));
    for (path, text) in tracked() {
        for (number, line) in text.lines().enumerate() {
            for word in &forbidden {
                let found = line.match_indices(word.as_str()).any(|(at, _)| {
                    // `some/work/path` and `https://host/root/` are not paths of a machine.
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "-_./".contains(c))
                });
                assert!(
                    !found,
                    "{path}:{}: a path of one machine: {line}",
                    number + 1
                );
            }
        }
    }
}

#[test]
fn crates_come_from_the_public_registry_only() {
    let lock = read(&repository().join("Cargo.lock"));
    for line in lock.lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(
            line, "source = \"registry+https://github.com/rust-lang/crates.io-index\"",
            "Cargo.lock names another source"
        );
    }
}

#[test]
fn the_references_scripts_stay_outside() {
    // Ferula's own scripts lie in `testkit`; the reference's are read from beside the repository.
    for (path, _) in tracked().filter(|(path, _)| path.ends_with(".test")) {
        let own = path.starts_with("crates/testkit/scripts/") && !path.contains("promqltest");
        assert!(
            own,
            "{path}: a PromQL script outside crates/testkit/scripts"
        );
    }
}

#[test]
fn the_architecture_page_names_every_crate() {
    let page = repository().join("ARCHITECTURE.md");
    if !page.exists() {
        ferula_e2e::skip("tidy: architecture", "there is no ARCHITECTURE.md");
        return;
    }
    let page = read(&page);
    for package in packages() {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let folder = Path::new(manifest).parent().and_then(Path::file_name);
        let folder = folder.expect("a crate has a folder").to_string_lossy();
        assert!(
            page.contains(&format!("`{folder}`")),
            "ARCHITECTURE.md lacks `{folder}`"
        );
    }
}

fn rung_faults(packages: &[Value], rungs: &BTreeMap<&str, i64>) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let user = name(package);
        for dependency in package["dependencies"].as_array().expect("a list") {
            let used = name(dependency);
            let Some(&above) = rungs.get(used) else {
                continue; // not ours
            };
            if rungs[user] != RUNG_DEV && dependency["kind"] != "dev" && above >= rungs[user] {
                let below = rungs[user];
                faults.push(format!(
                    "{user} (rung {below}) depends on {used} (rung {above})"
                ));
            }
        }
    }
    faults
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a package has a name")
}

fn rung(package: &Value) -> Result<i64, String> {
    package["metadata"]["ferula"]["rung"]
        .as_i64()
        .ok_or_else(|| format!("{} lacks package.metadata.ferula.rung", name(package)))
}

fn packages() -> Vec<Value> {
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo prints JSON");
    match metadata["packages"].take() {
        Value::Array(packages) => packages,
        other => panic!("packages is {other}"),
    }
}

/// Path and text of every file git knows; binary files are passed over.
fn tracked() -> impl Iterator<Item = (String, String)> {
    let out = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(repository())
        .output()
        .expect("git runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let names = String::from_utf8(out.stdout).expect("file names are UTF-8");
    let names: Vec<String> = names.split_terminator('\0').map(str::to_owned).collect();
    names.into_iter().filter_map(|name| {
        let text = std::fs::read_to_string(repository().join(&name)).ok()?;
        Some((name, text))
    })
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
