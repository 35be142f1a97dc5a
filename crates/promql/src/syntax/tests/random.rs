//! What must hold for any text, and for any tree.

use std::borrow::Cow;

use ferula_diag::Span;
use ferula_model::{METRIC_NAME, MatchOp, Matcher};
use proptest::prelude::*;

use super::without_spans;
use crate::syntax::ast::*;
use crate::syntax::functions::FUNCTIONS;
use crate::syntax::{ParseOptions, json, parse, parse_selector, pretty, resolve};

const OPTIONS: ParseOptions = ParseOptions::ALL;

/// Parses `text` and, if that works, checks that what is printed means the same.
fn check_text(text: &str) {
    let _ = parse_selector(text);
    let expr = match parse(text, &OPTIONS) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.span.start as usize <= text.len(), "{text:?}");
            assert!(!error.display(text).to_string().is_empty());
            return;
        }
    };
    let printed = expr.to_string();
    // The sign infinity is printed with holds a power together, so this reads as something else.
    if printed.contains("Inf ^") {
        return;
    }
    assert!(json(&expr).starts_with('{'));
    if let Ok(resolved) = resolve(&expr, 0, 600_000, 15_000) {
        // What was computed has become numbers: there is nothing left to resolve.
        assert!(matches!(resolve(&resolved, 0, 0, 0), Ok(Cow::Borrowed(_))));
    }
    for again in [&printed, &pretty(&expr)] {
        let again = parse(again, &OPTIONS).map(|e| e.to_string());
        assert_eq!(again.as_ref(), Ok(&printed), "{text:?}");
    }
}

/// Pieces that texts are thrown together from.
const PIECES: [&str; 103] = [
    "foo",
    "bar",
    "a:b",
    "x",
    "sum",
    "topk",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "atan2",
    "start",
    "end",
    "step",
    "anchored",
    "smoothed",
    "fill",
    "fill (1)",
    "fill_left (2)",
    "fill_right (3)",
    "step()",
    "range()",
    "min_of(",
    "max_of(",
    "[step()",
    "[-",
    "[5m *",
    "offset (",
    "offset -",
    "offset step()",
    "</",
    ">/",
    "inf",
    "nan",
    "1",
    "5",
    "2.5",
    "0x1e",
    "1_0",
    "5m",
    "1h",
    "-1",
    "0",
    "\"s\"",
    "'q'",
    "`r`",
    "\"",
    "'",
    "(",
    ")",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[5m:1m]",
    "[5m:]",
    ",",
    ":",
    "=",
    "!=",
    "=~",
    "!~",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "<",
    "<=",
    ">",
    "@",
    "abs",
    "rate",
    "time()",
    "label_replace",
    "\n",
    "#c\n",
    "{a=\"b\"}",
    "by (a)",
    "on (a)",
    "ignoring (a, b)",
    "group_left (c)",
    "foo[5m]",
    "sum(foo)",
    "(foo)",
    "@ 5",
    "offset 5m",
    "@ start()",
    "== bool",
    "é",
    "\u{fffd}",
];

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        check_text(&text);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(0..0x80_u8, 0..40)) {
        check_text(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_pieces(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..16),
        separator in prop::sample::select(vec!["", " ", " ", " "]),
    ) {
        check_text(&pieces.join(separator));
    }

    #[test]
    fn any_string_literal(value in any::<String>()) {
        // What stands for a broken character cannot be written.
        let value = value.replace(char::REPLACEMENT_CHARACTER, "");
        let expr = Expr::String(StringLiteral { value, bytes: None, span: Span::default() });
        let text = expr.to_string();
        let again = parse(&text, &OPTIONS).map(without_spans);
        prop_assert_eq!(again, Ok(expr), "{}", text);
    }

    #[test]
    fn any_tree(entropy in prop::collection::vec(any::<u8>(), 0..200)) {
        let expr = Dice(&entropy).vector(0);
        for text in [expr.to_string(), pretty(&expr)] {
            match parse(&text, &OPTIONS) {
                Ok(again) => prop_assert_eq!(&without_spans(again), &expr, "{}", text),
                Err(error) => prop_assert!(false, "{}: {}", text, error.display(&text)),
            }
        }
    }
}

/// Builds trees from bytes; without bytes left, small ones.
struct Dice<'a>(&'a [u8]);

const SPAN: Span = Span { start: 0, end: 0 };
const DEPTH_MAX: usize = 8;

