//! Replays the fuzzing corpus, fuzzes a little from there, and keeps what belongs to a fuzz target
//! together.
//!
//! `FERULA_FUZZ_ROUNDS=100000` makes more of the inputs, `FERULA_FUZZ_TARGET=promql_engine` of one
//! target alone, `FERULA_FUZZ_SEED=7` others.
#![allow(clippy::disallowed_methods, reason = "reads files of the repository")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ferula_testkit::fuzz::TARGETS;
use ferula_testkit::random::Random;

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

/// Inputs made of each target's corpus in a normal run.
const ROUNDS: u64 = 150;

/// Without libFuzzer nothing tells which inputs lead further, so this finds less than
/// `cargo fuzz`; but it runs everywhere.
#[test]
fn inputs_made_of_the_corpus_pass() {
    let number = |variable: &str| std::env::var(variable).ok().map(|v| v.parse().unwrap());
    let rounds = number("FERULA_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    let only = std::env::var("FERULA_FUZZ_TARGET").ok();
    for (name, target) in TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let inputs: Vec<Vec<u8>> = entries(&fuzz_dir().join("corpus").join(name))
            .into_iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        let mut random = Random::new(number("FERULA_FUZZ_SEED").unwrap_or(0));
        for _ in 0..rounds {
            let input = mutated(&inputs, &mut random);
            // Shown only if the target panics.
            println!("{name}: {:?}", String::from_utf8_lossy(&input));
            target(&input);
        }
    }
}

/// An input with parts taken out, put in from others, or changed.
fn mutated(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| inputs[random.below(inputs.len() as u64) as usize].clone();
    let place = |len: usize, random: &mut Random| random.below(len as u64 + 1) as usize;
    let part = |of: &[u8], random: &mut Random| {
        let (a, b) = (place(of.len(), random), place(of.len(), random));
        a.min(b)..a.max(b)
    };
    let mut input = any(random);
    for _ in 0..=random.below(4) {
        match random.below(5) {
            0 => drop(input.drain(part(&input, random))),
            1 | 2 => {
                let other = any(random);
                let piece = other[part(&other, random)].to_vec();
                let range = if random.chance(50) {
                    part(&input, random)
                } else {
                    let at = place(input.len(), random);
                    at..at
                };
                input.splice(range, piece);
            }
            3 => {
                let at = place(input.len(), random);
                input.insert(at, random.bits() as u8);
            }
            _ => {
                if let Some(at) = place(input.len(), random).checked_sub(1) {
                    input[at] ^= 1 << random.below(8);
                }
            }
        }
    }
    input
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
