//! A remote-write 1.0 sender of the smallest kind: it builds request bodies, nothing else.
//!
//! Written apart from Ferula's own codec on purpose: a mistake in that one cannot cancel itself out.

/// The headers of a remote-write 1.0 request.
pub const HEADERS: [(&str, &str); 4] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ("User-Agent", "ferula-e2e"),
];

/// The path that takes them.
pub const PATH: &str = "/api/v1/write";

/// A label set in wire form, so that requests about known series cost one copy each.
#[derive(Clone, Debug)]
pub struct EncodedLabels(Vec<u8>);

impl EncodedLabels {
    /// Encodes labels in the order given; senders sort them by name.
    pub fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut out = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut out, 1, &label);
        }
        Self(out)
    }
}

/// A `WriteRequest` under construction.
#[derive(Clone, Debug, Default)]
pub struct WriteRequest {
    bytes: Vec<u8>,
    series: Vec<u8>,
}

impl WriteRequest {
    /// Adds a series with its samples (`timestamp in ms`, `value`).
    pub fn push(&mut self, labels: &EncodedLabels, samples: impl IntoIterator<Item = (i64, f64)>) {
        self.series.clear();
        self.series.extend_from_slice(&labels.0);
        for (timestamp, value) in samples {
            let mut sample = [0u8; 24];
            let mut length = 0;
            if value.to_bits() != 0 {
                sample[0] = 1 << 3 | 1;
                sample[1..9].copy_from_slice(&value.to_bits().to_le_bytes());
                length = 9;
            }
            sample[length] = 2 << 3;
            length += 1;
            length += write_varint(&mut sample[length..], timestamp.cast_unsigned());
            put_bytes(&mut self.series, 2, &sample[..length]);
        }
        let series = std::mem::take(&mut self.series);
        put_bytes(&mut self.bytes, 1, &series);
        self.series = series;
    }

    /// Adds a series with its native histograms (`timestamp in ms`, histogram).
    pub fn push_histograms(
        &mut self,
        labels: &EncodedLabels,
        histograms: impl IntoIterator<Item = (i64, NativeHistogram)>,
    ) {
        let mut series = labels.0.clone();
        for (timestamp, histogram) in histograms {
            put_bytes(&mut series, 4, &histogram.encode(timestamp));
        }
        put_bytes(&mut self.bytes, 1, &series);
    }

    /// Adds a series with its histograms of floats (`timestamp in ms`, histogram).
    pub fn push_float_histograms<'h>(
        &mut self,
        labels: &EncodedLabels,
        histograms: impl IntoIterator<Item = (i64, &'h FloatHistogram)>,
    ) {
        let mut series = labels.0.clone();
        for (timestamp, histogram) in histograms {
            put_bytes(&mut series, 4, &histogram.encode(timestamp));
        }
        put_bytes(&mut self.bytes, 1, &series);
    }

    /// The protobuf bytes before compression.
    pub fn plain(&self) -> &[u8] {
        &self.bytes
    }

    /// The body to send.
    pub fn body(&self) -> Vec<u8> {
        compress(&self.bytes)
    }
}

/// A native histogram of integers with one run of exponential buckets, all above zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// Bounds are powers of 2^(2^-schema).
    pub schema: i32,
    /// Sum of the observations.
    pub sum: f64,
    /// How many of them were zero.
    pub zero_count: u64,
    /// Number of the first bucket.
    pub first: i32,
    /// Observations in each bucket from there on.
    pub buckets: Vec<u64>,
}

impl NativeHistogram {
    /// Observations up to this distance from zero count as zero.
    const ZERO_THRESHOLD: f64 = 1e-128;

    fn encode(&self, timestamp: i64) -> Vec<u8> {
        let mut out = Vec::new();
        let count = self.zero_count + self.buckets.iter().sum::<u64>();
        put_number(&mut out, 1, count);
        put_double(&mut out, 3, self.sum);
        put_number(&mut out, 4, zigzag(i64::from(self.schema)));
        put_double(&mut out, 5, Self::ZERO_THRESHOLD);
        put_number(&mut out, 6, self.zero_count);
        let mut span = Vec::new();
        put_number(&mut span, 1, zigzag(i64::from(self.first)));
        put_number(&mut span, 2, self.buckets.len() as u64);
        put_bytes(&mut out, 11, &span);
        let (mut deltas, mut before) = (Vec::new(), 0);
        for &bucket in &self.buckets {
            put_varint(
                &mut deltas,
                zigzag(bucket.cast_signed().wrapping_sub(before)),
            );
            before = bucket.cast_signed();
        }
        put_bytes(&mut out, 12, &deltas);
        put_number(&mut out, 15, timestamp.cast_unsigned());
        out
    }
}

/// A native histogram of floats, with all that the wire can say of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatHistogram {
    /// Bounds are powers of 2^(2^-schema), or listed if it is -53.
    pub schema: i32,
    /// How many observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Observations up to this distance from zero count as zero.
    pub zero_threshold: f64,
    /// How many do.
    pub zero_count: f64,
    /// Buckets below zero.
    pub negative: Side,
    /// Buckets above zero.
    pub positive: Side,
    /// The listed bounds.
    pub custom_values: Vec<f64>,
    /// What is known of resets: 0 nothing, 1 there was one, 2 there was none, 3 it is a gauge.
    pub reset_hint: u64,
}

