//! Runs test scripts.
//!
//! Each instant evaluation is also repeated with every selector pinned by `@` at other evaluation
//! times, and each of those as the middle of a range query: the results must not differ.

use std::sync::Arc;

use ferula_model::Timestamp;
use ferula_promql::Times;
use ferula_promql::syntax::ast::Expr;
use ferula_promql::syntax::{ParseOptions, parse};

use crate::compare::{compare, compare_at};
use crate::evaluator::{Evaluator, OnEngine, ScriptOptions, ScriptQuery};
use crate::pin::{can_be_pinned, pin, same_in_range};
use crate::script::{CommandKind, Eval, EvalAt, Load, ScriptError, parse_script};
use crate::{MemStore, nhcb};

/// What became of a script.
#[derive(Clone, Debug)]
pub struct Report {
    /// The script's name.
    pub script: String,
    /// Evaluations in it.
    pub evals: usize,
    /// Evaluations that went as expected.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// An evaluation that did not go as expected.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where in the script, from 1.
    pub line: usize,
    /// The query.
    pub query: String,
    /// What differs.
    pub what: String,
}

impl Report {
    /// `script:line: query: difference`, one line per failure.
    pub fn failure_lines(&self) -> impl Iterator<Item = String> {
        self.failures
            .iter()
            .map(|f| format!("{}:{}: {}: {}", self.script, f.line, f.query, f.what))
    }
}

/// Runs a script on the engine.
pub fn run_script(name: &str, text: &str, options: ScriptOptions) -> Result<Report, ScriptError> {
    run_script_on(name, text, &mut OnEngine::new(options))
}

/// Runs a script on any evaluator, which should have no series yet.
pub fn run_script_on(
    name: &str,
    text: &str,
    evaluator: &mut dyn Evaluator,
) -> Result<Report, ScriptError> {
    let mut report = Report {
        script: name.to_owned(),
        evals: 0,
        passed: 0,
        failures: Vec::new(),
    };
    for command in parse_script(text)? {
        match command.kind {
            CommandKind::Clear => evaluator.clear(),
            CommandKind::Load(load) => evaluator.load(&loaded(&load)),
            CommandKind::Eval(eval) => {
                report.evals += 1;
                match check(evaluator, &eval) {
                    Ok(()) => report.passed += 1,
                    Err(what) => report.failures.push(Failure {
                        line: command.line,
                        query: eval.query.clone(),
                        what,
                    }),
                }
            }
        }
    }
    Ok(report)
}

fn loaded(load: &Load) -> MemStore {
    let mut loaded = MemStore::new();
    for line in &load.series {
        loaded.load(line, load.step_ms);
    }
    if load.with_nhcb {
        nhcb::convert(&mut loaded);
    }
    loaded
}

const MINUTE_MS: i64 = 60_000;

fn check(evaluator: &mut dyn Evaluator, eval: &Eval) -> Result<(), String> {
    let query = ScriptQuery {
        text: eval.query.as_str().into(),
        pinned: None,
    };
    match eval.at {
        EvalAt::Instant(time) => instant(evaluator, eval, &query, time),
        EvalAt::Range {
            start,
            end,
            step_ms,
        } => {
            let times = Times::Range {
                start,
                end,
                step_ms,
            };
            compare(eval, &evaluator.evaluate(&query, times))
        }
    }
}

fn instant(
    evaluator: &mut dyn Evaluator,
    eval: &Eval,
    query: &ScriptQuery,
    time: Timestamp,
) -> Result<(), String> {
    compare(eval, &evaluator.evaluate(query, Times::Instant(time)))?;
    let all = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
    };
    let Ok(mut expr) = parse(&query.text, &all) else {
        return Ok(());
    };
    middle_of_range(evaluator, eval, query, &expr, time)
        .map_err(|what| format!("as the middle of a range: {what}"))?;
    if !evaluator.takes_pinned() || !can_be_pinned(&expr) {
        return Ok(());
    }
    pin(&mut expr, time);
    let expr = Arc::new(expr);
    let pinned = ScriptQuery {
        text: Arc::clone(&query.text),
        pinned: Some(Arc::clone(&expr)),
    };
    let others = if time == 0 {
        vec![-1000, 0, 1000]
    } else {
        vec![-10 * time, 0, time / 5, time, 10 * time]
    };
    for other in others {
        compare(eval, &evaluator.evaluate(&pinned, Times::Instant(other)))
            .map_err(|what| format!("pinned, evaluated at {other} ms: {what}"))?;
        middle_of_range(evaluator, eval, &pinned, &expr, other)
            .map_err(|what| format!("pinned, as the middle of a range at {other} ms: {what}"))?;
    }
    Ok(())
}

/// Checks the same as one of several steps.
fn middle_of_range(
    evaluator: &mut dyn Evaluator,
    eval: &Eval,
    query: &ScriptQuery,
    expr: &Expr,
    time: Timestamp,
) -> Result<(), String> {
    let expected = &eval.expected;
    if expected.fail.is_some()
        || expected.ordered
        || expected.string.is_some()
        || expected.range_vector.is_some()
        || !same_in_range(expr)
    {
        return Ok(());
    }
    let times = Times::Range {
        start: time - MINUTE_MS,
        end: time + MINUTE_MS,
        step_ms: MINUTE_MS,
    };
    compare_at(expected, &evaluator.evaluate(query, times)?, time)
}
