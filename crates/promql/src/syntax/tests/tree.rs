//! What belongs together, and where it is.

use super::without_spans;
use crate::syntax::ast::*;
use crate::syntax::{ParseOptions, parse};

fn parsed(text: &str) -> Expr {
    match parse(text, &ParseOptions::ALL) {
        Ok(expr) => expr,
        Err(error) => panic!("{text}: {}", error.display(text)),
    }
}

/// The operators of `expr` with everything they hold together in parentheses.
fn grouped(expr: &Expr) -> String {
    match expr {
        Expr::Paren(e) => grouped(&e.inner),
        Expr::Unary(e) => format!(
            "{}({})",
            if e.negative { "-" } else { "+" },
            grouped(&e.operand)
        ),
        Expr::Binary(e) => {
            let (lhs, rhs) = (grouped(&e.lhs), grouped(&e.rhs));
            format!("({lhs} {} {rhs})", e.op.as_str())
        }
        Expr::Subquery(e) => format!("[{}]", grouped(&e.expr)),
        Expr::Call(e) => e.args.iter().map(grouped).collect(),
        other => other.to_string(),
    }
}

#[test]
fn precedence() {
    for (text, want) in [
        ("-2^2", "-((2 ^ 2))"),
        ("2^3^2", "(2 ^ (3 ^ 2))"),
        ("-a*b", "(-(a) * b)"),
        ("2 ^ -a * b", "((2 ^ -(a)) * b)"),
        ("a ^ -b ^ c", "(a ^ -((b ^ c)))"),
        ("a * -b * c", "((a * -(b)) * c)"),
        ("-foo offset 5m", "-(foo offset 5m)"),
        ("foo @ 1 + 1", "(foo @ 1.000 + 1)"),
        ("foo offset 1m + 1", "(foo offset 1m + 1)"),
        ("foo offset -2^2", "(foo offset -2s ^ 2)"),
        ("a == b == c", "((a == b) == c)"),
        ("a or b and c unless d", "(a or ((b and c) unless d))"),
        ("a or b or c", "((a or b) or c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b * c % d atan2 e", "((((a / b) * c) % d) atan2 e)"),
        ("a > b + c * d ^ e", "(a > (b + (c * (d ^ e))))"),
        ("a and b == c or d", "((a and (b == c)) or d)"),
        ("1--1", "(1 - -1)"),
        ("-1 ^ 2", "-((1 ^ 2))"),
        ("--1", "1"),
        ("-(1)", "-(1)"),
        ("max_over_time(a[5m:1m]) + b", "([a] + b)"),
        ("a + max_over_time((b + c)[5m:1m])", "(a + [(b + c)])"),
    ] {
        assert_eq!(grouped(&parsed(text)), want, "{text}");
    }
}

#[test]
fn modifiers_in_any_order() {
    let same = |a, b| assert_eq!(without_spans(parsed(a)), without_spans(parsed(b)), "{a}");
    same("foo[5m] @ 10 offset 1m", "foo[5m] offset 1m @ 10");
    same("foo @ 1h", "foo @ 3600");
    same(
        "foo[5m:1m] @ end() offset 60",
        "foo[5m:1m] offset 1m @ end()",
    );
    same("sum (foo) by (a)", "sum by (a) (foo)");
}

#[test]
fn values() {
    let Expr::Number(number) = parsed("5m") else {
        panic!("no number")
    };
    assert_eq!((number.value, number.is_duration), (300.0, true));
    let Expr::Range(range) = parsed("foo[0.5] offset -0.0015 @ -0.0005") else {
        panic!("no range")
    };
    assert_eq!(range.range_ms, 500);
    let modifiers = &range.selector.modifiers;
    assert_eq!(modifiers.offset_ms, -1);
    assert_eq!(modifiers.at, Some(At::Time(-1)));
    let Expr::Selector(selector) = parsed(r#"foo{a="b"}"#) else {
        panic!("no selector")
    };
    let matchers: Vec<String> = selector.matchers.iter().map(|m| m.to_string()).collect();
    assert_eq!(matchers, [r#"a="b""#, r#"__name__="foo""#]);
}

/// Every node with the text it spans, the outermost first.
fn spans(expr: &Expr, text: &str, out: &mut Vec<String>) {
    let span = expr.span();
    out.push(text[span.start as usize..span.end as usize].to_owned());
    match expr {
        Expr::Paren(e) => spans(&e.inner, text, out),
        Expr::Unary(e) => spans(&e.operand, text, out),
        Expr::Binary(e) => {
            spans(&e.lhs, text, out);
            spans(&e.rhs, text, out);
        }
        Expr::Call(e) => e.args.iter().for_each(|e| spans(e, text, out)),
        Expr::Aggregate(e) => {
            e.param.iter().for_each(|e| spans(e, text, out));
            spans(&e.expr, text, out);
        }
        Expr::Subquery(e) => spans(&e.expr, text, out),
        _ => {}
    }
}

#[test]
fn every_node_knows_its_place() {
    for (text, want) in [
        (
            "sum ( rate(foo{a=\"b\"} [5m] offset 1m ) ) by (a) > -1 ",
            vec![
                "sum ( rate(foo{a=\"b\"} [5m] offset 1m ) ) by (a) > -1",
                "sum ( rate(foo{a=\"b\"} [5m] offset 1m ) ) by (a)",
                "rate(foo{a=\"b\"} [5m] offset 1m )",
                "foo{a=\"b\"} [5m] offset 1m",
                "-1",
            ],
        ),
        (
            " - ( foo @ end( ) ) # x",
            vec!["- ( foo @ end( ) )", "( foo @ end( ) )", "foo @ end( )"],
        ),
        (
            "min_over_time(topk(1, foo)[5m : ] @ 5)",
            vec![
                "min_over_time(topk(1, foo)[5m : ] @ 5)",
                "topk(1, foo)[5m : ] @ 5",
                "topk(1, foo)",
                "1",
                "foo",
            ],
        ),
    ] {
        let mut got = Vec::new();
        spans(&parsed(text), text, &mut got);
        assert_eq!(got, want);
    }
}
