//! Ferula beside a real Prometheus: the same random samples, the same random queries, and every
//! difference that no listed cause explains.
//!
//! A seed makes a scenario and its queries (`ferula_testkit::random`); both servers get the samples
//! by remote write and answer over HTTP. Start with [`run`]; what is known to differ between the
//! releases is in `known.rs`, and only there.

mod case;
mod compare;
mod explain;
mod known;
mod pair;
mod relation;
mod reply;
mod report;
mod shrink;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ferula_testkit::random::{QueryGen, Scenario};

pub use case::{Case, depth};
pub use compare::{Difference, differences};
pub use known::{KNOWN, Known};
pub use pair::{Pair, Setup};
pub use reply::Reply;
pub use report::{Found, Report};

pub use ferula_promql::Times;
pub use ferula_testkit::random::RandomQuery;

/// After this many seeds the servers start anew, so that they hold little at any time.
const SEEDS_PER_PAIR: u64 = 50;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How many queries about the scenario of each seed.
    pub queries: u64,
    /// When to stop with what was compared until then.
    pub time_max: Duration,
    /// How many unexplained differences are looked into before the run ends early.
    pub unexplained_max: usize,
    /// How the servers are set up.
    pub setup: Setup,
}

/// Compares seed by seed. Odd seeds run with delayed name removal.
///
/// # Errors
/// When a server does not start, refuses samples, or goes away.
pub fn run(options: &Options, progress: &mut dyn FnMut(&Report)) -> Result<Report> {
    let start = Instant::now();
    let mut report = Report::default();
    let mut pairs: [Option<Pair>; 2] = [None, None];
    for seed in options.first..options.first + options.seeds {
        if (seed - options.first).is_multiple_of(SEEDS_PER_PAIR) {
            pairs = [None, None];
        }
        let delayed = seed % 2 == 1;
        let slot = &mut pairs[usize::from(delayed)];
        let pair = match slot {
            Some(pair) => pair,
            None => slot.insert(Pair::start(&options.setup, delayed)?),
        };
        one_seed(seed, options, pair, &mut report).with_context(|| format!("seed {seed}"))?;
        report.seeds += 1;
        progress(&report);
        if start.elapsed() > options.time_max || report.found.len() >= options.unexplained_max {
            break;
        }
    }
    Ok(report)
}

/// Asks both servers one query about the samples of a seed, and gives the answers as they came.
///
/// # Errors
/// When a server does not start or does not answer.
pub fn ask(setup: &Setup, seed: u64, query: &RandomQuery) -> Result<Case> {
    let mut pair = Pair::start(setup, seed % 2 == 1)?;
    pair.load(&Scenario::new(seed))?;
    pair.ask(query)
}

fn one_seed(seed: u64, options: &Options, pair: &mut Pair, report: &mut Report) -> Result<()> {
    let scenario = Scenario::new(seed);
    pair.load(&scenario)?;
    let allowed = pair.allowed().clone();
    let mut random = QueryGen::new(&scenario, seed, &allowed);
    for number in 0..options.queries {
        let query = random.query();
        let case = pair.ask(&query)?;
        let differences = differences(&case);
        report.count(&case);
        if differences.is_empty() {
            continue;
        }
        if let Some(classes) = explain::explain(pair, &case, &differences)? {
            report.explain(&classes);
            continue;
        }
        let smallest = shrink::smallest(pair, &query)?;
        report.found.push(Found {
            seed,
            number,
            delayed_names: pair.delayed_names(),
            differences,
            case,
            smallest,
        });
    }
    Ok(())
}
