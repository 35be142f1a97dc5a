//! What a run has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ferula_promql::Times;
use ferula_promql::syntax::ast::Expr;

use super::case::{Case, depth};
use super::compare::{Difference, differences};

/// How many differences of one answer are shown.
const SHOWN_MAX: usize = 3;

/// Counts, and what no listed cause explains.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Scenarios compared.
    pub seeds: u64,
    /// Queries compared.
    pub queries: u64,
    /// Sum of the queries' depths.
    pub depths: u64,
    /// Queries whose answer held something.
    pub non_empty: u64,
    /// Queries that both servers refused.
    pub refused: u64,
    /// Queries that came with warnings or infos.
    pub annotated: u64,
    /// Functions, aggregations and operators that occurred.
    pub covered: BTreeSet<String>,
    /// How often each listed cause explained a difference.
    pub explained: BTreeMap<&'static str, u64>,
    /// Unexplained differences.
    pub found: Vec<Found>,
}

/// An unexplained difference.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed of the scenario and of the queries.
    pub seed: u64,
    /// Which query of the seed.
    pub number: u64,
    /// Whether names were dropped at the end only.
    pub delayed_names: bool,
    /// What differs.
    pub differences: Vec<Difference>,
    /// The query and both answers.
    pub case: Case,
    /// The smallest query that shows a difference.
    pub smallest: Case,
}

impl Report {
    pub(super) fn count(&mut self, case: &Case) {
        self.queries += 1;
        self.depths += depth(&case.expr) as u64;
        let reply = &case.prometheus;
        self.refused += u64::from(reply.error.is_some());
        self.non_empty += u64::from(reply.error.is_none() && !reply.is_empty());
        self.annotated += u64::from(!reply.warnings.is_empty() || !reply.infos.is_empty());
        case.expr.visit(&mut |expr| {
            let name = match expr {
                Expr::Call(call) => call.func.name,
                Expr::Aggregate(aggregate) => aggregate.op.as_str(),
                Expr::Binary(binary) => binary.op.as_str(),
                _ => return,
            };
            if !self.covered.contains(name) {
                self.covered.insert(name.to_owned());
            }
        });
    }

    pub(super) fn explain(&mut self, classes: &BTreeSet<&'static str>) {
        for class in classes {
            *self.explained.entry(class).or_default() += 1;
        }
    }

    /// The average depth of the queries.
    pub fn depth(&self) -> f64 {
        self.depths as f64 / self.queries.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64| 100.0 * part as f64 / self.queries.max(1) as f64;
        writeln!(
            f,
            "{} queries of {} seeds, depth {:.2} on average",
            self.queries,
            self.seeds,
            self.depth()
        )?;
        writeln!(
            f,
            "{:.1} % not empty, {:.1} % refused by Prometheus, {:.1} % with annotations",
            share(self.non_empty),
            share(self.refused),
            share(self.annotated)
        )?;
        writeln!(
            f,
            "{} functions, aggregations and operators covered",
            self.covered.len()
        )?;
        for (class, count) in &self.explained {
            writeln!(f, "explained {count} times: {class}")?;
        }
        write!(f, "{} unexplained differences", self.found.len())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = if self.delayed_names {
            ", delayed name removal"
        } else {
            ""
        };
        writeln!(f, "seed {}, query {}{names}", self.seed, self.number)?;
        show(f, &self.case, &self.differences)?;
        if self.smallest.text != self.case.text || self.smallest.times != self.case.times {
            writeln!(f, "  smallest:")?;
            show(f, &self.smallest, &differences(&self.smallest))?;
        }
        Ok(())
    }
}

fn show(f: &mut fmt::Formatter<'_>, case: &Case, differences: &[Difference]) -> fmt::Result {
    writeln!(f, "  {}", case.text)?;
    match case.times {
        Times::Instant(time) => writeln!(f, "  at {time}")?,
        Times::Range {
            start,
            end,
            step_ms,
        } => writeln!(f, "  from {start} to {end} by {step_ms}")?,
    }
    for difference in differences.iter().take(SHOWN_MAX) {
        let shown: String = difference.to_string().chars().take(700).collect();
        writeln!(f, "    {shown}")?;
    }
    if differences.len() > SHOWN_MAX {
        writeln!(f, "    and {} more", differences.len() - SHOWN_MAX)?;
    }
    Ok(())
}
