//! Texts that are no expressions, each with the place and the message: selectors, calls and
//! operators whose parts do not go together.

use super::reject::reject;

#[test]
fn selectors() {
    reject(&[
        (
            r#"foo{a=~"["}"#,
            "1:5: error parsing regexp: missing closing ]: `[`",
        ),
        (
            r#"{a="b", c!~"y)"} $"#,
            "1:9: error parsing regexp: unexpected ): `y)`",
        ),
        (
            "{}",
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            r#"{a=""}"#,
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            r#"{a=~".*"}"#,
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            r#"{a!="x"}"#,
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            r#"{"a"!="x"}"#,
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            r#"{""}"#,
            "1:1: vector selector must contain at least one non-empty matcher",
        ),
        (
            r#"foo{__name__="bar"}"#,
            r#"1:1: metric name must not be set twice: "foo" or "bar""#,
        ),
        (
            r#"foo{__name__!~"bar"}"#,
            r#"1:1: metric name must not be set twice: "foo" or "bar""#,
        ),
        (
            r#"foo{"bar"}"#,
            r#"1:1: metric name must not be set twice: "foo" or "bar""#,
        ),
        (
            r#"foo{"__name__"="bar"}"#,
            r#"1:1: metric name must not be set twice: "foo" or "bar""#,
        ),
        (
            "foo{,}",
            r#"1:5: unexpected "," in label matching, expected identifier or "}""#,
        ),
        (
            r#"foo{a="b",,}"#,
            r#"1:11: unexpected "," in label matching, expected identifier or "}""#,
        ),
        (
            r#"foo{a="b" b="c"}"#,
            r#"1:11: unexpected identifier "b" in label matching, expected "," or "}""#,
        ),
        (
            "foo{a}",
            r#"1:6: unexpected "}" in label matching, expected label matching operator"#,
        ),
        (
            "foo{a=}",
            r#"1:7: unexpected "}" in label matching, expected string"#,
        ),
        (
            "foo{a==b}",
            r#"1:7: unexpected "=" in label matching, expected string"#,
        ),
        (
            "foo{a=b}",
            r#"1:7: unexpected identifier "b" in label matching, expected string"#,
        ),
        (
            "foo{=}",
            r#"1:5: unexpected "=" in label matching, expected identifier or "}""#,
        ),
        (
            r#"foo{"a" "b"}"#,
            r#"1:9: unexpected string "\"b\"" in label matching, expected "," or "}""#,
        ),
        (
            r#"foo{"a" b}"#,
            r#"1:9: unexpected identifier "b" in label matching, expected "," or "}""#,
        ),
        (
            r#"foo{1="b"}"#,
            "1:5: unexpected character inside braces: '1'",
        ),
        (r#"foo{a="b"}{c="d"}"#, r#"1:11: unexpected "{""#),
        (
            r#"foo{a="b" or c="d"}"#,
            r#"1:11: unexpected identifier "or" in label matching, expected "," or "}""#,
        ),
        (
            r#"foo(5){a="b"}"#,
            r#"1:1: unknown function with name "foo""#,
        ),
    ]);
}

#[test]
fn offset_and_at() {
    reject(&[
        (
            "foo offset",
            "1:11: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo offset bar",
            r#"1:12: unexpected identifier "bar" in offset, expected number, duration, step(), or range()"#,
        ),
        (
            "foo offset -",
            "1:13: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo offset -bar",
            r#"1:13: unexpected identifier "bar" in offset, expected number, duration, step(), or range()"#,
        ),
        (
            "foo offset 5m offset 3m",
            "1:1: offset may not be set multiple times",
        ),
        (
            "1 offset 5m",
            "1:1: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "(foo) offset 5m",
            "1:1: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "sum(foo) offset 5m",
            "1:1: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "-5m offset 5m",
            "1:2: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "1 @ 5",
            "1:1: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "(foo) @ 5",
            "1:1: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "foo @",
            "1:6: unexpected end of input in @, expected timestamp",
        ),
        (
            "foo @ bar",
            r#"1:7: unexpected identifier "bar" in @, expected timestamp"#,
        ),
        (
            "foo @ - -5",
            "1:9: unexpected <op:-> in @, expected timestamp",
        ),
        (
            "foo @ (5)",
            r#"1:7: unexpected "(" in @, expected timestamp"#,
        ),
        (
            "foo @ start",
            "1:12: unexpected end of input in @, expected timestamp",
        ),
        (
            "foo @ end(1)",
            r#"1:11: unexpected number "1" in @, expected timestamp"#,
        ),
        (
            "foo @ 5 @ 6",
            "1:1: @ <timestamp> may not be set multiple times",
        ),
        (
            "foo @ start() @ end()",
            "1:1: @ <timestamp> may not be set multiple times",
        ),
        (
            "foo @ 1 @ start()",
            "1:1: @ <timestamp> may not be set multiple times",
        ),
        (
            "foo @ inf",
            "1:1: timestamp out of bounds for @ modifier: +Inf",
        ),
        (
            "foo @ -inf",
            "1:1: timestamp out of bounds for @ modifier: -Inf",
        ),
        (
            "foo @ nan",
            "1:1: timestamp out of bounds for @ modifier: NaN",
        ),
        (
            "foo @ 1e30",
            "1:1: timestamp out of bounds for @ modifier: 1000000000000000019884624838656.000000",
        ),
        (
            "1 @ inf",
            "1:1: timestamp out of bounds for @ modifier: +Inf",
        ),
    ]);
}

#[test]
fn ranges_and_subqueries() {
    reject(&[
        ("(foo)[5m]", "1:6: ranges only allowed for vector selectors"),
        (
            "foo[5m][5m]",
            "1:8: ranges only allowed for vector selectors",
        ),
        ("1[5m]", "1:2: ranges only allowed for vector selectors"),
        (
            "foo offset 5m[5m]",
            "1:14: no offset modifiers allowed before range",
        ),
        ("foo @ 5 [5m]", "1:9: no @ modifiers allowed before range"),
        (
            "foo @ end()[5m]",
            "1:12: no @ modifiers allowed before range",
        ),
        ("foo[0]", "1:5: duration must be greater than 0"),
        ("foo[-5m]", "1:5: duration must be greater than 0"),
        ("foo[5m:0]", "1:8: duration must be greater than 0"),
        ("foo[5m:-1m]", "1:8: duration must be greater than 0"),
        (
            "foo[]",
            r#"1:5: unexpected "]" in subquery or range selector, expected number, duration, step(), or range()"#,
        ),
        (
            "foo[5m 5]",
            r#"1:8: unexpected number "5" in subquery or range, expected ":" or "]""#,
        ),
        (
            r#"foo[5m "a"]"#,
            r#"1:8: unexpected string "\"a\"" in subquery or range, expected ":" or "]""#,
        ),
        (
            r#"foo[5m:"a"]"#,
            r#"1:8: unexpected string "\"a\"" in subquery selector, expected number, duration, step(), range(), or "]""#,
        ),
        (
            "foo[5m:1m 3]",
            r#"1:11: unexpected number "3" in subquery selector, expected "]""#,
        ),
        ("foo[0 $", "1:7: unexpected character: '$'"),
        (
            "1[5m:1m]",
            "1:1: subquery is only allowed on instant vector, got scalar instead",
        ),
        (
            r#""a"[5m:1m]"#,
            "1:1: subquery is only allowed on instant vector, got string instead",
        ),
        (
            "foo[5m][5m:1m]",
            "1:1: subquery is only allowed on instant vector, got matrix instead",
        ),
        (
            "(foo[5m])[5m:1m]",
            "1:1: subquery is only allowed on instant vector, got matrix instead",
        ),
    ]);
}

#[test]
fn functions() {
    reject(&[
        (
            "rate(foo)",
            r#"1:6: expected type range vector in call to function "rate", got instant vector"#,
        ),
        (
            "rate(foo, 1)",
            r#"1:1: expected 1 argument(s) in call to "rate", got 2"#,
        ),
        (
            "abs()",
            r#"1:1: expected 1 argument(s) in call to "abs", got 0"#,
        ),
        (
            "abs(1)",
            r#"1:5: expected type instant vector in call to function "abs", got scalar"#,
        ),
        (
            "time(1)",
            r#"1:1: expected 0 argument(s) in call to "time", got 1"#,
        ),
        (
            "label_join(foo)",
            r#"1:1: expected at least 3 argument(s) in call to "label_join", got 1"#,
        ),
        (
            r#"label_join(foo, "a", ",", 1)"#,
            r#"1:27: expected type string in call to function "label_join", got scalar"#,
        ),
        (
            "round()",
            r#"1:1: expected at least 1 argument(s) in call to "round", got 0"#,
        ),
        (
            "round(foo, 1, 2)",
            r#"1:1: expected at most 2 argument(s) in call to "round", got 3"#,
        ),
        (
            r#"sort_by_label(foo, "a", 1)"#,
            r#"1:25: expected type string in call to function "sort_by_label", got scalar"#,
        ),
        (
            r#"label_replace(foo, 1, "b", "c", "d")"#,
            r#"1:20: expected type string in call to function "label_replace", got scalar"#,
        ),
        ("foo()", r#"1:1: unknown function with name "foo""#),
        ("sum(foo())", r#"1:5: unknown function with name "foo""#),
        (
            "holt_winters(foo[5m], 1, 2)",
            r#"1:1: unknown function with name "holt_winters""#,
        ),
        (
            "unknown() $",
            r#"1:1: unknown function with name "unknown""#,
        ),
        ("unknown(foo bar)", r#"1:13: unexpected identifier "bar""#),
        (
            "abs(foo,)",
            "1:8: trailing commas not allowed in function call args",
        ),
        (
            "abs(foo,,foo)",
            "1:8: trailing commas not allowed in function call args",
        ),
        (
            "abs(foo, ==)",
            "1:8: trailing commas not allowed in function call args",
        ),
        ("abs(foo, $", "1:10: unexpected character: '$'"),
        ("abs(,)", r#"1:5: unexpected ",""#),
        ("abs(foo bar)", r#"1:9: unexpected identifier "bar""#),
        ("abs foo", r#"1:5: unexpected identifier "foo""#),
        ("abs(foo", "1:8: unclosed left parenthesis"),
        ("foo[5m]()", r#"1:8: unexpected "(""#),
        (r#""foo"("bar")"#, r#"1:6: unexpected "(""#),
        ("foo:bar(5)", r#"1:8: unexpected "(""#),
        (
            "info(foo, bar)",
            "1:11: expected label selectors only, got vector selector instead",
        ),
        ("info(foo, abs(bar))", "1:11: expected label selectors only"),
        (
            "info(rate(foo), (bar))",
            "1:17: expected label selectors only",
        ),
        (
            r#"histogram_quantiles(foo, "q")"#,
            r#"1:1: expected at least 3 argument(s) in call to "histogram_quantiles", got 2"#,
        ),
        (
            r#"histogram_quantiles(foo, "q", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)"#,
            r#"1:1: expected at most 12 argument(s) in call to "histogram_quantiles", got 13"#,
        ),
        ("START()", r#"1:1: unknown function with name "START""#),
        (
            "min_of(1)",
            r#"1:1: expected 2 argument(s) in call to "min_of", got 1"#,
        ),
        (
            "1 + info(foo, 1)",
            r#"1:5: expected type instant vector in call to function "info", got scalar"#,
        ),
    ]);
}

#[test]
fn aggregations() {
    reject(&[
        (
            "sum()",
            "1:1: no arguments for aggregate expression provided",
        ),
        (
            "sum by (a) ()",
            "1:1: no arguments for aggregate expression provided",
        ),
        (
            "sum(foo, bar)",
            "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        (
            "topk(foo)",
            "1:1: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "sum(1)",
            "1:5: expected type instant vector in aggregation expression, got scalar",
        ),
        (
            r#"sum("a")"#,
            "1:5: expected type instant vector in aggregation expression, got string",
        ),
        (
            "sum(foo[5m])",
            "1:5: expected type instant vector in aggregation expression, got range vector",
        ),
        (
            r#"topk("a", foo)"#,
            "1:6: expected type scalar in aggregation parameter, got string",
        ),
        (
            "topk(foo, bar)",
            "1:6: expected type scalar in aggregation parameter, got instant vector",
        ),
        (
            "count_values(1, foo)",
            "1:14: expected type string in aggregation parameter, got scalar",
        ),
        (
            r#"quantile("a", 1)"#,
            "1:15: expected type instant vector in aggregation expression, got scalar",
        ),
        ("sum foo", r#"1:5: unexpected identifier "foo""#),
        (
            "sum by",
            r#"1:7: unexpected end of input in grouping opts, expected "(""#,
        ),
        (
            "sum by a",
            r#"1:8: unexpected identifier "a" in grouping opts, expected "(""#,
        ),
        ("sum by (a", "1:10: unclosed left parenthesis"),
        (
            "sum by (a b)",
            r#"1:11: unexpected identifier "b" in grouping opts, expected "," or ")""#,
        ),
        (
            "sum by (,) (foo)",
            r#"1:9: unexpected "," in grouping opts, expected label"#,
        ),
        (
            "sum by (a,,b) (foo)",
            r#"1:11: unexpected "," in grouping opts, expected label"#,
        ),
        (
            "sum by (1) (foo)",
            r#"1:9: unexpected number "1" in grouping opts, expected label"#,
        ),
        (
            r#"sum by ("") (foo)"#,
            r#"1:9: invalid label name for grouping: """#,
        ),
        (
            "sum by (a) foo",
            r#"1:12: unexpected identifier "foo" in aggregation"#,
        ),
        ("sum by (a)", "1:11: unexpected end of input in aggregation"),
        ("sum by (a) (foo) by (b)", "1:18: unexpected <by>"),
        (
            "sum(foo) by a",
            r#"1:13: unexpected identifier "a" in grouping opts, expected "(""#,
        ),
        (
            "sum(foo) by (a b)",
            r#"1:16: unexpected identifier "b" in grouping opts, expected "," or ")""#,
        ),
        (
            "sum() by a",
            r#"1:10: unexpected identifier "a" in grouping opts, expected "(""#,
        ),
        (
            "sum() bar",
            "1:1: no arguments for aggregate expression provided",
        ),
        ("sum() $", "1:7: unexpected character: '$'"),
        (
            "sum(foo,)",
            "1:8: trailing commas not allowed in function call args",
        ),
        ("topk(,foo)", r#"1:6: unexpected "," in aggregation"#),
        (
            "sum(foo bar)",
            r#"1:9: unexpected identifier "bar" in aggregation"#,
        ),
        (
            "sum(abs((foo bar)))",
            r#"1:14: unexpected identifier "bar" in aggregation"#,
        ),
        ("sum(foo) bar", r#"1:10: unexpected identifier "bar""#),
        ("sum(+)", r#"1:6: unexpected ")" in aggregation"#),
        (
            "sum(foo{a b})",
            r#"1:11: unexpected identifier "b" in label matching, expected label matching operator"#,
        ),
        (
            "sum(foo offset bar)",
            r#"1:16: unexpected identifier "bar" in offset, expected number, duration, step(), or range()"#,
        ),
        ("sum(foo)(bar)", r#"1:9: unexpected "(""#),
        (r#"sum{a="b"}(foo)"#, r#"1:11: unexpected "(""#),
    ]);
}

#[test]
fn binary_operations() {
    reject(&[
        (
            "1 == 1",
            "1:3: comparisons between scalars must use BOOL modifier",
        ),
        (
            "1 + (2 == 3)",
            "1:8: comparisons between scalars must use BOOL modifier",
        ),
        (
            "foo + bool bar",
            "1:5: bool modifier can only be used on comparison operators",
        ),
        (
            "foo and bool bar",
            "1:5: bool modifier can only be used on comparison operators",
        ),
        (
            "1 + bool on (a) 2",
            "1:3: bool modifier can only be used on comparison operators",
        ),
        (
            "foo and 1",
            r#"1:1: set operator "and" not allowed in binary scalar expression"#,
        ),
        (
            "1 or 2",
            r#"1:1: set operator "or" not allowed in binary scalar expression"#,
        ),
        (
            "foo + on (a) 1",
            "1:1: vector matching only allowed between instant vectors",
        ),
        (
            "1 and on (a) 2",
            "1:1: vector matching only allowed between instant vectors",
        ),
        (
            "foo and on (a) group_left (b) bar",
            r#"1:1: no grouping allowed for "and" operation"#,
        ),
        (
            "foo or on (a) group_right bar",
            r#"1:1: no grouping allowed for "or" operation"#,
        ),
        (
            "foo + on (a) group_left (b, a) bar",
            r#"1:5: label "a" must not occur in ON and GROUP clause at once"#,
        ),
        (
            r#"foo + "a""#,
            "1:7: binary expression must contain only scalar and instant vector types",
        ),
        (
            r#""a" + foo"#,
            "1:1: binary expression must contain only scalar and instant vector types",
        ),
        (
            r#""a" == "b""#,
            "1:1: binary expression must contain only scalar and instant vector types",
        ),
        (
            "1 + foo[5m]",
            "1:5: binary expression must contain only scalar and instant vector types",
        ),
        (
            "foo[5m] and 1",
            "1:1: binary expression must contain only scalar and instant vector types",
        ),
        (
            r#"-"a""#,
            r#"1:1: unary expression only allowed on expressions of type scalar or instant vector, got "string""#,
        ),
        (
            "foo + -bar[5m]",
            r#"1:7: unary expression only allowed on expressions of type scalar or instant vector, got "range vector""#,
        ),
        ("foo +", "1:6: unexpected end of input"),
        ("foo + + ==", "1:9: unexpected <op:==>"),
        (
            "foo + on bar",
            r#"1:10: unexpected identifier "bar" in grouping opts, expected "(""#,
        ),
        ("foo + on (a", "1:12: unclosed left parenthesis"),
        (
            "foo + on (a b) bar",
            r#"1:13: unexpected identifier "b" in grouping opts, expected "," or ")""#,
        ),
        ("foo + on (a)", "1:13: unexpected end of input"),
        ("foo + group_left bar", "1:7: unexpected <group_left>"),
        (
            "foo + on (a) group_left",
            r#"1:24: unexpected end of input in grouping opts, expected "(""#,
        ),
        (
            "foo + on (a) group_left == bar",
            r#"1:25: unexpected <op:==> in grouping opts, expected "(""#,
        ),
        (
            "(foo + on (a) group_left)",
            r#"1:25: unexpected ")" in grouping opts, expected "(""#,
        ),
        (
            "foo + on (a) group_left (bar + 1)",
            r#"1:30: unexpected <op:+> in grouping opts, expected "," or ")""#,
        ),
        (
            "foo + on (a) ignoring (b) bar",
            "1:14: unexpected <ignoring>",
        ),
        ("foo == on (a) bool bar", "1:15: unexpected <bool>"),
        ("foo bar", r#"1:5: unexpected identifier "bar""#),
        ("(foo bar)", r#"1:6: unexpected identifier "bar""#),
        ("(foo, bar)", r#"1:5: unexpected ",""#),
        ("()", r#"1:2: unexpected ")""#),
        ("(", "1:2: unclosed left parenthesis"),
    ]);
}
