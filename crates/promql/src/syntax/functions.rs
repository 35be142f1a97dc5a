//! Which functions there are, and what they take.

use super::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments; further ones have the type of the last.
    pub args: &'static [ValueType],
    /// How many arguments it takes at least.
    pub args_min: usize,
    /// How many arguments it takes at most; `None` for any number.
    pub args_max: Option<usize>,
    /// The type of its value.
    pub returns: ValueType,
    /// Whether it needs the flag `promql-experimental-functions`.
    pub experimental: bool,
}

impl Function {
    /// The type its argument number `index`, from 0, must have.
    pub fn arg_type(&self, index: usize) -> Option<ValueType> {
        self.args.get(index).or(self.args.last()).copied()
    }

    const fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }

    /// The last argument may be left out.
    const fn optional_last(mut self) -> Self {
        self.args_min = self.args.len() - 1;
        self
    }

    /// The last argument may be left out, or given up to `times` times.
    const fn repeated_up_to(mut self, times: usize) -> Self {
        self.args_min = self.args.len() - 1;
        self.args_max = Some(self.args_min + times);
        self
    }

    /// The last argument may be left out, or given any number of times.
    const fn repeated_last(mut self) -> Self {
        self.args_min = self.args.len() - 1;
        self.args_max = None;
        self
    }
}

const fn f(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Function {
    Function {
        name,
        args,
        args_min: args.len(),
        args_max: Some(args.len()),
        returns,
        experimental: false,
    }
}

/// Instant vector to instant vector.
const fn v(name: &'static str) -> Function {
    f(name, &[Vector], Vector)
}

/// Range vector to instant vector.
const fn m(name: &'static str) -> Function {
    f(name, &[Matrix], Vector)
}

/// The function called `name`, if there is one. Names are case-sensitive.
pub fn lookup(name: &str) -> Option<&'static Function> {
    FUNCTIONS
        .binary_search_by(|f| f.name.cmp(name))
        .ok()
        .map(|i| &FUNCTIONS[i])
}

/// All functions, sorted by name.
pub static FUNCTIONS: &[Function] = &[
    v("abs"),
    v("absent"),
    m("absent_over_time"),
    v("acos"),
    v("acosh"),
    v("asin"),
    v("asinh"),
    v("atan"),
    v("atanh"),
    m("avg_over_time"),
    v("ceil"),
    m("changes"),
    f("clamp", &[Vector, Scalar, Scalar], Vector),
    f("clamp_max", &[Vector, Scalar], Vector),
    f("clamp_min", &[Vector, Scalar], Vector),
    v("cos"),
    v("cosh"),
    m("count_over_time"),
    v("day_of_month").optional_last(),
    v("day_of_week").optional_last(),
    v("day_of_year").optional_last(),
    v("days_in_month").optional_last(),
    v("deg"),
    m("delta"),
    m("deriv"),
    f(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
    )
    .experimental(),
    f("end", &[], Scalar).experimental(),
    v("exp"),
    m("first_over_time"),
    v("floor"),
    v("histogram_avg"),
    v("histogram_count"),
    f("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    f("histogram_quantile", &[Scalar, Vector], Vector),
    f(
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        Vector,
    )
    .repeated_up_to(9)
    .experimental(),
    v("histogram_stddev"),
    v("histogram_stdvar"),
    v("histogram_sum"),
    v("hour").optional_last(),
    m("idelta"),
    m("increase"),
    f("info", &[Vector, Vector], Vector)
        .optional_last()
        .experimental(),
    m("irate"),
    f("label_join", &[Vector, String, String, String], Vector).repeated_last(),
    f(
        "label_replace",
        &[Vector, String, String, String, String],
        Vector,
    ),
    m("last_over_time"),
    v("ln"),
    v("log10"),
    v("log2"),
    m("mad_over_time").experimental(),
    f("max_of", &[Scalar, Scalar], Scalar).experimental(),
    m("max_over_time"),
    f("min_of", &[Scalar, Scalar], Scalar).experimental(),
    m("min_over_time"),
    v("minute").optional_last(),
    v("month").optional_last(),
    f("pi", &[], Scalar),
    f("predict_linear", &[Matrix, Scalar], Vector),
    m("present_over_time"),
    f("quantile_over_time", &[Scalar, Matrix], Vector),
    v("rad"),
    f("range", &[], Scalar).experimental(),
    m("rate"),
    m("resets"),
    f("round", &[Vector, Scalar], Vector).optional_last(),
    f("scalar", &[Vector], Scalar),
    v("sgn"),
    v("sin"),
    v("sinh"),
    v("sort"),
    f("sort_by_label", &[Vector, String], Vector)
        .repeated_last()
        .experimental(),
    f("sort_by_label_desc", &[Vector, String], Vector)
        .repeated_last()
        .experimental(),
    v("sort_desc"),
    v("sqrt"),
    f("start", &[], Scalar).experimental(),
    v("start_timestamp").experimental(),
    m("stddev_over_time"),
    m("stdvar_over_time"),
    f("step", &[], Scalar).experimental(),
    m("sum_over_time"),
    v("tan"),
    v("tanh"),
    f("time", &[], Scalar),
    v("timestamp"),
    m("ts_of_first_over_time").experimental(),
    m("ts_of_last_over_time").experimental(),
    m("ts_of_max_over_time").experimental(),
    m("ts_of_min_over_time").experimental(),
    f("vector", &[Scalar], Vector),
    v("year").optional_last(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_so_that_each_is_found() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        for function in FUNCTIONS {
            assert_eq!(lookup(function.name), Some(function));
        }
        assert_eq!(lookup("Rate"), None);
    }
}
