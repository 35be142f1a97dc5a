//! What a series holds at an instant.

use std::sync::Arc;

use crate::{Histogram, Labels, Timestamp};

/// The bits of the staleness marker, a NaN no calculation yields.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker: a series' last value once its source no longer exposes it.
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_BITS)
}

/// Whether `value` is the staleness marker, bit for bit; any other NaN is an ordinary value.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A sample's value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A double, compared by its bits.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// Bitwise for floats (NaN payloads count), structural for histograms.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

/// One observation that stands for many, with the labels that lead to it (a trace id, say).
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The labels that lead to the observation.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed.
    pub timestamp: Timestamp,
}

/// What kind of metric a family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricKind {
    /// Only goes up, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets that only go up.
    Histogram,
    /// Buckets that go up and down.
    GaugeHistogram,
    /// Quantiles computed at the source.
    Summary,
    /// Labels that describe something; the value is 1.
    Info,
    /// One of several states is 1.
    StateSet,
    /// Not stated.
    #[default]
    Unknown,
}

impl MetricKind {
    /// The word the HTTP API and OpenMetrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marker_is_stale() {
        assert!(is_stale(stale_marker()) && stale_marker().is_nan());
        assert!(!is_stale(f64::NAN) && !is_stale(f64::from_bits(0x7ff8_0000_0000_0001)));
    }
}