/// The buckets on one side of zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// Runs of buckets: the gap before each, and its length.
    pub spans: Vec<(i32, u32)>,
    /// Observations in each bucket.
    pub counts: Vec<f64>,
}

impl FloatHistogram {
    fn encode(&self, timestamp: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_double(&mut out, 2, self.count);
        put_double(&mut out, 3, self.sum);
        put_number(&mut out, 4, zigzag(i64::from(self.schema)));
        put_double(&mut out, 5, self.zero_threshold);
        put_double(&mut out, 7, self.zero_count);
        for (side, spans, counts) in [(&self.negative, 8, 10), (&self.positive, 11, 13)] {
            for &(offset, length) in &side.spans {
                let mut span = Vec::new();
                put_number(&mut span, 1, zigzag(i64::from(offset)));
                put_number(&mut span, 2, u64::from(length));
                put_bytes(&mut out, spans, &span);
            }
            put_bytes(&mut out, counts, &packed(&side.counts));
        }
        put_number(&mut out, 14, self.reset_hint);
        put_number(&mut out, 15, timestamp.cast_unsigned());
        put_bytes(&mut out, 16, &packed(&self.custom_values));
        out
    }
}

fn packed(numbers: &[f64]) -> Vec<u8> {
    let bytes = numbers.iter().flat_map(|n| n.to_bits().to_le_bytes());
    bytes.collect()
}

/// Compresses in the snappy block format.
pub fn compress(plain: &[u8]) -> Vec<u8> {
    let compressed = snap::raw::Encoder::new().compress_vec(plain);
    compressed.expect("requests are far below snappy's 4 GiB")
}

/// A snappy block of about `size / 21` bytes that unpacks to `size` zero bytes.
pub fn snappy_bomb(size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, size as u64);
    // One literal zero, then copies of up to 64 bytes from one byte back.
    out.extend_from_slice(&[0, 0]);
    let mut left = size.saturating_sub(1);
    while left > 0 {
        let copy = left.min(64);
        out.push(u8::try_from((copy - 1) << 2).unwrap_or(0) | 2);
        out.extend_from_slice(&[1, 0]);
        left -= copy;
    }
    out
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3);
    put_varint(out, number);
}

fn put_double(out: &mut Vec<u8>, field: u8, number: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&number.to_bits().to_le_bytes());
}

/// Small negative numbers as small unsigned ones.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// Appends an unsigned varint.
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0u8; 10];
    let length = write_varint(&mut buffer, value);
    out.extend_from_slice(&buffer[..length]);
}

fn write_varint(out: &mut [u8], mut value: u64) -> usize {
    let mut length = 0;
    while value >= 0x80 {
        out[length] = value.to_le_bytes()[0] | 0x80;
        value >>= 7;
        length += 1;
    }
    out[length] = value.to_le_bytes()[0];
    length + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_documented_bytes() {
        let mut request = WriteRequest::default();
        request.push(&EncodedLabels::new([("a", "bc")]), [(300, 1.0), (0, 0.0)]);
        let expected = [
            10, 26, // one series
            10, 7, 10, 1, b'a', 18, 2, b'b', b'c', // its label
            18, 12, 9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 16, 0xac, 2, // 1.0 at 300
            18, 2, 16, 0, // 0.0 at 0
        ];
        let mut expected = expected.to_vec();
        expected[1] = u8::try_from(expected.len() - 2).expect("short");
        assert_eq!(request.plain(), expected);
        let plain = snap::raw::Decoder::new().decompress_vec(&request.body());
        assert_eq!(plain.expect("snappy"), request.plain());
    }

    #[test]
    fn writes_the_documented_bytes_of_a_histogram() {
        let mut request = WriteRequest::default();
        let histogram = NativeHistogram {
            schema: 3,
            sum: 1.0,
            zero_count: 2,
            first: -2,
            buckets: vec![5, 1, 300],
        };
        request.push_histograms(&EncodedLabels::new([]), [(300, histogram)]);
        let expected = [
            10, 46, 34, 44, // one series with one histogram
            8, 0xb4, 2, // 308 observations
            25, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // the sum is 1
            32, 6, // schema 3
            41, 0x1a, 0x6b, 0x4e, 0x3c, 0x76, 0x9a, 0x77, 0x25, // threshold
            48, 2, // two zeros
            90, 4, 8, 3, 16, 3, // three buckets from -2 on
            98, 4, 10, 7, 0xd6, 4, // 5, 5 - 4, 1 + 299
            120, 0xac, 2, // at 300
        ];
        let mut expected = expected.to_vec();
        expected[19..27].copy_from_slice(&1e-128f64.to_bits().to_le_bytes());
        expected[1] = u8::try_from(expected.len() - 2).expect("short");
        expected[3] = u8::try_from(expected.len() - 4).expect("short");
        assert_eq!(request.plain(), expected);
    }

    #[test]
    fn a_bomb_unpacks_to_its_size() {
        for size in [1, 2, 64, 65, 66, 1_000_003] {
            let plain = snap::raw::Decoder::new().decompress_vec(&snappy_bomb(size));
            assert_eq!(plain.expect("snappy"), vec![0; size]);
        }
    }
}
