//! Runs queries: waits for a turn, selects series, hands the computing to a thread of its own.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ferula_env::{Clock, spawn};
use ferula_model::{TenantId, Timestamp};
use ferula_storage::{Select, SelectRequest, Selected};
use futures::stream::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use crate::annotations::Annotations;
use crate::budget::{Budget, CancelToken};
use crate::error::{QueryError, Stage};
use crate::exec::{Exec, Loaded, Trace, finish};
use crate::explain::{Explanation, explain, plan_text};
use crate::plan::{self, Plan, Settings};
use crate::result::{QueryResult, QueryStats, QueryValue};
use crate::syntax::ast::{Expr, ValueType};
use crate::syntax::{ParseOptions, parse};

/// How many selections of one query the store is asked for at once.
const SELECTS_AT_ONCE: usize = 16;

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How old a sample an instant selector may see.
    pub lookback: Duration,
    /// How long a query may take, waiting included.
    pub timeout: Duration,
    /// How many samples a query may hold at once.
    pub samples_max: u64,
    /// The step of subqueries that state none.
    pub subquery_step: Duration,
    /// How many queries run at once; more wait in order of arrival.
    pub concurrency_max: usize,
    /// Whether experimental functions and aggregations are allowed.
    pub experimental_functions: bool,
    /// Whether `anchored` and `smoothed` are allowed.
    pub extended_range_selectors: bool,
    /// Whether `fill`, `fill_left` and `fill_right` are allowed.
    pub fill_modifiers: bool,
    /// Whether metric names are dropped only when the query is done.
    pub delayed_name_removal: bool,
}

impl EngineOptions {
    /// What a Prometheus started without flags does.
    pub fn prometheus() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            timeout: Duration::from_secs(120),
            samples_max: 50_000_000,
            subquery_step: Duration::from_secs(60),
            concurrency_max: 20,
            experimental_functions: false,
            extended_range_selectors: false,
            fill_modifiers: false,
            delayed_name_removal: false,
        }
    }
}

/// What one query may have otherwise than the others.
#[derive(Clone, Debug, Default)]
pub struct QueryParams {
    /// Another lookback; zero means the engine's.
    pub lookback: Option<Duration>,
    /// Less time than the engine allows.
    pub timeout: Option<Duration>,
    /// Measures each node of the plan, and tells.
    pub explain: bool,
    /// Stops the query. Dropping the query's future stops it, too.
    pub cancel: CancelToken,
}

/// When a query is evaluated, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// At one instant.
    Instant(Timestamp),
    /// At `start`, `start + step`, ... up to `end`.
    Range {
        /// The first step.
        start: Timestamp,
        /// The last instant a step may fall on.
        end: Timestamp,
        /// Milliseconds from step to step.
        step_ms: i64,
    },
}

/// A parsed query and its text, which annotations point into.
#[derive(Clone, Debug)]
pub struct Query {
    /// The text.
    pub text: Arc<str>,
    /// The tree.
    pub expr: Arc<Expr>,
}

/// What an engine counts.
#[derive(Debug, Default)]
pub struct EngineMetrics {
    /// Queries running or waiting.
    pub queries: AtomicU64,
    /// Samples looked at by all queries.
    pub samples_total: AtomicU64,
}

/// Evaluates PromQL.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
    metrics: EngineMetrics,
}

