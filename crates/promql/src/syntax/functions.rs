//! Which functions there are, and what they take.

use super::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments; the last one repeats if `variadic` allows more.
    pub args: &'static [ValueType],
    /// How many of the arguments are optional.
    pub optional: usize,
    /// How many more arguments than `args` may follow, of the type of the last.
    pub variadic: usize,
    /// The type of its value.
    pub returns: ValueType,
    /// Whether it needs the flag `promql-experimental-functions`.
    pub experimental: bool,
}

const fn f(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Function {
    Function {
        name,
        args,
        optional: 0,
        variadic: 0,
        returns,
        experimental: false,
    }
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
    f("abs", &[Vector], Vector),
    f(
        "label_replace",
        &[Vector, String, String, String, String],
        Vector,
    ),
    f("rate", &[Matrix], Vector),
    f("time", &[], Scalar),
];
