//! The tree a query is parsed into. Every node knows its place in the text.
//!
//! How deep a tree is, is bounded: at most [`super::DEPTH_MAX`] nodes lie on a way from the root
//! to a leaf, if a chain `a + b + c + ...`, which leans to the left, is counted once. Chains are
//! bounded by [`super::TOKENS_MAX`] only, so code that walks a tree goes down a chain with
//! [`Binary::chain`] in place of recursion, as dropping, cloning and comparing a tree do.

use std::mem;

use ferula_diag::Span;
use ferula_model::{Matcher, Timestamp};

pub use super::duration::{DurationExpr, DurationOp, DurationOperand};

/// The type of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// One sample per series and step.
    Vector,
    /// A run of samples per series and step.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// As the documentation and most messages call it.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `1.5`, `5m`
    Number(Number),
    /// `"text"`
    String(StringLiteral),
    /// `(expr)`
    Paren(Paren),
    /// `-expr`
    Unary(Unary),
    /// `a + b`
    Binary(Box<Binary>),
    /// `rate(x[5m])`
    Call(Call),
    /// `sum by (a) (x)`
    Aggregate(Box<Aggregate>),
    /// `x{a="b"}`
    Selector(Selector),
    /// `x{a="b"}[5m]`
    Range(RangeSelector),
    /// `expr[1h:1m]`
    Subquery(Box<Subquery>),
}

/// A number, or a duration in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// The value.
    pub value: f64,
    /// Whether it was written as a duration, which decides how it is printed.
    pub is_duration: bool,
    /// Where.
    pub span: Span,
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct StringLiteral {
    /// The text, escapes resolved.
    pub value: String,
    /// The bytes, if the escapes make them something else than UTF-8; `value` then has U+FFFD
    /// where it is not.
    pub bytes: Option<Vec<u8>>,
    /// Where.
    pub span: Span,
}

/// An expression in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What is inside.
    pub inner: Box<Expr>,
    /// Where, parentheses included.
    pub span: Span,
}

/// `+` or `-` before an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// Whether it is `-`.
    pub negative: bool,
    /// The operand.
    pub operand: Box<Expr>,
    /// Where.
    pub span: Span,
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: keep the observations below
    TrimUpper,
    /// `>/`: keep the observations above
    TrimLower,
}

impl BinaryOp {
    /// As PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it compares, and so filters unless `bool` is given.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge
        )
    }

    /// Whether it works on sets of series.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// Whether it trims histograms.
    pub fn is_trim(self) -> bool {
        matches!(self, Self::TrimUpper | Self::TrimLower)
    }
}

/// How many series of each side may share a match group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How series of two vectors find each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// How many may share a group.
    pub card: Cardinality,
    /// The labels of `on` or `ignoring`, in written order.
    pub labels: Vec<String>,
    /// Whether `labels` are those of `on`.
    pub on: bool,
    /// Labels that `group_left` or `group_right` takes from the one side.
    pub include: Vec<String>,
    /// Value for series missing on the left.
    pub fill_left: Option<f64>,
    /// Value for series missing on the right.
    pub fill_right: Option<f64>,
}

impl Matching {
    /// Whether series missing on one side, or both, get a value.
    pub fn fills(&self) -> bool {
        self.fill_left.is_some() || self.fill_right.is_some()
    }
}

/// `lhs op rhs`
#[derive(Debug)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Where the operator is.
    pub op_span: Span,
    /// The left operand.
    pub lhs: Expr,
    /// The right operand.
    pub rhs: Expr,
    /// Whether a comparison yields 0 and 1 instead of filtering.
    pub return_bool: bool,
    /// How series match; `None` if a side is a scalar.
    pub matching: Option<Matching>,
    /// Where.
    pub span: Span,
}

