//! The targets that read queries.

use std::borrow::Cow;

use ferula_promql::syntax::{ParseOptions, json, parse, parse_selector, pretty, resolve};

/// Longer texts make fuzzing slow and find nothing more.
const TEXT_BYTES_MAX: usize = 1 << 12;

/// White space and comments before a text change nothing but places.
pub fn promql_lex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Of empty text, errors name no place.
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return;
    }
    const BEFORE: &str = " \t\r\n# a comment\n";
    let later = format!("{BEFORE}{text}");
    let (here, there) = (
        parse(text, &ParseOptions::ALL),
        parse(&later, &ParseOptions::ALL),
    );
    match (here, there) {
        (Ok(here), Ok(there)) => assert_eq!(here.to_string(), there.to_string()),
        (Err(here), Err(there)) => {
            assert_eq!(here.message, there.message);
            // That there is nothing, is nowhere.
            if here.message != "no expression found in input" {
                let moved = here.span.start as usize + BEFORE.len();
                assert_eq!(moved, there.span.start as usize, "{}", here.message);
            }
            // Rendering a place never fails.
            assert!(there.display(&later).to_string().contains(&there.message));
        }
        (here, there) => panic!("{here:?} {there:?}"),
    }
}

/// A query, or a selector alone: what is read and printed reads back the same, and computing its
/// durations leaves none to compute.
pub fn promql_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = parse_selector(text) {
        assert!(error.span.start as usize <= text.len(), "selector");
    }
    let expr = match parse(text, &ParseOptions::ALL) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.span.start as usize <= text.len(), "position");
            return;
        }
    };
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    assert!(json(&expr).ends_with('}'));
    if let Ok(resolved) = resolve(&expr, 0, 600_000, 15_000) {
        // Only what has durations to compute is copied.
        let again = resolve(&resolved, 0, 0, 0);
        assert!(matches!(again, Ok(Cow::Borrowed(_))), "durations");
    }
    let printed = expr.to_string();
    // The sign infinity is printed with holds a power together, so this reads as something else.
    if printed.contains("Inf ^") {
        return;
    }
    for text in [&printed, &pretty(&expr)] {
        let again = parse(text, &ParseOptions::ALL).map(|e| e.to_string());
        assert_eq!(again.as_ref(), Ok(&printed), "printed");
    }
}
