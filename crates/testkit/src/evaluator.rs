//! What runs the queries of a script, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferula_env::SystemClock;
use ferula_model::{Histogram, Labels, TenantId, Timestamp, Value};
use ferula_promql::syntax::ast::Expr;
use ferula_promql::{Engine, EngineOptions, Query, QueryParams, QueryResult, QueryValue, Times};
use ferula_storage::Columns;

use crate::oracle::Oracle;
use crate::{MemStore, ShownHistogram};

/// Keeps what scripts load, and evaluates queries on it.
pub trait Evaluator {
    /// Forgets all series.
    fn clear(&mut self);

    /// Adds series to those it has; the first sample of a timestamp stays.
    fn load(&mut self, series: &MemStore);

    /// Evaluates a query. An error is the text a user would see.
    fn evaluate(&mut self, query: &ScriptQuery, times: Times) -> Result<Answer, String>;

    /// Whether instant queries are repeated with every selector pinned by `@`.
    fn takes_pinned(&self) -> bool {
        true
    }
}

/// A script's query, or a variant of it.
#[derive(Clone, Debug)]
pub struct ScriptQuery {
    /// The text; annotations point into it.
    pub text: Arc<str>,
    /// What a variant evaluates in place of what the text says.
    pub pinned: Option<Arc<Expr>>,
}

/// What a query yields.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value.
    pub value: AnswerValue,
    /// The warnings, as a user sees them.
    pub warnings: Vec<String>,
    /// The infos.
    pub infos: Vec<String>,
}

/// The value of a query.
#[derive(Clone, Debug)]
pub enum AnswerValue {
    /// One number.
    Scalar(f64),
    /// A text.
    String(String),
    /// One sample per series, in the evaluator's order.
    Vector(Vec<(Labels, Seen)>),
    /// Samples per series, in the evaluator's order.
    Matrix(Vec<(Labels, BTreeMap<Timestamp, Seen>)>),
}

/// A sample of an answer.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram(Arc<Histogram>),
    /// A histogram as the HTTP API shows it.
    Shown(ShownHistogram),
}

impl From<Value> for Seen {
    fn from(value: Value) -> Self {
        match value {
            Value::Float(v) => Self::Float(v),
            Value::Histogram(h) => Self::Histogram(h),
        }
    }
}

impl From<QueryResult> for Answer {
    fn from(result: QueryResult) -> Self {
        let value = match result.value {
            QueryValue::Scalar { value, .. } => AnswerValue::Scalar(value),
            QueryValue::String { value, .. } => AnswerValue::String(value),
            QueryValue::Vector(samples) => {
                let samples = samples.into_iter().map(|s| (s.labels, s.value.into()));
                AnswerValue::Vector(samples.collect())
            }
            QueryValue::Matrix(series) => {
                let series = series.into_iter().map(|s| (s.labels, points(s.columns)));
                AnswerValue::Matrix(series.collect())
            }
        };
        Self {
            value,
            warnings: result.warnings,
            infos: result.infos,
        }
    }
}

fn points(columns: Columns) -> BTreeMap<Timestamp, Seen> {
    let floats = columns.timestamps.into_iter().zip(columns.values);
    let histograms = columns.histograms.into_iter();
    floats
        .map(|(t, v)| (t, Seen::Float(v)))
        .chain(histograms.map(|p| (p.timestamp, Seen::Histogram(p.histogram))))
        .collect()
}

/// How the engine of a script works.
#[derive(Clone, Copy, Debug)]
pub struct ScriptOptions {
    /// Whether metric names are dropped only when a query is done.
    pub delayed_name_removal: bool,
    /// Whether labels say what a metric is.
    pub type_and_unit_labels: bool,
}

impl ScriptOptions {
    /// How the reference runs its scripts.
    pub fn reference() -> Self {
        Self {
            delayed_name_removal: true,
            type_and_unit_labels: false,
        }
    }

    /// The same as options of an engine, everything experimental allowed.
    pub fn engine_options(self) -> EngineOptions {
        EngineOptions {
            timeout: Duration::from_secs(100),
            samples_max: 10_000,
            experimental_functions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
            delayed_name_removal: self.delayed_name_removal,
            use_start_timestamps: true,
            type_and_unit_labels: self.type_and_unit_labels,
            ..EngineOptions::prometheus()
        }
    }
}

/// The engine on a naive store.
pub(crate) struct OnEngine {
    engine: Engine,
    store: MemStore,
    runtime: tokio::runtime::Runtime,
}

impl OnEngine {
    pub(crate) fn new(options: ScriptOptions) -> Self {
        Self {
            engine: Engine::new(options.engine_options(), SystemClock::shared()),
            store: MemStore::new(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime without drivers needs nothing from the system"),
        }
    }
}

impl Evaluator for OnEngine {
    fn clear(&mut self) {
        self.store = MemStore::new();
    }

    fn load(&mut self, series: &MemStore) {
        self.store.absorb(series);
    }

    fn evaluate(&mut self, query: &ScriptQuery, times: Times) -> Result<Answer, String> {
        let query = match &query.pinned {
            Some(expr) => Query {
                text: Arc::clone(&query.text),
                expr: Arc::clone(expr),
            },
            None => self.engine.parse(&query.text).map_err(|e| e.to_string())?,
        };
        let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
        let run = self
            .engine
            .run(&self.store, &tenant, &query, times, &params);
        let result = self.runtime.block_on(run).map_err(|e| e.to_string())?;
        Ok(result.into())
    }
}

/// The oracle on a naive store.
pub struct OnOracle {
    oracle: Oracle,
    store: MemStore,
}

impl OnOracle {
    /// An oracle without series.
    pub fn new(options: ScriptOptions) -> Self {
        Self {
            oracle: Oracle::new(options.engine_options()),
            store: MemStore::new(),
        }
    }
}

impl Evaluator for OnOracle {
    fn clear(&mut self) {
        self.store = MemStore::new();
    }

    fn load(&mut self, series: &MemStore) {
        self.store.absorb(series);
    }

    fn evaluate(&mut self, query: &ScriptQuery, times: Times) -> Result<Answer, String> {
        let query = match &query.pinned {
            Some(expr) => Query {
                text: Arc::clone(&query.text),
                expr: Arc::clone(expr),
            },
            None => self.oracle.parse(&query.text).map_err(|e| e.to_string())?,
        };
        let answer = self.oracle.run(&self.store, &query, times);
        answer.map_err(|e| e.to_string())
    }
}
