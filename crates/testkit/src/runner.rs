//! Runs test scripts against the engine.
//!
//! Each instant evaluation is also repeated with every selector pinned by `@` at other evaluation
//! times, and each of those as the middle of a range query: the results must not differ.

use std::sync::Arc;
use std::time::Duration;

use ferula_env::SystemClock;
use ferula_model::{TenantId, Timestamp};
use ferula_promql::syntax::ast::Expr;
use ferula_promql::{Engine, EngineOptions, Query, QueryError, QueryParams, QueryResult, Times};

use crate::compare::{compare, compare_at};
use crate::pin::{can_be_pinned, pin, same_in_range, visit};
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
    /// Whether the query selects series with native histograms, or should yield some.
    pub native_histograms: bool,
    /// Whether the query uses what Prometheus learned after version 3.5 and the engine does not
    /// evaluate.
    pub newer_syntax: bool,
}

impl Report {
    /// `script:line: query: difference`, one line per failure.
    pub fn failure_lines<'a>(
        &'a self,
        of_interest: impl Fn(&Failure) -> bool + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        self.failures
            .iter()
            .filter(move |failure| of_interest(failure))
            .map(|f| format!("{}:{}: {}: {}", self.script, f.line, f.query, f.what))
    }
}

/// How the engine of a script works.
#[derive(Clone, Copy, Debug)]
pub struct ScriptOptions {
    /// Whether metric names are dropped only when a query is done.
    pub delayed_name_removal: bool,
}

impl ScriptOptions {
    /// How the reference runs its scripts.
    pub fn reference() -> Self {
        Self {
            delayed_name_removal: true,
        }
    }
}

/// Runs a script.
pub fn run_script(name: &str, text: &str, options: ScriptOptions) -> Result<Report, ScriptError> {
    let commands = parse_script(text)?;
    let mut runner = Runner::new(options);
    let mut report = Report {
        script: name.to_owned(),
        evals: 0,
        passed: 0,
        failures: Vec::new(),
    };
    for command in commands {
        match command.kind {
            CommandKind::Clear => runner.store = MemStore::new(),
            CommandKind::Load(load) => runner.load(&load),
            CommandKind::Eval(eval) => {
                report.evals += 1;
                match runner.eval(&eval) {
                    Ok(()) => report.passed += 1,
                    Err(what) => report.failures.push(Failure {
                        line: command.line,
                        query: eval.query.clone(),
                        what,
                        native_histograms: runner.involves_histograms(&eval),
                        newer_syntax: runner.is_newer(&eval),
                    }),
                }
            }
        }
    }
    Ok(report)
}

struct Runner {
    engine: Engine,
    store: MemStore,
    runtime: tokio::runtime::Runtime,
}

const MINUTE_MS: i64 = 60_000;

impl Runner {
    fn new(options: ScriptOptions) -> Self {
        let options = EngineOptions {
            timeout: Duration::from_secs(100),
            samples_max: 10_000,
            experimental_functions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
            delayed_name_removal: options.delayed_name_removal,
            ..EngineOptions::prometheus()
        };
        Self {
            engine: Engine::new(options, SystemClock::shared()),
            store: MemStore::new(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime without drivers needs nothing from the system"),
        }
    }

    fn load(&mut self, load: &Load) {
        let mut loaded = MemStore::new();
        for line in &load.series {
            loaded.load(line, load.step_ms);
        }
        if load.with_nhcb {
            nhcb::convert(&mut loaded);
        }
        self.store.absorb(&loaded);
    }

    fn eval(&self, eval: &Eval) -> Result<(), String> {
        let query = match self.engine.parse(&eval.query) {
            Ok(query) => query,
            Err(error) => return compare(eval, &Err(error)),
        };
        match eval.at {
            EvalAt::Instant(time) => self.instant(eval, &query, time),
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
                compare(eval, &self.run(&query, times))
            }
        }
    }

    fn instant(&self, eval: &Eval, query: &Query, time: Timestamp) -> Result<(), String> {
        compare(eval, &self.run(query, Times::Instant(time)))?;
        self.middle_of_range(eval, query, time)
            .map_err(|what| format!("as the middle of a range: {what}"))?;
        if !can_be_pinned(&query.expr) {
            return Ok(());
        }
        let mut expr: Expr = (*query.expr).clone();
        pin(&mut expr, time);
        let pinned = Query {
            text: Arc::clone(&query.text),
            expr: Arc::new(expr),
        };
        let others = if time == 0 {
            vec![-1000, 0, 1000]
        } else {
            vec![-10 * time, 0, time / 5, time, 10 * time]
        };
        for other in others {
            compare(eval, &self.run(&pinned, Times::Instant(other)))
                .map_err(|what| format!("pinned, evaluated at {other} ms: {what}"))?;
            self.middle_of_range(eval, &pinned, other).map_err(|what| {
                format!("pinned, as the middle of a range at {other} ms: {what}")
            })?;
        }
        Ok(())
    }

    /// Checks the same as one of several steps.
    fn middle_of_range(&self, eval: &Eval, query: &Query, time: Timestamp) -> Result<(), String> {
        let expected = &eval.expected;
        if expected.fail.is_some()
            || expected.ordered
            || expected.string.is_some()
            || expected.range_vector.is_some()
            || !same_in_range(&query.expr)
        {
            return Ok(());
        }
        let times = Times::Range {
            start: time - MINUTE_MS,
            end: time + MINUTE_MS,
            step_ms: MINUTE_MS,
        };
        let result = self.run(query, times).map_err(|e| e.to_string())?;
        compare_at(expected, &result, time)
    }

    fn run(&self, query: &Query, times: Times) -> Result<QueryResult, QueryError> {
        let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
        let run = self.engine.run(&self.store, &tenant, query, times, &params);
        self.runtime.block_on(run)
    }

    fn involves_histograms(&self, eval: &Eval) -> bool {
        let literal = eval.expected.series.iter().any(|line| {
            let values = line.values.iter().flatten();
            values
                .into_iter()
                .any(|item| matches!(item, crate::Item::Histogram(..)))
        });
        let Ok(query) = self.engine.parse(&eval.query) else {
            return literal;
        };
        let mut touched = literal;
        visit(&query.expr, &mut |expr| {
            let matchers = match expr {
                Expr::Selector(e) => &e.matchers,
                Expr::Range(e) => &e.selector.matchers,
                _ => return,
            };
            touched |= self.store.labels().any(|labels| {
                matchers.iter().all(|m| m.matches(labels.value(m.name())))
                    && self.store.has_histograms(labels)
            });
        });
        touched
    }

    /// Whether the engine says that it does not know how.
    fn is_newer(&self, eval: &Eval) -> bool {
        let Ok(query) = self.engine.parse(&eval.query) else {
            return false;
        };
        match self.run(&query, Times::Instant(0)) {
            Err(QueryError::Execution(text)) => {
                text.ends_with("not supported yet") && !text.contains("native histograms")
            }
            _ => false,
        }
    }
}