impl Dice<'_> {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                usize::from(first) % sides
            }
            None => 0,
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    fn typed(&mut self, value_type: ValueType, depth: usize) -> Expr {
        match value_type {
            ValueType::Scalar => self.scalar(depth),
            ValueType::Vector => self.vector(depth),
            ValueType::Matrix => self.matrix(depth),
            ValueType::String => self.string(),
        }
    }

    fn vector(&mut self, depth: usize) -> Expr {
        let sides = if depth < DEPTH_MAX { 7 } else { 1 };
        match self.roll(sides) {
            0 => Expr::Selector(self.selector()),
            1 => self.call(ValueType::Vector, depth),
            2 => self.aggregate(depth),
            3 => paren(self.vector(depth + 1)),
            4 => self.unary(ValueType::Vector, depth),
            _ => self.vector_binary(depth),
        }
    }

    fn scalar(&mut self, depth: usize) -> Expr {
        let sides = if depth < DEPTH_MAX { 6 } else { 1 };
        match self.roll(sides) {
            0 | 1 => self.number(),
            2 => self.call(ValueType::Scalar, depth),
            3 => paren(self.scalar(depth + 1)),
            4 => self.unary(ValueType::Scalar, depth),
            _ => {
                let op = self.pick(&[BinaryOp::Add, BinaryOp::Pow, BinaryOp::Mul, BinaryOp::Lt]);
                let (lhs, rhs) = (self.scalar(depth + 1), self.scalar(depth + 1));
                binary(op, lhs, rhs, op.is_comparison(), None)
            }
        }
    }

    fn matrix(&mut self, depth: usize) -> Expr {
        if self.roll(3) > 0 {
            let selector = self.selector();
            let (range_ms, range_expr) = self.duration();
            return Expr::Range(RangeSelector {
                selector,
                range_ms,
                range_expr,
                span: SPAN,
            });
        }
        let expr = self.vector(depth + 1);
        let expr = match expr {
            Expr::Binary(_) | Expr::Unary(_) => paren(expr),
            expr => expr,
        };
        let (mut range_ms, mut range_expr) = self.duration();
        // Brackets have to have a number before their colon.
        let digit = |c: char| c.is_ascii_digit();
        if range_expr
            .as_ref()
            .is_some_and(|e| !e.to_string().contains(digit))
        {
            (range_ms, range_expr) = (self.positive_ms(), None);
        }
        let (step_ms, step_expr) = match self.roll(2) {
            0 => (None, None),
            _ => match self.duration() {
                (ms, None) => (Some(ms), None),
                (_, expr) => (None, expr),
            },
        };
        Expr::Subquery(Box::new(Subquery {
            expr,
            range_ms,
            range_expr,
            step_ms,
            step_expr,
            modifiers: self.modifiers(),
            span: SPAN,
        }))
    }

    fn positive_ms(&mut self) -> i64 {
        self.pick(&[1, 1500, 60_000, 90_000, 7 * 86_400_000, 400 * 86_400_000])
    }

    /// Milliseconds, or what computes them.
    fn duration(&mut self) -> (i64, Option<Box<DurationExpr>>) {
        if self.roll(2) == 0 {
            return (self.positive_ms(), None);
        }
        match self.computed(0) {
            DurationOperand::Expr(expr) => (0, Some(expr)),
            DurationOperand::Number(_) => (self.positive_ms(), None),
        }
    }

    /// Operations are in parentheses, so that they hold together wherever they stand.
    fn computed(&mut self, depth: usize) -> DurationOperand {
        let op = self.pick(&[
            DurationOp::Step,
            DurationOp::Add,
            DurationOp::Sub,
            DurationOp::Mul,
            DurationOp::Div,
            DurationOp::Mod,
            DurationOp::Pow,
            DurationOp::Range,
            DurationOp::MinOf,
            DurationOp::MaxOf,
        ]);
        let sides = match (op, self.roll(3)) {
            (DurationOp::Step | DurationOp::Range, _) => 0,
            (DurationOp::Sub, 0) => 1,
            _ => 2,
        };
        if depth > 3 || (sides == 2 && self.roll(4) == 0) {
            let number = Number {
                value: self.pick(&[90.0, 0.5, 1e9, -60.0]),
                is_duration: self.roll(2) > 0,
                span: SPAN,
            };
            return DurationOperand::Number(number);
        }
        let mut operands = [None, None];
        for operand in operands.iter_mut().take(sides) {
            *operand = Some(self.computed(depth + 1));
        }
        let [mut rhs, mut lhs] = operands;
        // A sign binds looser than a power.
        if let (DurationOp::Pow, Some(DurationOperand::Number(number))) = (op, &mut lhs) {
            number.value = number.value.abs();
        }
        // A sign is part of a number, unless the number is in parentheses.
        if let (1, Some(DurationOperand::Number(number))) = (sides, &rhs) {
            rhs = Some(DurationOperand::Expr(Box::new(DurationExpr {
                op: DurationOp::Add,
                lhs: None,
                rhs: Some(DurationOperand::Number(number.clone())),
                wrapped: true,
                span: SPAN,
            })));
        }
        let is_call = matches!(op, DurationOp::MinOf | DurationOp::MaxOf);
        DurationOperand::Expr(Box::new(DurationExpr {
            op,
            lhs,
            rhs,
            wrapped: (sides > 0 && !is_call) || self.roll(4) == 0,
            span: SPAN,
        }))
    }

    fn number(&mut self) -> Expr {
        let is_duration = self.roll(3) == 0;
        let value = if is_duration {
            self.positive_ms() as f64 / 1000.0
        } else {
            self.pick(&[0.0, 1.0, 2.5, 1e-7, 1e22, f64::INFINITY, 0.1])
        };
        Expr::Number(Number {
            value: value * self.pick(&[1.0, -1.0]),
            is_duration,
            span: SPAN,
        })
    }

    fn string(&mut self) -> Expr {
        let value = self.pick(&["", "a", "a\nb", "\"é\\"]).to_owned();
        Expr::String(StringLiteral {
            value,
            bytes: None,
            span: SPAN,
        })
    }

    fn selector(&mut self) -> Selector {
        let name = self.pick(&["foo", "a:b", "sum", "and", "offset", "start", "fill", ""]);
        let mut matchers = Vec::new();
        if name.is_empty() {
            matchers.push(Matcher::equal("a", "b"));
        }
        for _ in 0..self.roll(3) {
            let op = self.pick(&[MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]);
            let label = self.pick(&["b", "on", "a b", "", "é\n"]);
            let value = self.pick(&["", "x.*", "a\"b"]);
            matchers.push(Matcher::new(op, label, value).expect("a regular expression"));
        }
        // In the order in which they are printed.
        matchers.sort_by_key(|m| m.to_string());
        if !name.is_empty() {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        Selector {
            name: name.to_owned(),
            matchers,
            modifiers: self.modifiers(),
            extended: self.pick(&[None, Some(Extended::Anchored), Some(Extended::Smoothed)]),
            span: SPAN,
        }
    }

    fn modifiers(&mut self) -> Modifiers {
        let at = [
            None,
            None,
            Some(At::Start),
            Some(At::End),
            Some(At::Time(-1)),
            Some(At::Time(1500)),
        ];
        let (offset_ms, offset_expr) = match self.roll(6) {
            0 => match self.duration() {
                // What starts with a parenthesis takes in the operators that follow.
                (_, Some(expr)) if expr.wrapped => (0, Some(negated(*expr))),
                (_, expr) => (0, expr),
            },
            _ => (self.pick(&[0, 0, 1, -60_000, 3_600_000]), None),
        };
        Modifiers {
            offset_ms,
            offset_expr,
            at: self.pick(&at),
        }
    }

    fn unary(&mut self, value_type: ValueType, depth: usize) -> Expr {
        let operand = match self.typed(value_type, depth + 1) {
            // The parser takes the sign of a number into the number.
            e @ Expr::Number(_) => paren(e),
            Expr::Binary(e) if e.op != BinaryOp::Pow => paren(Expr::Binary(e)),
            e => e,
        };
        Expr::Unary(Unary {
            negative: self.roll(2) == 0,
            operand: Box::new(operand),
            span: SPAN,
        })
    }

    fn call(&mut self, returns: ValueType, depth: usize) -> Expr {
        let of_type: Vec<_> = FUNCTIONS
            .iter()
            // The second argument of `info` is a selector of its own kind.
            .filter(|f| f.returns == returns && f.name != "info")
            .collect();
        let func = self.pick(&of_type);
        let more = func.args_max.unwrap_or(func.args_min + 2) - func.args_min;
        let count = func.args_min + self.roll(more + 1);
        let args = (0..count).filter_map(|i| func.arg_type(i));
        Expr::Call(Call {
            func,
            args: args.map(|t| self.typed(t, depth + 1)).collect(),
            span: SPAN,
        })
    }

    fn labels(&mut self, of: &[&str]) -> Vec<String> {
        (0..self.roll(3))
            .map(|_| self.pick(of).to_owned())
            .collect()
    }

    fn aggregate(&mut self, depth: usize) -> Expr {
        let op = self.pick(&AggregateOp::ALL);
        let grouping = self.labels(&["a", "by", "without", "inf", "a b", "a:b"]);
        Expr::Aggregate(Box::new(Aggregate {
            op,
            param: op.param_type().map(|t| self.typed(t, depth + 1)),
            expr: self.vector(depth + 1),
            // `by ()` is not printed.
            without: self.roll(2) > 0,
            grouping,
            span: SPAN,
        }))
    }

    fn vector_binary(&mut self, depth: usize) -> Expr {
        let op = self.pick(&[
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Pow,
            BinaryOp::Atan2,
            BinaryOp::Eq,
            BinaryOp::Ge,
            BinaryOp::And,
            BinaryOp::Or,
            BinaryOp::Unless,
            BinaryOp::TrimUpper,
            BinaryOp::TrimLower,
        ]);
        let return_bool = op.is_comparison() && self.roll(2) > 0;
        if !op.is_set() && self.roll(3) == 0 {
            let (vector, scalar) = (self.vector(depth + 1), self.scalar(depth + 1));
            return if self.roll(2) > 0 {
                binary(op, vector, scalar, return_bool, None)
            } else {
                binary(op, scalar, vector, return_bool, None)
            };
        }
        let (lhs, rhs) = (self.vector(depth + 1), self.vector(depth + 1));
        let card = if op.is_set() {
            Cardinality::ManyToMany
        } else {
            self.pick(&[
                Cardinality::OneToOne,
                Cardinality::ManyToOne,
                Cardinality::OneToMany,
            ])
        };
        let include = if matches!(card, Cardinality::ManyToOne | Cardinality::OneToMany) {
            self.labels(&["c", "group_left", "c d"])
        } else {
            Vec::new()
        };
        let matching = Matching {
            card,
            labels: self.labels(&["a", "on", "without", "a b"]),
            on: self.roll(2) > 0,
            include,
            fill_left: self
                .pick(&[None, Some(0.0), Some(-1.5)])
                .filter(|_| !op.is_set()),
            fill_right: self
                .pick(&[None, Some(0.0), Some(1e9)])
                .filter(|_| !op.is_set()),
        };
        binary(op, lhs, rhs, return_bool, Some(matching))
    }
}

