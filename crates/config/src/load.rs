//! Text in, configuration or findings out.

use std::fmt;
use std::path::Path;

use ferula_diag::{Diagnostic, Source, Span};

use crate::yaml::{Cx, Tree};
use crate::{Config, StaticConfig, decode};

/// Bytes of a configuration file that are read at most.
pub const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// What a configuration's meaning depends on besides its text.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The directory of the file: relative paths in it start there.
    pub dir: &'a Path,
    /// Environment variables, for external labels.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What its author should know, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a `prometheus.yml`. An error holds all that is wrong with it, and the warnings, in the
/// order of the file.
pub fn load(source: &Source, surroundings: Surroundings<'_>) -> Result<Loaded, Vec<Diagnostic>> {
    let tree = parse(source)?;
    let mut cx = Cx::new(source, &tree);
    let config = decode::config(&mut cx, surroundings);
    if let Some(span) = tree.second_document {
        let message = "only the first document of a file is read";
        cx.report(Diagnostic::warning("W-config-documents", span, message));
    }
    match cx.has_errors() {
        true => Err(cx.into_findings()),
        false => Ok(Loaded {
            config,
            warnings: cx.into_findings(),
        }),
    }
}

/// Reads a `prometheus.yml` as it came from the disk; answers its text, too, to show findings
/// in. Bytes that are not UTF-8 are an error.
pub fn load_bytes(
    name: &str,
    bytes: &[u8],
    surroundings: Surroundings<'_>,
) -> (Source, Result<Loaded, Vec<Diagnostic>>) {
    match text(name, bytes) {
        (source, None) => {
            let loaded = load(&source, surroundings);
            (source, loaded)
        }
        (source, Some(found)) => (source, Err(vec![found])),
    }
}

/// Reads a file of target groups in YAML, as `file_sd_configs` names them. Group labels and
/// targets are all it may hold.
pub fn load_target_groups(source: &Source) -> Result<Vec<StaticConfig>, Vec<Diagnostic>> {
    let tree = parse(source)?;
    let mut cx = Cx::new(source, &tree);
    let groups = match tree.root {
        Some(root) => decode::target_groups(&mut cx, root),
        None => Vec::new(),
    };
    match cx.has_errors() {
        true => Err(cx.into_findings()),
        false => Ok(groups),
    }
}

fn parse(source: &Source) -> Result<Tree, Vec<Diagnostic>> {
    if source.text.len() as u64 > CONFIG_BYTES_MAX {
        let message = format!("the file is larger than {} MiB", CONFIG_BYTES_MAX >> 20);
        let found = Diagnostic::error("E-config-size", Span::new(0, 0), message);
        return Err(vec![found]);
    }
    Tree::parse(source).map_err(|found| vec![*found])
}

fn text(name: &str, bytes: &[u8]) -> (Source, Option<Diagnostic>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Source::new(name, text), None),
        Err(e) => {
            let source = Source::new(name, &String::from_utf8_lossy(bytes));
            // Up to here the text is the same; the replacement character takes three bytes.
            let at = e.valid_up_to();
            let found = Diagnostic::error(
                "E-config-yaml",
                Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8()),
                "the file is not UTF-8",
            );
            (source, Some(found))
        }
    }
}
