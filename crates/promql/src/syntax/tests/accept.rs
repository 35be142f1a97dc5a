//! Texts that are expressions, each with its canonical form.

use crate::syntax::{ParseOptions, parse};

/// The text is in canonical form already.
const SAME: &str = "";

/// Checks that each text parses and prints as stated, and that what is printed means the same.
fn accept(cases: &[(&str, &str)]) {
    let options = ParseOptions::ALL;
    for &(text, want) in cases {
        let expr = match parse(text, &options) {
            Ok(expr) => expr,
            Err(error) => panic!("{text}: {}", error.display(text)),
        };
        let printed = expr.to_string();
        assert_eq!(printed, if want == SAME { text } else { want });
        let again = parse(&printed, &options).map(|e| e.to_string());
        assert_eq!(again.as_ref(), Ok(&printed), "{text}");
    }
}

#[test]
fn white_space_and_comments() {
    accept(&[
        ("\tfoo\r\n+ bar ", "foo + bar"),
        ("foo # comment\n+ bar", "foo + bar"),
        ("foo # comment\r+ bar", "foo + bar"),
        ("foo{ # one\n a=\"b\" # two\n}", r#"foo{a="b"}"#),
        ("foo[5m # one\n: # two\n1m]", "foo[5m:1m]"),
        ("\"#foo\"", SAME),
        (r#""a" # "b""#, r#""a""#),
    ]);
}

#[test]
fn identifiers() {
    accept(&[
        ("foo:bar", SAME),
        (":foo", SAME),
        (":", SAME),
        ("foo_1", SAME),
        ("_", SAME),
        (r#"foo:bar{a="b"}"#, SAME),
    ]);
}

#[test]
fn keywords_in_any_case() {
    accept(&[
        ("SUM(foo) BY (a)", "sum by (a) (foo)"),
        ("foo AND bar", "foo and bar"),
        ("foo OFFSET 5m", "foo offset 5m"),
        ("foo == BOOL bar", "foo == bool bar"),
        (
            "foo + ON (A) GROUP_LEFT (B) bar",
            "foo + on (A) group_left (B) bar",
        ),
        ("foo @ START()", "foo @ start()"),
        ("foo ATAN2 bar", "foo atan2 bar"),
        (r#"COUNT_VALUES("x", foo)"#, r#"count_values("x", foo)"#),
        ("foo UNLESS Or", "foo unless Or"),
    ]);
}

#[test]
fn words_as_metric_names() {
    accept(&[
        ("sum", SAME),
        (r#"avg{a="b"}"#, SAME),
        ("count offset 5m", SAME),
        ("min[5m]", SAME),
        ("max == 1", SAME),
        ("group + stddev", SAME),
        ("stdvar", SAME),
        ("topk", SAME),
        ("bottomk", SAME),
        ("count_values", SAME),
        ("quantile", SAME),
        ("limitk", SAME),
        ("limit_ratio", SAME),
        ("by", SAME),
        ("without", SAME),
        ("offset", SAME),
        ("and", SAME),
        ("or", SAME),
        ("unless", SAME),
        ("start", SAME),
        ("end", SAME),
        ("step", SAME),
        ("range", SAME),
        ("min_of", SAME),
        ("max_of", SAME),
        ("anchored", SAME),
        ("smoothed", SAME),
        ("fill", SAME),
        ("fill_left", SAME),
        ("fill_right", SAME),
        ("RATE", SAME),
        ("Sum", SAME),
        ("and and and", SAME),
        ("offset offset 5m", SAME),
        ("start offset 5m", SAME),
        (r#"by{on="x"}"#, SAME),
    ]);
}

#[test]
fn words_as_labels() {
    accept(&[
        (
            "sum by (sum, by, on, and, or, unless, atan2, offset, ignoring) (foo)",
            SAME,
        ),
        (
            "sum by (group_left, group_right, bool, start, end, step, range, min_of, max_of) (foo)",
            SAME,
        ),
        (
            "sum by (anchored, smoothed, fill, fill_left, fill_right, a:b) (foo)",
            r#"sum by (anchored, smoothed, fill, fill_left, fill_right, "a:b") (foo)"#,
        ),
        ("foo + on (sum, by) group_left (on) bar", SAME),
        (
            r#"sum by ("without", 'inf', `x y`) (foo)"#,
            r#"sum by ("without", "inf", "x y") (foo)"#,
        ),
        (
            r#"foo{sum="a",by="b",on="c",and="d",inf="e",offset="f",without="g",bool="h"}"#,
            r#"foo{and="d",bool="h",by="b",inf="e",offset="f",on="c",sum="a",without="g"}"#,
        ),
    ]);
}

#[test]
fn numbers() {
    accept(&[
        ("1", SAME),
        ("1.5", SAME),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1.5E-3", "0.0015"),
        ("1_000.5", "1000.5"),
        ("0x1F", "31"),
        ("017", "15"),
        ("08", "8"),
        ("1e22", "10000000000000000000000"),
        ("1e-7", "0.0000001"),
        ("9223372036854775808", "9223372036854776000"),
        ("Inf", "+Inf"),
        ("iNF", "+Inf"),
        ("-inf", "-Inf"),
        ("+Inf", SAME),
        ("NaN", SAME),
        ("-0", SAME),
        ("- 1", "-1"),
        ("-017", "-15"),
    ]);
}

#[test]
fn durations() {
    accept(&[
        ("5m", SAME),
        ("3600s", "1h"),
        ("90s", "1m30s"),
        ("7d", "1w"),
        ("8d", SAME),
        ("365d", "1y"),
        ("400d", SAME),
        ("36h", "1d12h"),
        ("1y2w3d4h5m6s7ms", "382d4h5m6s7ms"),
        ("0s", SAME),
        ("-5m", SAME),
        ("-1h + 5m", SAME),
        ("foo[0.5]", "foo[500ms]"),
        ("foo[1e3:1]", "foo[16m40s:1s]"),
        ("foo[90]", "foo[1m30s]"),
        ("foo offset 5", "foo offset 5s"),
        ("foo offset -0.0015", "foo offset -1ms"),
        ("foo > 10m", SAME),
        ("foo[+5m]", "foo[5m]"),
        ("foo[1_000]", "foo[16m40s]"),
    ]);
}

#[test]
fn strings() {
    accept(&[
        (r#"'\xc5é"\xFF'"#, r#""\xc5é\"\xff""#),
        (r#"'a"b'"#, r#""a\"b""#),
        (r#""a'b""#, SAME),
        (r#"`a\n"b`"#, r#""a\\n\"b""#),
        (r#""\a\b\f\n\r\t\v\\\"""#, SAME),
        (r#""\101\x41\u00e9\U0001F600""#, r#""AAé😀""#),
        ("`two\nlines`", r#""two\nlines""#),
    ]);
}

#[test]
fn operators_and_punctuation() {
    accept(&[
        ("a + b - c * d / e % f", SAME),
        ("a == b", SAME),
        ("a != b", SAME),
        ("a <= b", SAME),
        ("a < b", SAME),
        ("a >= b", SAME),
        ("a > b", SAME),
        ("a</b", "a </ b"),
        ("a >/ b", SAME),
        ("1 </ 2", SAME),
    ]);
}

#[test]
fn precedence() {
    accept(&[
        ("-2^2", "-2 ^ 2"),
        ("2^3^2", "2 ^ 3 ^ 2"),
        ("-a*b", "-a * b"),
        ("2 ^ -a * b", SAME),
        ("a ^ -b ^ c", SAME),
        ("-foo offset 5m", SAME),
        ("foo @ 1 + 1", "foo @ 1.000 + 1"),
        ("foo offset 1m + 1", SAME),
        ("foo offset -2^2", "foo offset -2s ^ 2"),
        ("a == b == c", SAME),
        ("a or b and c unless d", SAME),
        ("1--1", "1 - -1"),
        ("-1^2", "-1 ^ 2"),
        ("-(1)", SAME),
        ("--1", "1"),
        ("-+1", "-1"),
        ("--foo", SAME),
        ("- - foo", "--foo"),
        ("+foo", SAME),
        ("a or b or c", SAME),
    ]);
}

#[test]
fn selectors() {
    accept(&[
        ("foo{}", "foo"),
        (r#"foo{a="b",}"#, r#"foo{a="b"}"#),
        (r#"foo{b="1",a="2"}"#, r#"foo{a="2",b="1"}"#),
        (r#"{a="b"}"#, SAME),
        (r#"{a!="b",c="d"}"#, SAME),
        (
            r#"foo{a=~"x.*",b!~"y",a!="z",a="w"}"#,
            r#"foo{a!="z",a="w",a=~"x.*",b!~"y"}"#,
        ),
        (r#"{"foo.bar"}"#, r#"{__name__="foo.bar"}"#),
        (
            r#"{"http.requests", "foo.bar"="x"}"#,
            r#"{"foo.bar"="x",__name__="http.requests"}"#,
        ),
        ("{'a b'=`c`}", r#"{"a b"="c"}"#),
        (r#"{"a","b"}"#, r#"{__name__="a",__name__="b"}"#),
        (r#"{""="x"}"#, SAME),
        (r#"{__name__="a",__name__=~"b"}"#, SAME),
        (r#"{a="b",c=""}"#, SAME),
    ]);
}

#[test]
fn offset_and_at() {
    accept(&[
        ("foo offset 5m", SAME),
        ("foo offset -5m", SAME),
        ("foo offset - 5m", "foo offset -5m"),
        ("foo offset +5m", "foo offset 5m"),
        ("foo offset 0s offset 5m", "foo offset 5m"),
        ("foo[5m] offset 5m @ 5", "foo[5m] @ 5.000 offset 5m"),
        ("foo @ 5 offset 5m", "foo @ 5.000 offset 5m"),
        ("foo @ 1.5", "foo @ 1.500"),
        ("foo @ 1h", "foo @ 3600.000"),
        ("foo @ -0.0005", "foo @ -0.001"),
        ("foo @ 1.0005", "foo @ 1.001"),
        ("foo @ start()", SAME),
        ("foo[5m:1m] @ end() offset -5m", SAME),
    ]);
}

#[test]
fn ranges_and_subqueries() {
    accept(&[
        ("foo[5m]", SAME),
        ("foo[5m:]", SAME),
        ("foo[5m:1m]", SAME),
        ("foo [ 5m : 1m ]", "foo[5m:1m]"),
        ("sum(foo)[5m:1m]", SAME),
        ("foo offset 5m[5m:1m]", SAME),
        ("foo @ 5[5m:]", "foo @ 5.000[5m:]"),
        ("(foo + bar)[5m:1m] offset 1m", SAME),
    ]);
}

#[test]
fn functions() {
    accept(&[
        ("time()", SAME),
        ("pi() + time()", SAME),
        ("vector(1)", SAME),
        ("scalar(foo)", SAME),
        ("abs(foo)", SAME),
        ("days_in_month()", SAME),
        ("days_in_month(foo)", SAME),
        ("round(foo)", SAME),
        ("round(foo, 5)", SAME),
        ("clamp(foo, 1, 2)", SAME),
        ("histogram_quantile(0.9, foo)", SAME),
        ("histogram_fraction(0, 1, foo)", SAME),
        (r#"label_replace(foo, "a", "b", "c", ("d"))"#, SAME),
        (r#"label_join(foo, "a", ",")"#, SAME),
        (r#"label_join(foo, "a", ",", "b", "c")"#, SAME),
        ("sort_by_label(foo)", SAME),
        (r#"sort_by_label_desc(foo, "a", "b")"#, SAME),
        ("predict_linear(foo[5m], 60)", SAME),
        ("quantile_over_time(0.5, foo[5m])", SAME),
        ("double_exponential_smoothing(foo[5m], 0.5, 0.5)", SAME),
        ("first_over_time(foo[5m])", SAME),
        ("start() + end()", SAME),
        ("step() / range()", SAME),
        ("min_of(1, max_of(2, scalar(foo)))", SAME),
        (r#"histogram_quantiles(foo, "q", 0.5)"#, SAME),
        (
            r#"histogram_quantiles(foo, "q", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)"#,
            SAME,
        ),
        ("start_timestamp(foo)", SAME),
        ("info(foo)", SAME),
        ("info(foo, {})", SAME),
        (r#"info(foo, {a=""})"#, SAME),
        (
            r#"info(foo, {a="b", __name__="c"})"#,
            r#"info(foo, {__name__="c",a="b"})"#,
        ),
    ]);
}

#[test]
fn aggregations() {
    accept(&[
        ("sum(foo)", SAME),
        ("sum by (a) (foo)", SAME),
        ("sum (foo) by (a)", "sum by (a) (foo)"),
        ("sum by (a, b,) (foo)", "sum by (a, b) (foo)"),
        ("sum without (a) (foo)", SAME),
        ("sum without () (foo)", SAME),
        ("sum by () (foo)", "sum(foo)"),
        ("topk(3, foo)", SAME),
        ("topk by (a) (3, foo)", SAME),
        ("bottomk(scalar(foo), bar)", SAME),
        (
            "quantile(0.5, foo) without (a)",
            "quantile without (a) (0.5, foo)",
        ),
        (r#"count_values("a b", foo)"#, SAME),
        (r#"count_values(("a"), foo)"#, SAME),
        ("limitk(2, foo)", SAME),
        ("limit_ratio(-0.5, foo)", SAME),
    ]);
}

#[test]
fn binary_operations() {
    accept(&[
        ("1 == bool 1", SAME),
        ("foo == bool bar", SAME),
        ("foo + on (a, b) bar", SAME),
        ("foo + on () bar", SAME),
        ("foo + ignoring (a) bar", SAME),
        ("foo + ignoring () bar", "foo + bar"),
        (
            "foo + ignoring () group_left bar",
            "foo + ignoring () group_left () bar",
        ),
        (r#"foo == bool on (a) group_right (b, "c d") bar"#, SAME),
        ("foo and on (a) bar", SAME),
        (
            "foo + on (a) group_left sum(bar)",
            "foo + on (a) group_left () sum(bar)",
        ),
        ("foo + on () 1", "foo + 1"),
        ("1 + ignoring () group_left (a) 2", "1 + 2"),
        ("foo unless ignoring (a) bar", SAME),
    ]);
}

#[test]
fn computed_durations() {
    accept(&[
        ("foo[5m+1m]", "foo[5m + 1m]"),
        ("foo[5m - 1]", SAME),
        ("foo[2 * 1m / 3 % 4 ^ 0.5]", SAME),
        ("foo[-5m + 35m]", SAME),
        ("foo[+5m + 1]", "foo[5m + 1]"),
        ("foo[(5m)]", SAME),
        ("foo[((5m))]", "foo[(5m)]"),
        ("foo[((5m) + 1)]", SAME),
        ("foo[(-5m) ^ 2]", SAME),
        ("foo[-5m ^ 2]", SAME),
        ("foo[2 ^ -3 * 4]", SAME),
        ("foo[- -5m]", "foo[5m]"),
        ("foo[-(5m)]", SAME),
        ("foo[+(5m)]", "foo[(5m)]"),
        ("foo[--step()]", SAME),
        ("foo[+step()]", "foo[step()]"),
        ("foo[STEP()]", "foo[step()]"),
        ("foo[ Range ( ) ]", "foo[range()]"),
        ("foo[step() + 1ms]", SAME),
        ("foo[max_of(step(),1m)]", "foo[max_of(step(), 1m)]"),
        (
            "foo[MIN_OF(step() * 2, (range()))]",
            "foo[min_of(step() * 2, (range()))]",
        ),
        (
            "foo[1m + step() # one\n : # two\n range()]",
            "foo[1m + step():range()]",
        ),
        ("foo[5m:step() + 1]", SAME),
        ("foo[5m * 2:max_of(step(), 1)]", SAME),
        ("foo[1h30m % 1h:]", SAME),
        // A number in earlier brackets will do.
        ("rate(foo[5m]) + rate(bar[step():1m])", SAME),
        ("foo[1 / (0)]", SAME),
    ]);
}

#[test]
fn computed_offsets() {
    accept(&[
        ("foo offset (5m)", SAME),
        ("foo offset (1h + 5m)", SAME),
        ("foo offset -(1h+5m)", "foo offset -(1h + 5m)"),
        ("foo offset +(5m)", "foo offset (5m)"),
        ("foo offset -(5m)", SAME),
        ("foo offset step()", SAME),
        ("foo offset -range()", SAME),
        ("foo offset +step()", "foo offset step()"),
        ("foo offset -min_of(step(), 5)", SAME),
        ("foo offset max_of(1m, step() - 5)", SAME),
        ("foo offset --5m", "foo offset 5m"),
        ("foo offset --step()", SAME),
        ("foo offset - -(5m)", "foo offset --(5m)"),
        ("foo[5m] offset (5m) @ 5", "foo[5m] @ 5.000 offset (5m)"),
        (
            "foo[5m:1m] offset step() @ end()",
            "foo[5m:1m] @ end() offset step()",
        ),
    ]);
    // Where the duration ends.
    accept(&[
        ("foo offset 1m + 1", SAME),
        ("foo offset step() + 1", SAME),
        ("foo offset -step() * 2", SAME),
        ("foo offset max_of(1, 2) ^ 2", SAME),
        ("foo offset -(5m) + 1", SAME),
        ("foo offset (5m) + 1", SAME),
        ("foo offset (5m) == 1", SAME),
        ("foo offset (5m) and bar", SAME),
    ]);
}

#[test]
fn extended_selectors() {
    accept(&[
        ("foo anchored", SAME),
        ("foo SMOOTHED", "foo smoothed"),
        ("foo[5m] anchored", SAME),
        ("foo anchored[5m]", "foo[5m] anchored"),
        ("rate(foo[5m] smoothed)", SAME),
        ("foo anchored anchored", "foo anchored"),
        (
            "foo anchored @ 5 offset 5m",
            "foo @ 5.000 anchored offset 5m",
        ),
        (
            "foo[5m] offset 5m @ 5 anchored",
            "foo[5m] anchored @ 5.000 offset 5m",
        ),
        ("foo anchored[5m:1m]", SAME),
        ("anchored anchored", SAME),
        ("-foo smoothed + 1", SAME),
        ("foo[step()] anchored offset (5m)", SAME),
    ]);
}

#[test]
fn fill_modifiers() {
    accept(&[
        ("foo + fill(1) bar", "foo + fill (1) bar"),
        ("foo + fill (-5m) bar", "foo + fill (-300) bar"),
        ("foo + fill_left (1) bar", SAME),
        ("foo + fill_right (NaN) bar", SAME),
        ("foo + fill_left (1) fill_right (2) bar", SAME),
        (
            "foo + FILL_RIGHT (2) Fill_Left (1) bar",
            "foo + fill_left (1) fill_right (2) bar",
        ),
        (
            "foo + fill_right (1) fill_left (+1) bar",
            "foo + fill (1) bar",
        ),
        ("foo == bool on (a) group_left (b) fill (0) bar", SAME),
        (
            "foo + on (a) group_right fill (inf) bar",
            "foo + on (a) group_right () fill (+Inf) bar",
        ),
        (
            "foo + ignoring (a) fill (1e6) bar",
            "foo + ignoring (a) fill (1e+06) bar",
        ),
        ("fill + fill_left", SAME),
        ("foo + fill + bar", SAME),
    ]);
}
