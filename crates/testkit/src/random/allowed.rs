//! Which parts of the language a query may use: not every server knows them all.

use std::collections::BTreeSet;

use ferula_promql::syntax::functions::FUNCTIONS;

/// What random queries may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Functions, by name.
    pub functions: BTreeSet<&'static str>,
    /// `limitk` and `limit_ratio`.
    pub limits: bool,
    /// Operators between durations: `x[5m + 30s]`.
    pub duration_arithmetic: bool,
    /// `step()`, `range()`, `min_of` and `max_of` between durations.
    pub duration_functions: bool,
    /// `</` and `>/`.
    pub trims: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub fills: bool,
    /// `anchored` and `smoothed`.
    pub extended: bool,
}

impl Allowed {
    /// The whole language.
    pub fn all() -> Self {
        Self {
            functions: FUNCTIONS.iter().map(|function| function.name).collect(),
            limits: true,
            duration_arithmetic: true,
            duration_functions: true,
            trims: true,
            fills: true,
            extended: true,
        }
    }
}
