//! Scrape formats to and from the model: Prometheus text 0.0.4/1.0.0 and OpenMetrics 0.0.1/1.0.0
//! are read, Prometheus text 0.0.4 is written, and the headers that choose between them are
//! understood.
//!
//! Never opens a connection, never allocates per line that parses, never checks names against a
//! validation scheme (any UTF-8 name passes; whoever stores the series knows the scheme). The
//! protobuf format is refused by name. Start with [`Parser`] and its [`Entry`].
//!
//! Accepts and refuses what Prometheus 3.5 does, but for a NUL where a line should start (there
//! the end of the body, here an error) and a bare label name without a value (`{a} 1`: there the
//! metric's name less its first and last byte, or a crash; here an error).

mod cursor;
mod error;
mod format;
mod number;
mod openmetrics;
mod parser;
mod prometheus;
mod series;
mod write;

pub use error::{ParseError, Problem};
pub use format::{EscapingScheme, Format, FormatError, ScrapeProtocol, accept_header};
pub use parser::{Entry, LABELS_MAX, LINE_BYTES_MAX, Parser};
pub use series::{Exemplar, LabelIter, Series};
pub use write::{FamilyWriter, HistogramSnapshot, SummarySnapshot, TEXT_CONTENT_TYPE, TextWriter};
