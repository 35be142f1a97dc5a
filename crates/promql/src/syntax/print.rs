//! The canonical text of an expression, on one line.
//!
//! Parentheses are neither added nor removed: the parser keeps them as nodes.

use std::fmt::{self, Display, Formatter};

use ferula_model::text::number::Form;
use ferula_model::text::quote::quoted;
use ferula_model::text::{duration, is_legacy_label_name};

use super::ast::{
    Aggregate, At, Binary, Call, Cardinality, DurationExpr, Expr, Extended, Matching, Modifiers,
    Number, RangeSelector, Selector, StringLiteral, Subquery, Unary,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(e) => e.fmt(f),
            Self::String(e) => e.fmt(f),
            Self::Paren(e) => write!(f, "({})", e.inner),
            Self::Unary(e) => e.fmt(f),
            Self::Binary(e) => e.fmt(f),
            Self::Call(e) => e.fmt(f),
            Self::Aggregate(e) => e.fmt(f),
            Self::Selector(e) => e.fmt(f),
            Self::Range(e) => e.fmt(f),
            Self::Subquery(e) => write!(f, "{}{}", e.expr, e.suffix()),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // Durations are whole milliseconds, which are exact in a float of seconds.
            let ms = (self.value * 1000.0).round() as i64;
            return write!(f, "{}", duration::shown(ms));
        }
        write!(f, "{}", Form::Plain.show(self.value))
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(bytes) = &self.bytes else {
            return quoted(&self.value).fmt(f);
        };
        f.write_str("\"")?;
        for chunk in bytes.utf8_chunks() {
            let valid = quoted(chunk.valid()).to_string();
            f.write_str(&valid[1..valid.len() - 1])?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

impl Unary {
    /// `+` or `-`
    pub(super) fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "+" }
    }
}

impl Display for Unary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sign(), self.operand)
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let chain = self.chain();
        if let Some(innermost) = chain.last() {
            innermost.lhs.fmt(f)?;
        }
        for binary in chain.into_iter().rev() {
            write!(f, " {} {}", binary.operator(), binary.rhs)?;
        }
        Ok(())
    }
}

impl Binary {
    /// The operator and what modifies it.
    pub(super) fn operator(&self) -> impl Display {
        fmt::from_fn(|f| {
            f.write_str(self.op.as_str())?;
            if self.return_bool {
                f.write_str(" bool")?;
            }
            match &self.matching {
                Some(matching) => matching.fmt(f),
                None => Ok(()),
            }
        })
    }
}

/// The clauses behind an operator, each with a space before it.
impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.card {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if self.on {
            write!(f, " on ({})", labels(&self.labels))?;
        } else if !self.labels.is_empty() || group.is_some() {
            write!(f, " ignoring ({})", labels(&self.labels))?;
        }
        if let Some(group) = group {
            write!(f, " {group} ({})", labels(&self.include))?;
        }
        let fill = |f: &mut Formatter<'_>, word: &str, value: Option<f64>| match value {
            Some(value) => write!(f, " {word} ({})", Form::General.show(value)),
            None => Ok(()),
        };
        if self.fills() && self.fill_left == self.fill_right {
            return fill(f, "fill", self.fill_left);
        }
        fill(f, "fill_left", self.fill_left)?;
        fill(f, "fill_right", self.fill_right)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.func.name, separated(&self.args))
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.header())?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl Aggregate {
    /// What stands before the parenthesis.
    pub(super) fn header(&self) -> impl Display {
        fmt::from_fn(|f| {
            let (op, labels) = (self.op.as_str(), labels(&self.grouping));
            if self.without {
                write!(f, "{op} without ({labels}) ")
            } else if self.grouping.is_empty() {
                f.write_str(op)
            } else {
                write!(f, "{op} by ({labels}) ")
            }
        })
    }
}

impl Selector {
    /// Name and matchers, the latter in the order of their texts.
    fn series(&self) -> impl Display {
        fmt::from_fn(|f| {
            let own = usize::from(!self.name.is_empty());
            let others = self.matchers.len().saturating_sub(own);
            let mut matchers: Vec<String> = self.matchers[..others]
                .iter()
                .map(|m| m.to_string())
                .collect();
            matchers.sort_unstable();
            f.write_str(&self.name)?;
            // A selector of nothing at all still has to be seen.
            if matchers.is_empty() && own == 1 {
                return Ok(());
            }
            write!(f, "{{{}}}", matchers.join(","))
        })
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = shown_at(self.modifiers.at);
        let extended = shown_extended(self.extended);
        let (series, offset) = (self.series(), self.modifiers.offset());
        write!(f, "{series}{at}{extended}{offset}")
    }
}

impl Display for RangeSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let series = self.selector.series();
        let range = shown_duration(self.range_ms, self.range_expr.as_deref());
        let extended = shown_extended(self.selector.extended);
        write!(f, "{series}[{range}]{extended}{}", self.selector.modifiers)
    }
}

impl Subquery {
    /// What stands behind the operand.
    pub(super) fn suffix(&self) -> impl Display {
        fmt::from_fn(|f| {
            let range = shown_duration(self.range_ms, self.range_expr.as_deref());
            write!(f, "[{range}:")?;
            if self.step_ms.is_some() || self.step_expr.is_some() {
                let step_ms = self.step_ms.unwrap_or_default();
                shown_duration(step_ms, self.step_expr.as_deref()).fmt(f)?;
            }
            write!(f, "]{}", self.modifiers)
        })
    }
}

/// The modifiers, each with a space before it.
impl Display for Modifiers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", shown_at(self.at), self.offset())
    }
}

impl Modifiers {
    fn offset(&self) -> impl Display {
        fmt::from_fn(|f| {
            if !self.has_offset() {
                return Ok(());
            }
            let offset = shown_duration(self.offset_ms, self.offset_expr.as_deref());
            write!(f, " offset {offset}")
        })
    }
}

fn shown_at(at: Option<At>) -> impl Display {
    fmt::from_fn(move |f| match at {
        None => Ok(()),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            let ms = ms.unsigned_abs();
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)
        }
    })
}

fn shown_extended(extended: Option<Extended>) -> impl Display {
    fmt::from_fn(move |f| match extended {
        None => Ok(()),
        Some(extended) => write!(f, " {}", extended.as_str()),
    })
}

/// A duration as it was written, if it is computed.
fn shown_duration(ms: i64, expr: Option<&DurationExpr>) -> impl Display {
    fmt::from_fn(move |f| match expr {
        None => duration::shown(ms).fmt(f),
        Some(expr) => expr.fmt(f),
    })
}

fn separated<T: Display>(items: &[T]) -> impl Display {
    fmt::from_fn(move |f| {
        for (index, item) in items.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    })
}

/// Labels of `by`, `on` and their like, quoted where they would not be read back.
pub(crate) fn labels(labels: &[String]) -> impl Display {
    let label = |label: &str| {
        let reserved = ["without", "inf", "nan"]
            .iter()
            .any(|word| label.eq_ignore_ascii_case(word));
        if is_legacy_label_name(label) && !reserved {
            label.to_owned()
        } else {
            quoted(label).to_string()
        }
    };
    let shown: Vec<String> = labels.iter().map(|l| label(l)).collect();
    fmt::from_fn(move |f| separated(&shown).fmt(f))
}
