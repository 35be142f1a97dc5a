//! Whether the types of a tree fit. The first thing wrong is reported, in Prometheus's order:
//! operands from left to right before what stands above them.

use std::fmt::Display;

use ferula_diag::Span;
use ferula_model::METRIC_NAME;

use super::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, Matching, Selector, Subquery, Unary, ValueType,
};
use super::error::ParseError;

type Result<T> = std::result::Result<T, ParseError>;

/// Checks an expression; the answer is its type.
pub(super) fn check(expr: &Expr) -> Result<ValueType> {
    match expr {
        Expr::Number(_) => Ok(ValueType::Scalar),
        Expr::String(_) => Ok(ValueType::String),
        Expr::Paren(e) => check(&e.inner),
        Expr::Unary(e) => check_unary(e),
        Expr::Binary(e) => check_chain(e),
        Expr::Call(e) => check_call(e),
        Expr::Aggregate(e) => check_aggregate(e),
        Expr::Selector(e) => check_selector(e),
        Expr::Range(e) => check_selector(&e.selector).map(|_| ValueType::Matrix),
        Expr::Subquery(e) => check_subquery(e),
    }
}

fn error<T>(span: Span, message: impl Into<String>) -> Result<T> {
    Err(ParseError::new(span, message))
}

/// Checks that `expr` is of type `want` where `context` stands.
fn expect(expr: &Expr, want: ValueType, context: impl Display) -> Result<()> {
    let got = check(expr)?;
    if got == want {
        return Ok(());
    }
    let (want, got) = (want.documented(), got.documented());
    error(
        expr.span(),
        format!("expected type {want} in {context}, got {got}"),
    )
}

fn check_unary(unary: &Unary) -> Result<ValueType> {
    let operand = check(&unary.operand)?;
    if matches!(operand, ValueType::Scalar | ValueType::Vector) {
        return Ok(operand);
    }
    error(
        unary.span,
        format!(
            "unary expression only allowed on expressions of type scalar or instant vector, \
             got \"{}\"",
            operand.documented()
        ),
    )
}

fn check_chain(outermost: &Binary) -> Result<ValueType> {
    let chain = outermost.chain();
    let mut value_type = match chain.last() {
        Some(innermost) => check(&innermost.lhs)?,
        None => ValueType::Vector,
    };
    for binary in chain.into_iter().rev() {
        value_type = check_binary(binary, value_type)?;
    }
    Ok(value_type)
}

/// Checks an operation whose left operand is checked already.
fn check_binary(binary: &Binary, lhs: ValueType) -> Result<ValueType> {
    let rhs = check(&binary.rhs)?;
    let op = binary.op;
    let scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
    if binary.return_bool && !op.is_comparison() {
        return error(
            binary.op_span,
            "bool modifier can only be used on comparison operators",
        );
    }
    if op.is_comparison() && !binary.return_bool && scalars {
        return error(
            binary.op_span,
            "comparisons between scalars must use BOOL modifier",
        );
    }
    if let Some(matching) = binary.matching.as_ref().filter(|m| m.on) {
        let twice = matching
            .labels
            .iter()
            .find(|l| matching.include.contains(l));
        if let Some(label) = twice {
            return error(
                binary.op_span,
                format!("label \"{label}\" must not occur in ON and GROUP clause at once"),
            );
        }
    }
    for (side, value_type) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
        if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            return error(
                side.span(),
                "binary expression must contain only scalar and instant vector types",
            );
        }
    }
    if lhs == ValueType::Vector && rhs == ValueType::Vector {
        let grouped = binary
            .matching
            .as_ref()
            .is_some_and(|m| m.card != Cardinality::ManyToMany);
        if op.is_set() && grouped {
            let op = op.as_str();
            return error(
                binary.span,
                format!("no grouping allowed for \"{op}\" operation"),
            );
        }
        if op.is_set() && binary.matching.as_ref().is_some_and(Matching::fills) {
            return error(
                binary.span,
                "filling in missing series not allowed for set operators",
            );
        }
        return Ok(ValueType::Vector);
    }
    // The parser keeps the matching of other types only if it has labels or values.
    if let Some(matching) = &binary.matching {
        let what = match matching.labels.is_empty() {
            true => "filling in missing series",
            false => "vector matching",
        };
        return error(
            binary.span,
            format!("{what} only allowed between instant vectors"),
        );
    }
    if op.is_set() {
        let op = op.as_str();
        return error(
            binary.span,
            format!("set operator \"{op}\" not allowed in binary scalar expression"),
        );
    }
    Ok(if scalars {
        ValueType::Scalar
    } else {
        ValueType::Vector
    })
}

