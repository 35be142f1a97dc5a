//! Replays the fuzzing corpus, and keeps what belongs to a fuzz target together.
#![allow(clippy::disallowed_methods, reason = "reads files of the repository")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ferula_testkit::fuzz::TARGETS;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let list = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let paths = list.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths
        .collect::<Result<_, _>>()
        .expect("a readable directory");
    paths.sort();
    paths
}

#[test]
fn every_input_passes() {
    for (name, target) in TARGETS {
        let inputs = entries(&fuzz_dir().join("corpus").join(name));
        assert!(!inputs.is_empty(), "no inputs for {name}");
        for path in inputs {
            // Shown only if the target panics.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
        }
    }
}

#[test]
fn every_target_can_be_run_and_no_input_is_left_over() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    let stems = |dir: &str| -> BTreeSet<String> {
        let paths = entries(&fuzz_dir().join(dir));
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        paths.into_iter().map(stem).collect()
    };
    assert_eq!(stems("corpus"), names);
    assert_eq!(stems("fuzz_targets"), names);
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    for name in names {
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml has no {path}");
    }
}
