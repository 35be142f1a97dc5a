//! Texts of absurd size. Each test runs in a thread with 2 MiB of stack.

use crate::syntax::ast::Expr;
use crate::syntax::{
    DEPTH_MAX, ParseOptions, TEXT_LEN_MAX, TOKENS_MAX, json, parse, pretty, resolve,
};

/// Makes nested expressions.
type Shape = fn(usize) -> String;

const NESTED: [(&str, Shape); 11] = [
    ("parentheses", |n| wrap("(", n, ")")),
    ("calls", |n| wrap("abs(", n, ")")),
    ("aggregations", |n| wrap("sum by (a) (", n, ")")),
    ("operands on the right", |n| wrap("x + (1 - ", n / 2, ")")),
    ("powers", |n| wrap("x ^ ", n, "")),
    ("signs", |n| wrap("-", n, "")),
    ("durations", |n| in_brackets("(-", n / 2, "step()", ")")),
    ("powers of durations", |n| {
        in_brackets("1 ^ ", n - 1, "step()", "")
    }),
    ("sums of durations", |n| in_brackets("", n, "1", " + 1")),
    ("functions of durations", |n| {
        in_brackets("min_of(1, ", n - 1, "1", ")")
    }),
    ("signs of durations", |n| {
        in_brackets("-", n - 1, "step()", "")
    }),
];

fn wrap(before: &str, times: usize, after: &str) -> String {
    before.repeat(times) + "x" + &after.repeat(times)
}

fn in_brackets(before: &str, times: usize, inside: &str, after: &str) -> String {
    let (before, after) = (before.repeat(times), after.repeat(times));
    format!("x[{before}{inside}{after}]")
}

fn parsed(text: &str) -> Result<Expr, String> {
    parse(text, &ParseOptions::ALL).map_err(|e| e.message)
}

/// Does everything with the expression that could go down all of it.
fn exercise(expr: &Expr) {
    let copy = expr.clone();
    assert!(copy == *expr);
    assert_eq!(
        parsed(&expr.to_string()).map(|e| e.to_string()),
        Ok(copy.to_string())
    );
    assert!(parsed(&pretty(expr)).is_ok());
    assert_eq!(copy.value_type(), expr.value_type());
    assert!(json(expr).ends_with('}'));
    if let Ok(resolved) = resolve(expr, 0, 10_000, 1000) {
        assert_eq!(resolved.value_type(), expr.value_type());
    }
}

#[test]
fn nesting_is_bounded() {
    let want = format!("expression is nested more than {DEPTH_MAX} levels deep");
    for (what, shape) in NESTED {
        match parsed(&shape(DEPTH_MAX - 1)) {
            Ok(expr) => exercise(&expr),
            Err(error) => panic!("{what}: {error}"),
        }
        for levels in [DEPTH_MAX + 1, 200_000] {
            assert_eq!(parsed(&shape(levels)), Err(want.clone()), "{what}");
        }
    }
    // These are never right, but nest without the parser going deeper.
    let brackets = format!("x{}", "[5m:1m]".repeat(DEPTH_MAX + 1));
    assert_eq!(parsed(&brackets), Err(want));
}

#[test]
fn long_chains_are_fine() {
    for operator in [" + ", " or ", " == bool ", " * "] {
        let text = ["x"; 10_000].join(operator);
        match parsed(&text) {
            Ok(expr) => exercise(&expr),
            Err(error) => panic!("{operator}: {error}"),
        }
    }
    let numbers = ["1"; 10_000].join("+");
    assert_eq!(
        parsed(&numbers).map(|e| e.to_string().len()),
        Ok(4 * 10_000 - 3)
    );
    let mixed = format!("{}{}", "(x + 1 + ".repeat(100), "x)".repeat(100));
    assert!(parsed(&mixed).is_err(), "a missing operator");
    let mixed = format!("{}x{}", "(x + 1 + ".repeat(100), " - 2 - 3)".repeat(100));
    assert!(parsed(&mixed).is_ok());
}

#[test]
fn chains_compare_and_differ() {
    let expr = |text| parsed(text).expect("an expression");
    assert!(expr("a + b + c") != expr("a + b + d"));
    assert!(expr("a + b + c") != expr("d + b + c"));
    assert!(expr("a + b + c") != expr("a - b + c"));
    assert!(expr("a + b + c") != expr("a + b"));
    assert!(expr("a + b + c") == expr("a + b + c"));
}

#[test]
fn size_is_bounded() {
    let many = "1+".repeat(TOKENS_MAX / 2 + 1);
    let want = format!("expression has more than {TOKENS_MAX} tokens");
    assert_eq!(parsed(&many), Err(want));
    let long = "x".repeat(TEXT_LEN_MAX + 1);
    let want = format!("expression is longer than {TEXT_LEN_MAX} bytes");
    assert_eq!(parsed(&long), Err(want));
}
