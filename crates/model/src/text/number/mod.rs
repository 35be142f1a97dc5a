//! Floats as Go prints and reads them. No function here allocates but to report an error.

mod parse;
mod print;

pub use parse::{ParseError, parse};
pub use print::{
    Form, Shown, Sink, write_api, write_exponent, write_general, write_openmetrics, write_plain,
};
