//! Runs queries: waits for a turn, selects series, hands the computing to a thread of its own.

use std::cell::{Cell, OnceCell};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ferula_env::{Clock, spawn};
use ferula_model::{TenantId, Timestamp};
use ferula_storage::{Select, SelectError, SelectRequest};
use futures::stream::{StreamExt, TryStreamExt};

use crate::active::{Active, ActiveQuery, Registry};
use crate::annotations::Annotations;
use crate::budget::{Budget, MemoryPool};
use crate::cancel::CancelToken;
use crate::error::{QueryError, Stage};
use crate::exec::{Exec, Helpers, Loaded, Looked, Tally, Trace, finish};
use crate::explain::{Explanation, explain, plan_text};
use crate::going::{Going, Seat};
use crate::journal::{Journal, Origin};
use crate::metrics::{EngineMetrics, Slice};
use crate::plan::{self, Grid, Look, Plan, Selection, Settings};
use crate::result::{QueryResult, QueryStats, QueryValue, StepSamples};
use crate::syntax::ast::{Expr, ValueType};
use crate::syntax::{ParseOptions, parse};
use crate::turns::Turns;

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
    /// How many bytes a query may hold at once.
    pub bytes_max: u64,
    /// How many bytes all queries may hold at once.
    pub bytes_max_total: u64,
    /// How many threads may compute one query: its own, and helpers, of which there is one less than
    /// this for all queries together.
    pub threads_max: usize,
    /// The step of subqueries that state none.
    pub subquery_step: Duration,
    /// How many queries run at once; more wait, and tenants that wait take turns.
    pub concurrency_max: usize,
    /// How many queries may wait.
    pub waiting_max: usize,
    /// Whether experimental functions and aggregations are allowed.
    pub experimental_functions: bool,
    /// Whether `anchored` and `smoothed` are allowed.
    pub extended_range_selectors: bool,
    /// Whether `fill`, `fill_left` and `fill_right` are allowed.
    pub fill_modifiers: bool,
    /// Whether samples are counted by step for those who ask for it.
    pub per_step_stats: bool,
    /// Whether metric names are dropped only when the query is done.
    pub delayed_name_removal: bool,
    /// Whether counters are taken to start anew where their start timestamps say so, and
    /// `start_timestamp` is allowed.
    pub use_start_timestamps: bool,
    /// Whether the labels `__type__` and `__unit__` say what a metric is.
    pub type_and_unit_labels: bool,
}

impl EngineOptions {
    /// What a Prometheus started without flags does.
    pub fn prometheus() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            timeout: Duration::from_secs(120),
            samples_max: 50_000_000,
            bytes_max: 1 << 30,
            bytes_max_total: 4 << 30,
            threads_max: 1,
            subquery_step: Duration::from_secs(60),
            concurrency_max: 20,
            waiting_max: 512,
            experimental_functions: false,
            extended_range_selectors: false,
            fill_modifiers: false,
            per_step_stats: false,
            delayed_name_removal: false,
            use_start_timestamps: false,
            type_and_unit_labels: false,
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
    /// Counts samples by step, too, if the engine may.
    pub step_stats: bool,
    /// Who asks.
    pub origin: Option<Origin>,
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

/// Evaluates PromQL.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Arc<MemoryPool>,
    helpers: Arc<Helpers>,
    turns: Arc<Turns>,
    pub(crate) active: Arc<Registry>,
    pub(crate) journal: OnceLock<Arc<dyn Journal>>,
    pub(crate) metrics: EngineMetrics,
}