impl Binary {
    /// The chain this operation ends: itself, its left operand if that is an operation too, and
    /// so on; the innermost is the last.
    pub fn chain(&self) -> Vec<&Self> {
        let mut chain = vec![self];
        let mut binary = self;
        while let Expr::Binary(lhs) = &binary.lhs {
            chain.push(lhs);
            binary = lhs;
        }
        chain
    }

    /// The same operation on another left operand.
    fn clone_onto(&self, lhs: Expr) -> Self {
        Self {
            op: self.op,
            op_span: self.op_span,
            lhs,
            rhs: self.rhs.clone(),
            return_bool: self.return_bool,
            matching: self.matching.clone(),
            span: self.span,
        }
    }

    /// Whether both are the same operation but for the left operand.
    fn eq_but_lhs(&self, other: &Self) -> bool {
        self.op == other.op
            && self.op_span == other.op_span
            && self.rhs == other.rhs
            && self.return_bool == other.return_bool
            && self.matching == other.matching
            && self.span == other.span
    }

    /// Takes the left operand away if it is an operation.
    fn take_lhs(&mut self) -> Option<Box<Self>> {
        if !matches!(self.lhs, Expr::Binary(_)) {
            return None;
        }
        let leaf = Expr::Number(Number {
            value: 0.0,
            is_duration: false,
            span: self.span,
        });
        match mem::replace(&mut self.lhs, leaf) {
            Expr::Binary(binary) => Some(binary),
            _ => None,
        }
    }
}

impl Clone for Binary {
    fn clone(&self) -> Self {
        let chain = self.chain();
        let mut chain = chain.into_iter().rev();
        let first = chain.next().expect("a chain holds at least the operation");
        let mut clone = first.clone_onto(first.lhs.clone());
        for binary in chain {
            clone = binary.clone_onto(Expr::Binary(Box::new(clone)));
        }
        clone
    }
}

impl PartialEq for Binary {
    fn eq(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self, other);
        while a.eq_but_lhs(b) {
            match (&a.lhs, &b.lhs) {
                (Expr::Binary(x), Expr::Binary(y)) => (a, b) = (x, y),
                (x, y) => return x == y,
            }
        }
        false
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let mut lhs = self.take_lhs();
        while let Some(mut binary) = lhs {
            lhs = binary.take_lhs();
        }
    }
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function; the parser has looked it up.
    pub func: &'static super::functions::Function,
    /// The arguments, as many as the function takes.
    pub args: Vec<Expr>,
    /// Where.
    pub span: Span,
}

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the keyword it is named after
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Topk,
        Self::Bottomk,
        Self::CountValues,
        Self::Quantile,
        Self::Limitk,
        Self::LimitRatio,
    ];

    /// As PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// The type of the parameter before the expression, if there is one.
    pub fn param_type(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Whether it needs the flag `promql-experimental-functions`.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// `op by (grouping) (param, expr)`
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter of `topk`, `quantile`, `count_values` and their like.
    pub param: Option<Expr>,
    /// The labels of `by` or `without`, in written order.
    pub grouping: Vec<String>,
    /// Whether `grouping` are those of `without`.
    pub without: bool,
    /// Where.
    pub span: Span,
}

/// What `@` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A fixed time.
    Time(Timestamp),
    /// The query's start.
    Start,
    /// The query's end.
    End,
}

/// `offset` and `@`, common to selectors and subqueries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modifiers {
    /// How far into the past, in milliseconds; negative for the future. Of no meaning before
    /// [`super::resolve`] if there is an `offset_expr`.
    pub offset_ms: i64,
    /// What computes the offset, if it is not a mere number.
    pub offset_expr: Option<Box<DurationExpr>>,
    /// A fixed evaluation time.
    pub at: Option<At>,
}

impl Modifiers {
    /// Whether there is an offset; one of 0 is as good as none.
    pub fn has_offset(&self) -> bool {
        self.offset_ms != 0 || self.offset_expr.is_some()
    }
}

/// How a selector treats the edges of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// `anchored`: the sample before the window stands at its start.
    Anchored,
    /// `smoothed`: values at the edges are interpolated between the samples around them.
    Smoothed,
}

