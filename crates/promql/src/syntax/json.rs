//! The tree as JSON, which `parse_query` answers with.
//!
//! Names and shapes are those of Prometheus; the fields of every object come in alphabetical
//! order, and strings are escaped so that they can stand in HTML.

use std::fmt::{Display, Write};

use ferula_model::Matcher;
use ferula_model::text::number::Form;

use super::ast::{
    Aggregate, At, Binary, Call, Cardinality, DurationExpr, DurationOperand, Expr, Extended,
    Matching, Modifiers, Number, RangeSelector, Selector, Subquery,
};

/// `expr` as JSON. Durations that are computed count 0 milliseconds unless they are resolved.
pub fn json(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(&mut out, expr);
    out
}

/// Appends what needs no escaping.
fn put(out: &mut String, text: impl Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}");
}

fn write_expr(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Number(e) => {
            let value = Form::Plain.show(e.value);
            put(
                out,
                format_args!(r#"{{"type":"numberLiteral","val":"{value}"}}"#),
            );
        }
        Expr::String(e) => {
            out.push_str(r#"{"type":"stringLiteral","val":"#);
            write_string(out, &e.value);
            out.push('}');
        }
        Expr::Paren(e) => {
            out.push_str(r#"{"expr":"#);
            write_expr(out, &e.inner);
            out.push_str(r#","type":"parenExpr"}"#);
        }
        Expr::Unary(e) => {
            out.push_str(r#"{"expr":"#);
            write_expr(out, &e.operand);
            put(
                out,
                format_args!(r#","op":"{}","type":"unaryExpr"}}"#, e.sign()),
            );
        }
        Expr::Binary(e) => write_chain(out, e),
        Expr::Call(e) => write_call(out, e),
        Expr::Aggregate(e) => write_aggregate(out, e),
        Expr::Selector(e) => {
            write_selector(out, e, None);
            out.push_str(r#","type":"vectorSelector"}"#);
        }
        Expr::Range(e) => {
            write_selector(out, &e.selector, Some(e));
            out.push_str(r#","type":"matrixSelector"}"#);
        }
        Expr::Subquery(e) => write_subquery(out, e),
    }
}

/// A chain nests to the left without end, so its operations are opened one after the other.
fn write_chain(out: &mut String, outermost: &Binary) {
    let chain = outermost.chain();
    for binary in &chain {
        put(
            out,
            format_args!(r#"{{"bool":{},"lhs":"#, binary.return_bool),
        );
    }
    if let Some(innermost) = chain.last() {
        write_expr(out, &innermost.lhs);
    }
    for binary in chain.into_iter().rev() {
        out.push_str(r#","matching":"#);
        match &binary.matching {
            Some(matching) => write_matching(out, matching),
            None => out.push_str("null"),
        }
        out.push_str(r#","op":"#);
        write_string(out, binary.op.as_str());
        out.push_str(r#","rhs":"#);
        write_expr(out, &binary.rhs);
        out.push_str(r#","type":"binaryExpr"}"#);
    }
}

fn write_matching(out: &mut String, matching: &Matching) {
    let card = match matching.card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    put(
        out,
        format_args!(r#"{{"card":"{card}","fillValues":{{"lhs":"#),
    );
    write_fill(out, matching.fill_left);
    out.push_str(r#","rhs":"#);
    write_fill(out, matching.fill_right);
    out.push_str(r#"},"include":"#);
    write_list(out, &matching.include, |out, label| {
        write_string(out, label)
    });
    out.push_str(r#","labels":"#);
    write_list(out, &matching.labels, |out, label| write_string(out, label));
    put(out, format_args!(r#","on":{}}}"#, matching.on));
}

/// JSON has no number for what is not finite, and the reference then no answer; here it is text.
fn write_fill(out: &mut String, value: Option<f64>) {
    match value {
        None => out.push_str("null"),
        Some(value) if value.is_finite() => {
            let text = Form::Api.show(value).to_string();
            out.push_str(&text.replace("e-0", "e-"));
        }
        Some(value) => put(out, format_args!("\"{}\"", Form::Api.show(value))),
    }
}

fn write_call(out: &mut String, call: &Call) {
    let func = call.func;
    out.push_str(r#"{"args":"#);
    write_list(out, &call.args, write_expr);
    out.push_str(r#","func":{"argTypes":"#);
    write_list(out, func.args, |out, arg| write_string(out, arg.as_str()));
    let (name, returns) = (func.name, func.returns.as_str());
    // How many arguments there may be beyond those that must be; -1 for any number.
    let variadic = func
        .args_max
        .map_or(-1, |max| max as i64 - func.args_min as i64);
    put(
        out,
        format_args!(
            r#","name":"{name}","returnType":"{returns}","variadic":{variadic}}},"type":"call"}}"#
        ),
    );
}

fn write_aggregate(out: &mut String, aggregate: &Aggregate) {
    out.push_str(r#"{"expr":"#);
    write_expr(out, &aggregate.expr);
    out.push_str(r#","grouping":"#);
    write_list(out, &aggregate.grouping, |out, label| {
        write_string(out, label)
    });
    put(
        out,
        format_args!(r#","op":"{}","param":"#, aggregate.op.as_str()),
    );
    match &aggregate.param {
        Some(param) => write_expr(out, param),
        None => out.push_str("null"),
    }
    let without = aggregate.without;
    put(
        out,
        format_args!(r#","type":"aggregation","without":{without}}}"#),
    );
}

/// All of a selector but its type and the closing brace; `range` if it is the one of a range.
fn write_selector(out: &mut String, selector: &Selector, range: Option<&RangeSelector>) {
    let anchored = selector.extended == Some(Extended::Anchored);
    let smoothed = selector.extended == Some(Extended::Smoothed);
    put(out, format_args!(r#"{{"anchored":{anchored},"matchers":"#));
    write_list(out, &selector.matchers, write_matcher);
    out.push_str(r#","name":"#);
    write_string(out, &selector.name);
    write_offset(out, &selector.modifiers);
    if let Some(range) = range {
        write_duration(out, "range", range.range_ms, range.range_expr.as_deref());
    }
    put(out, format_args!(r#","smoothed":{smoothed}"#));
    write_start_or_end(out, &selector.modifiers);
    write_timestamp(out, &selector.modifiers);
}

fn write_matcher(out: &mut String, matcher: &Matcher) {
    out.push_str(r#"{"name":"#);
    write_string(out, matcher.name());
    put(
        out,
        format_args!(r#","type":"{}","value":"#, matcher.op().as_str()),
    );
    write_string(out, matcher.value());
    out.push('}');
}

fn write_subquery(out: &mut String, subquery: &Subquery) {
    out.push_str(r#"{"expr":"#);
    write_expr(out, &subquery.expr);
    write_offset(out, &subquery.modifiers);
    write_duration(
        out,
        "range",
        subquery.range_ms,
        subquery.range_expr.as_deref(),
    );
    write_start_or_end(out, &subquery.modifiers);
    let step_ms = subquery.step_ms.unwrap_or_default();
    write_duration(out, "step", step_ms, subquery.step_expr.as_deref());
    write_timestamp(out, &subquery.modifiers);
    out.push_str(r#","type":"subquery"}"#);
}

fn write_offset(out: &mut String, modifiers: &Modifiers) {
    let expr = modifiers.offset_expr.as_deref();
    write_duration(out, "offset", modifiers.offset_ms, expr);
}

fn write_start_or_end(out: &mut String, modifiers: &Modifiers) {
    let text = match modifiers.at {
        Some(At::Start) => r#""start""#,
        Some(At::End) => r#""end""#,
        Some(At::Time(_)) | None => "null",
    };
    put(out, format_args!(r#","startOrEnd":{text}"#));
}

fn write_timestamp(out: &mut String, modifiers: &Modifiers) {
    match modifiers.at {
        Some(At::Time(ms)) => put(out, format_args!(r#","timestamp":{ms}"#)),
        Some(At::Start | At::End) | None => out.push_str(r#","timestamp":null"#),
    }
}

/// Appends the fields `name` and, for what computes it, `nameExpr`.
fn write_duration(out: &mut String, name: &str, ms: i64, expr: Option<&DurationExpr>) {
    put(out, format_args!(r#","{name}":{ms},"{name}Expr":"#));
    write_computed(out, expr);
}

fn write_computed(out: &mut String, expr: Option<&DurationExpr>) {
    let Some(expr) = expr else {
        out.push_str("null");
        return;
    };
    out.push_str(r#"{"lhs":"#);
    write_operand(out, expr.lhs.as_ref());
    put(out, format_args!(r#","op":"{}","rhs":"#, expr.op.as_str()));
    write_operand(out, expr.rhs.as_ref());
    let wrapped = expr.wrapped;
    put(
        out,
        format_args!(r#","type":"durationExpr","wrapped":{wrapped}}}"#),
    );
}

fn write_operand(out: &mut String, operand: Option<&DurationOperand>) {
    match operand {
        Some(DurationOperand::Number(number)) => {
            let Number { is_duration, .. } = number;
            let value = Form::Plain.show(number.value);
            put(
                out,
                format_args!(
                    r#"{{"duration":{is_duration},"type":"numberLiteral","val":"{value}"}}"#
                ),
            );
        }
        Some(DurationOperand::Expr(expr)) => write_computed(out, Some(expr)),
        None => write_computed(out, None),
    }
}

fn write_list<T>(out: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                put(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
