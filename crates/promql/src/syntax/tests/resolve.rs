//! Durations that are computed, for the times of a query.

use std::borrow::Cow;

use crate::syntax::ast::Expr;
use crate::syntax::{ParseOptions, parse, resolve};

/// A query of 10 minutes with a step of 15 seconds.
const RANGE: (i64, i64, i64) = (1_000_000, 1_600_000, 15_000);

fn parsed(text: &str) -> Expr {
    match parse(text, &ParseOptions::ALL) {
        Ok(expr) => expr,
        Err(error) => panic!("{text}: {}", error.display(text)),
    }
}

/// What a text says in milliseconds, or why it says nothing.
fn resolved(text: &str, (start, end, step): (i64, i64, i64)) -> String {
    match resolve(&parsed(text), start, end, step) {
        Ok(expr) => expr.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values() {
    for (text, want) in [
        ("foo[5m + 1m]", "foo[6m]"),
        ("foo[5m - 1]", "foo[4m59s]"),
        ("foo[2m * 15]", "foo[30m]"),
        ("foo[1h / 2]", "foo[30m]"),
        ("foo[1h30m % 1h]", "foo[30m]"),
        ("foo[2 ^ 3 ^ 2]", "foo[8m32s]"),
        ("foo[-2 ^ 2 + 5]", "foo[1s]"),
        ("foo[(-2) ^ 2 + 5]", "foo[9s]"),
        ("foo[2 ^ -1 * 4]", "foo[2s]"),
        ("foo[7 - 2 - 1]", "foo[4s]"),
        ("foo[step()]", "foo[15s]"),
        ("foo[range()]", "foo[10m]"),
        ("foo[max_of(step(), 1m)]", "foo[1m]"),
        ("foo[min_of(step(), 1m)]", "foo[15s]"),
        ("foo[step() + 1ms]", "foo[15s1ms]"),
        ("foo[0.0015 + 0]", "foo[1ms]"),
        ("foo[1h * 2:step() / 3]", "foo[2h:5s]"),
        ("foo[1h:0.0001 * 2]", "foo[1h:]"),
        ("foo offset step()", "foo offset 15s"),
        ("foo offset -step()", "foo offset -15s"),
        ("foo offset -(step() * 2)", "foo offset -30s"),
        ("foo offset (1 - 1)", "foo"),
        ("foo offset (-0.0015)", "foo offset -1ms"),
        ("foo[step()] offset range()", "foo[15s] offset 10m"),
        (
            "foo[1m + step():step()] @ 5 offset step()",
            "foo[1m15s:15s] @ 5.000 offset 15s",
        ),
        (
            "topk(scalar(a offset step()), -(sum(rate(foo[step()])) + max_over_time((bar)[1m:step()])))",
            "topk(scalar(a offset 15s), -(sum(rate(foo[15s])) + max_over_time((bar)[1m:15s])))",
        ),
    ] {
        assert_eq!(resolved(text, RANGE), want, "{text}");
    }
}

#[test]
fn errors_name_bytes() {
    for (text, want) in [
        ("a_total[1m-2m]", "8:13: duration must be greater than 0"),
        ("foo[(0)]", "4:6: duration must be greater than 0"),
        ("foo[1m:1m - 60]", "7:14: duration must be greater than 0"),
        ("foo[-step()]", "4:11: duration must be greater than 0"),
        (
            "foo[min_of(-1, step())]",
            "11:21: duration must be greater than 0",
        ),
        ("foo[(1m - 2m)]", "5:12: duration must be greater than 0"),
        ("foo[5m / (0)]", "4:11: division by zero"),
        ("foo[1 + 5m % (1 - 1)]", "8:19: modulo by zero"),
        ("foo[(-1) ^ 0.5]", "4:14: duration is NaN or infinite"),
        ("foo[1e9 ^ 1e9]", "4:13: duration is NaN or infinite"),
        ("foo offset (nan)", "11:15: duration is NaN or infinite"),
        ("foo[1e9 * 10]", "4:12: duration is out of range"),
        ("foo offset -(1e9 * 10)", "11:21: duration is out of range"),
        // Of several, the first that is met from above.
        (
            "foo[1 - 2] offset (1 / (0))",
            "4:9: duration must be greater than 0",
        ),
        (
            "(foo offset (1 / (0)))[1 - 2:3 - 4] offset (5 % (0))",
            "44:50: modulo by zero",
        ),
        (
            "(foo offset (1 / (0)))[1 - 2:3 - 4]",
            "29:34: duration must be greater than 0",
        ),
        (
            "rate(a[1-2]) + rate(b[2-3]) + rate(c[3-4])",
            "7:10: duration must be greater than 0",
        ),
        (
            "1 + rate(b[2-3]) + rate(c[3-4])",
            "11:14: duration must be greater than 0",
        ),
    ] {
        assert_eq!(resolved(text, RANGE), want, "{text}");
    }
}

#[test]
fn a_single_step_has_no_length() {
    let instant = (1_000_000, 1_000_000, 0);
    for (text, want) in [
        ("foo[step()]", "4:10: duration must be greater than 0"),
        ("foo[range()]", "4:11: duration must be greater than 0"),
        ("foo offset range()", "foo"),
        ("foo[max_of(step(), 1m)]", "foo[1m]"),
    ] {
        assert_eq!(resolved(text, instant), want, "{text}");
    }
}

#[test]
fn what_computes_nothing_is_not_copied() {
    let expr = parsed("sum(rate(foo[5m] offset 1m)) + max_over_time(bar[1h:1m])");
    assert!(matches!(resolve(&expr, 0, 0, 0), Ok(Cow::Borrowed(_))));
}
