//! Every query of the reference's own scripts is one: where they are at hand, all of them parse,
//! and what is printed of them means the same.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // reads files, prints counts

use std::path::PathBuf;

use ferula_promql::syntax::{ParseOptions, parse, pretty};

fn scripts() -> Option<PathBuf> {
    let folder = match std::env::var_os("FERULA_PROMQLTEST") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest"),
    };
    folder.is_dir().then_some(folder)
}

/// The query of a line, if it is an `eval` line.
fn query_of(line: &str) -> Option<&str> {
    let (command, rest) = line.trim().split_once(char::is_whitespace)?;
    if !command.starts_with("eval") {
        return None;
    }
    let words_before = match rest.split_whitespace().next()? {
        // instant at <time>
        "instant" => 3,
        // range from <start> to <end> step <step>
        _ => 7,
    };
    let mut query = rest.trim_start();
    for _ in 0..words_before {
        query = query.split_once(char::is_whitespace)?.1.trim_start();
    }
    Some(query)
}

#[test]
fn reference_queries_parse() {
    let Some(folder) = scripts() else {
        println!("skipped: no ../shared/promqltest beside the repository");
        return;
    };
    let mut queries = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, query) in text
            .lines()
            .enumerate()
            .filter_map(|(n, l)| Some((n, query_of(l)?)))
        {
            let place = format!("{}:{}: {query}", path.display(), line + 1);
            queries += 1;
            let expr = match parse(query, &ParseOptions::ALL) {
                Ok(expr) => expr,
                Err(error) => panic!("{place}: {}", error.display(query)),
            };
            let printed = expr.to_string();
            for text in [&printed, &pretty(&expr)] {
                let again = parse(text, &ParseOptions::ALL).map(|e| e.to_string());
                assert_eq!(again.as_ref(), Ok(&printed), "{place}");
            }
        }
    }
    assert!(queries > 0, "no queries");
    println!("{queries} queries parse");
}