impl Engine {
    /// An engine that measures time with `clock`.
    pub fn new(options: EngineOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            turns: Semaphore::new(options.concurrency_max.clamp(1, Semaphore::MAX_PERMITS)),
            options,
            clock,
            metrics: EngineMetrics::default(),
        }
    }

    /// How the engine works.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// What the engine counts.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.metrics
    }

    /// Parses a query as this engine's options allow.
    pub fn parse(&self, text: &str) -> Result<Query, QueryError> {
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

    /// Evaluates a query at one instant.
    pub async fn instant(
        &self,
        select: &dyn Select,
        tenant: &TenantId,
        query: &str,
        time: Timestamp,
        params: &QueryParams,
    ) -> Result<QueryResult, QueryError> {
        let query = self.parse(query)?;
        self.run(select, tenant, &query, Times::Instant(time), params)
            .await
    }

    /// Evaluates a query at evenly spaced instants.
    #[allow(clippy::too_many_arguments)] // the names are those of the HTTP API's parameters
    pub async fn range(
        &self,
        select: &dyn Select,
        tenant: &TenantId,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        params: &QueryParams,
    ) -> Result<QueryResult, QueryError> {
        let query = self.parse(query)?;
        let times = Times::Range {
            start,
            end,
            step_ms,
        };
        self.run(select, tenant, &query, times, params).await
    }

    /// Evaluates a parsed query.
    pub async fn run(
        &self,
        select: &dyn Select,
        tenant: &TenantId,
        query: &Query,
        times: Times,
        params: &QueryParams,
    ) -> Result<QueryResult, QueryError> {
        check_range_type(query, times)?;
        let _running = Running::new(&self.metrics);
        let begun = self.clock.monotonic();
        let timeout = params
            .timeout
            .map_or(self.options.timeout, |t| t.min(self.options.timeout));
        let gone = CancelOnDrop(CancelToken::default());
        let budget = Budget::new(
            Arc::clone(&self.clock),
            begun.saturating_add(timeout),
            [params.cancel.clone(), gone.0.clone()],
            self.options.samples_max,
        );

        let prepared = ferula_env::timeout(
            &*self.clock,
            timeout,
            self.prepare(select, tenant, query, times, params),
        )
        .await
        .map_err(|_| QueryError::Timeout(Stage::Preparation))??;
        budget.check(Stage::Preparation)?;

        let job = Job {
            plan: prepared.plan,
            loaded: prepared.loaded,
            budget,
            text: Arc::clone(&query.text),
            is_range: matches!(times, Times::Range { .. }),
            delayed_names: self.options.delayed_name_removal,
            explain: prepared.unoptimised.map(|plan| Explain {
                clock: Arc::clone(&self.clock),
                plan,
            }),
        };
        let eval_begun = self.clock.monotonic();
        let _turn = prepared.turn;
        let mut done = match spawn::blocking(move || job.evaluate()).await {
            Ok(done) => done?,
            Err(error) => return Err(QueryError::Internal(panic_text(error))),
        };
        self.metrics
            .samples_total
            .fetch_add(done.stats.samples_total, Relaxed);
        done.warnings.splice(0..0, prepared.warnings);
        done.stats.queue_time = prepared.turn_at.saturating_sub(begun);
        done.stats.prepare_time = eval_begun.saturating_sub(prepared.turn_at);
        done.stats.eval_time = self.clock.monotonic().saturating_sub(eval_begun);
        Ok(done)
    }

    /// Waits for a turn, plans, and selects the series.
    async fn prepare(
        &self,
        select: &dyn Select,
        tenant: &TenantId,
        query: &Query,
        times: Times,
        params: &QueryParams,
    ) -> Result<Prepared<'_>, QueryError> {
        let turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| QueryError::Internal("the engine is closed".to_owned()))?;
        let turn_at = self.clock.monotonic();
        let lookback = params
            .lookback
            .filter(|lookback| !lookback.is_zero())
            .unwrap_or(self.options.lookback);
        let settings = Settings {
            lookback_ms: millis(lookback),
            subquery_step_ms: millis(self.options.subquery_step),
        };
        let plan = make_plan(&query.expr, times, settings)?;
        let unoptimised = params.explain.then(|| plan_text(&plan));
        let plan = plan::optimise(plan);
        let mut selecting = Vec::with_capacity(plan.selections.len());
        for selection in &plan.selections {
            selecting.push(select.select(SelectRequest {
                tenant: tenant.clone(),
                matchers: selection.matchers.clone(),
                range: selection.range,
                hints: selection.hints.clone(),
            }));
        }
        let selected: Vec<Selected> = futures::stream::iter(selecting)
            .buffered(SELECTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut warnings = Vec::new();
        let mut loaded = Vec::with_capacity(selected.len());
        for answer in selected {
            for warning in answer.warnings {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            loaded.push(Loaded::new(answer.series, settings.lookback_ms));
        }
        Ok(Prepared {
            turn,
            turn_at,
            plan,
            unoptimised,
            loaded,
            warnings,
        })
    }
}

