//! Writes `prometheus.WriteRequest`.

use ferula_model::{CounterReset, Counts, Histogram, Span, Timestamp};

use crate::remote_write::Sample;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// Collects series into one request.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    /// The series and, within it, the message being written: lengths come before contents.
    series: Vec<u8>,
    inner: Vec<u8>,
}

impl Encoder {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series. The protocol wants labels sorted by name, samples by time, and in each
    /// series samples or histograms, not both; the encoder writes what it is given.
    pub fn series<'l>(
        &mut self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        samples: &[Sample],
        histograms: &[(Timestamp, &Histogram)],
    ) -> &mut Self {
        let Self { out, series, inner } = self;
        series.clear();
        for (name, value) in labels {
            inner.clear();
            put_bytes(inner, 1, name.as_bytes());
            put_bytes(inner, 2, value.as_bytes());
            put_bytes(series, 1, inner);
        }
        for sample in samples {
            inner.clear();
            put_double(inner, 1, sample.value);
            put_varint(inner, 2, sample.timestamp as u64);
            put_bytes(series, 2, inner);
        }
        for (timestamp, histogram) in histograms {
            inner.clear();
            put_histogram(inner, *timestamp, histogram);
            put_bytes(series, 4, inner);
        }
        put_bytes(out, 1, series);
        self
    }

    /// The request as it stands.
    pub fn message(&self) -> &[u8] {
        &self.out
    }

    /// Makes the request empty, keeping the memory.
    pub fn clear(&mut self) {
        self.out.clear();
    }
}

fn put_histogram(out: &mut Vec<u8>, timestamp: Timestamp, h: &Histogram) {
    match &h.counts {
        Counts::Integer { count, .. } => put_varint_always(out, 1, *count),
        Counts::Float { count, .. } => put_double_always(out, 2, *count),
    }
    put_double(out, 3, h.sum);
    put_varint(out, 4, zigzag(h.schema.into()));
    put_double(out, 5, h.zero_threshold);
    match &h.counts {
        Counts::Integer { zero, .. } => put_varint_always(out, 6, *zero),
        Counts::Float { zero, .. } => put_double_always(out, 7, *zero),
    }
    put_spans(out, 8, &h.negative_spans);
    match &h.counts {
        Counts::Integer { negative, .. } => put_deltas(out, 9, negative),
        Counts::Float { negative, .. } => put_doubles(out, 10, negative),
    }
    put_spans(out, 11, &h.positive_spans);
    match &h.counts {
        Counts::Integer { positive, .. } => put_deltas(out, 12, positive),
        Counts::Float { positive, .. } => put_doubles(out, 13, positive),
    }
    let hint = match h.reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    };
    put_varint(out, 14, hint);
    put_varint(out, 15, timestamp as u64);
    put_doubles(out, 16, &h.custom_values);
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    let mut message = Vec::with_capacity(12);
    for span in spans {
        message.clear();
        put_varint(&mut message, 1, zigzag(span.offset.into()));
        put_varint(&mut message, 2, span.length.into());
        put_bytes(out, field, &message);
    }
}

fn put_deltas(out: &mut Vec<u8>, field: u32, counts: &[u64]) {
    let mut packed = Vec::with_capacity(2 * counts.len());
    let mut previous = 0u64;
    for &count in counts {
        push_varint(&mut packed, zigzag(count.wrapping_sub(previous) as i64));
        previous = count;
    }
    if !packed.is_empty() {
        put_bytes(out, field, &packed);
    }
}

fn put_doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    push_tag(out, field, BYTES);
    push_varint(out, 8 * values.len() as u64);
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// Positive zero is the default and need not be written; negative zero is not.
fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        put_double_always(out, field, value);
    }
}

fn put_double_always(out: &mut Vec<u8>, field: u32, value: f64) {
    push_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_varint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint_always(out, field, value);
    }
}

fn put_varint_always(out: &mut Vec<u8>, field: u32, value: u64) {
    push_tag(out, field, VARINT);
    push_varint(out, value);
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_tag(out, field, BYTES);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_tag(out: &mut Vec<u8>, field: u32, wire_type: u8) {
    push_varint(out, u64::from(field) << 3 | u64::from(wire_type));
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}
