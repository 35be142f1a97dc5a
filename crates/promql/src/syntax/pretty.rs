//! The canonical text of an expression, broken into lines.

use std::fmt::{self, Display, Write};

use super::ast::{Aggregate, Binary, Call, Expr, Subquery};

/// What is no longer stays on one line, in bytes.
const LINE_LEN_MAX: usize = 100;

/// How far lines are indented at most. What is nested deeper stays on one line, so that the
/// text cannot become much longer than what it says.
const LEVEL_MAX: usize = 100;

/// `expr` as `format_query` shows it: what does not fit a line is split where it is nested.
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    write_lines(&mut out, expr, 0);
    out
}

fn write_lines(out: &mut String, expr: &Expr, level: usize) {
    let fits = level >= LEVEL_MAX || fits_line(expr);
    match expr {
        Expr::Subquery(e) => write_subquery(out, e, level, fits),
        Expr::Binary(e) if !fits => write_binary(out, e, level),
        Expr::Call(e) if !fits => write_call(out, e, level),
        Expr::Aggregate(e) if !fits => write_aggregate(out, e, level),
        Expr::Paren(e) if !fits => {
            put(out, level, "(\n");
            write_lines(out, &e.inner, level + 1);
            out.push('\n');
            put(out, level, ")");
        }
        Expr::Unary(e) if !fits => {
            put(out, level, e.sign());
            let start = out.len();
            write_lines(out, &e.operand, level);
            // The operand has the sign before it, not its indentation.
            let blanks = out[start..].len() - out[start..].trim_start().len();
            out.replace_range(start..start + blanks, "");
        }
        _ => put(out, level, expr),
    }
}

/// Appends `text` at indentation level `level`.
fn put(out: &mut String, level: usize, text: impl Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{:1$}{text}", "", 2 * level);
}

fn write_binary(out: &mut String, binary: &Binary, level: usize) {
    write_lines(out, &binary.lhs, level + 1);
    out.push('\n');
    put(out, level, binary.operator());
    out.push('\n');
    write_lines(out, &binary.rhs, level + 1);
}

fn write_call(out: &mut String, call: &Call, level: usize) {
    put(out, level, format_args!("{}(\n", call.func.name));
    for (index, arg) in call.args.iter().enumerate() {
        if index > 0 {
            out.push_str(",\n");
        }
        write_lines(out, arg, level + 1);
    }
    out.push('\n');
    put(out, level, ")");
}

fn write_aggregate(out: &mut String, aggregate: &Aggregate, level: usize) {
    put(out, level, format_args!("{}(\n", aggregate.header()));
    if let Some(param) = &aggregate.param {
        write_lines(out, param, level + 1);
        out.push_str(",\n");
    }
    write_lines(out, &aggregate.expr, level + 1);
    out.push('\n');
    put(out, level, ")");
}

/// A subquery on one line is not indented, which the reference may not have meant.
fn write_subquery(out: &mut String, subquery: &Subquery, level: usize, fits: bool) {
    if fits {
        put(
            out,
            0,
            format_args!("{}{}", subquery.expr, subquery.suffix()),
        );
        return;
    }
    write_lines(out, &subquery.expr, level);
    put(out, 0, subquery.suffix());
}

/// Whether the canonical text fits a line. Looks at no more of it than that takes.
fn fits_line(expr: &Expr) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(s.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    write!(Room(LINE_LEN_MAX), "{expr}").is_ok()
}
