//! The language: tokens, tree, types, canonical text.
//!
//! [`parse`] makes an [`ast::Expr`] of a query, [`parse_selector`] makes matchers of a lone
//! selector. A tree displays as canonical text; [`pretty`] breaks that into lines.
//!
//! [`json`] tells the tree to programs. Durations may be computed; before a query runs,
//! [`resolve`] puts milliseconds in their place.
//!
//! Language, error texts and error positions are those of Prometheus 3.14, byte for byte.

mod error;
mod token;

mod number;
mod string;

mod lexer;

pub mod ast;
mod duration;
pub mod functions;

mod check;
mod parser;

mod resolve;

mod json;
mod pretty;
mod print;

#[cfg(test)]
mod tests;

pub use error::ParseError;
pub use json::json;
pub use pretty::pretty;
pub(crate) use print::labels as shown_labels;
pub use resolve::{DurationError, resolve};

use ferula_model::Matcher;

/// How deep an expression may be nested, in levels; see [`ast`] for what counts.
///
/// A thread with the usual 2 MiB of stack must have room to walk a tree of that depth, and to be
/// called from somewhere.
pub const DEPTH_MAX: usize = 250;

/// How many tokens a text may have, which bounds the size of its tree.
pub const TOKENS_MAX: usize = 200_000;

/// How long a text may be, in bytes.
pub const TEXT_LEN_MAX: usize = 16 << 20;

/// What of the language is enabled.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// The flag `promql-experimental-functions`: functions marked so, `limitk`, `limit_ratio`.
    pub experimental_functions: bool,
    /// The flag `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// The flag `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
}

impl ParseOptions {
    /// Everything, whatever flag it needs.
    pub const ALL: Self = Self {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
    };
}

/// Parses an expression and checks its types.
pub fn parse(text: &str, options: &ParseOptions) -> Result<ast::Expr, ParseError> {
    let expr = parser::expression(text, options)?;
    check::check(&expr)?;
    Ok(expr)
}

/// Parses the matchers of one selector without modifiers, as `match[]` parameters have them.
///
/// Whether they select too much is for the caller to judge: `{}` is fine here.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    parser::selector(text)
}