fn negated(expr: DurationExpr) -> Box<DurationExpr> {
    Box::new(DurationExpr {
        op: DurationOp::Sub,
        lhs: None,
        rhs: Some(DurationOperand::Expr(Box::new(expr))),
        wrapped: false,
        span: SPAN,
    })
}

fn paren(inner: Expr) -> Expr {
    Expr::Paren(Paren {
        inner: Box::new(inner),
        span: SPAN,
    })
}

/// How tightly an expression holds together, by the levels of the grammar.
fn tightness(expr: &Expr) -> usize {
    let Expr::Binary(e) = expr else {
        return if matches!(expr, Expr::Unary(_)) { 5 } else { 7 };
    };
    match e.op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        op if op.is_comparison() || op.is_trim() => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Pow => 6,
        _ => 5,
    }
}

/// An operation, its operands in parentheses where they would not stay together.
fn binary(
    op: BinaryOp,
    lhs: Expr,
    rhs: Expr,
    return_bool: bool,
    matching: Option<Matching>,
) -> Expr {
    let mut e = Binary {
        op,
        op_span: SPAN,
        lhs,
        rhs,
        return_bool,
        matching,
        span: SPAN,
    };
    let own = tightness(&Expr::Binary(Box::new(e.clone())));
    let power = op == BinaryOp::Pow;
    let signed =
        matches!(&e.lhs, Expr::Number(n) if n.value.is_sign_negative() || n.value.is_infinite());
    if tightness(&e.lhs) < own + usize::from(power) || power && signed {
        e.lhs = paren(e.lhs.clone());
    }
    // A sign holds its operand together wherever it stands.
    let sign = matches!(e.rhs, Expr::Unary(_));
    if tightness(&e.rhs) < own + usize::from(!power) && !sign {
        e.rhs = paren(e.rhs.clone());
    }
    Expr::Binary(Box::new(e))
}
