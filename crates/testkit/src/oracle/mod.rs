//! A slow, obviously correct evaluator: what the engine's answers are compared with.
//!
//! It computes one step at a time, from plain lists of all samples, straight from the rules of
//! PromQL, and shares nothing with the engine but the tree of a query. Section numbers in comments
//! are those of the specification of PromQL's evaluation. Start with [`Oracle::run`].

mod aggregate;
mod binary;
mod calendar;
mod calls;
mod classic;
mod differ;
mod eval;
mod extended;
mod finish;
mod hist;
mod hist_math;
mod hist_read;
mod info;
mod instant;
mod labels;
mod matching;
mod notes;
mod operate;
mod over_time;
mod range_calls;
mod rank;
mod rate;
mod select;
mod sums;
mod value;

pub use differ::difference;

use std::sync::Arc;

use ferula_model::Timestamp;
use ferula_promql::syntax::ast::ValueType;
use ferula_promql::syntax::{ParseOptions, parse, resolve};
use ferula_promql::{EngineOptions, Query, QueryError, Times};
use ferula_storage::Select;

use crate::{Answer, AnswerValue};

use eval::Eval;
use notes::Notes;

type Result<T> = std::result::Result<T, QueryError>;

/// The evaluator.
#[derive(Clone, Debug)]
pub struct Oracle {
    options: EngineOptions,
}

impl Oracle {
    /// An evaluator of what the engine would evaluate with the same options; limits on time,
    /// samples and concurrency do not apply.
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// Parses a query as the options allow.
    pub fn parse(&self, text: &str) -> Result<Query> {
        let options = ParseOptions {
            experimental_functions: self.options.experimental_functions,
            extended_range_selectors: self.options.extended_range_selectors,
            fill_modifiers: self.options.fill_modifiers,
        };
        let expr = parse(text, &options)
            .map_err(|error| QueryError::Parse(error.display(text).to_string()))?;
        Ok(Query {
            text: text.into(),
            expr: Arc::new(expr),
        })
    }

    /// Evaluates a query.
    pub fn run(&self, select: &dyn Select, query: &Query, times: Times) -> Result<Answer> {
        let ruling = self.judge(select, query, times)?;
        Ok(ruling.answer)
    }

    /// Evaluates a query; says as well what else would be right.
    pub fn judge(&self, select: &dyn Select, query: &Query, times: Times) -> Result<Ruling> {
        let span = Span::of(times)?;
        if span.is_range {
            check_type(query)?;
        }
        let resolved = resolve(&query.expr, span.start, span.end, span.step_ms)
            .map_err(|error| QueryError::Parse(error.to_string()))?;
        let eval = Eval {
            select,
            options: &self.options,
            span,
            notes: Notes::default(),
        };
        let steps = span.steps();
        let value = if steps.is_empty() {
            AnswerValue::Matrix(Vec::new())
        } else {
            let value = eval.eval(&resolved, &steps)?;
            finish::finish(&eval, &resolved, value, &steps)?
        };
        let (warnings, infos, elsewhere) = eval.notes.render(&query.text);
        Ok(Ruling {
            answer: Answer {
                value,
                warnings,
                infos,
            },
            elsewhere,
        })
    }
}

/// An answer, and what else would be right.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The answer.
    pub answer: Answer,
    /// Annotations of the same texts at other places, which come up in no prescribed order.
    pub elsewhere: Vec<String>,
}

/// When a query is evaluated (§2.1).
#[derive(Clone, Copy, Debug)]
struct Span {
    start: Timestamp,
    end: Timestamp,
    /// 0 for an instant query.
    step_ms: i64,
    is_range: bool,
}

impl Span {
    fn of(times: Times) -> Result<Self> {
        match times {
            Times::Instant(time) => Ok(Self {
                start: time,
                end: time,
                step_ms: 0,
                is_range: false,
            }),
            Times::Range { step_ms, .. } if step_ms <= 0 => {
                Err(failed("the step of a range query must be above zero"))
            }
            Times::Range {
                start,
                end,
                step_ms,
            } => Ok(Self {
                start,
                end,
                step_ms,
                is_range: true,
            }),
        }
    }

    fn steps(self) -> Vec<Timestamp> {
        if self.step_ms == 0 {
            return vec![self.start];
        }
        (0..)
            .map_while(|i| {
                let t = self.start.checked_add(self.step_ms.checked_mul(i)?)?;
                (t <= self.end).then_some(t)
            })
            .collect()
    }
}

/// A range query needs a value per step (§2.2).
fn check_type(query: &Query) -> Result<()> {
    let name = match query.expr.value_type() {
        ValueType::Matrix => "range vector",
        ValueType::String => "string",
        ValueType::Scalar | ValueType::Vector => return Ok(()),
    };
    Err(QueryError::Parse(format!(
        "invalid expression type {name:?} for range query, must be Scalar or instant Vector"
    )))
}

fn failed(text: impl Into<String>) -> QueryError {
    QueryError::Execution(text.into())
}

fn same_labelset() -> QueryError {
    failed("vector cannot contain metrics with the same labelset")
}
