//! The tree as JSON.

use crate::syntax::{ParseOptions, json, parse};

/// Checks the JSON of each text. `'` stands for `"`, and `SELECTOR` for the fields of a selector
/// `foo` that say nothing.
fn check(cases: &[(&str, &str)]) {
    const FOO: &str = "'matchers':[{'name':'__name__','type':'=','value':'foo'}],'name':'foo'";
    const BAR: &str = "'matchers':[{'name':'__name__','type':'=','value':'bar'}],'name':'bar'";
    const REST: &str = "'smoothed':false,'startOrEnd':null,'timestamp':null";
    let vector = |matchers: &str| {
        format!(
            "{{'anchored':false,{matchers},'offset':0,'offsetExpr':null,{REST},\
             'type':'vectorSelector'}}"
        )
    };
    for &(text, want) in cases {
        let want = want
            .replace("$foo", &vector(FOO))
            .replace("$bar", &vector(BAR))
            .replace("$matchers", FOO)
            .replace("$rest", REST)
            .replace('\'', "\"");
        match parse(text, &ParseOptions::ALL) {
            Ok(expr) => assert_eq!(json(&expr), want, "{text}"),
            Err(error) => panic!("{text}: {}", error.display(text)),
        }
    }
}

#[test]
fn literals() {
    check(&[
        ("1.50", "{'type':'numberLiteral','val':'1.5'}"),
        ("-inf", "{'type':'numberLiteral','val':'-Inf'}"),
        ("1e10", "{'type':'numberLiteral','val':'10000000000'}"),
        ("5m", "{'type':'numberLiteral','val':'300'}"),
        (
            r#""a<\n\u2028é""#,
            r"{'type':'stringLiteral','val':'a\u003c\n\u2028é'}",
        ),
    ]);
}

#[test]
fn selectors() {
    check(&[
        ("foo", "$foo"),
        (
            r#"foo{b!="<",a=~"x|y"} offset -5m @ 1.5 anchored"#,
            r"{'anchored':true,'matchers':[{'name':'b','type':'!=','value':'\u003c'},{'name':'a','type':'=~','value':'x|y'},{'name':'__name__','type':'=','value':'foo'}],'name':'foo','offset':-300000,'offsetExpr':null,'smoothed':false,'startOrEnd':null,'timestamp':1500,'type':'vectorSelector'}",
        ),
        (
            r#"{"foo"} @ end()"#,
            "{'anchored':false,'matchers':[{'name':'__name__','type':'=','value':'foo'}],'name':'','offset':0,'offsetExpr':null,'smoothed':false,'startOrEnd':'end','timestamp':null,'type':'vectorSelector'}",
        ),
        (
            "foo[5m] smoothed",
            "{'anchored':false,$matchers,'offset':0,'offsetExpr':null,'range':300000,'rangeExpr':null,'smoothed':true,'startOrEnd':null,'timestamp':null,'type':'matrixSelector'}",
        ),
        (
            "foo[5m:]",
            "{'expr':$foo,'offset':0,'offsetExpr':null,'range':300000,'rangeExpr':null,'startOrEnd':null,'step':0,'stepExpr':null,'timestamp':null,'type':'subquery'}",
        ),
        (
            "foo[5m:1s] @ start() offset 1s",
            "{'expr':$foo,'offset':1000,'offsetExpr':null,'range':300000,'rangeExpr':null,'startOrEnd':'start','step':1000,'stepExpr':null,'timestamp':null,'type':'subquery'}",
        ),
    ]);
}