impl Extended {
    /// As PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

/// An instant-vector selector.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The metric name written before the braces, empty if there is none.
    pub name: String,
    /// All matchers; the one `name` implies comes last.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub modifiers: Modifiers,
    /// `anchored` or `smoothed`, which the flag `promql-extended-range-selectors` allows.
    pub extended: Option<Extended>,
    /// Where, modifiers included.
    pub span: Span,
}

/// A range-vector selector. Its modifiers are those of `selector`.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSelector {
    /// Which series.
    pub selector: Selector,
    /// How wide, in milliseconds. Of no meaning before [`super::resolve`] if there is a
    /// `range_expr`.
    pub range_ms: i64,
    /// What computes the width, if it is not a mere number.
    pub range_expr: Option<Box<DurationExpr>>,
    /// Where.
    pub span: Span,
}

/// `expr[range:step]`
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How wide, in milliseconds. Of no meaning before [`super::resolve`] if there is a
    /// `range_expr`.
    pub range_ms: i64,
    /// What computes the width, if it is not a mere number.
    pub range_expr: Option<Box<DurationExpr>>,
    /// Distance of the steps in milliseconds; `None` for the server's default.
    pub step_ms: Option<i64>,
    /// What computes the distance, if it is not a mere number; `step_ms` is then `None` before
    /// [`super::resolve`].
    pub step_expr: Option<Box<DurationExpr>>,
    /// `offset` and `@`.
    pub modifiers: Modifiers,
    /// Where.
    pub span: Span,
}

impl Expr {
    /// Where the expression is.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(e) => e.span,
            Self::String(e) => e.span,
            Self::Paren(e) => e.span,
            Self::Unary(e) => e.span,
            Self::Binary(e) => e.span,
            Self::Call(e) => e.span,
            Self::Aggregate(e) => e.span,
            Self::Selector(e) => e.span,
            Self::Range(e) => e.span,
            Self::Subquery(e) => e.span,
        }
    }

    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Paren(e) => e.inner.value_type(),
            Self::Unary(e) => e.operand.value_type(),
            Self::Binary(e) => {
                let chain = e.chain();
                let scalar = chain
                    .iter()
                    .all(|b| b.rhs.value_type() == ValueType::Scalar)
                    && chain
                        .last()
                        .is_some_and(|b| b.lhs.value_type() == ValueType::Scalar);
                if scalar {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            Self::Call(e) => e.func.returns,
            Self::Aggregate(_) | Self::Selector(_) => ValueType::Vector,
            Self::Range(_) | Self::Subquery(_) => ValueType::Matrix,
        }
    }

    /// Calls `seen` with every expression of the tree, the outer before the inner.
    pub fn visit<'a>(&'a self, seen: &mut impl FnMut(&'a Self)) {
        seen(self);
        match self {
            Self::Number(_) | Self::String(_) | Self::Selector(_) | Self::Range(_) => {}
            Self::Paren(e) => e.inner.visit(seen),
            Self::Unary(e) => e.operand.visit(seen),
            Self::Binary(e) => {
                // Down the chain without going deeper, then along it from left to right.
                let mut chain = vec![e];
                let mut lhs = &e.lhs;
                while let Self::Binary(binary) = lhs {
                    seen(lhs);
                    chain.push(binary);
                    lhs = &binary.lhs;
                }
                lhs.visit(seen);
                chain.iter().rev().for_each(|binary| binary.rhs.visit(seen));
            }
            Self::Call(e) => e.args.iter().for_each(|arg| arg.visit(seen)),
            Self::Aggregate(e) => {
                e.expr.visit(seen);
                e.param.iter().for_each(|param| param.visit(seen));
            }
            Self::Subquery(e) => e.expr.visit(seen),
        }
    }

    /// The expression without the parentheses around it.
    pub fn unparen(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.inner;
        }
        expr
    }
}
