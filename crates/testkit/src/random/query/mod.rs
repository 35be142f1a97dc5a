//! Random queries: well-typed, deep, and mostly with an answer that is not empty.
//!
//! Every generator hands back its text together with what is known of the result, so that what
//! surrounds it can fit: labels decide matching clauses, the sample kind decides functions.

mod aggregate;
mod join;
mod range;
mod scalar;
mod selector;
mod times;
mod vector;

use ferula_promql::Times;

use super::allowed::Allowed;
use super::data::Scenario;
use super::seed::Random;

/// A query and when it is evaluated.
#[derive(Clone, Debug)]
pub struct RandomQuery {
    /// Its text.
    pub text: String,
    /// The evaluation times.
    pub times: Times,
}

/// Makes queries about a scenario.
#[derive(Debug)]
pub struct QueryGen<'a> {
    scenario: &'a Scenario,
    allowed: &'a Allowed,
    random: Random,
}

/// The sample kind a generator is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Floats,
    Histograms,
}

/// An instant vector.
#[derive(Clone, Debug)]
struct Vector {
    text: String,
    /// Labels its series have, without the name, sorted.
    labels: Vec<&'static str>,
    /// Whether it must stand in parentheses as an operand.
    loose: bool,
}

impl Vector {
    /// A vector whose text holds together by itself.
    fn new(text: String, labels: &[&'static str]) -> Self {
        Self {
            text,
            labels: labels.to_vec(),
            loose: false,
        }
    }

    /// The text as an operand of something that binds tightly.
    fn operand(&self) -> String {
        if self.loose {
            format!("({})", self.text)
        } else {
            self.text.clone()
        }
    }
}

impl<'a> QueryGen<'a> {
    /// The queries of a seed.
    pub fn new(scenario: &'a Scenario, seed: u64, allowed: &'a Allowed) -> Self {
        Self {
            scenario,
            allowed,
            random: Random::of(seed, scenario.seed.wrapping_add(2)),
        }
    }

    /// The next query.
    pub fn query(&mut self) -> RandomQuery {
        let depth = self.random.weighted(&[(2, 2), (5, 3), (3, 4)]);
        match self.random.below(100) {
            0..4 => {
                let (text, _) = self.range_vector(depth, range::Of::Anything, None);
                let times = Times::Instant(self.instant());
                RandomQuery { text, times }
            }
            4..10 => {
                let text = self.scalar(depth);
                let times = self.times();
                RandomQuery { text, times }
            }
            10 => {
                let text = "\"text\\t\\u00e9\"".to_owned();
                let times = Times::Instant(self.instant());
                RandomQuery { text, times }
            }
            11..14 => self.sorted(depth),
            case => {
                let want = if case < 32 {
                    Want::Histograms
                } else {
                    Want::Floats
                };
                let text = self.vector(depth, want).text;
                let times = self.times();
                RandomQuery { text, times }
            }
        }
    }

    /// A sorted vector, whose order counts in instant queries only.
    fn sorted(&mut self, depth: u32) -> RandomQuery {
        let inner = self.vector(depth - 1, Want::Floats);
        let function = self.function(&["sort", "sort_desc", "sort_by_label", "sort_by_label_desc"]);
        let text = if function.contains("label") {
            let labels = self.some_labels(&inner.labels);
            let labels: String = labels.iter().map(|l| format!(", \"{l}\"")).collect();
            format!("{function}({}{labels})", inner.text)
        } else {
            format!("{function}({})", inner.text)
        };
        let times = if self.random.chance(85) {
            Times::Instant(self.instant())
        } else {
            self.times()
        };
        RandomQuery { text, times }
    }

    /// One of the functions that is allowed; the first always is.
    fn function(&mut self, of: &[&'static str]) -> &'static str {
        let allowed: Vec<&'static str> = of
            .iter()
            .copied()
            .filter(|name| self.allowed.functions.contains(name))
            .collect();
        if allowed.is_empty() {
            return of[0];
        }
        self.random.pick(&allowed)
    }

    /// Some of the labels, perhaps none and perhaps all, in any order.
    fn some_labels(&mut self, labels: &[&'static str]) -> Vec<&'static str> {
        let mut some: Vec<&'static str> = labels
            .iter()
            .copied()
            .filter(|_| self.random.chance(60))
            .collect();
        if self.random.chance(30) {
            some.reverse();
        }
        some
    }
}
