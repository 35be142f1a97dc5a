//! What the parsers make of bodies, as text: one line per entry.

use ferula_exposition::{Entry, Format, LABELS_MAX, LINE_BYTES_MAX, LabelIter, Parser, TextWriter};
use ferula_model::MetricKind;
use proptest::prelude::*;

fn labels(iter: LabelIter<'_>) -> String {
    let pairs: Vec<_> = iter.map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(","))
}

fn timestamp(t: Option<i64>) -> String {
    t.map(|t| format!(" @{t}")).unwrap_or_default()
}

/// One line per entry; the error, if there is one, is the last.
fn read(format: Format, body: &[u8]) -> Vec<String> {
    let mut parser = Parser::new(format, body);
    let mut out = Vec::new();
    loop {
        out.push(match parser.next() {
            Ok(None) => return out,
            Ok(Some(Entry::Series(s))) => {
                let exemplar = s.exemplar.as_ref().map(|e| {
                    let t = timestamp(e.timestamp);
                    format!(" # {} {}{t}", labels(e.labels()), e.value)
                });
                format!(
                    "{} {}{}{}",
                    labels(s.labels()),
                    s.value,
                    timestamp(s.timestamp),
                    exemplar.unwrap_or_default()
                )
            }
            Ok(Some(Entry::Type { family, kind })) => format!("type {family} {}", kind.as_str()),
            Ok(Some(Entry::Help { family, text })) => format!("help {family} {text:?}"),
            Ok(Some(Entry::Unit { family, unit })) => format!("unit {family} {unit:?}"),
            Ok(Some(Entry::Comment(bytes))) => {
                format!("comment {:?}", String::from_utf8_lossy(bytes))
            }
            Ok(Some(Entry::Eof)) => "eof".to_owned(),
            Err(error) => {
                assert!(
                    matches!(parser.next(), Ok(None)),
                    "nothing follows an error"
                );
                error.to_string()
            }
        });
    }
}

#[track_caller]
fn check(format: Format, body: &str, wanted: &[&str]) {
    assert_eq!(read(format, body.as_bytes()), wanted, "{body:?}");
}

#[track_caller]
fn text(body: &str, wanted: &[&str]) {
    check(Format::Prometheus, body, wanted);
}

/// An OpenMetrics body whose last line is given by this function.
#[track_caller]
fn open(body: &str, wanted: &[&str]) {
    let wanted: Vec<_> = wanted.iter().copied().chain(["eof"]).collect();
    check(Format::OpenMetrics, &format!("{body}# EOF\n"), &wanted);
}

/// A body of one line that is refused.
#[track_caller]
fn refused(format: Format, body: &str, wanted: &str) {
    let entries = read(format, body.as_bytes());
    let last = entries.last().expect("an error");
    assert!(last.starts_with(wanted), "{body:.100?}: {last}");
}

