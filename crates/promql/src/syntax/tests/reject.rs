//! Texts that are no expressions, each with the place and the message: words and brackets.
//!
//! What is wrong between whole words is in `reject_expressions.rs`.

use crate::syntax::{ParseOptions, parse, parse_selector};

/// Checks that each text fails as stated.
pub(super) fn reject(cases: &[(&str, &str)]) {
    reject_with(&ParseOptions::ALL, cases);
}

fn reject_with(options: &ParseOptions, cases: &[(&str, &str)]) {
    for &(text, want) in cases {
        match parse(text, options) {
            Ok(expr) => panic!("{text} parses as {expr}"),
            Err(error) => check_message(text, &error.display(text).to_string(), want),
        }
    }
}

/// `want` leaves out the words that stand in every message.
fn check_message(text: &str, got: &str, want: &str) {
    let short = got.replacen(": parse error: ", ": ", 1);
    assert_ne!(short, got);
    assert_eq!(short, want, "{text}");
}

#[test]
fn some_things_need_a_flag() {
    reject_with(
        &ParseOptions::default(),
        &[
            (
                "mad_over_time(foo[5m])",
                r#"1:1: function "mad_over_time" is not enabled"#,
            ),
            ("1 + info(foo)", r#"1:5: function "info" is not enabled"#),
            (
                "foo + limitk(2, foo)",
                "1:7: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
            ),
            (
                "limit_ratio(foo)",
                "1:1: limit_ratio() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
            ),
            ("start()", r#"1:1: function "start" is not enabled"#),
            ("1 + end()", r#"1:5: function "end" is not enabled"#),
            ("step()", r#"1:1: function "step" is not enabled"#),
            ("range()", r#"1:1: function "range" is not enabled"#),
            ("min_of(1, 2)", r#"1:1: function "min_of" is not enabled"#),
            ("max_of(1, 2)", r#"1:1: function "max_of" is not enabled"#),
            (
                r#"histogram_quantiles(foo, "q", 0.5)"#,
                r#"1:1: function "histogram_quantiles" is not enabled"#,
            ),
            (
                "start_timestamp(foo)",
                r#"1:1: function "start_timestamp" is not enabled"#,
            ),
            (
                "1 + foo anchored",
                "1:5: anchored modifier is experimental and not enabled",
            ),
            (
                "rate(foo[5m] smoothed)",
                "1:6: smoothed modifier is experimental and not enabled",
            ),
            (
                "1 smoothed",
                "1:1: smoothed modifier is experimental and not enabled",
            ),
            (
                "1 * (foo + fill (1) bar)",
                "1:6: binop fill modifiers are experimental and not enabled",
            ),
            (
                "foo and fill_left (1) 5",
                "1:1: binop fill modifiers are experimental and not enabled",
            ),
            ("foo + fill (1) bar $", "1:20: unexpected character: '$'"),
            (
                "limitk(2, foo bar)",
                r#"1:15: unexpected identifier "bar" in aggregation"#,
            ),
        ],
    );
}

#[test]
fn selectors_alone() {
    for (text, want) in [
        ("foo", Ok(r#"__name__="foo""#)),
        (r#"sum{a!="b"}"#, Ok(r#"a!="b",__name__="sum""#)),
        (r#"{"a","b"} # all"#, Ok(r#"__name__="a",__name__="b""#)),
        ("{}", Ok("")),
        (r#"{a=""}"#, Ok(r#"a="""#)),
        (r#"foo{__name__="x"}"#, Ok(r#"__name__="x",__name__="foo""#)),
        ("", Err("unknown position: unexpected end of input")),
        (" ", Err("1:2: unexpected end of input")),
        ("foo bar", Err(r#"1:5: unexpected identifier "bar""#)),
        ("foo offset 5m", Err("1:5: unexpected <offset>")),
        ("foo[5m]", Err(r#"1:4: unexpected "[""#)),
        ("foo @ 5", Err("1:5: unexpected <op:@>")),
        ("1", Err(r#"1:1: unexpected number "1""#)),
        ("sum(x)", Err(r#"1:4: unexpected "(""#)),
        ("(foo)", Err(r#"1:1: unexpected "(""#)),
        ("on", Err("1:1: unexpected <on>")),
        ("-foo", Err("1:1: unexpected <op:->")),
        ("foo{", Err("1:5: unexpected end of input inside braces")),
        (
            r#"{a="b" c}"#,
            Err(r#"1:8: unexpected identifier "c" in label matching, expected "," or "}""#),
        ),
    ] {
        match parse_selector(text) {
            Ok(matchers) => {
                let shown: Vec<String> = matchers.iter().map(|m| m.to_string()).collect();
                assert_eq!(Ok(shown.join(",").as_str()), want, "{text}");
            }
            Err(error) => {
                let want = want.expect_err(text);
                check_message(text, &error.display(text).to_string(), want);
            }
        }
    }
}

#[test]
fn empty_input() {
    reject(&[
        (" ", "1:1: no expression found in input"),
        ("\n", "1:1: no expression found in input"),
        ("# only a comment", "1:1: no expression found in input"),
    ]);
}

#[test]
fn characters() {
    reject(&[
        ("foo é", "1:5: unexpected character: 'é'"),
        ("foo\u{200b}", r#"1:4: unexpected character: '\u200b'"#),
        ("foo\u{a0}", r#"1:4: unexpected character: '\u00a0'"#),
        ("foo\u{c}", r#"1:4: unexpected character: '\f'"#),
        ("\"\u{fffd}\"", "1:1: invalid UTF-8 rune"),
        ("`\u{fffd}`", "1:1: invalid UTF-8 rune"),
        ("\u{fffd}", "1:1: unexpected character: '\u{fffd}'"),
        ("foo & bar", "1:5: unexpected character: '&'"),
        ("foo; bar", "1:4: unexpected character: ';'"),
        ("foo }", "1:5: unexpected character: '}'"),
    ]);
}

#[test]
fn white_space_and_comments() {
    reject(&[(
        "foo[ # comment\n5m]",
        "1:6: unexpected character in duration expression: '#'",
    )]);
}

#[test]
fn positions_count_bytes_and_lines() {
    reject(&[
        ("foo\n+\nbar baz", r#"3:5: unexpected identifier "baz""#),
        (r#""Ã©" foo"#, r#"1:8: unexpected identifier "foo""#),
        (r#"{a="Ã©"} foo"#, r#"1:12: unexpected identifier "foo""#),
        ("foo # comment\rbar", r#"1:15: unexpected identifier "bar""#),
    ]);
}

#[test]
fn identifiers() {
    reject(&[
        ("foo a:b", r#"1:5: unexpected metric identifier "a:b""#),
        ("a:b foo", r#"1:5: unexpected identifier "foo""#),
        (
            r#"foo{a:b="c"}"#,
            "1:6: unexpected character inside braces: ':'",
        ),
    ]);
}

#[test]
fn keywords_in_any_case() {
    reject(&[
        ("Rate(x[5m])", r#"1:1: unknown function with name "Rate""#),
        ("foo ON", "1:5: unexpected <ON>"),
    ]);
}

#[test]
fn words_as_metric_names() {
    reject(&[
        ("on", "1:1: unexpected <on>"),
        ("ignoring", "1:1: unexpected <ignoring>"),
        ("group_left", "1:1: unexpected <group_left>"),
        ("group_right", "1:1: unexpected <group_right>"),
        ("bool", "1:1: unexpected <bool>"),
        ("atan2", "1:1: unexpected <op:atan2>"),
        (r#"on{a="b"}"#, "1:1: unexpected <on>"),
        (r#"inf{a="b"}"#, r#"1:4: unexpected "{""#),
        ("by (foo)", r#"1:4: unexpected "(""#),
        ("and(foo)", r#"1:4: unexpected "(""#),
    ]);
}

#[test]
fn words_as_labels() {
    reject(&[
        (
            "sum by (without) (foo)",
            "1:9: unexpected <without> in grouping opts, expected label",
        ),
        (
            "foo + on (by, without) bar",
            "1:15: unexpected <without> in grouping opts, expected label",
        ),
        (
            "sum by (inf) (foo)",
            r#"1:9: unexpected number "inf" in grouping opts, expected label"#,
        ),
        (
            "foo + ignoring (nan) bar",
            r#"1:17: unexpected number "nan" in grouping opts, expected label"#,
        ),
    ]);
}

#[test]
fn numbers() {
    reject(&[
        ("1__0", r#"1:1: bad number or duration syntax: "1__""#),
        ("1_", r#"1:1: bad number or duration syntax: "1_""#),
        (
            "1_ + 1",
            r#"1:1: error parsing number: strconv.ParseFloat: parsing "1_": invalid syntax"#,
        ),
        ("1_.5", r#"1:1: bad number or duration syntax: "1_.""#),
        ("0b1", r#"1:1: bad number or duration syntax: "0""#),
        ("0o7", r#"1:1: bad number or duration syntax: "0""#),
        ("0x1e", r#"1:1: bad number or duration syntax: "0x1e""#),
        (
            "0x1e+5",
            r#"1:1: error parsing number: strconv.ParseFloat: parsing "0x1e+5": invalid syntax"#,
        ),
        (
            "0xffffffffffffffff",
            r#"1:1: error parsing number: strconv.ParseFloat: parsing "0xffffffffffffffff": invalid syntax"#,
        ),
        (
            "1e1000",
            r#"1:1: error parsing number: strconv.ParseFloat: parsing "1e1000": value out of range"#,
        ),
        (
            ".5.5",
            r#"1:1: error parsing number: strconv.ParseFloat: parsing ".5.5": invalid syntax"#,
        ),
        ("1foo", r#"1:1: bad number or duration syntax: "1""#),
        ("inf nan", r#"1:5: unexpected number "nan""#),
    ]);
}

#[test]
fn durations() {
    reject(&[
        ("1.5h", r#"1:1: unknown unit "." in duration "1.5h""#),
        (".5m", r#"1:1: not a valid duration string: ".5m""#),
        ("1m1h", r#"1:1: not a valid duration string: "1m1h""#),
        ("1hs", r#"1:1: unknown unit "hs" in duration "1hs""#),
        ("5mx", r#"1:1: bad number or duration syntax: "5mx""#),
        ("1h1y", r#"1:1: bad number or duration syntax: "1h1""#),
        ("293y", "1:1: duration out of range"),
        ("foo[1e15]", "1:5: duration out of range"),
        ("foo offset 9223372037", "1:12: duration out of range"),
        ("foo offset inf", "1:12: duration out of range"),
        ("foo offset nan", "1:12: duration out of range"),
    ]);
}

#[test]
fn strings() {
    reject(&[
        ("\"a\nb\"", "1:1: unterminated quoted string"),
        (r#""abc"#, "1:1: unterminated quoted string"),
        ("'abc", "1:1: unterminated quoted string"),
        ("`abc", "1:1: unterminated raw string"),
        (r#""\q""#, "1:1: unknown escape sequence U+0071 'q'"),
        (r#""\'""#, "1:1: unknown escape sequence U+0027 '''"),
        (r#"'\"'"#, r#"1:1: unknown escape sequence U+0022 '"'"#),
        (r#""\"#, "1:1: escape sequence not terminated"),
        (
            r#""\xz1""#,
            "1:1: illegal character U+007A 'z' in escape sequence",
        ),
        (
            r#""\400""#,
            "1:1: escape sequence is an invalid Unicode code point",
        ),
        (
            r#""\ud800""#,
            "1:1: escape sequence is an invalid Unicode code point",
        ),
        (r#"{a="\xff"}"#, "1:4: string is not valid UTF-8"),
        (r#"sum by ("\xff") (foo)"#, "1:9: string is not valid UTF-8"),
        (r#"foo "a\nb""#, r#"1:5: unexpected string "\"a\\nb\"""#),
        (
            r#"foo "abcdefghijklmnop""#,
            r#"1:5: unexpected string "\"abcdefghi"..."#,
        ),
        (
            "foo 12345678901234",
            r#"1:5: unexpected number "1234567890"..."#,
        ),
    ]);
}

#[test]
fn operators_and_punctuation() {
    reject(&[
        ("a =~ b", "1:3: unexpected character after '=': '~'"),
        ("a ! b", "1:3: unexpected character after '!': ' '"),
        ("a !", "1:3: unexpected character after '!': '\u{fffd}'"),
        ("a !~ b", "1:3: unexpected character after '!': '~'"),
        ("a = b", r#"1:3: unexpected "=""#),
        ("a == = b", r#"1:6: unexpected "=""#),
        (
            "foo{a!b}",
            "1:6: unexpected character after '!' inside braces: 'b'",
        ),
        (
            "foo{a!",
            "1:6: unexpected character after '!' inside braces: '\u{fffd}'",
        ),
        (
            r#"foo{a=~"b"!~"c"}"#,
            r#"1:11: unexpected <op:!~> in label matching, expected "," or "}""#,
        ),
        ("@", "1:1: unexpected <op:@>"),
        ("foo, bar", r#"1:4: unexpected ",""#),
        ("[5m]", r#"1:1: unexpected "[""#),
        ("=", r#"1:1: unexpected "=""#),
    ]);
}

#[test]
fn brackets_and_braces() {
    reject(&[
        ("foo{", "1:5: unexpected end of input inside braces"),
        (
            r#"foo{a="b","#,
            "1:11: unexpected end of input inside braces",
        ),
        ("{", "1:2: unexpected end of input inside braces"),
        ("(foo", "1:5: unclosed left parenthesis"),
        ("(foo[5m", "1:8: unclosed left parenthesis"),
        ("foo[5m", "1:7: unclosed left bracket"),
        ("foo[5m:", "1:8: unclosed left bracket"),
        (
            "foo[",
            "1:5: unexpected end of input in duration expression",
        ),
        (
            "foo[ ",
            "1:6: unexpected end of input in duration expression",
        ),
        ("foo)", "1:5: unexpected right parenthesis ')'"),
        ("foo]", "1:4: unexpected right bracket ']'"),
        ("foo{{}}", "1:5: unexpected left brace '{'"),
        (
            "foo[[5m]]",
            "1:5: unexpected character in duration expression: '['",
        ),
        ("foo[5m[", "1:7: unexpected left bracket '['"),
        (
            r#"foo{é="b"}"#,
            "1:5: unexpected character inside braces: 'é'",
        ),
        (
            "foo[:1m]",
            "1:6: unexpected colon before duration in duration expression",
        ),
        ("foo[5m:1m:1m]", "1:10: unexpected colon ':'"),
        ("foo[5m a]", "1:8: unexpected character: 'a', expected ':'"),
        (
            "foo[a]",
            "1:5: unexpected character in duration expression: 'a'",
        ),
        (
            "foo[Inf]",
            "1:5: unexpected character in duration expression: 'I'",
        ),
        (
            r#"foo["5m"]"#,
            r#"1:5: unexpected character in duration expression: '"'"#,
        ),
        ("foo[5m}", "1:7: unexpected character: '}'"),
    ]);
}
