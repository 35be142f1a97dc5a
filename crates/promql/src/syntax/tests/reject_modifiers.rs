//! Texts that are no expressions for what computes durations, `anchored`, `smoothed`, `fill` and
//! the trim operators.

use super::reject::reject;

const DURATION: &str = "expected number, duration, step(), or range()";

/// Checks errors that name what a duration could be.
fn reject_durations(cases: &[(&str, &str)]) {
    let cases: Vec<(&str, String)> = cases
        .iter()
        .map(|(text, want)| (*text, format!("{want}, {DURATION}")))
        .collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(text, want)| (*text, &**want)).collect();
    reject(&cases);
}

#[test]
fn computed_durations() {
    const RANGE: &str = "in subquery or range selector";
    for (text, want) in [
        ("foo[5m + ]", r#"1:10: unexpected "]""#),
        ("foo[(5m 5)]", r#"1:9: unexpected number "5""#),
        ("foo[()]", r#"1:6: unexpected ")""#),
        ("foo[,5m]", r#"1:5: unexpected ",""#),
        ("foo[*5m]", "1:5: unexpected <op:*>"),
        ("foo[step]", r#"1:9: unexpected "]""#),
        ("foo[step1]", r#"1:9: unexpected number "1""#),
        ("foo[step(1)]", r#"1:10: unexpected number "1""#),
        ("foo[min_of(1)]", r#"1:13: unexpected ")""#),
        ("foo[min_of(1, 2, 3)]", r#"1:16: unexpected ",""#),
        ("foo[5m * \"a\"]", r#"1:10: unexpected string "\"a\"""#),
        ("foo[5m] + foo[:1m]", r#"1:15: unexpected ":""#),
        ("sum(foo[5m + ])", r#"1:14: unexpected "]""#),
    ] {
        reject_durations(&[(text, &format!("{want} {RANGE}"))]);
    }
    reject_durations(&[
        (
            "foo offset (5m) - bar",
            r#"1:19: unexpected identifier "bar" in offset"#,
        ),
        (
            "foo offset (5m 5)",
            r#"1:16: unexpected number "5" in offset"#,
        ),
        ("foo offset step", "1:16: unexpected end of input in offset"),
        (
            "foo offset step(1)",
            r#"1:17: unexpected number "1" in offset"#,
        ),
        (
            "foo offset -max_of(1, )",
            r#"1:23: unexpected ")" in offset"#,
        ),
        (
            "foo offset - -bar",
            r#"1:15: unexpected identifier "bar" in offset"#,
        ),
        (
            "foo offset start()",
            r#"1:12: unexpected "start" in offset"#,
        ),
    ]);
    reject(&[
        (
            "foo[5m + 1 5]",
            r#"1:12: unexpected number "5" in subquery or range, expected ":" or "]""#,
        ),
        (
            "foo[step() 5]",
            r#"1:12: unexpected number "5" in subquery or range, expected ":" or "]""#,
        ),
        (
            "foo[5m == 5]",
            r#"1:8: unexpected <op:==> in subquery or range, expected ":" or "]""#,
        ),
        (
            "foo[5m:5m + ]",
            r#"1:13: unexpected "]" in subquery selector, expected number, duration, step(), range(), or "]""#,
        ),
        (
            "foo[5m:5m + 1 1]",
            r#"1:15: unexpected number "1" in subquery selector, expected "]""#,
        ),
        (
            "foo[step():1m]",
            "1:12: unexpected colon before duration in duration expression",
        ),
        (
            "foo[5m] + foo[step():step():1m]",
            "1:29: unexpected repeated colon in duration expression",
        ),
        (
            "foo[step() # comment\n]",
            "1:12: unexpected character in duration expression: '#'",
        ),
        (
            "foo[stepx()]",
            "1:5: unexpected character in duration expression: 's'",
        ),
        (
            "foo[end()]",
            "1:5: unexpected character in duration expression: 'e'",
        ),
        (
            "foo[1 + end()]",
            "1:9: unexpected character: 'e', expected ':'",
        ),
        ("foo[5m / 0]", "1:8: division by zero"),
        ("foo[5m % -0]", "1:8: modulo by zero"),
        ("foo offset (5m / 0s)", "1:16: division by zero"),
        ("foo[5m / 0 $", "1:12: unexpected character: '$'"),
        ("foo[1e15 $", "1:5: duration out of range"),
        ("foo[-1e15]", "1:6: duration out of range"),
        ("foo[5m + 1e15]", "1:10: duration out of range"),
        ("foo offset -1e15", "1:12: duration out of range"),
        ("foo offset (inf)", "1:13: duration out of range"),
        ("foo[- -5m + 1", "1:14: unclosed left bracket"),
        ("foo[5m + 1)]", "1:12: unexpected right parenthesis ')'"),
        ("foo offset (5m", "1:15: unclosed left parenthesis"),
        ("foo offset (5m) 5", r#"1:17: unexpected number "5""#),
        (
            "foo offset (5m) offset 5m",
            "1:1: offset may not be set multiple times",
        ),
        (
            "foo offset 5m offset step()",
            "1:1: offset may not be set multiple times",
        ),
        (
            "foo offset step() [5m]",
            "1:19: no offset modifiers allowed before range",
        ),
        (
            "sum(foo) offset step()",
            "1:1: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
    ]);
}

#[test]
fn extended_selectors() {
    reject(&[
        (
            "foo anchored smoothed",
            "1:1: anchored and smoothed modifiers cannot be used together",
        ),
        (
            "1 + foo[5m] smoothed @ 5 anchored",
            "1:5: anchored and smoothed modifiers cannot be used together",
        ),
        (
            "foo[5m:1m] anchored",
            "1:1: anchored modifier is not supported for subqueries",
        ),
        (
            "foo[5m:] smoothed",
            "1:1: smoothed modifier is not supported for subqueries",
        ),
        (
            "1 + sum(foo) anchored",
            "1:5: anchored modifier not implemented",
        ),
        ("(foo) smoothed", "1:1: smoothed modifier not implemented"),
    ]);
}

#[test]
fn fill_modifiers() {
    reject(&[
        (
            "foo + fill (bar) bar",
            r#"1:13: unexpected identifier "bar""#,
        ),
        ("foo + fill () bar", r#"1:13: unexpected ")""#),
        ("foo + fill (1 + 1) bar", "1:15: unexpected <op:+>"),
        ("foo + fill (- -1) bar", "1:15: unexpected <op:->"),
        ("foo + fill ((1)) bar", r#"1:13: unexpected "(""#),
        (
            "foo + fill (1) fill_left (1) bar",
            r#"1:26: unexpected "(""#,
        ),
        (
            "foo + fill_left (1) fill_left (1) bar",
            r#"1:31: unexpected "(""#,
        ),
        ("foo + fill (1) on (a) bar", "1:16: unexpected <on>"),
        ("foo fill (1) bar", "1:5: unexpected <fill>"),
        ("fill (1)", r#"1:6: unexpected "(""#),
        (
            "sum(foo + fill (bar) bar)",
            r#"1:17: unexpected identifier "bar" in aggregation"#,
        ),
        (
            "foo + fill (1) 5",
            "1:1: filling in missing series only allowed between instant vectors",
        ),
        (
            "foo + on (a) fill (1) 5",
            "1:1: vector matching only allowed between instant vectors",
        ),
        (
            "1 and fill (1) 5",
            "1:1: filling in missing series only allowed between instant vectors",
        ),
        (
            "foo and fill (1) bar",
            "1:1: filling in missing series not allowed for set operators",
        ),
        (
            "foo and on (a) group_left fill (1) bar",
            r#"1:1: no grouping allowed for "and" operation"#,
        ),
    ]);
}

#[test]
fn trimming_is_no_comparison() {
    reject(&[
        (
            "a </ bool b",
            "1:3: bool modifier can only be used on comparison operators",
        ),
        (
            "a >/ on (x) 5",
            "1:1: vector matching only allowed between instant vectors",
        ),
    ]);
}