/// A query that has its turn, its plan and its series.
struct Prepared<'e> {
    turn: tokio::sync::SemaphorePermit<'e>,
    turn_at: Duration,
    plan: Plan,
    /// The plan before it was optimised, if that is wanted.
    unoptimised: Option<String>,
    loaded: Vec<Loaded>,
    warnings: Vec<String>,
}

/// All that the computing needs.
struct Job {
    plan: Plan,
    loaded: Vec<Loaded>,
    budget: Budget,
    text: Arc<str>,
    is_range: bool,
    delayed_names: bool,
    /// What an explanation needs, if one is wanted.
    explain: Option<Explain>,
}

/// What an explanation needs.
struct Explain {
    clock: Arc<dyn Clock>,
    /// The plan before it was optimised.
    plan: String,
}

impl Job {
    fn evaluate(self) -> Result<QueryResult, QueryError> {
        let notes = Annotations::default();
        let mut exec = Exec {
            plan: &self.plan,
            data: &self.loaded,
            budget: &self.budget,
            notes: &notes,
            delayed_names: self.delayed_names,
            trace: self
                .explain
                .as_ref()
                .map(|asked| Trace::new(Arc::clone(&asked.clock), self.plan.nodes)),
            shared: self.plan.shared.iter().map(|_| OnceCell::new()).collect(),
        };
        let value = if self.plan.grid.count == 0 {
            QueryValue::Matrix(Vec::new())
        } else {
            finish(&exec, &self.plan, self.is_range)?
        };
        let measured = exec.trace.take().map(Trace::finish);
        let explanation = measured
            .zip(self.explain)
            .map(|(measured, asked)| Explanation {
                plan: asked.plan,
                ran: explain(&self.plan, &measured),
            });
        drop(exec);
        let (warnings, infos) = notes.render(&self.text);
        Ok(QueryResult {
            explanation,
            value,
            warnings,
            infos,
            stats: QueryStats {
                samples_total: self.budget.total(),
                samples_peak: self.budget.peak(),
                series: self.loaded.iter().map(|l| l.series.len() as u64).sum(),
                ..QueryStats::default()
            },
        })
    }
}

/// Counts a query as running while it lives.
struct Running<'m>(&'m EngineMetrics);

impl<'m> Running<'m> {
    fn new(metrics: &'m EngineMetrics) -> Self {
        metrics.queries.fetch_add(1, Relaxed);
        Self(metrics)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.queries.fetch_sub(1, Relaxed);
    }
}

/// Stops the computing when nobody waits for it any more.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What a computation that panicked said.
fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic
                .downcast_ref::<&str>()
                .map_or_else(|| "panic".to_owned(), |text| (*text).to_owned()),
        },
        Err(error) => error.to_string(),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn make_plan(expr: &Expr, times: Times, settings: Settings) -> Result<Plan, QueryError> {
    match times {
        Times::Instant(time) => plan::build(expr, time, time, 0, settings),
        Times::Range {
            start,
            end,
            step_ms,
        } => {
            if step_ms <= 0 {
                return Err(QueryError::execution(
                    "the step of a range query must be above zero",
                ));
            }
            plan::build(expr, start, end, step_ms, settings)
        }
    }
}

/// A range query needs a value per step.
fn check_range_type(query: &Query, times: Times) -> Result<(), QueryError> {
    let name = match query.expr.value_type() {
        ValueType::Matrix => "range vector",
        ValueType::String => "string",
        ValueType::Scalar | ValueType::Vector => return Ok(()),
    };
    match times {
        Times::Instant(_) => Ok(()),
        Times::Range { .. } => Err(QueryError::Parse(format!(
            "invalid expression type {name:?} for range query, must be Scalar or instant Vector"
        ))),
    }
}
