//! What fuzzing feeds with arbitrary bytes, one function per target.
//!
//! A target panics if something that must hold does not. `fuzz/` runs them with libFuzzer;
//! `tests/corpus.rs` replays the inputs kept in `fuzz/corpus/<target>/` in every test run. To
//! add a target: a function here, a row in [`TARGETS`], a file in `fuzz/fuzz_targets/`, its
//! `[[bin]]` in `fuzz/Cargo.toml`, and at least one input in its corpus.

mod block;
mod checkpoint;
mod engine;
mod formats;
mod log;
mod prometheus;
mod promql;

use ferula_model::text::number::{self, Form};
use ferula_model::text::regex::{Regex, Template};
use ferula_model::text::{duration, size};

pub use block::block;
pub use checkpoint::checkpoint;
pub use engine::promql_engine;
pub use formats::{exposition_text, openmetrics, remote_write};
pub use log::log_frame;
pub use prometheus::{prometheus_chunk, prometheus_index, prometheus_tombstones, prometheus_wal};
pub use promql::{promql_lex, promql_parse};

/// A target with its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("number", number),
    ("regex", regex),
    ("exposition_text", exposition_text),
    ("openmetrics", openmetrics),
    ("remote_write", remote_write),
    ("log_frame", log_frame),
    ("block", block),
    ("prometheus_chunk", prometheus_chunk),
    ("prometheus_index", prometheus_index),
    ("prometheus_tombstones", prometheus_tombstones),
    ("prometheus_wal", prometheus_wal),
    ("checkpoint", checkpoint),
    ("promql_lex", promql_lex),
    ("promql_parse", promql_parse),
    ("promql_engine", promql_engine),
];

/// Longer values make fuzzing slow and find nothing more.
const VALUE_BYTES_MAX: usize = 1 << 10;

/// A pattern, a zero byte, and a value: however a pattern is matched, the answers agree.
pub fn regex(data: &[u8]) {
    let mut parts = data.splitn(2, |b| *b == 0);
    let pattern = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let value = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let Ok(regex) = Regex::new(&pattern) else {
        return;
    };
    if value.len() > VALUE_BYTES_MAX {
        return;
    }
    let matches = regex.is_match(&value);
    let captures = regex.captures(&value);
    assert_eq!(captures.is_some(), matches, "captures");
    if let Some(words) = regex.set_matches() {
        assert_eq!(words.iter().any(|word| *word == value), matches, "words");
    }
    assert!(!matches || value.starts_with(regex.prefix()), "prefix");
    assert!(!regex.is_anything() || matches, "anything");
    assert!(
        !regex.is_nonempty() || matches != value.is_empty(),
        "nonempty"
    );
    // The first alternative never matches, and no short cut is taken because of it.
    if let Ok(slow) = Regex::new(&format!(r"a\bb|{pattern}")) {
        assert_eq!(slow.is_match(&value), matches, "automaton");
    }
    if let Some(captures) = captures {
        assert_eq!(captures.get(0), Some(&*value));
        let mut out = String::new();
        Template::new(&pattern).expand(&captures, &mut out);
    }
}

/// A number, a duration or a size: what is read and printed reads back the same.
pub fn number(data: &[u8]) {
    if let Ok(value) = number::parse(data) {
        for form in [Form::Plain, Form::Exponent, Form::General, Form::Api] {
            let mut text = Vec::new();
            form.write(&mut text, value);
            let back = number::parse(&text).expect("what was printed is a float");
            let same = back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan();
            assert!(same, "{form:?} {value:e} {back:e}");
        }
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(std) = text.parse::<f64>()
        && std.is_finite()
    {
        let own = number::parse(text.as_bytes()).expect("a plain decimal is a float");
        assert_eq!(own.to_bits(), std.to_bits());
    }
    if let Ok(ms) = duration::parse_ms(&text) {
        assert_eq!(duration::parse_ms(&duration::shown(ms).to_string()), Ok(ms));
    }
    if let Ok(bytes) = size::parse(&text) {
        assert_eq!(size::parse(&size::shown(bytes).to_string()), Ok(bytes));
    }
}
