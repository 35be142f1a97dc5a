//! Push and read protocols to and from the model: remote write 1.0, decoded in place and encoded,
//! and the snappy blocks it travels in.
//!
//! Never opens a connection, never copies a label of a well-formed request, never allocates per
//! series. Remote write 2.0, remote read and OTLP are not here. Start with [`WriteRequest`].

mod encode;
mod error;
mod histogram;
mod protobuf;
mod remote_write;
pub mod snappy;

pub use encode::Encoder;
pub use error::{Problem, WireError};
pub use remote_write::{
    Exemplar, HistogramSample, LabelIter, Metadata, Sample, TimeSeries, WriteRequest,
};