#[test]
fn computed_durations() {
    check(&[
        (
            "foo[5m * (step())] offset -(2)",
            "{'anchored':false,$matchers,'offset':0,'offsetExpr':{'lhs':null,'op':'-','rhs':{'lhs':null,'op':'+','rhs':{'duration':false,'type':'numberLiteral','val':'2'},'type':'durationExpr','wrapped':true},'type':'durationExpr','wrapped':false},'range':0,'rangeExpr':{'lhs':{'duration':true,'type':'numberLiteral','val':'300'},'op':'*','rhs':{'lhs':null,'op':'step','rhs':null,'type':'durationExpr','wrapped':true},'type':'durationExpr','wrapped':false},$rest,'type':'matrixSelector'}",
        ),
        (
            "foo[5m:max_of(1, range())]",
            "{'expr':$foo,'offset':0,'offsetExpr':null,'range':300000,'rangeExpr':null,'startOrEnd':null,'step':0,'stepExpr':{'lhs':{'duration':false,'type':'numberLiteral','val':'1'},'op':'max_of','rhs':{'lhs':null,'op':'range','rhs':null,'type':'durationExpr','wrapped':false},'type':'durationExpr','wrapped':false},'timestamp':null,'type':'subquery'}",
        ),
    ]);
}

#[test]
fn operations() {
    check(&[
        (
            "-(foo)",
            "{'expr':{'expr':$foo,'type':'parenExpr'},'op':'-','type':'unaryExpr'}",
        ),
        (
            "foo > bool 1 + 2",
            "{'bool':true,'lhs':$foo,'matching':null,'op':'\\u003e','rhs':{'bool':false,'lhs':{'type':'numberLiteral','val':'1'},'matching':null,'op':'+','rhs':{'type':'numberLiteral','val':'2'},'type':'binaryExpr'},'type':'binaryExpr'}",
        ),
        (
            "foo / on (a) group_left (b) fill_right (1.5) bar and foo",
            "{'bool':false,'lhs':{'bool':false,'lhs':$foo,'matching':{'card':'many-to-one','fillValues':{'lhs':null,'rhs':1.5},'include':['b'],'labels':['a'],'on':true},'op':'/','rhs':$bar,'type':'binaryExpr'},'matching':{'card':'many-to-many','fillValues':{'lhs':null,'rhs':null},'include':[],'labels':[],'on':false},'op':'and','rhs':$foo,'type':'binaryExpr'}",
        ),
        (
            "foo + fill_left (1e-7) fill_right (inf) bar",
            "{'bool':false,'lhs':$foo,'matching':{'card':'one-to-one','fillValues':{'lhs':1e-7,'rhs':'+Inf'},'include':[],'labels':[],'on':false},'op':'+','rhs':$bar,'type':'binaryExpr'}",
        ),
        (
            "foo - ignoring (a) group_right bar",
            "{'bool':false,'lhs':$foo,'matching':{'card':'one-to-many','fillValues':{'lhs':null,'rhs':null},'include':[],'labels':['a'],'on':false},'op':'-','rhs':$bar,'type':'binaryExpr'}",
        ),
    ]);
}

#[test]
fn calls_and_aggregations() {
    check(&[
        (
            "time()",
            "{'args':[],'func':{'argTypes':[],'name':'time','returnType':'scalar','variadic':0},'type':'call'}",
        ),
        (
            "round(foo)",
            "{'args':[$foo],'func':{'argTypes':['vector','scalar'],'name':'round','returnType':'vector','variadic':1},'type':'call'}",
        ),
        (
            r#"label_join(foo, "a", "b")"#,
            "{'args':[$foo,{'type':'stringLiteral','val':'a'},{'type':'stringLiteral','val':'b'}],'func':{'argTypes':['vector','string','string','string'],'name':'label_join','returnType':'vector','variadic':-1},'type':'call'}",
        ),
        (
            r#"histogram_quantiles(foo, "q", 1)"#,
            "{'args':[$foo,{'type':'stringLiteral','val':'q'},{'type':'numberLiteral','val':'1'}],'func':{'argTypes':['vector','string','scalar','scalar'],'name':'histogram_quantiles','returnType':'vector','variadic':9},'type':'call'}",
        ),
        (
            "sum(foo)",
            "{'expr':$foo,'grouping':[],'op':'sum','param':null,'type':'aggregation','without':false}",
        ),
        (
            "TOPK without (a, b) (3, foo)",
            "{'expr':$foo,'grouping':['a','b'],'op':'topk','param':{'type':'numberLiteral','val':'3'},'type':'aggregation','without':true}",
        ),
    ]);
}