#[test]
fn text_samples() {
    text("", &[]);
    text("\n \t\n  ", &[]);
    text("a 1", &[r#"{__name__="a"} 1"#]);
    text(
        "a 1\n\n\nb_:9 -2.5e3 \n",
        &[r#"{__name__="a"} 1"#, r#"{__name__="b_:9"} -2500"#],
    );
    text("a{} 1 123\n", &[r#"{__name__="a"} 1 @123"#]);
    text(
        "a\t{ b = \"c\" , d=\"e\" , }\t1\t5\t\n",
        &[r#"{__name__="a",b="c",d="e"} 1 @5"#],
    );
    text("a{b=\"c\"}1", &[r#"{__name__="a",b="c"} 1"#]);
    text("a+1", &[r#"{__name__="a"} 1"#]);
    text("a{b=\"c\" d=\"e\"} 1", &[r#"{__name__="a",b="c",d="e"} 1"#]);
    text("a{b=\"c\"d=\"e\"} 1", &[r#"{__name__="a",b="c",d="e"} 1"#]);
    text("a{b=\"c\",b=\"d\"} 1", &[r#"{__name__="a",b="c",b="d"} 1"#]);
    text("a{b=\"\"} 1", &[r#"{__name__="a",b=""} 1"#]);
    text("  a 1", &[r#"{__name__="  a"} 1"#]);
    text("  {\"a\"} 1", &[r#"{__name__="a"} 1"#]);
    text(
        "a NaN\na nan\na +Inf\na -inf\na infinity",
        &[
            r#"{__name__="a"} NaN"#,
            r#"{__name__="a"} NaN"#,
            r#"{__name__="a"} inf"#,
            r#"{__name__="a"} -inf"#,
            r#"{__name__="a"} inf"#,
        ],
    );
}

#[test]
fn text_strings() {
    text(
        r#"a{b="\\\"\n\t\x"} 1"#,
        &[r#"{__name__="a",b="\\\"\n\\t\\x"} 1"#],
    );
    text(
        "a{b=\"x\ny\"} 1\nc 2",
        &[r#"{__name__="a",b="x\ny"} 1"#, r#"{__name__="c"} 2"#],
    );
    text("a{b=\"ä, } = #\"} 1", &[r#"{__name__="a",b="ä, } = #"} 1"#]);
    text(
        "a{b=\"long enough for words of eight bytes \\\\\"} 1",
        &[r#"{__name__="a",b="long enough for words of eight bytes \\"} 1"#],
    );
    text(
        r#"{"a.b", "c d"="e"} 1"#,
        &[r#"{__name__="a.b",c d="e"} 1"#],
    );
    text(r#"{c="d", "a\"b" } 1"#, &[r#"{c="d",__name__="a\"b"} 1"#]);
}

#[test]
fn text_metadata() {
    text(
        "# HELP a\n# HELP b \n# HELP  c\td e\\\\ \\n \\\" f ",
        &[
            r#"help a """#,
            r#"help b """#,
            r#"help c "d e\\ \n \\\" f ""#,
        ],
    );
    text(
        "# TYPE a counter\n#\tTYPE \"b c\" untyped\n",
        &["type a counter", "type b c unknown"],
    );
    text(
        " # plain\n#TYPE a b\n# TYPES a b\n# UNIT a b\n# EOF\n#\n# HELP\n",
        &[
            r##"comment "# plain""##,
            r##"comment "#TYPE a b""##,
            r##"comment "# TYPES a b""##,
            r##"comment "# UNIT a b""##,
            r##"comment "# EOF""##,
            r##"comment "#""##,
            r##"comment "# HELP""##,
        ],
    );
}

#[test]
fn text_refusals() {
    let cases = [
        (
            "a",
            r#"line 1, column 2: expected a number, found the end of the body"#,
        ),
        (
            "a \nb 1",
            r#"line 1, column 3: expected a number, found the end of the line"#,
        ),
        (
            "ok 1\na x\n",
            r#"line 2, column 3: expected a number, found "x""#,
        ),
        (
            "a 1\r\n",
            r#"line 1, column 3: expected a number, found "1\r""#,
        ),
        ("a 1e400", "line 1, column 3: expected a number"),
        ("a 1_0", "line 1, column 3: expected a number"),
        ("a 0x1p2", "line 1, column 3: expected a number"),
        (
            "a 1{",
            "line 1, column 4: expected a timestamp in milliseconds or the end",
        ),
        (
            "a 1 -5",
            "line 1, column 5: expected a timestamp in milliseconds or the end",
        ),
        (
            "a 1 1.5",
            "line 1, column 6: expected the end of the line after the timestamp",
        ),
        (
            "a 1 99999999999999999999",
            "line 1, column 5: expected a timestamp",
        ),
        (
            "a 1 5 # {} 1",
            "line 1, column 7: expected the end of the line",
        ),
        ("ä 1", "line 1, column 1: expected a metric name"),
        ("9a 1", "line 1, column 1: expected a metric name"),
        ("a.b 1", "line 1, column 2: expected a number"),
        (
            "a{",
            "line 1, column 3: expected a label name or `}`, found the end of the body",
        ),
        ("a{,} 1", "line 1, column 3: expected a label name or `}`"),
        (
            "a{b=\"c\",,} 1",
            "line 1, column 9: expected a label name or `}`",
        ),
        ("a{b} 1", "line 1, column 4: expected `=`"),
        ("a{b:c=\"d\"} 1", "line 1, column 4: expected `=`"),
        (
            "a{b=c} 1",
            "line 1, column 5: expected a label value in quotes",
        ),
        (
            "a{b=\"c} 1\n",
            "line 1, column 5: expected a string with a closing quote",
        ),
        (
            "a{b=\"c\\\n\"} 1\n",
            "line 1, column 5: expected a string with a closing quote",
        ),
        (
            "a{\"b\"} 1",
            "line 1, column 3: expected a label (a metric name has no place here)",
        ),
        (
            "{\"a\",\"b\"} 1",
            "line 1, column 6: expected a label (a metric name",
        ),
        (
            "{a=\"b\"} 1",
            "line 1, column 7: expected a metric name, as a quoted string",
        ),
        (
            "{} 1",
            "line 1, column 2: expected a metric name, as a quoted string",
        ),
        (
            "# TYPE a",
            "line 1, column 9: expected counter, gauge, histogram, summary or untyped",
        ),
        ("# TYPE a  gauge", "line 1, column 10: expected counter"),
        ("# TYPE a gauge ", "line 1, column 10: expected counter"),
        ("# TYPE a Gauge", "line 1, column 10: expected counter"),
        ("# TYPE a info", "line 1, column 10: expected counter"),
        ("# HELP \n", "line 1, column 8: expected a metric name"),
        ("# TYPE 1", "line 1, column 8: expected a metric name"),
    ];
    for (body, wanted) in cases {
        refused(Format::Prometheus, body, wanted);
    }
}

#[test]
fn open_samples() {
    check(Format::OpenMetrics, "", &[]);
    check(Format::OpenMetrics, "# EOF", &["eof"]);
    open("", &[]);
    open(
        "a 1\na{} 1 1.5\na{b=\"c\",d=\"e\",} 2 -0.001\n",
        &[
            r#"{__name__="a"} 1"#,
            r#"{__name__="a"} 1 @1500"#,
            r#"{__name__="a",b="c",d="e"} 2 @-1"#,
        ],
    );
    open(
        "a 1 1e9\na 1 0.9999\n",
        &[
            r#"{__name__="a"} 1 @1000000000000"#,
            r#"{__name__="a"} 1 @999"#,
        ],
    );
    open(
        "{\"a.b\",\"c d\"=\"\\\"\\\\\\n\"} 1\n",
        &[r#"{__name__="a.b",c d="\"\\\n"} 1"#],
    );
    open("a_created 1.5\n", &[r#"{__name__="a_created"} 1.5"#]);
    open(
        "a 1 # {t=\"x\"} 0.5\na 1 2 # {} 0.5 3\na 1 # {\"u v\"=\"\"} NaN\n",
        &[
            r#"{__name__="a"} 1 # {t="x"} 0.5"#,
            r#"{__name__="a"} 1 @2000 # {} 0.5 @3000"#,
            r#"{__name__="a"} 1 # {u v=""} NaN"#,
        ],
    );
}

#[test]
fn open_names_may_hold_line_feeds() {
    open(
        "# HELP \"a\nb\" c\n{\"a\nb\",\"c\nd\"=\"e\"} 1\n",
        &["help a\nb \"c\"", "{__name__=\"a\\nb\",c\nd=\"e\"} 1"],
    );
}

#[test]
fn open_metadata() {
    open(
        "# HELP a x \\\" \\\\ \\n\n# HELP b \n",
        &[r#"help a "x \" \\ \n""#, r#"help b """#],
    );
    let kinds = "counter gauge histogram gaugehistogram summary info stateset unknown";
    for kind in kinds.split(' ') {
        open(&format!("# TYPE a {kind}\n"), &[&format!("type a {kind}")]);
    }
    open(
        "# UNIT a_seconds seconds\n# UNIT b \n# UNIT \"c d_s\" s\n",
        &[
            r#"unit a_seconds "seconds""#,
            r#"unit b """#,
            r#"unit c d_s "s""#,
        ],
    );
}

#[test]
fn open_refusals() {
    let cases = [
        (
            "a 1\n",
            "line 2, column 1: expected `# EOF` as the last line",
        ),
        (
            "a 1",
            "line 1, column 4: expected a line feed, and `# EOF` as the last line",
        ),
        (
            "# EOF\n\n",
            "line 2, column 1: expected nothing after `# EOF`",
        ),
        (
            "# EOF\na 1\n",
            "line 2, column 1: expected nothing after `# EOF`",
        ),
        (
            "# EOF ",
            "line 1, column 1: expected `# HELP`, `# TYPE`, `# UNIT` or `# EOF`",
        ),
        ("\n# EOF", "line 1, column 1: expected a metric name or `#`"),
        (
            " a 1\n# EOF",
            "line 1, column 1: expected a metric name or `#`",
        ),
        ("# comment\n# EOF", "line 1, column 1: expected `# HELP`"),
        ("#HELP a b\n# EOF", "line 1, column 1: expected `# HELP`"),
        ("#  HELP a b\n# EOF", "line 1, column 1: expected `# HELP`"),
        (
            "# HELP a\n# EOF",
            "line 1, column 9: expected one space and a text",
        ),
        (
            "# TYPE a untyped\n# EOF",
            "line 1, column 10: expected counter, gauge, histogram, ga",
        ),
        (
            "# TYPE a  gauge\n# EOF",
            "line 1, column 10: expected counter",
        ),
        (
            "# UNIT a_seconds meters\n# EOF",
            "line 1, column 18: expected the unit to be",
        ),
        (
            "# UNIT seconds seconds\n# EOF",
            "line 1, column 16: expected the unit to be",
        ),
        (
            "# UNIT aseconds seconds\n# EOF",
            "line 1, column 17: expected the unit to be",
        ),
        ("a  1\n# EOF", "line 1, column 3: expected a number"),
        (
            "a\t1\n# EOF",
            "line 1, column 2: expected one space and a value",
        ),
        ("a 1 \n# EOF", "line 1, column 5: expected a number"),
        (
            "a {b=\"c\"} 1\n# EOF",
            "line 1, column 3: expected a number",
        ),
        (
            "a{b=\"c\"}1\n# EOF",
            "line 1, column 9: expected one space and a value",
        ),
        (
            "a{b=\"c\", d=\"e\"} 1\n# EOF",
            "line 1, column 9: expected a label name or `}`",
        ),
        (
            "a{b=\"c\"d=\"e\"} 1\n# EOF",
            "line 1, column 8: expected `,` or `}`",
        ),
        (
            "a{,} 1\n# EOF",
            "line 1, column 3: expected a label name or `}`",
        ),
        (
            "a{b=\"c\nd\"} 1\n# EOF",
            "line 1, column 5: expected a string with a closing quote",
        ),
        (
            "a 1 NaN\n# EOF",
            "line 1, column 5: expected a finite timestamp",
        ),
        (
            "a 1 +Inf\n# EOF",
            "line 1, column 5: expected a finite timestamp",
        ),
        (
            "a 1 2 3\n# EOF",
            "line 1, column 6: expected the end of the line or an exemplar",
        ),
        (
            "a 1 #\n# EOF",
            "line 1, column 4: expected the end of the line or an exemplar",
        ),
        (
            "a 1 # {a=\"b\"}\n# EOF",
            "line 1, column 14: expected one space and a value",
        ),
        (
            "a 1 # {\"a\"} 1\n# EOF",
            "line 1, column 8: expected a label (a metric name",
        ),
        (
            "a 1 # {} 1 2 3\n# EOF",
            "line 1, column 13: expected the end of the line",
        ),
        (
            "a 1 # {} 1 # {} 1\n# EOF",
            "line 1, column 12: expected a number",
        ),
    ];
    for (body, wanted) in cases {
        refused(Format::OpenMetrics, body, wanted);
    }
}

#[test]
fn bucket_bounds_and_quantiles_are_written_one_way() {
    let body = "# TYPE h histogram\n\
                h_bucket{le=\"1\"} 1\n\
                h_bucket{le=\"1000000\",quantile=\"1\"} 1\n\
                h_bucket{le=\"+Inf\"} 1\n\
                h_bucket{le=\"x\"} 1\n\
                h_bucket{le=\"-0\"} 1\n\
                # TYPE s summary\n\
                s{quantile=\"0.50\",le=\"1\"} 1\n\
                # TYPE g gauge\n\
                s{quantile=\"1\"} 1\n\
                h_bucket{le=\"1\"} 1\n";
    let wanted = [
        "type h histogram",
        r#"{__name__="h_bucket",le="1.0"} 1"#,
        r#"{__name__="h_bucket",le="1e+06",quantile="1"} 1"#,
        r#"{__name__="h_bucket",le="+Inf"} 1"#,
        r#"{__name__="h_bucket",le="x"} 1"#,
        r#"{__name__="h_bucket",le="0.0"} 1"#,
        "type s summary",
        r#"{__name__="s",quantile="0.5",le="1"} 1"#,
        "type g gauge",
        r#"{__name__="s",quantile="1"} 1"#,
        r#"{__name__="h_bucket",le="1"} 1"#,
    ];
    text(body, &wanted);
    open(body, &wanted);
    open(
        "# TYPE h gaugehistogram\nh_bucket{le=\"1\"} 1\n",
        &["type h gaugehistogram", r#"{__name__="h_bucket",le="1"} 1"#],
    );
}

#[test]
fn raw_is_the_series_as_exposed() {
    let body = b"a {b=\"c\"} 1\n{\"d\"} 2\n e 3\n";
    let mut parser = Parser::new(Format::Prometheus, body);
    for wanted in [&b"a {b=\"c\"}"[..], b"{\"d\"}", b" e"] {
        let Ok(Some(Entry::Series(series))) = parser.next() else {
            panic!("expected a series");
        };
        assert_eq!(series.raw, wanted);
    }
}

#[test]
fn no_nan_is_the_staleness_marker() {
    let mut parser = Parser::new(Format::Prometheus, b"a NaN");
    let Ok(Some(Entry::Series(series))) = parser.next() else {
        panic!("expected a series");
    };
    assert_eq!(series.value.to_bits(), 0x7ff8_0000_0000_0001);
}

#[test]
fn what_is_not_utf8_is_refused_but_in_comments() {
    let bad = |format, body: &[u8]| read(format, body).pop().unwrap();
    let wanted = "line 2, column 7: expected valid UTF-8, found \"\u{fffd}\\\"} 1\"";
    assert_eq!(bad(Format::Prometheus, b"# \xff\nab{c=\"\xff\"} 1"), wanted);
    assert_eq!(bad(Format::OpenMetrics, b"a 1\nab{c=\"\xff\"} 1"), wanted);
    assert!(bad(Format::Prometheus, b"# HELP a \xff").contains("valid UTF-8"));
    assert!(bad(Format::OpenMetrics, b"a 1 # {b=\"\xff\"} 1\n").contains("valid UTF-8"));
}

#[test]
fn bounds() {
    let mut many = "a{".to_owned();
    for i in 0..=LABELS_MAX {
        many.push_str(&format!("l{i}=\"\","));
    }
    refused(
        Format::Prometheus,
        &format!("{many}}} 1\n"),
        "line 1, column 8109: a sample has more than 1024 labels, found \"l1024=",
    );
    let long = format!("ok 1\n\na{{b=\"{}\"}} 1\n", "x".repeat(LINE_BYTES_MAX));
    let wanted = "line 3, column 1: a line is longer than 1048576 bytes, found \"a{b=\\\"xxx";
    refused(Format::Prometheus, &long, wanted);
    refused(
        Format::OpenMetrics,
        &long.replace("\n\n", "\n# HELP x \n"),
        wanted,
    );
    let blank = "\n".repeat(LINE_BYTES_MAX + 1) + "a 1";
    text(&blank, &[r#"{__name__="a"} 1"#]);
}

/// Bytes that look like exposition, for errors deep inside lines.
fn like_exposition() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z{}\"=,#\\\\ \n\t0-9.]{0,8}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "# HELP ",
            "# TYPE ",
            "# UNIT ",
            "# EOF\n",
            "a 1\n",
            "a{b=\"c\"} 1\n",
            " # {",
            "NaN",
            "counter",
            "\"",
            "\\",
            "1e308",
            "-1",
            "}",
            "le=\"1\"",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_bytes_make_it_panic(body in like_exposition()) {
        for format in [Format::Prometheus, Format::OpenMetrics] {
            read(format, &body);
        }
    }

    #[test]
    fn what_is_written_is_read(
        name in "[a-z_:][a-z0-9_:]{0,4}|\\PC{1,4}",
        help in "\\PC{0,6}|[\\\\\n\"x]{0,6}",
        labels in prop::collection::vec(("[a-z_][a-z0-9_]{0,3}|\\PC{1,3}", "\\PC{0,3}|[\\\\\n\"x]{0,12}"), 0..4),
        value: f64,
    ) {
        let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut page = TextWriter::new();
        page.family(&name, &help, MetricKind::Gauge).sample(&pairs, value);
        let page = page.finish();
        let mut parser = Parser::new(Format::Prometheus, page.as_bytes());
        let Ok(Some(Entry::Help { family, text })) = parser.next() else {
            panic!("expected help: {page}");
        };
        prop_assert_eq!((&*family, &*text), (name.as_str(), help.as_str()));
        let Ok(Some(Entry::Type { family, kind })) = parser.next() else {
            panic!("expected a type: {page}");
        };
        prop_assert_eq!((&*family, kind), (name.as_str(), MetricKind::Gauge));
        let Ok(Some(Entry::Series(series))) = parser.next() else {
            panic!("expected a series: {page}");
        };
        let read: Vec<_> = series.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let mut wanted = labels.clone();
        wanted.insert(0, ("__name__".to_owned(), name.clone()));
        prop_assert_eq!(read, wanted);
        prop_assert!(series.value == value || series.value.is_nan() && value.is_nan());
        prop_assert!(parser.next().unwrap().is_none());
    }
}
