//! Random queries on random data: the engine's answers are the oracle's.
//!
//! `cargo xtask compat --oracle --seeds 1000` runs that many scenarios in place of a few, and
//! `--first 77` begins with that one.
#![allow(clippy::print_stdout)] // says what differs

use std::time::Duration;

use ferula_env::SystemClock;
use ferula_model::TenantId;
use ferula_promql::syntax::ast::{AggregateOp, Expr};
use ferula_promql::{Engine, EngineOptions, Query, QueryParams, Times};
use ferula_testkit::oracle::{Oracle, Ruling, difference};
use ferula_testkit::random::{Allowed, QueryGen, RandomQuery, Scenario};
use ferula_testkit::{Answer, MemStore, ScriptOptions};

/// Scenarios in a normal run.
const SEEDS: u64 = 60;

/// Queries of each scenario.
const QUERIES: u64 = 60;

/// The engine and the oracle over the same series.
struct Both {
    engine: Engine,
    oracle: Oracle,
    store: MemStore,
    runtime: tokio::runtime::Runtime,
}

impl Both {
    /// Of a scenario; its seed decides about start timestamps and what else there is to choose.
    fn new(scenario: &Scenario) -> Self {
        let seed = scenario.seed;
        let options = ScriptOptions {
            delayed_name_removal: seed % 2 == 1,
            type_and_unit_labels: seed.is_multiple_of(7),
        };
        let options = EngineOptions {
            samples_max: 50_000_000,
            lookback: Duration::from_secs(if seed.is_multiple_of(5) { 47 } else { 300 }),
            ..options.engine_options()
        };
        let store = if seed.is_multiple_of(3) {
            scenario.started_store()
        } else {
            scenario.store()
        };
        Self {
            engine: Engine::new(options.clone(), SystemClock::shared()),
            oracle: Oracle::new(options),
            store,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
        }
    }

    fn parsed(&self, query: &RandomQuery) -> Result<Query, String> {
        self.engine.parse(&query.text).map_err(|e| e.to_string())
    }

    fn engine(&self, query: &RandomQuery) -> Result<Answer, String> {
        let parsed = self.parsed(query)?;
        let (tenant, params) = (TenantId::anonymous(), QueryParams::default());
        let run = self
            .engine
            .run(&self.store, &tenant, &parsed, query.times, &params);
        let result = self.runtime.block_on(run).map_err(|e| e.to_string())?;
        Ok(result.into())
    }

    fn oracle(&self, query: &RandomQuery) -> Result<Ruling, String> {
        let ruling = self
            .oracle
            .judge(&self.store, &self.parsed(query)?, query.times);
        ruling.map_err(|e| e.to_string())
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().expect("a number of seeds"),
        Err(_) => default,
    }
}

#[test]
fn the_engine_agrees_with_the_oracle() {
    let first = number("FERULA_ORACLE_FIRST", 0);
    let seeds = number("FERULA_ORACLE_SEEDS", SEEDS);
    let allowed = Allowed::all();
    let (mut all, mut wrong, mut unsettled) = (0, 0, 0);
    for seed in first..first + seeds {
        let scenario = Scenario::new(seed);
        let both = Both::new(&scenario);
        let mut random = QueryGen::new(&scenario, seed, &allowed);
        for _ in 0..number("FERULA_ORACLE_QUERIES", QUERIES) {
            let query = random.query();
            all += 1;
            if let Some(what) = difference(&both.engine(&query), &both.oracle(&query)) {
                if both.parsed(&query).is_ok_and(|q| is_unsettled(&q.expr)) {
                    unsettled += 1;
                    continue;
                }
                wrong += 1;
                println!(
                    "seed {seed}, names dropped {}: {:?}\n  {}\n  {what}",
                    if seed % 2 == 1 {
                        "at the end"
                    } else {
                        "at once"
                    },
                    query.times,
                    query.text
                );
            }
        }
    }
    assert_eq!(wrong, 0, "of {all} queries");
    println!("{unsettled} of {all} differ in what no rule settles");
    assert!(unsettled * 100 <= all, "{unsettled} of {all}");
}

/// Whether the answer may depend on what no rule settles: in which order computed series come, where
/// only the first of equal ones are taken, or where rounding is not made good; how the last digit is
/// rounded, where digits are labels.
fn is_unsettled(expr: &Expr) -> bool {
    let mut unsettled = false;
    expr.visit(&mut |expr| {
        unsettled |= match expr {
            Expr::Aggregate(e) => match e.op {
                AggregateOp::CountValues => true,
                AggregateOp::Topk
                | AggregateOp::Bottomk
                | AggregateOp::Limitk
                | AggregateOp::Stddev
                | AggregateOp::Stdvar => !matches!(e.expr.unparen(), Expr::Selector(_)),
                _ => false,
            },
            _ => false,
        }
    });
    unsettled
}

/// The comparison itself must be able to fail.
#[test]
fn a_wrong_answer_is_noticed() {
    let scenario = Scenario::new(3);
    let both = Both::new(&scenario);
    let times = Times::Instant((scenario.start_ms + scenario.end_ms) / 2);
    let ask = |text: &str| RandomQuery {
        text: text.to_owned(),
        times,
    };
    for (right, wrong) in [
        ("sum(s3_temperature)", "count(s3_temperature)"),
        ("s3_temperature", "s3_temperature * (1 + 1e-11)"),
        ("s3_temperature", "s3_temperature{instance=\"s3_a\"}"),
        ("s3_temperature{instance=\"s3_a\"}", "s3_temperature"),
        ("s3_depth", "s3_depth * 2"),
        ("rate(s3_temperature[5m])", "rate((s3_temperature[5m]))"),
        ("time()", "time() + 1"),
        ("\"a\"", "\"b\""),
        ("1", "vector(1)"),
        ("s3_temperature[5m]", "s3_temperature[6m]"),
        ("1", "sum(s3_temperature) + on () s3_temperature"),
        ("1 </ 1", "1"),
    ] {
        let (right, wrong) = (ask(right), ask(wrong));
        let same = difference(&both.engine(&right), &both.oracle(&right));
        assert_eq!(same, None, "{}", right.text);
        let other = difference(&both.engine(&wrong), &both.oracle(&right));
        assert!(other.is_some(), "{} for {}", wrong.text, right.text);
    }
}
