//! The target that evaluates queries.

use std::time::Duration;

use ferula_env::SystemClock;
use ferula_model::TenantId;
use ferula_promql::syntax::ast::{AggregateOp, At, BinaryOp, Expr, Modifiers};
use ferula_promql::{Engine, EngineOptions, Query, QueryParams, Times};

use crate::oracle::{Oracle, Ruling, difference};
use crate::pin::same_in_range;
use crate::random::{Allowed, QueryGen, RandomQuery, Scenario};
use crate::{Answer, AnswerValue, MemStore, ScriptOptions};

/// Longer texts make fuzzing slow and find nothing more.
const TEXT_BYTES_MAX: usize = 1 << 11;

/// A seed in decimal, a line feed, and a query; without a query, a random one of the seed. However
/// it goes, it ends; and a range query answers at each step what an instant query there does.
pub fn promql_engine(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (seed, text) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(seed) = seed.parse::<u64>() else {
        return;
    };
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    let scenario = Scenario::new(seed);
    let allowed = Allowed::all();
    let random = QueryGen::new(&scenario, seed, &allowed).query();
    let world = World::new(scenario.store(), seed % 2 == 1);
    if text.is_empty() {
        world.check(&random);
        let ruling = world.rule(&random);
        let what = difference(&world.ask(&random), &ruling);
        assert_eq!(what, None, "{random:?}");
    } else {
        world.check(&RandomQuery {
            text: text.to_owned(),
            times: random.times,
        });
    }
}

/// A small engine over the series of a seed.
struct World {
    engine: Engine,
    oracle: Oracle,
    store: MemStore,
    delayed_names: bool,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(store: MemStore, delayed_names: bool) -> Self {
        let options = EngineOptions {
            timeout: Duration::from_secs(10),
            samples_max: 1_000_000,
            bytes_max: 64 << 20,
            ..ScriptOptions {
                delayed_name_removal: delayed_names,
                ..ScriptOptions::reference()
            }
            .engine_options()
        };
        Self {
            engine: Engine::new(options.clone(), SystemClock::shared()),
            oracle: Oracle::new(options),
            store,
            delayed_names,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime without drivers needs nothing from the system"),
        }
    }

    fn run(&self, query: &Query, times: Times) -> Result<Answer, String> {
        let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
        let run = self.engine.run(&self.store, &tenant, query, times, &params);
        let result = self.runtime.block_on(run).map_err(|e| e.to_string());
        // What panics on another thread comes back as an error.
        if let Err(error) = &result {
            assert!(!error.starts_with("unexpected error"), "{error}");
        }
        Ok(result?.into())
    }

    fn ask(&self, query: &RandomQuery) -> Result<Answer, String> {
        let parsed = self.engine.parse(&query.text).map_err(|e| e.to_string())?;
        self.run(&parsed, query.times)
    }

    fn rule(&self, query: &RandomQuery) -> Result<Ruling, String> {
        let parsed = self.oracle.parse(&query.text).map_err(|e| e.to_string())?;
        let ruling = self.oracle.judge(&self.store, &parsed, query.times);
        ruling.map_err(|e| e.to_string())
    }

    /// Evaluates a query, and as the steps it consists of.
    fn check(&self, query: &RandomQuery) {
        let Ok(parsed) = self.engine.parse(&query.text) else {
            return;
        };
        let whole = self.run(&parsed, query.times);
        let (
            Times::Range {
                start,
                end,
                step_ms,
            },
            Ok(whole),
        ) = (query.times, &whole)
        else {
            return;
        };
        if !self.is_stepwise(&parsed.expr) {
            return;
        }
        let AnswerValue::Matrix(series) = &whole.value else {
            panic!("a range query yields a matrix");
        };
        let mut time = start;
        while time <= end {
            let step = series
                .iter()
                .filter_map(|(labels, points)| Some((labels.clone(), points.get(&time)?.clone())))
                .collect();
            let step = self.same_kind(step, &parsed.expr);
            let alone = self.run(&parsed, Times::Instant(time));
            let alone = alone.map(|answer| Ruling {
                answer: without_notes(answer.value),
                elsewhere: Vec::new(),
            });
            let what = difference(&Ok(step), &alone);
            assert_eq!(what, None, "at {time}: {}", query.text);
            time += step_ms;
        }
    }

    /// One step as an instant query would answer.
    fn same_kind(&self, step: Vec<(ferula_model::Labels, crate::Seen)>, expr: &Expr) -> Answer {
        let scalar = expr.value_type() == ferula_promql::syntax::ast::ValueType::Scalar;
        without_notes(match step.as_slice() {
            [(_, crate::Seen::Float(v))] if scalar => AnswerValue::Scalar(*v),
            _ => AnswerValue::Vector(step),
        })
    }

    /// Whether each step has an answer of its own: nothing asks for the times of the query, and no
    /// series keeps or loses its name as a whole.
    fn is_stepwise(&self, expr: &Expr) -> bool {
        let mut stepwise = same_in_range(expr);
        let edge = |modifiers: &Modifiers| matches!(modifiers.at, Some(At::Start | At::End));
        expr.visit(&mut |expr| {
            stepwise &= match expr {
                Expr::Selector(e) => !edge(&e.modifiers),
                Expr::Range(e) => !edge(&e.selector.modifiers),
                Expr::Subquery(e) => !edge(&e.modifiers),
                Expr::Binary(e) => e.op != BinaryOp::Or || !self.delayed_names,
                // Order counts in instant queries only, and so does what depends on it: of series
                // that come from storage it is always the same.
                Expr::Call(e) => !e.func.name.starts_with("sort"),
                Expr::Aggregate(e) => {
                    let by_order = matches!(
                        e.op,
                        AggregateOp::Limitk | AggregateOp::Topk | AggregateOp::Bottomk
                    );
                    !by_order || matches!(e.expr.unparen(), Expr::Selector(_))
                }
                _ => true,
            }
        });
        stepwise
    }
}

fn without_notes(value: AnswerValue) -> Answer {
    Answer {
        value,
        warnings: Vec::new(),
        infos: Vec::new(),
    }
}