impl Engine {
    /// An engine that measures time with `clock`.
    pub fn new(options: EngineOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            turns: Turns::new(options.concurrency_max, options.waiting_max),
            active: Arc::default(),
            journal: OnceLock::new(),
            metrics: EngineMetrics::new(Arc::clone(&clock)),
            memory: MemoryPool::new(options.bytes_max_total),
            helpers: Arc::new(Helpers::new(options.threads_max.saturating_sub(1))),
            options,
            clock,
        }
    }

    /// How the engine works.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// How many bytes running queries and results on their way out hold.
    pub fn bytes_held(&self) -> u64 {
        self.memory.bytes()
    }

    /// What the engine counts.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.metrics
    }

    /// From here on, `journal` is told of every query. Only the first call counts.
    pub fn keep_journal(&self, journal: Arc<dyn Journal>) {
        let _ = self.journal.set(journal);
    }

    /// The queries of a tenant that wait or compute, the oldest first.
    pub fn active(&self, tenant: &TenantId) -> Vec<ActiveQuery> {
        self.active.list(tenant, self.clock.monotonic())
    }

    /// How many queries of all tenants wait or compute.
    pub fn active_count(&self) -> usize {
        self.active.len()
    }

    /// Stops a query of a tenant; false if it has none with this id.
    pub fn stop(&self, tenant: &TenantId, id: u64) -> bool {
        self.active.stop(tenant, id)
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
        let mut going = Going::new(self, query, times, params);
        let active = going.enter(tenant);
        let result = self.go(select, tenant, &mut going, active).await;
        going.end(result.as_ref().err());
        result
    }

    /// Waits for a turn, prepares, and has the query computed beside the runtime's workers.
    async fn go(
        &self,
        select: &dyn Select,
        tenant: &TenantId,
        going: &mut Going<'_>,
        active: Active,
    ) -> Result<QueryResult, QueryError> {
        let turn = going.waits(self.turns.take(tenant)).await;
        let turn_at = self.clock.monotonic();
        going.stats.queue_time = turn_at.saturating_sub(going.begun);
        self.metrics
            .observe(Slice::QueueTime, going.stats.queue_time);
        let seat = Seat::take(
            turn??,
            self.journal.get().cloned(),
            &going.query.text,
            active,
        );

        going.stage = Stage::Preparation;
        let (query, times, params) = (going.query, going.times, going.params);
        let prepared = self.prepare(select, tenant, query, times, params);
        let prepared = going.waits(prepared).await??;
        going.budget.check(Stage::Preparation)?;
        let eval_begun = self.clock.monotonic();
        going.stats.prepare_time = eval_begun.saturating_sub(turn_at);
        self.metrics
            .observe(Slice::PrepareTime, going.stats.prepare_time);

        going.stage = Stage::Evaluation;
        let job = Job {
            plan: prepared.plan,
            looks: prepared.looks,
            by_step: params.step_stats && self.options.per_step_stats,
            loaded: prepared.loaded,
            budget: Arc::clone(&going.budget),
            helpers: Arc::clone(&self.helpers),
            text: Arc::clone(&query.text),
            is_range: matches!(times, Times::Range { .. }),
            delayed_names: self.options.delayed_name_removal,
            type_and_unit_labels: self.options.type_and_unit_labels,
            explain: prepared.unoptimised.map(|plan| Explain {
                clock: Arc::clone(&self.clock),
                plan,
            }),
            _seat: seat,
        };
        let done = match spawn::blocking(move || job.evaluate()).await {
            Ok(done) => done,
            Err(error) => Err(QueryError::Internal(panic_text(error))),
        };
        let took = self.clock.monotonic().saturating_sub(eval_begun);
        going.stats.eval_time = took;
        let mut done = match done {
            Ok(done) => done,
            Err(error) => {
                self.metrics.observe(Slice::InnerEval, took);
                return Err(error);
            }
        };
        done.warnings.splice(0..0, prepared.warnings);
        done.stats.queue_time = going.stats.queue_time;
        done.stats.prepare_time = going.stats.prepare_time;
        done.stats.eval_time = took.saturating_sub(done.stats.sort_time);
        self.metrics.observe(Slice::InnerEval, done.stats.eval_time);
        if matches!(times, Times::Range { .. }) {
            self.metrics
                .observe(Slice::ResultSort, done.stats.sort_time);
        }
        going.stats = done.stats.clone();
        Ok(done)
    }

    /// Plans, and selects the series.
    async fn prepare(
        &self,
        select: &dyn Select,
        tenant: &TenantId,
        query: &Query,
        times: Times,
        params: &QueryParams,
    ) -> Result<Prepared, QueryError> {
        let lookback = params
            .lookback
            .filter(|lookback| !lookback.is_zero())
            .unwrap_or(self.options.lookback);
        let settings = Settings {
            lookback_ms: millis(lookback),
            subquery_step_ms: millis(self.options.subquery_step),
            use_start_timestamps: self.options.use_start_timestamps,
        };
        let plan = make_plan(&query.expr, times, settings)?;
        let unoptimised = params.explain.then(|| plan_text(&plan));
        let mut plan = plan::optimise(plan);
        let looks = plan.looks();
        let lookback_ms = settings.lookback_ms;
        let selecting: Vec<_> = plan
            .selections
            .iter()
            .map(|selection| load(select, tenant, selection, lookback_ms))
            .collect();
        let selected: Vec<(Loaded, Vec<String>)> = futures::stream::iter(selecting)
            .buffered(SELECTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut warnings = Vec::new();
        let mut loaded = Vec::with_capacity(selected.len());
        for (series, found) in selected {
            for warning in found {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            loaded.push(series);
        }
        Ok(Prepared {
            plan,
            looks,
            unoptimised,
            loaded,
            warnings,
        })
    }
}

/// Selects series, with no more labels than are looked at; gives back the store's warnings, too.
async fn load(
    select: &dyn Select,
    tenant: &TenantId,
    selection: &Selection,
    lookback_ms: i64,
) -> Result<(Loaded, Vec<String>), SelectError> {
    let mut request = SelectRequest {
        tenant: tenant.clone(),
        matchers: selection.matchers.clone(),
        range: selection.range,
        hints: selection.hints.clone(),
    };
    let found = select.select(request.clone()).await?;
    let loaded = Loaded::new(found.series, lookback_ms);
    if loaded.same_name || !selection.names_must_agree {
        return Ok((loaded, found.warnings));
    }
    request.hints.labels = None;
    let found = select.select(request).await?;
    Ok((Loaded::new(found.series, lookback_ms), found.warnings))
}

/// A query that has its plan and its series.
struct Prepared {
    plan: Plan,
    looks: Vec<Look>,
    /// The plan before it was optimised, if that is wanted.
    unoptimised: Option<String>,
    loaded: Vec<Loaded>,
    warnings: Vec<String>,
}

/// All that the computing needs.
struct Job {
    plan: Plan,
    looks: Vec<Look>,
    /// Whether samples are counted by step.
    by_step: bool,
    loaded: Vec<Loaded>,
    budget: Arc<Budget>,
    helpers: Arc<Helpers>,
    text: Arc<str>,
    is_range: bool,
    delayed_names: bool,
    type_and_unit_labels: bool,
    /// What an explanation needs, if one is wanted.
    explain: Option<Explain>,
    /// Kept while the thread computes, even if nobody waits for it any more.
    _seat: Seat,
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
        for loaded in &self.loaded {
            self.budget.count_series(loaded.series.len() as u64);
            self.budget.charge(loaded.amount())?.keep();
        }
        let mut exec = Exec {
            plan: &self.plan,
            data: &self.loaded,
            budget: &self.budget,
            notes: &notes,
            helpers: &self.helpers,
            delayed_names: self.delayed_names,
            type_and_unit_labels: self.type_and_unit_labels,
            tally: Tally::new(
                self.looks,
                self.plan.nodes,
                self.plan.shared.len(),
                self.by_step,
            ),
            sort_time: Cell::default(),
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
        let sum = exec.tally.sum(self.plan.grid.count, self.by_step);
        let sort_time = exec.sort_time.get();
        drop(exec);
        let (warnings, infos) = notes.render(&self.text);
        let stats = QueryStats {
            samples_total: sum.looked.at,
            samples_read: sum.looked.read,
            steps: sum.steps.map(|steps| by_step(&steps, self.plan.grid)),
            sort_time,
            samples_peak: self.budget.peak(),
            bytes_peak: self.budget.bytes_peak(),
            series: self.budget.series(),
            ..QueryStats::default()
        };
        Ok(QueryResult {
            value,
            warnings,
            infos,
            stats,
            explanation,
            _memory: self.budget.taken_by_result(),
        })
    }
}

/// The samples of each step, with its time.
fn by_step(steps: &[Looked], grid: Grid) -> Arc<[StepSamples]> {
    let at = |(i, looked): (usize, &Looked)| StepSamples {
        timestamp: grid.at(i),
        total: looked.at,
        read: looked.read,
    };
    steps.iter().enumerate().map(at).collect()
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
