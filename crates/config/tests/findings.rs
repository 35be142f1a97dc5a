//! What people see who made a mistake: `findings/*.yml` with the text beside each. Run with
//! `FERULA_UPDATE=1` to write the texts anew, then read the difference.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // the cases are files of the repository

use std::path::{Path, PathBuf};

use ferula_config::{Surroundings, load_bytes};
use ferula_diag::render_all;

fn text_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let surroundings = Surroundings {
        dir: Path::new("/etc/ferula"),
        variable: &|name| (name == "SET").then(|| "set".to_owned()),
    };
    let bytes = std::fs::read(path).unwrap();
    let (source, loaded) = load_bytes(name, &bytes, surroundings);
    let (verdict, findings) = match loaded {
        Ok(loaded) => ("good", loaded.warnings),
        Err(findings) => ("refused", findings),
    };
    format!("{verdict}\n\n{}", render_all([(&source, &findings[..])]))
}

#[test]
fn findings_read_as_agreed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 5, "the cases are gone");
    for case in cases {
        let got = text_of(&case);
        let want_path = case.with_extension("txt");
        if std::env::var_os("FERULA_UPDATE").is_some() {
            std::fs::write(&want_path, &got).unwrap();
        }
        let want = std::fs::read_to_string(&want_path).unwrap_or_default();
        assert_eq!(got, want, "{}", case.display());
    }
}