fn check_call(call: &Call) -> Result<ValueType> {
    let func = call.func;
    let (name, got) = (func.name, call.args.len());
    let complaint = match func.args_max {
        Some(max) if max == func.args_min && got != max => Some(("", max)),
        _ if got < func.args_min => Some(("at least ", func.args_min)),
        Some(max) if got > max => Some(("at most ", max)),
        _ => None,
    };
    if let Some((bound, wanted)) = complaint {
        return error(
            call.span,
            format!("expected {bound}{wanted} argument(s) in call to \"{name}\", got {got}"),
        );
    }
    let is_info = name == "info";
    if let Some(data) = call.args.get(1).filter(|_| is_info) {
        check_info_selector(call, data)?;
    }
    for (index, arg) in call.args.iter().enumerate() {
        // The data selector of `info` is checked, and bound to less than others.
        if is_info && index == 1 {
            continue;
        }
        if let Some(want) = func.arg_type(index) {
            expect(arg, want, format_args!("call to function \"{name}\""))?;
        }
    }
    Ok(func.returns)
}

/// The second argument of `info` says which labels to add; it may select anything. It is looked
/// at before the first.
fn check_info_selector(call: &Call, data: &Expr) -> Result<()> {
    let got = data.value_type();
    if got != ValueType::Vector {
        let (want, got) = (ValueType::Vector.documented(), got.documented());
        return error(
            call.span,
            format!("expected type {want} in call to function \"info\", got {got}"),
        );
    }
    match data {
        Expr::Selector(selector) if selector.name.is_empty() => Ok(()),
        Expr::Selector(selector) => error(
            selector.span,
            "expected label selectors only, got vector selector instead",
        ),
        _ => error(data.span(), "expected label selectors only"),
    }
}

fn check_aggregate(aggregate: &Aggregate) -> Result<ValueType> {
    expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
    if let (Some(param), Some(want)) = (&aggregate.param, aggregate.op.param_type()) {
        expect(param, want, "aggregation parameter")?;
    }
    Ok(ValueType::Vector)
}

fn check_selector(selector: &Selector) -> Result<ValueType> {
    let (name, matchers) = (&selector.name, &selector.matchers);
    if name.is_empty() {
        if matchers.iter().all(|m| m.matches_empty()) {
            return error(
                selector.span,
                "vector selector must contain at least one non-empty matcher",
            );
        }
        return Ok(ValueType::Vector);
    }
    // The last one is the name's own.
    let others = &matchers[..matchers.len().saturating_sub(1)];
    if let Some(other) = others.iter().find(|m| m.name() == METRIC_NAME) {
        let other = other.value();
        return error(
            selector.span,
            format!("metric name must not be set twice: \"{name}\" or \"{other}\""),
        );
    }
    Ok(ValueType::Vector)
}

fn check_subquery(subquery: &Subquery) -> Result<ValueType> {
    let got = check(&subquery.expr)?;
    if got != ValueType::Vector {
        let got = got.as_str();
        return error(
            subquery.span,
            format!("subquery is only allowed on instant vector, got {got} instead"),
        );
    }
    Ok(ValueType::Matrix)
}
